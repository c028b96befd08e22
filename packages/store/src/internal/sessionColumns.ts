/** A session's row as it is selected, and what it says. */
import { OrganizationId } from "@causeway/protocol/Ids"
import type { SessionRecord } from "../Sessions.ts"

/** What is selected of a session's row. */
export interface SessionColumns {
  readonly sid: number
  readonly body: string
  readonly organization_id: string
  readonly environment_id: string | null
  readonly source: string | null
  readonly context: string
  readonly permission_mode: string | null
  readonly created_at: number
  readonly updated_at: number
  readonly archived_at: number | null
  readonly last_seq: number
  readonly worker_head: string | null
  readonly worker_epoch: number
  readonly token_epoch: number
  readonly worker_status: SessionRecord["workerStatus"] | null
  readonly connection_status: SessionRecord["connectionStatus"]
  readonly external_metadata: string | null
  readonly worker_seen_at: number | null
  readonly projection: string
}

export const COLUMNS = `sid, body, organization_id, environment_id, source, context, permission_mode, created_at, updated_at,
  archived_at, last_seq, worker_head, worker_epoch, token_epoch, worker_status, connection_status, external_metadata,
  worker_seen_at, projection`

export const toRecord = (row: SessionColumns): SessionRecord => ({
  sid: row.sid,
  session: row.body,
  organizationId: OrganizationId.make(row.organization_id),
  environmentId: row.environment_id ?? undefined,
  source: row.source ?? undefined,
  context: row.context,
  permissionMode: row.permission_mode ?? undefined,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  archivedAt: row.archived_at ?? undefined,
  lastSeq: row.last_seq,
  workerHead: row.worker_head ?? undefined,
  workerEpoch: row.worker_epoch,
  tokenEpoch: row.token_epoch,
  workerStatus: row.worker_status ?? undefined,
  connectionStatus: row.connection_status,
  externalMetadata: row.external_metadata ?? undefined,
  workerSeenAt: row.worker_seen_at ?? undefined,
  projection: row.projection
})
