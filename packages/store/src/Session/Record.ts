/** A session's row, as it is read. */

import * as EnvironmentCapabilities from "@causeway/protocol/EnvironmentCapabilities"
import { OrganizationId, SessionBody } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import type { Attributes } from "@causeway/protocol/SessionAttributes"
import * as SessionRow from "@causeway/transcript/SessionRow"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { recordOf } from "../internal/record.ts"
import { rows } from "../Sqlite.ts"

interface Columns {
  readonly sid: number
  readonly session: string
  readonly organization_id: string
  readonly environment_id: string | null
  readonly environment_agents: string | null
  readonly attributes: string
  readonly created_at: number
  readonly updated_at: number
  readonly archived_at: number | null
  readonly last_seq: number
  readonly delivery_no: number
  readonly worker_head: string | null
  readonly worker_epoch: number
  readonly token_epoch: number
  readonly worker_status: "idle" | "running" | "requires_action" | null
  readonly connection_status: "connected" | "disconnected"
  readonly external_metadata: string | null
  readonly worker_seen_at: number | null
  readonly projection: string
}

const COLUMNS = `sid, body AS session, organization_id, environment_id, attributes, created_at, updated_at, archived_at,
  last_seq, delivery_no, worker_head, worker_epoch, token_epoch, worker_status, connection_status, external_metadata,
  worker_seen_at, projection, (SELECT json_extract(e.metadata, '$.agents') FROM environments e
    WHERE e.id = sessions.environment_id) AS environment_agents`

/** Times are milliseconds since the epoch. */
export interface Session {
  readonly sid: number
  readonly session: SessionBody
  readonly organizationId: OrganizationId
  readonly attributes: Attributes
  /** By which the gateway names it; canonical. */
  readonly key: string
  /** Undefined for the keys `global` and `unknown`. */
  readonly agentId: string | undefined
  readonly label: string | undefined
  readonly parentKey: string | undefined
  readonly spawnedBy: string | undefined
  readonly entry: JsonObject
  readonly environmentId: string | undefined
  /** The agent that sessions of its environment get which ask for none, where the environment says so. */
  readonly environmentAgent: string | undefined
  /** `session_context`. */
  readonly context: JsonObject
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

const toSession = ({ environment_agents: agents, ...columns }: Columns): Session => {
  const row = recordOf(columns)
  const attributes: Attributes = JSON.parse(row.attributes)
  const { agentId, context = {}, entry = {}, key = "", label, parentKey, spawnedBy } = attributes
  return {
    ...row,
    session: SessionBody.make(row.session),
    organizationId: OrganizationId.make(row.organizationId),
    environmentAgent: EnvironmentCapabilities.fromMetadata({ agents }).agents[0],
    attributes,
    ...{ agentId, context, entry, key, label, parentKey, spawnedBy }
  }
}

/** The sessions of a condition, in its order. */
export const select = (
  where: string,
  values: ReadonlyArray<string | number>
): Effect.Effect<ReadonlyArray<Session>, SqlError, SqlClient.SqlClient> =>
  Effect.map(rows<Columns>(`SELECT ${COLUMNS} FROM sessions WHERE ${where}`, values), (found) =>
    found.map(toSession)
  )

// A record never changes: what it holds is read once.
const decoded = new WeakMap<object, SessionRow.SessionRow>()

/** What the log says of a session; that of an empty log where another version wrote it and nothing was appended since. */
export const rowOf = (session: Pick<Session, "projection" | "attributes">): SessionRow.SessionRow => {
  const known = decoded.get(session)
  if (known !== undefined) return known
  const row = SessionRow.fromJson(session.projection, session.attributes) ?? SessionRow.initial
  decoded.set(session, row)
  return row
}
