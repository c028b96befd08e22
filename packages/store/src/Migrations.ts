/**
 * The schema, as numbered steps. A step that has been released is never edited: add the next one.
 *
 * Times are milliseconds since the epoch. `sid` is the row number of a session: short, so that the log's two indexes
 * are. JSON columns are text. `payload` is the text that arrived.
 */

import { auditStep, authorsStep, issuersStep, rolesStep } from "./internal/access.ts"
import { attributesStep } from "./internal/attributes.ts"
import { gatewayStep } from "./internal/gateway.ts"
import { hiddenStep, indexesStep } from "./internal/indexes.ts"
import { overviewStep } from "./internal/overview.ts"
import { pairingStep } from "./internal/pairing.ts"

const initial: ReadonlyArray<string> = [
  `CREATE TABLE organizations (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, created_at INTEGER NOT NULL
  )`,

  // Signing keys and the like, made at first start.
  `CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL, created_at INTEGER NOT NULL)`,

  // `hash` is SHA-256 of the token; `hint` its last four characters, to tell tokens apart in a list.
  `CREATE TABLE access_tokens (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER
  )`,

  `CREATE TABLE environments (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    machine_name TEXT NOT NULL,
    directory TEXT NOT NULL,
    branch TEXT,
    git_repo_url TEXT,
    max_sessions INTEGER NOT NULL DEFAULT 1,
    metadata TEXT NOT NULL DEFAULT '{}',
    config TEXT NOT NULL DEFAULT '{"type":"self_hosted"}',
    description TEXT,
    scope TEXT,
    secret_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL DEFAULT 0,
    last_seen_at INTEGER,
    last_poll_at INTEGER,
    archived_at INTEGER
  )`,
  `CREATE INDEX environments_by_organization ON environments (organization_id, created_at, id)`,

  // The row of a session. `last_seq` and `worker_head*` are the heads of its log; `projection` is the JSON of
  // `SessionRow` (packages/transcript), of which `title` and `status` are lifted out for filters.
  `CREATE TABLE sessions (
    sid INTEGER PRIMARY KEY,
    body TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    environment_id TEXT REFERENCES environments (id),
    source TEXT,
    context TEXT NOT NULL DEFAULT '{}',
    permission_mode TEXT,
    tags TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    archived_at INTEGER,
    last_seq INTEGER NOT NULL DEFAULT 0,
    worker_head TEXT,
    worker_head_seq INTEGER NOT NULL DEFAULT 0,
    worker_epoch INTEGER NOT NULL DEFAULT 0,
    token_epoch INTEGER NOT NULL DEFAULT 0,
    delivery_no INTEGER NOT NULL DEFAULT 0,
    worker_status TEXT,
    connection_status TEXT NOT NULL DEFAULT 'disconnected',
    external_metadata TEXT,
    worker_seen_at INTEGER,
    title TEXT,
    status TEXT NOT NULL DEFAULT 'pending',
    projection TEXT NOT NULL
  )`,
  `CREATE INDEX sessions_by_update ON sessions (organization_id, updated_at DESC, sid DESC)`,
  `CREATE INDEX sessions_open_by_update ON sessions (organization_id, updated_at DESC, sid DESC) WHERE archived_at IS NULL`,
  `CREATE INDEX sessions_by_environment ON sessions (environment_id, archived_at)`,

  // The log. `transcript` and `compaction` are 0 or 1, told by packages/protocol/src/Payload.ts.
  // `delivery` (client events) is received, processing or processed; `delivery_no` numbers the changes of a session.
  `CREATE TABLE events (
    sid INTEGER NOT NULL REFERENCES sessions (sid),
    seq INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    transcript INTEGER NOT NULL,
    compaction INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    delivery TEXT,
    delivered_at INTEGER,
    delivery_no INTEGER,
    payload TEXT NOT NULL,
    PRIMARY KEY (sid, seq)
  )`,
  `CREATE UNIQUE INDEX events_by_uuid ON events (sid, uuid)`,
  `CREATE INDEX events_transcript ON events (sid, seq) WHERE transcript = 1`,
  `CREATE INDEX events_compaction ON events (sid, seq) WHERE compaction = 1`,
  `CREATE INDEX events_client ON events (sid, seq) WHERE source = 'client'`,
  `CREATE INDEX events_answers ON events (sid, seq) WHERE type = 'control_response'`,
  `CREATE INDEX events_by_delivery ON events (sid, delivery_no) WHERE delivery_no IS NOT NULL`,
  `CREATE INDEX events_undelivered ON events (sid, seq) WHERE source = 'client' AND (delivery IS NULL OR delivery <> 'processed')`,

  // Work for environments. At most one unfinished item a session.
  // A queued item has no lease; it may be offered again a while after `offered_at`. One in another state is held until
  // `lease_expires_at`. `offered_to` is the poller that got the last offer, where it named itself.
  `CREATE TABLE work (
    id TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id),
    type TEXT NOT NULL,
    sid INTEGER REFERENCES sessions (sid),
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    offered_at INTEGER,
    offered_to TEXT,
    acknowledged_at INTEGER,
    started_at INTEGER,
    latest_heartbeat_at INTEGER,
    lease_expires_at INTEGER,
    lease_ttl INTEGER,
    stop_requested_at INTEGER,
    stopped_at INTEGER,
    metadata TEXT NOT NULL DEFAULT '{}'
  )`,
  `CREATE INDEX work_open ON work (environment_id, created_at, id) WHERE state <> 'stopped'`,
  `CREATE UNIQUE INDEX work_open_session ON work (sid) WHERE state <> 'stopped' AND sid IS NOT NULL`,
  `CREATE INDEX work_by_environment ON work (environment_id, created_at, id)`
]

/** Whether an environment's poller puts idle sessions to sleep, so that they hold no place. */
const placesStep: ReadonlyArray<string> = [
  `ALTER TABLE environments ADD COLUMN makes_room INTEGER NOT NULL DEFAULT 0`
]

/** Step n stands at index n − 1. */
export const migrations: ReadonlyArray<ReadonlyArray<string>> = [
  initial,
  gatewayStep,
  pairingStep,
  overviewStep,
  placesStep,
  attributesStep,
  rolesStep,
  indexesStep,
  hiddenStep,
  authorsStep,
  auditStep,
  issuersStep
]
