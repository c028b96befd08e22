/** Layout of the journal's file. A version that was released is never edited: add the next one. */

/** The version of the file's layout. */
export const JOURNAL_VERSION = 3

export const schema = [
  `CREATE TABLE IF NOT EXISTS claims (
    directory TEXT PRIMARY KEY, pid INTEGER NOT NULL, started TEXT NOT NULL
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS sessions (
    session TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    environment_id TEXT NOT NULL,
    directory TEXT NOT NULL,
    home INTEGER NOT NULL,
    state TEXT NOT NULL,
    agent_session_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    cwd TEXT NOT NULL,
    model TEXT,
    permission_mode TEXT,
    launched INTEGER NOT NULL DEFAULT 0,
    head TEXT,
    cursor INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    ended_at INTEGER
  )`,
  // A position is never used twice, also after its line has left: `confirm` names positions.
  `CREATE TABLE IF NOT EXISTS outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL,
    uuid TEXT NOT NULL,
    payload TEXT NOT NULL
  )`,
  `CREATE UNIQUE INDEX IF NOT EXISTS outbox_by_uuid ON outbox (session, uuid)`,
  `CREATE INDEX IF NOT EXISTS outbox_by_position ON outbox (session, position)`,
  // Lines that the hub will never store. They stay when their session ends.
  `CREATE TABLE IF NOT EXISTS kept (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL,
    payload TEXT NOT NULL,
    why TEXT NOT NULL,
    kept_at INTEGER NOT NULL
  )`,
  // `uuid` is null for an event that repeats another's. `state` and `reported`: 0 nothing, 1 received, 2 processing,
  // 3 processed, 4 withdrawn.
  `CREATE TABLE IF NOT EXISTS inbox (
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    uuid TEXT,
    payload TEXT NOT NULL,
    state INTEGER NOT NULL,
    reported INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session, seq)
  ) WITHOUT ROWID`,
  `CREATE UNIQUE INDEX IF NOT EXISTS inbox_by_uuid ON inbox (session, uuid) WHERE uuid IS NOT NULL`,
  `CREATE INDEX IF NOT EXISTS inbox_open ON inbox (session, seq) WHERE state < 3 OR reported < state`
]

/** Steps of the layout after the first version: step n leads to version n + 2. */
export const migrations: ReadonlyArray<ReadonlyArray<string>> = [
  [`ALTER TABLE sessions ADD COLUMN settings TEXT NOT NULL DEFAULT '{}'`],
  [
    // JSON of `Launch`.
    `ALTER TABLE sessions ADD COLUMN launch TEXT NOT NULL DEFAULT '{}'`,
    // Files as agents read them; equal contents are kept once.
    `CREATE TABLE IF NOT EXISTS contents (sha256 TEXT PRIMARY KEY, content BLOB NOT NULL)`,
    `CREATE TABLE IF NOT EXISTS snapshots (
      session TEXT NOT NULL, tool_use_id TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
      bytes INTEGER NOT NULL, truncated INTEGER NOT NULL, UNIQUE (session, tool_use_id)
    )`,
    // Runs that have no hub: their logs are here. `run` is JSON of `Run`, `row` of the `SessionRow` of its log.
    `CREATE TABLE IF NOT EXISTS runs (
      id TEXT PRIMARY KEY, last_activity_at INTEGER NOT NULL, run TEXT NOT NULL, row TEXT NOT NULL
    ) WITHOUT ROWID`,
    `CREATE TABLE IF NOT EXISTS log (
      run_id TEXT NOT NULL, seq INTEGER NOT NULL, uuid TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL,
      created_at INTEGER NOT NULL, processed INTEGER NOT NULL DEFAULT 0, payload TEXT NOT NULL,
      PRIMARY KEY (run_id, seq)
    ) WITHOUT ROWID`,
    `CREATE UNIQUE INDEX IF NOT EXISTS log_by_uuid ON log (run_id, uuid)`,
    `CREATE TABLE IF NOT EXISTS told (sequence INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL)`
  ]
]
