-- Calls per second of projects, in thousandths, and when a run of a paced project last got a slot.
ALTER TABLE projects ADD COLUMN pace INTEGER;
ALTER TABLE projects ADD COLUMN last_start_at INTEGER;
-- How far a project is behind its share of the slots, in millionths: at that time, and by the second.
ALTER TABLE projects ADD COLUMN lag INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN lag_rate INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN lag_at INTEGER NOT NULL DEFAULT 0;

-- Project and priority of a batch never change. They stand beside its counts because admission looks for
-- the next batch of a project that has queued runs, in the order of priorities.
ALTER TABLE batches ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_counts ADD COLUMN project_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_counts ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
UPDATE batch_counts SET project_id = (SELECT project_id FROM batches WHERE id = batch_counts.result_id);
CREATE INDEX batch_counts_queued ON batch_counts (project_id, priority DESC, result_id) WHERE in_queue > 0;
-- Nobody steps from batch to batch along the queued runs any more.
DROP INDEX runs_queued;
-- Slots each project holds.
CREATE INDEX runs_held ON runs (org_id, project_id, status) WHERE status IN ('pending', 'in_progress');
