/**
 * Sessions: their rows, which are projections of their logs, and what only the row holds (epochs, the worker's state).
 */

import { randomUUID } from "node:crypto"
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import { EnvironmentId, EventUuid, type OrganizationId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { Bus } from "./Bus.ts"
import {
  EnvironmentUnknown,
  SessionArchived,
  SessionUnknown,
  type StoreUnavailable,
  WorkerSuperseded
} from "./Errors.ts"
import { COLUMNS, type SessionColumns, toRecord } from "./internal/sessionColumns.ts"
import { unavailable } from "./internal/unavailable.ts"
import { type Applied, apply } from "./Log/Apply.ts"
import { rowCache } from "./Log/Replay.ts"
import type { SessionKey } from "./Log/Request.ts"
import * as Work from "./Work.ts"

/** A session's row. Times are milliseconds since the epoch. */
export interface SessionRecord {
  readonly sid: number
  /** See `Ids.sessionBody`. */
  readonly session: string
  readonly organizationId: OrganizationId
  readonly environmentId: string | undefined
  readonly source: string | undefined
  /** JSON text of `session_context`, as it arrived. */
  readonly context: string
  readonly permissionMode: string | undefined
  readonly createdAt: number
  readonly updatedAt: number
  readonly archivedAt: number | undefined
  readonly lastSeq: number
  /** Uuid of the last transcript entry of source worker. */
  readonly workerHead: string | undefined
  readonly workerEpoch: number
  readonly tokenEpoch: number
  readonly workerStatus: "idle" | "running" | "requires_action" | undefined
  readonly connectionStatus: "connected" | "disconnected"
  /** JSON text of an object. */
  readonly externalMetadata: string | undefined
  readonly workerSeenAt: number | undefined
  /** JSON text of the `SessionRow` (packages/transcript). */
  readonly projection: string
}

export interface CreateSession {
  readonly organizationId: OrganizationId
  readonly environmentId: string | undefined
  readonly source: string | undefined
  readonly context: string
  readonly permissionMode: string | undefined
  /** JSON text of an array. */
  readonly tags: string | undefined
  /** First events, of source client. */
  readonly payloads: ReadonlyArray<Payload.Payload>
}

/** How stale `workerSeenAt` may be, so that not every sign of life is a durable write: 5 s. */
export const SEEN_MILLIS = 5_000

/** What a worker says of itself; a member that is left out stays as it is. */
export interface WorkerState {
  readonly workerStatus?: "idle" | "running" | "requires_action"
  readonly connectionStatus?: "connected" | "disconnected"
  /** JSON text of an object, or null to forget it. */
  readonly externalMetadata?: string | null
}

export class Sessions extends Context.Tag("@causeway/store/Sessions")<
  Sessions,
  {
    /** Makes a session with its first events and, where it has an environment, queues its work: one transaction. */
    readonly create: (
      request: CreateSession
    ) => Effect.Effect<SessionRecord, EnvironmentUnknown | StoreUnavailable>
    readonly get: (key: SessionKey) => Effect.Effect<SessionRecord, SessionUnknown | StoreUnavailable>
    /** Most recently updated first; a page starts after `after` (the last row of the page before). */
    readonly list: (options: {
      readonly organizationId: OrganizationId
      readonly limit: number
      readonly archived: "true" | "false" | "all"
      readonly environmentId?: string
      readonly after?: { readonly updatedAt: number; readonly sid: number }
    }) => Effect.Effect<ReadonlyArray<SessionRecord>, StoreUnavailable>
    /** Stores the new title as an event of source client. */
    readonly rename: (
      key: SessionKey,
      title: string
    ) => Effect.Effect<SessionRecord, SessionUnknown | StoreUnavailable>
    /** Stores the archiving as an event and stops the session's work. `SessionArchived`: it was before. */
    readonly archive: (
      key: SessionKey
    ) => Effect.Effect<SessionRecord, SessionUnknown | SessionArchived | StoreUnavailable>
    /**
     * A new epoch, for the worker and, with `token`, for the tokens: older tokens are refused from then on. Runs in its
     * own transaction, or inside the caller's.
     */
    readonly nextEpoch: (
      key: SessionKey,
      options: { readonly token: boolean }
    ) => Effect.Effect<number, SessionUnknown | StoreUnavailable>
    /** Refuses an epoch that a newer one has replaced. */
    readonly checkEpoch: (
      key: SessionKey & { readonly workerEpoch: number }
    ) => Effect.Effect<void, SessionUnknown | WorkerSuperseded | StoreUnavailable>
    /**
     * Notes that the session's worker was seen, at most every {@link SEEN_MILLIS}, and refuses an epoch that a newer one
     * has replaced. Wakes nobody.
     */
    readonly seen: (
      key: SessionKey & { readonly workerEpoch: number | undefined }
    ) => Effect.Effect<void, SessionUnknown | WorkerSuperseded | StoreUnavailable>
    /** Replaces what is given of the worker's state and notes that it was seen. No epoch: that of the token is trusted. */
    readonly updateWorker: (
      key: SessionKey & { readonly workerEpoch: number | undefined },
      state: WorkerState
    ) => Effect.Effect<SessionRecord, SessionUnknown | WorkerSuperseded | StoreUnavailable>
  }
>() {}

/** A change that a person makes to a session, as an event of its log. */
export const sessionUpdate = (
  change: AgentSettings & { readonly title?: string; readonly archived?: true }
): Payload.Payload => Payload.make({ type: "session_update", uuid: EventUuid.make(randomUUID()), ...change })

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bus = yield* Bus
  const cache = rowCache(16)
  const here = Effect.provideService(SqlClient.SqlClient, sql)

  const signal = (applied: Pick<Applied, "sessions" | "environments">) =>
    Effect.sync(() => {
      for (const session of applied.sessions) bus.changed(`session:${session}`)
      for (const environment of applied.environments) bus.changed(`environment:${environment}`)
    })

  const find = Effect.fnUntraced(function* ({ session, organizationId }: SessionKey) {
    const rows = yield* sql.unsafe<SessionColumns>(
      `SELECT ${COLUMNS} FROM sessions WHERE body = ? AND organization_id = ?`,
      [session, organizationId]
    )
    return rows[0] === undefined ? yield* new SessionUnknown({ session }) : toRecord(rows[0])
  })

  const get = (key: SessionKey) => unavailable(find(key))

  const create = (request: CreateSession) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const { organizationId, environmentId } = request
      if (environmentId !== undefined) {
        const known = yield* sql`SELECT id FROM environments WHERE id = ${environmentId}
          AND organization_id = ${organizationId} AND archived_at IS NULL`
        if (known.length === 0) return yield* new EnvironmentUnknown({ environmentId })
      }
      const session = randomUUID().replaceAll("-", "")
      const [row] = yield* sql<{
        readonly sid: number
      }>`INSERT INTO sessions (body, organization_id, environment_id,
          source, context, permission_mode, tags, created_at, updated_at, projection)
        VALUES (${session}, ${organizationId}, ${environmentId ?? null}, ${request.source ?? null}, ${request.context},
          ${request.permissionMode ?? null}, ${request.tags ?? null}, ${now}, ${now},
          ${SessionRow.toJson(SessionRow.initial)}) RETURNING sid`
      const applied =
        request.payloads.length === 0
          ? undefined
          : yield* apply(
              [{ session, organizationId, source: "client", payloads: request.payloads }],
              now,
              cache
            )
      // A log that is empty refuses nothing.
      for (const outcome of applied?.outcomes ?? []) Either.getOrThrow(outcome)
      const woken = environmentId === undefined || row === undefined ? [] : yield* Work.ensure([row.sid], now)
      return {
        record: yield* Effect.orDie(find({ session, organizationId })),
        sessions: [session],
        environments: [...(applied?.environments ?? []), ...woken]
      }
    }).pipe(
      here,
      sql.withTransaction,
      unavailable,
      Effect.tap(signal),
      Effect.map(({ record }) => record)
    )

  const list = (options: Parameters<Sessions["Type"]["list"]>[0]) => {
    const conditions = ["organization_id = ?"]
    const values: Array<string | number> = [options.organizationId]
    if (options.archived !== "all") {
      conditions.push(options.archived === "true" ? "archived_at IS NOT NULL" : "archived_at IS NULL")
    }
    if (options.environmentId !== undefined) {
      conditions.push("environment_id = ?")
      values.push(options.environmentId)
    }
    if (options.after !== undefined) {
      conditions.push("(updated_at, sid) < (?, ?)")
      values.push(options.after.updatedAt, options.after.sid)
    }
    return sql
      .unsafe<SessionColumns>(
        `SELECT ${COLUMNS} FROM sessions WHERE ${conditions.join(" AND ")}
         ORDER BY updated_at DESC, sid DESC LIMIT ?`,
        [...values, options.limit]
      )
      .pipe(
        Effect.map((rows) => rows.map(toRecord)),
        unavailable
      )
  }

  /** Stores a person's change and answers with the row after it. `refuse` sees the row before. */
  const change = <E>(
    key: SessionKey,
    payload: Payload.Payload,
    refuse: (record: SessionRecord) => Effect.Effect<void, E>
  ) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      yield* refuse(yield* find(key))
      const applied = yield* apply([{ ...key, source: "client", payloads: [payload] }], now, cache)
      return { record: yield* find(key), ...applied }
    }).pipe(
      here,
      sql.withTransaction,
      unavailable,
      Effect.tap(signal),
      Effect.map(({ record }) => record)
    )

  const rename = (key: SessionKey, title: string) => change(key, sessionUpdate({ title }), () => Effect.void)

  const archive = (key: SessionKey) =>
    change(key, sessionUpdate({ archived: true }), (record) =>
      record.archivedAt === undefined ? Effect.void : new SessionArchived({ session: key.session })
    )

  const nextEpoch = ({ session, organizationId }: SessionKey, options: { readonly token: boolean }) =>
    sql<{ readonly worker_epoch: number }>`UPDATE sessions
      SET worker_epoch = max(worker_epoch, token_epoch) + 1,
        token_epoch = CASE WHEN ${options.token ? 1 : 0} = 1 THEN max(worker_epoch, token_epoch) + 1 ELSE token_epoch END
      WHERE body = ${session} AND organization_id = ${organizationId} RETURNING worker_epoch`.pipe(
      Effect.flatMap(([row]) =>
        row === undefined ? new SessionUnknown({ session }) : Effect.succeed(row.worker_epoch)
      ),
      unavailable,
      // The streams of those who were replaced end.
      Effect.tap(() => signal({ sessions: [session], environments: [] }))
    )

  const updateWorker = (key: SessionKey & { readonly workerEpoch: number | undefined }, state: WorkerState) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const before = yield* find(key)
      if (key.workerEpoch !== undefined && key.workerEpoch < before.workerEpoch) {
        return yield* new WorkerSuperseded({ given: key.workerEpoch, current: before.workerEpoch })
      }
      const metadata =
        state.externalMetadata === undefined ? (before.externalMetadata ?? null) : state.externalMetadata
      yield* sql`UPDATE sessions SET worker_seen_at = ${now},
          worker_status = ${state.workerStatus ?? before.workerStatus ?? null},
          connection_status = ${state.connectionStatus ?? before.connectionStatus},
          external_metadata = ${metadata}
        WHERE sid = ${before.sid}`
      return yield* find(key)
    }).pipe(
      sql.withTransaction,
      unavailable,
      // One that has nothing to do any more makes room for another.
      Effect.tap(({ environmentId, workerStatus }) =>
        signal({
          sessions: [key.session],
          environments:
            workerStatus === "idle" && environmentId !== undefined ? [EnvironmentId.make(environmentId)] : []
        })
      )
    )

  const checkEpoch = (key: SessionKey & { readonly workerEpoch: number }) =>
    Effect.flatMap(get(key), ({ workerEpoch }) =>
      key.workerEpoch < workerEpoch
        ? new WorkerSuperseded({ given: key.workerEpoch, current: workerEpoch })
        : Effect.void
    )

  const seen = Effect.fnUntraced(function* (key: SessionKey & { readonly workerEpoch: number | undefined }) {
    const now = yield* Clock.currentTimeMillis
    const record = yield* get(key)
    if (key.workerEpoch !== undefined && key.workerEpoch < record.workerEpoch) {
      return yield* new WorkerSuperseded({ given: key.workerEpoch, current: record.workerEpoch })
    }
    if (record.workerSeenAt !== undefined && now - record.workerSeenAt < SEEN_MILLIS) return
    yield* sql`UPDATE sessions SET worker_seen_at = ${now} WHERE sid = ${record.sid}`
  }, unavailable)

  return Sessions.of({ seen, checkEpoch, create, get, list, rename, archive, nextEpoch, updateWorker })
})

export const layer: Layer.Layer<Sessions, never, SqlClient.SqlClient | Bus> = Layer.effect(Sessions, make)
