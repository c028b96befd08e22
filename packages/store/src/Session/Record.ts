/** A session's row: as it is stored, and as it is read. */
import { OrganizationId } from "@causeway/protocol/Ids"
import * as Offers from "@causeway/protocol/Offers"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"

/** Times are milliseconds since the epoch. */
export interface Session {
  readonly sid: number
  /** See `Ids.sessionBody`. */
  readonly session: string
  readonly organizationId: OrganizationId
  /** By which the gateway names it; canonical. */
  readonly key: string
  /** Undefined for the keys `global` and `unknown`. */
  readonly agentId: string | undefined
  /** Unique among the living sessions of an agent. */
  readonly label: string | undefined
  readonly parentKey: string | undefined
  readonly spawnedBy: string | undefined
  /** JSON text of an object: attributes of the gateway's entry that have no place of their own. */
  readonly entry: string
  readonly environmentId: string | undefined
  /** The agent that sessions of its environment get which ask for none, where the environment says so. */
  readonly environmentAgent: string | undefined
  readonly source: string | undefined
  /** JSON text of `session_context`. */
  readonly context: string
  /** What it was made with. */
  readonly permissionMode: string | undefined
  readonly createdAt: number
  readonly updatedAt: number
  readonly archivedAt: number | undefined
  readonly lastSeq: number
  /** Number of the last delivery change. */
  readonly deliveryNo: number
  /** Uuid of the last transcript entry of source worker. */
  readonly workerHead: string | undefined
  readonly workerEpoch: number
  readonly tokenEpoch: number
  readonly workerStatus: "idle" | "running" | "requires_action" | undefined
  readonly connectionStatus: "connected" | "disconnected"
  /** JSON text of an object. */
  readonly externalMetadata: string | undefined
  readonly workerSeenAt: number | undefined
  /** JSON text of the `SessionRow` (packages/transcript), see {@link rowOf}. */
  readonly projection: string
}

/** A column that may be empty is undefined in the record. */
type Nullable<T> = {
  readonly [K in keyof T]: undefined extends T[K] ? Exclude<T[K], undefined> | null : T[K]
}
type Columns = Nullable<Omit<Session, "environmentAgent">> & { readonly environmentAgents: string | null }

const COLUMNS = `sid, body AS session, organization_id AS organizationId, gateway_key AS key, gateway_agent AS agentId,
  gateway_label AS label, gateway_parent AS parentKey, gateway_spawned_by AS spawnedBy, gateway_entry AS entry,
  environment_id AS environmentId, source, context, permission_mode AS permissionMode, created_at AS createdAt,
  updated_at AS updatedAt, archived_at AS archivedAt, last_seq AS lastSeq, delivery_no AS deliveryNo,
  worker_head AS workerHead, worker_epoch AS workerEpoch, token_epoch AS tokenEpoch, worker_status AS workerStatus,
  connection_status AS connectionStatus, external_metadata AS externalMetadata, worker_seen_at AS workerSeenAt, projection,
  (SELECT json_extract(e.metadata, '$.agents') FROM environments e WHERE e.id = sessions.environment_id)
    AS environmentAgents`

const toSession = ({ environmentAgents, ...row }: Columns): Session => ({
  ...row,
  organizationId: OrganizationId.make(row.organizationId),
  agentId: row.agentId ?? undefined,
  label: row.label ?? undefined,
  parentKey: row.parentKey ?? undefined,
  spawnedBy: row.spawnedBy ?? undefined,
  environmentId: row.environmentId ?? undefined,
  environmentAgent: Offers.fromMetadata({ agents: environmentAgents }).agents[0],
  source: row.source ?? undefined,
  permissionMode: row.permissionMode ?? undefined,
  archivedAt: row.archivedAt ?? undefined,
  workerHead: row.workerHead ?? undefined,
  workerStatus: row.workerStatus ?? undefined,
  externalMetadata: row.externalMetadata ?? undefined,
  workerSeenAt: row.workerSeenAt ?? undefined
})

/** The sessions of a condition, in its order. */
export const select = (
  where: string,
  values: ReadonlyArray<string | number>
): Effect.Effect<ReadonlyArray<Session>, SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(sql.unsafe<Columns>(`SELECT ${COLUMNS} FROM sessions WHERE ${where}`, values), (rows) =>
      rows.map(toSession)
    )
  )

// A record never changes: what it holds is read once.
const rows = new WeakMap<object, SessionRow.SessionRow>()

/** What the log says of a session; that of an empty log where another version wrote it and nothing was appended since. */
export const rowOf = (session: Pick<Session, "projection">): SessionRow.SessionRow => {
  const known = rows.get(session)
  if (known !== undefined) return known
  const row = SessionRow.fromJson(session.projection) ?? SessionRow.initial
  rows.set(session, row)
  return row
}
