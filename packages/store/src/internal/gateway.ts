/**
 * The gateway's step of the schema: what its vocabulary adds to a session's row, and the devices it knows.
 *
 * A gateway session is a session: its key, label and the entry fields that the log does not tell are columns of
 * `sessions`. The trigger names sessions that were made elsewhere, so that no session is without a key.
 */

const defaultAgent = `COALESCE((SELECT value FROM gateway_settings WHERE name = 'default_agent'), 'main')`

/** `agent:<default agent>:<environment's name>:<short id>`, and with the whole id where that key is taken. */
const assignKey = (row: "NEW" | "sessions", where: string): string => {
  const place = `COALESCE((SELECT lower(replace(replace(trim(e.name), ':', '-'), ' ', '-'))
    FROM environments e WHERE e.id = ${row}.environment_id AND trim(e.name) <> ''), 'session')`
  const short = `lower(substr(replace(${row}.body, '-', ''), 1, 12))`
  const prefix = `'agent:' || ${defaultAgent} || ':' || ${place} || ':'`
  const taken = `EXISTS (SELECT 1 FROM sessions t WHERE t.organization_id = ${row}.organization_id
    AND t.gateway_key = ${prefix} || ${short} AND t.archived_at IS NULL)`
  return `UPDATE sessions SET gateway_agent = ${defaultAgent},
    gateway_key = ${prefix} || CASE WHEN ${taken} THEN lower(${row}.body) ELSE ${short} END WHERE ${where}`
}

export const gatewayStep: ReadonlyArray<string> = [
  `CREATE TABLE gateway_settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)`,

  `ALTER TABLE sessions ADD COLUMN gateway_key TEXT`,
  `ALTER TABLE sessions ADD COLUMN gateway_agent TEXT`,
  `ALTER TABLE sessions ADD COLUMN gateway_label TEXT`,
  `ALTER TABLE sessions ADD COLUMN gateway_parent TEXT`,
  `ALTER TABLE sessions ADD COLUMN gateway_spawned_by TEXT`,
  // JSON object: entry fields of spec 2 §3 that are neither columns nor told by the log.
  `ALTER TABLE sessions ADD COLUMN gateway_entry TEXT NOT NULL DEFAULT '{}'`,
  // Up to where the log stands in the search index.
  `ALTER TABLE sessions ADD COLUMN search_seq INTEGER NOT NULL DEFAULT 0`,

  // An archived session keeps its key as history; the key is free again.
  assignKey("sessions", "gateway_key IS NULL"),
  `CREATE UNIQUE INDEX sessions_by_gateway_key ON sessions (organization_id, gateway_key)
    WHERE gateway_key IS NOT NULL AND archived_at IS NULL`,
  `CREATE UNIQUE INDEX sessions_by_gateway_label ON sessions (organization_id, COALESCE(gateway_agent, ''), gateway_label)
    WHERE gateway_label IS NOT NULL AND archived_at IS NULL`,
  `CREATE INDEX sessions_by_gateway_history ON sessions (organization_id, gateway_key) WHERE archived_at IS NOT NULL`,
  `CREATE INDEX sessions_by_gateway_parent ON sessions (organization_id, gateway_parent) WHERE gateway_parent IS NOT NULL`,
  `CREATE INDEX sessions_by_gateway_spawner ON sessions (organization_id, gateway_spawned_by)
    WHERE gateway_spawned_by IS NOT NULL`,
  `CREATE TRIGGER sessions_gateway_key AFTER INSERT ON sessions WHEN NEW.gateway_key IS NULL BEGIN
    ${assignKey("NEW", "sid = NEW.sid")}; END`,

  // What a reader of the conversation counts: messages and compactions.
  `CREATE INDEX events_visible ON events (sid, seq)
    WHERE transcript = 1 AND (type IN ('user', 'assistant') OR compaction = 1)`,

  `CREATE VIRTUAL TABLE transcript_search USING fts5 (text, sid UNINDEXED, seq UNINDEXED, tokenize = 'unicode61')`,

  // Devices and what was approved for each of their roles: `approved` is JSON, role → scopes.
  `CREATE TABLE gateway_devices (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    public_key TEXT NOT NULL,
    display_name TEXT,
    platform TEXT NOT NULL,
    device_family TEXT NOT NULL,
    client_id TEXT NOT NULL,
    client_mode TEXT NOT NULL,
    approved TEXT NOT NULL,
    token_generation INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    approved_at INTEGER NOT NULL,
    last_seen_at INTEGER
  )`,
  `CREATE TABLE gateway_pairing_requests (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    device_id TEXT NOT NULL,
    public_key TEXT NOT NULL,
    display_name TEXT,
    platform TEXT NOT NULL,
    device_family TEXT NOT NULL,
    client_id TEXT NOT NULL,
    client_mode TEXT NOT NULL,
    role TEXT NOT NULL,
    scopes TEXT NOT NULL,
    reason TEXT NOT NULL,
    remote_address TEXT,
    created_at INTEGER NOT NULL,
    UNIQUE (device_id, role)
  )`
]
