-- Which instance of the testing agent holds the call of a run. One that falls silent is lost, and what it
-- held is looked for.
ALTER TABLE runs ADD COLUMN holder TEXT;
CREATE INDEX runs_by_holder ON runs (holder, id)
    WHERE holder IS NOT NULL AND status IN ('in_progress', 'evaluating');
