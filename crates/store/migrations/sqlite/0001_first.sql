-- Times are integer microseconds since the Unix epoch, lists and objects are JSON text.

CREATE TABLE organisations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    parallel_limit INTEGER,
    created_at INTEGER NOT NULL
);

CREATE TABLE api_keys (
    key_sha256 BLOB PRIMARY KEY,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    label TEXT NOT NULL,
    admin INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    parallel_limit INTEGER,
    weight INTEGER NOT NULL DEFAULT 1,
    dial_window_ms INTEGER NOT NULL DEFAULT 300000,
    max_call_ms INTEGER NOT NULL DEFAULT 300000,
    silence_ms INTEGER NOT NULL DEFAULT 10000,
    reject TEXT NOT NULL DEFAULT 'explicit',
    created_at INTEGER NOT NULL
);
CREATE INDEX projects_by_org ON projects (org_id);

CREATE TABLE agents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    inbound INTEGER NOT NULL,
    contact_number TEXT,
    outbound_numbers TEXT NOT NULL,
    dial_route TEXT,
    extra TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX agents_by_org ON agents (org_id);

CREATE TABLE phone_numbers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    number TEXT NOT NULL UNIQUE,
    name TEXT,
    created_at INTEGER NOT NULL
);
CREATE INDEX phone_numbers_by_org ON phone_numbers (org_id);

CREATE TABLE test_profiles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER REFERENCES projects (id) ON DELETE CASCADE,
    agent_id INTEGER REFERENCES agents (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    information TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX test_profiles_by_org ON test_profiles (org_id);

CREATE TABLE scenarios (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    agent_id INTEGER NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    phone_number_id INTEGER REFERENCES phone_numbers (id) ON DELETE SET NULL,
    test_profile_id INTEGER REFERENCES test_profiles (id) ON DELETE SET NULL,
    tags TEXT NOT NULL,
    folder_path TEXT,
    first_message TEXT NOT NULL,
    max_duration_ms INTEGER,
    extra TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX scenarios_by_agent ON scenarios (org_id, agent_id);
CREATE INDEX scenarios_by_number ON scenarios (phone_number_id);

CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL,
    agent_id INTEGER NOT NULL,
    agent_name TEXT NOT NULL,
    name TEXT NOT NULL,
    concurrency_limit INTEGER,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX batches_by_org ON batches (org_id);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    project_id INTEGER NOT NULL,
    result_id INTEGER NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    agent_id INTEGER NOT NULL,
    agent_name TEXT NOT NULL,
    scenario_id INTEGER NOT NULL,
    scenario_name TEXT NOT NULL,
    number TEXT NOT NULL,
    caller_ids TEXT NOT NULL,
    dial_route TEXT,
    test_profile TEXT,
    script TEXT NOT NULL,
    seq INTEGER NOT NULL,
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
    score TEXT
);
CREATE INDEX runs_by_result ON runs (result_id);
CREATE INDEX runs_by_status ON runs (org_id, status, id);
CREATE INDEX runs_by_number ON runs (number, status);
CREATE INDEX runs_by_deadline ON runs (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    attempt_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    org_id INTEGER REFERENCES organisations (id) ON DELETE CASCADE,
    run_id INTEGER,
    nearest INTEGER NOT NULL,
    from_raw TEXT NOT NULL,
    from_number TEXT,
    to_raw TEXT NOT NULL,
    to_number TEXT,
    source TEXT NOT NULL,
    sip_call_id TEXT NOT NULL,
    response INTEGER,
    explanation TEXT NOT NULL,
    route TEXT NOT NULL,
    UNIQUE (kind, attempt_id)
);
CREATE INDEX attempts_by_org ON attempts (org_id, id);
CREATE INDEX attempts_by_run ON attempts (run_id);

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    status TEXT NOT NULL,
    opens_at INTEGER,
    closes_at INTEGER,
    reason TEXT,
    success INTEGER
);
CREATE INDEX runs_by_call ON runs (call_id) WHERE call_id IS NOT NULL;
