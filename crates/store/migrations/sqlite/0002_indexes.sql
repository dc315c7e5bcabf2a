-- Admission, matching and deadlines run under the write lock, so none of them may read more rows than
-- it needs, however many runs and attempts there are.

-- Batches with queued runs, and the head of each.
CREATE INDEX runs_queued ON runs (org_id, result_id) WHERE status = 'in_queue';
-- Slots a batch holds. Takes the place of the index on the batch alone.
CREATE INDEX runs_by_result_status ON runs (result_id, status);
DROP INDEX runs_by_result;
-- Pending runs of everybody, oldest first, for a call that reached no run.
CREATE INDEX runs_pending ON runs (opens_at) WHERE status = 'pending';
-- Runs that ended a moment ago explain a call that came late.
CREATE INDEX runs_by_number_recent ON runs (number, updated_at);
-- Runs of an organisation, newest first.
CREATE INDEX runs_by_org ON runs (org_id);
-- Refused calls to a number that belong to no run.
CREATE INDEX attempts_without_run ON attempts (to_number, at) WHERE run_id IS NULL;
