-- Teams: roles, keys that can be revoked, an audit log. Webhooks, cron jobs, sealed secrets. Runs become
-- narrow: what all runs of an evaluator in one batch share is stored once, and a batch counts its runs.

ALTER TABLE organisations ADD COLUMN extra TEXT NOT NULL DEFAULT '{}';
ALTER TABLE organisations ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE organisations SET updated_at = created_at;

ALTER TABLE projects ADD COLUMN extra TEXT NOT NULL DEFAULT '{}';
ALTER TABLE projects ADD COLUMN webhook_url TEXT;
ALTER TABLE projects ADD COLUMN retention_days INTEGER;
ALTER TABLE projects ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE projects SET updated_at = created_at;

CREATE TABLE api_keys_2 (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key_sha256 BLOB NOT NULL UNIQUE,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    operator INTEGER NOT NULL,
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    rate_per_minute INTEGER,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at INTEGER,
    revoked_at INTEGER
);
INSERT INTO api_keys_2 (key_sha256, org_id, role, operator, name, hint, created_at)
    SELECT key_sha256, org_id, 'admin', admin, label, '', created_at FROM api_keys ORDER BY created_at;
DROP TABLE api_keys;
ALTER TABLE api_keys_2 RENAME TO api_keys;
CREATE INDEX api_keys_by_org ON api_keys (org_id);

CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    request_id TEXT NOT NULL UNIQUE,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER,
    key_id INTEGER NOT NULL,
    key_name TEXT NOT NULL,
    operation TEXT NOT NULL,
    path TEXT NOT NULL,
    source TEXT NOT NULL
);
CREATE INDEX audit_log_by_org ON audit_log (org_id, id);

CREATE TABLE secrets (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    sealed TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (owner, name)
);

ALTER TABLE phone_numbers ADD COLUMN project_id INTEGER REFERENCES projects (id) ON DELETE CASCADE;
ALTER TABLE phone_numbers ADD COLUMN provider TEXT NOT NULL DEFAULT 'own';
ALTER TABLE phone_numbers ADD COLUMN provider_id TEXT;
ALTER TABLE phone_numbers ADD COLUMN sms_enabled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE phone_numbers ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE phone_numbers SET updated_at = created_at;

CREATE TABLE personalities (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
-- Ids below are those of the built-in personalities.
INSERT INTO sqlite_sequence (name, seq) VALUES ('personalities', 1000);
CREATE INDEX personalities_by_org ON personalities (org_id, id);

CREATE TABLE folders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (project_id, path)
);

CREATE INDEX agents_by_project ON agents (project_id, id);
CREATE INDEX scenarios_by_org ON scenarios (org_id, id);
CREATE INDEX scenarios_by_project ON scenarios (project_id, id);
CREATE INDEX test_profiles_by_project ON test_profiles (project_id, id);

