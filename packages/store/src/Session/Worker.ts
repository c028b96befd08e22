/** What only the row of a session holds: the epochs of its workers, and what a worker says of itself. */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { SessionUnknown, WorkerSuperseded } from "../Errors.ts"
import type { SessionKey } from "../Log/Request.ts"
import { rows } from "../Sqlite.ts"
import { select } from "./Record.ts"

/** How stale `workerSeenAt` may be, so that not every sign of life is a durable write: 5 s. */
export const SEEN_MILLIS = 5_000

/** A member that is left out stays as it is. */
export interface WorkerState {
  readonly workerStatus?: "idle" | "running" | "requires_action"
  readonly connectionStatus?: "connected" | "disconnected"
  /** JSON text of an object, or null to forget it. */
  readonly externalMetadata?: string | null
}

/** Undefined: the epoch of the token is trusted. */
export type WorkerKey = SessionKey & { readonly workerEpoch: number | undefined }

export const find = ({ session, organizationId }: SessionKey) =>
  Effect.flatMap(select("body = ? AND organization_id = ?", [session, organizationId]), ([found]) =>
    found === undefined ? new SessionUnknown({ session }) : Effect.succeed(found)
  )

/** As much of a session as a stream looks at whenever it is woken. Times are milliseconds since the epoch. */
export interface Standing {
  readonly archivedAt: number | null
  readonly lastSeq: number
  readonly tokenEpoch: number
}

export const standing = ({ session, organizationId }: SessionKey) =>
  Effect.flatMap(
    rows<Standing>(
      `SELECT archived_at AS archivedAt, last_seq AS lastSeq, token_epoch AS tokenEpoch FROM sessions
       WHERE body = ? AND organization_id = ?`,
      [session, organizationId]
    ),
    ([found]) => (found === undefined ? new SessionUnknown({ session }) : Effect.succeed(found))
  )

/** The session, unless a newer epoch has replaced this one. */
export const current = (key: WorkerKey) =>
  Effect.flatMap(find(key), (session) =>
    key.workerEpoch !== undefined && key.workerEpoch < session.workerEpoch
      ? new WorkerSuperseded({ given: key.workerEpoch, current: session.workerEpoch })
      : Effect.succeed(session)
  )

export const nextEpoch = ({ session, organizationId }: SessionKey, options: { readonly token: boolean }) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly worker_epoch: number }>`UPDATE sessions
      SET worker_epoch = max(worker_epoch, token_epoch) + 1,
        token_epoch = CASE WHEN ${options.token ? 1 : 0} = 1 THEN max(worker_epoch, token_epoch) + 1 ELSE token_epoch END
      WHERE body = ${session} AND organization_id = ${organizationId} RETURNING worker_epoch`
    return row?.worker_epoch ?? (yield* new SessionUnknown({ session }))
  })

/** To be run inside a transaction. */
export const update = (key: WorkerKey, state: WorkerState) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    const before = yield* current(key)
    const metadata =
      state.externalMetadata === undefined ? (before.externalMetadata ?? null) : state.externalMetadata
    yield* sql`UPDATE sessions SET worker_seen_at = ${now},
        worker_status = ${state.workerStatus ?? before.workerStatus ?? null},
        connection_status = ${state.connectionStatus ?? before.connectionStatus},
        external_metadata = ${metadata}
      WHERE sid = ${before.sid}`
    return yield* find(key)
  })

export const seen = (key: WorkerKey) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    const session = yield* current(key)
    if (session.workerSeenAt !== undefined && now - session.workerSeenAt < SEEN_MILLIS) return
    yield* sql`UPDATE sessions SET worker_seen_at = ${now} WHERE sid = ${session.sid}`
  })
