-- How a call was presented: the trunk it came from, the header that counted as its caller ID, and every
-- header that may name a caller, as a JSON array.
ALTER TABLE attempts ADD COLUMN trunk TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN from_header TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN caller_headers TEXT NOT NULL DEFAULT '[]';