CREATE TABLE cron_jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    agent_id INTEGER REFERENCES agents (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    expression TEXT NOT NULL,
    timezone TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    body TEXT NOT NULL,
    next_run_at INTEGER,
    last_run_at INTEGER,
    last_outcome TEXT NOT NULL DEFAULT '',
    created_by INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX cron_jobs_by_org ON cron_jobs (org_id, id);
CREATE INDEX cron_jobs_due ON cron_jobs (next_run_at) WHERE next_run_at IS NOT NULL;

-- `staging`: its runs are still being stored, nobody sees it. `gated`: waits for the pre-run webhook.
ALTER TABLE batches ADD COLUMN state TEXT NOT NULL DEFAULT 'ready';
ALTER TABLE batches ADD COLUMN caller_ids TEXT NOT NULL DEFAULT '[]';
ALTER TABLE batches ADD COLUMN dial_route TEXT;
ALTER TABLE batches ADD COLUMN cron_job_id INTEGER;
CREATE INDEX batches_by_project ON batches (project_id, id);
CREATE INDEX batches_staging ON batches (id) WHERE state = 'staging';
UPDATE batches SET
    caller_ids = coalesce((SELECT caller_ids FROM runs WHERE result_id = batches.id ORDER BY id LIMIT 1), '[]'),
    dial_route = (SELECT dial_route FROM runs WHERE result_id = batches.id ORDER BY id LIMIT 1);

CREATE TABLE batch_counts (
    result_id INTEGER PRIMARY KEY REFERENCES batches (id) ON DELETE CASCADE,
    total INTEGER NOT NULL DEFAULT 0,
    in_queue INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0,
    in_progress INTEGER NOT NULL DEFAULT 0,
    evaluating INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    timeout INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    passed INTEGER NOT NULL DEFAULT 0,
    connected INTEGER NOT NULL DEFAULT 0,
    duration_ms INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL
);
INSERT INTO batch_counts
    SELECT b.id, count(r.id), coalesce(sum(r.status = 'in_queue'), 0), coalesce(sum(r.status = 'pending'), 0),
        coalesce(sum(r.status = 'in_progress'), 0), coalesce(sum(r.status = 'evaluating'), 0),
        coalesce(sum(r.status = 'completed'), 0), coalesce(sum(r.status = 'failed'), 0),
        coalesce(sum(r.status = 'timeout'), 0), coalesce(sum(r.status = 'cancelled'), 0),
        coalesce(sum(r.success = 1), 0), coalesce(sum(r.executed_at IS NOT NULL), 0),
        coalesce(sum(r.duration_ms), 0), b.updated_at
    FROM batches b LEFT JOIN runs r ON r.result_id = b.id GROUP BY b.id;
ALTER TABLE batches DROP COLUMN updated_at;

-- Exact counts of long lists, per agent: counting a million rows takes longer than a page of them.
CREATE TABLE totals (
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL,
    agent_id INTEGER NOT NULL,
    results INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (org_id, project_id, agent_id)
);
INSERT INTO totals
    SELECT b.org_id, b.project_id, b.agent_id, count(*), sum(c.total)
    FROM batches b JOIN batch_counts c ON c.result_id = b.id GROUP BY b.org_id, b.project_id, b.agent_id;

CREATE TABLE run_templates (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id INTEGER NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    scenario_id INTEGER NOT NULL,
    scenario_name TEXT NOT NULL,
    personality_id INTEGER,
    personality_name TEXT NOT NULL,
    test_profile TEXT,
    script TEXT NOT NULL
);
CREATE INDEX run_templates_by_result ON run_templates (result_id);
INSERT INTO run_templates (id, result_id, scenario_id, scenario_name, personality_name, test_profile, script)
    SELECT id, result_id, scenario_id, scenario_name, '', test_profile, script FROM runs;

CREATE TABLE runs_2 (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    result_id INTEGER NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    agent_id INTEGER NOT NULL,
    template_id INTEGER NOT NULL,
    scenario_id INTEGER NOT NULL,
    number TEXT NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    opens_at INTEGER,
    closes_at INTEGER,
    call_id TEXT,
    deadline_at INTEGER,
    reason TEXT,
    success INTEGER,
    created_at INTEGER NOT NULL,
    executed_at INTEGER,
    updated_at INTEGER NOT NULL,
    duration_ms INTEGER,
    ended_reason TEXT,
    recording TEXT,
    score TEXT,
    notes TEXT
);
INSERT INTO runs_2
    SELECT id, org_id, project_id, result_id, agent_id, id, scenario_id, number, seq, seq, status, opens_at,
        closes_at, call_id, deadline_at, reason, success, created_at, executed_at, updated_at, duration_ms,
        ended_reason, recording, score, NULL
    FROM runs;
DROP TABLE runs;
ALTER TABLE runs_2 RENAME TO runs;
CREATE INDEX runs_by_result_status ON runs (result_id, status);
CREATE INDEX runs_by_org_status ON runs (org_id, status, id);
CREATE INDEX runs_by_org ON runs (org_id, id);
CREATE INDEX runs_by_project ON runs (project_id, id);
CREATE INDEX runs_by_agent ON runs (agent_id, id);
CREATE INDEX runs_by_number ON runs (number, status);
CREATE INDEX runs_by_number_recent ON runs (number, updated_at);
CREATE INDEX runs_by_deadline ON runs (deadline_at) WHERE deadline_at IS NOT NULL;
CREATE INDEX runs_by_call ON runs (call_id) WHERE call_id IS NOT NULL;
CREATE INDEX runs_queued ON runs (org_id, result_id) WHERE status = 'in_queue';
CREATE INDEX runs_pending ON runs (opens_at) WHERE status = 'pending';

-- A row about a run's transition, or, without a run, about a whole batch that was accepted.
CREATE TABLE outbox_2 (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id INTEGER NOT NULL,
    run_id INTEGER,
    at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    status TEXT NOT NULL,
    opens_at INTEGER,
    closes_at INTEGER,
    reason TEXT,
    success INTEGER
);
INSERT INTO outbox_2
    SELECT o.id, r.result_id, o.run_id, o.at, o.seq, o.status, o.opens_at, o.closes_at, o.reason, o.success
    FROM outbox o JOIN runs r ON r.id = o.run_id;
DROP TABLE outbox;
ALTER TABLE outbox_2 RENAME TO outbox;

CREATE TABLE idempotency (
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    request_sha256 BLOB NOT NULL,
    result_id INTEGER NOT NULL,
    answer TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (org_id, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE share_links (
    token_sha256 BLOB PRIMARY KEY,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    result_id INTEGER NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);

-- Outgoing webhooks: an event to tell, and every try to tell it.
CREATE TABLE webhook_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    result_id INTEGER REFERENCES batches (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    url TEXT NOT NULL DEFAULT '',
    body TEXT NOT NULL DEFAULT '',
    tries INTEGER NOT NULL DEFAULT 0,
    next_try_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX webhook_events_by_org ON webhook_events (org_id, id);
CREATE INDEX webhook_events_by_result ON webhook_events (result_id);
CREATE INDEX webhook_events_due ON webhook_events (next_try_at) WHERE next_try_at IS NOT NULL;

CREATE TABLE webhook_tries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id INTEGER NOT NULL REFERENCES webhook_events (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    url TEXT NOT NULL,
    status INTEGER,
    error TEXT NOT NULL,
    answer TEXT NOT NULL,
    duration_ms INTEGER NOT NULL
);
CREATE INDEX webhook_tries_by_event ON webhook_tries (event_id, id);

-- Names of artefacts whose rows are gone: they are deleted after the transaction that let go of them.
CREATE TABLE artefacts_to_delete (
    key TEXT PRIMARY KEY,
    since INTEGER NOT NULL
);

CREATE INDEX attempts_by_age ON attempts (at) WHERE run_id IS NULL;
