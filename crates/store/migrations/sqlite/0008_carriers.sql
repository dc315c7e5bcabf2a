-- Accounts at providers, with which an organisation's runs are dialed.
CREATE TABLE carriers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id INTEGER NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    provider TEXT NOT NULL,
    settings TEXT NOT NULL,
    calls_per_second REAL CHECK (calls_per_second > 0 AND calls_per_second <= 10000),
    concurrent_calls INTEGER CHECK (concurrent_calls BETWEEN 1 AND 1000000),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (org_id, name)
);
-- Agents that are dialed through one of them.
CREATE INDEX agents_by_route ON agents (org_id, dial_route) WHERE dial_route IS NOT NULL;
