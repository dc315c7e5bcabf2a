-- How a dialed call ended, as its provider says: busy, no_answer and so on. Null until it says so, and for calls
-- that arrived.
ALTER TABLE attempts ADD COLUMN ending text;
-- What a provider reports names the call as the provider knows it.
CREATE INDEX attempts_dialed ON attempts (sip_call_id) WHERE kind = 'dial';
