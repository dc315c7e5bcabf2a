-- How a dialed call ended, as its provider says: busy, no_answer and so on. Null until it says so, and for calls
-- that arrived.
ALTER TABLE attempts ADD COLUMN ending TEXT;
