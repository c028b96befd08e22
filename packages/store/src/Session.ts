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
  type SessionUnknown,
  type StoreUnavailable,
  type WorkerSuperseded
} from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"
import { type Applied, apply } from "./Log/Apply.ts"
import { uncached } from "./Log/Replay.ts"
import type { SessionKey } from "./Log/Request.ts"
import * as Filter from "./Session/Filter.ts"
import { type Session, select } from "./Session/Record.ts"
import * as Worker from "./Session/Worker.ts"
import * as Work from "./Work.ts"

export { rowOf, type Session } from "./Session/Record.ts"

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

/** A change of what the gateway keeps of a session; a member that is left out stays as it is. */
export interface SessionChange {
  readonly key?: string
  readonly agentId?: string | undefined
  readonly label?: string | undefined
  readonly parentKey?: string | undefined
  readonly spawnedBy?: string | undefined
  readonly entry?: string
  readonly context?: string
  /** Default: now. */
  readonly updatedAt?: number
}

export class Sessions extends Context.Tag("@causeway/store/Sessions")<
  Sessions,
  {
    /** Makes a session with its first events and, where it has an environment, queues its work: one transaction. */
    readonly create: (request: CreateSession) => Effect.Effect<Session, EnvironmentUnknown | StoreUnavailable>
    readonly get: (key: SessionKey) => Effect.Effect<Session, SessionUnknown | StoreUnavailable>
    readonly list: (filter: Filter.Filter) => Effect.Effect<ReadonlyArray<Session>, StoreUnavailable>
    /** The first of the list. */
    readonly find: (filter: Filter.Filter) => Effect.Effect<Session | undefined, StoreUnavailable>
    readonly count: (filter: Filter.Filter) => Effect.Effect<number, StoreUnavailable>
    readonly change: (
      sid: number,
      change: SessionChange
    ) => Effect.Effect<Session | undefined, StoreUnavailable>
    /** Stores the new title as an event of source client. */
    readonly rename: (
      key: SessionKey,
      title: string
    ) => Effect.Effect<Session, SessionUnknown | StoreUnavailable>
    /** Stores the archiving as an event and stops the session's work. `SessionArchived`: it was before. */
    readonly archive: (
      key: SessionKey
    ) => Effect.Effect<Session, SessionUnknown | SessionArchived | StoreUnavailable>
    /** Gives a session without one an environment, and queues its work where somebody's message waits. */
    readonly assignEnvironment: (
      sid: number,
      environmentId: string,
      queue: boolean
    ) => Effect.Effect<void, StoreUnavailable>
    /** What keeps sessions' messages from their workers, in words for people, by sid; none of those whom nothing keeps. */
    readonly waitingFor: (
      sids: ReadonlyArray<number>
    ) => Effect.Effect<ReadonlyMap<number, string>, StoreUnavailable>
    /** The agent that names the keys of sessions which are made without one. */
    readonly setDefaultAgent: (agentId: string) => Effect.Effect<void, StoreUnavailable>
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
      key: Worker.WorkerKey
    ) => Effect.Effect<void, SessionUnknown | WorkerSuperseded | StoreUnavailable>
    /** The same, and notes that the worker was seen, at most every {@link Worker.SEEN_MILLIS}. Wakes nobody. */
    readonly seen: (
      key: Worker.WorkerKey
    ) => Effect.Effect<void, SessionUnknown | WorkerSuperseded | StoreUnavailable>
    /** Replaces what is given of the worker's state and notes that it was seen. */
    readonly updateWorker: (
      key: Worker.WorkerKey,
      state: Worker.WorkerState
    ) => Effect.Effect<Session, SessionUnknown | WorkerSuperseded | StoreUnavailable>
  }
>() {}

/** A change that a person makes to a session, as an event of its log. */
export const sessionUpdate = (
  change: AgentSettings & { readonly title?: string; readonly archived?: true }
): Payload.Payload => Payload.make({ type: "session_update", uuid: EventUuid.make(randomUUID()), ...change })

const create = (request: CreateSession) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
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
            uncached
          )
    // A log that is empty refuses nothing.
    for (const outcome of applied?.outcomes ?? []) Either.getOrThrow(outcome)
    const woken = environmentId === undefined || row === undefined ? [] : yield* Work.ensure([row.sid], now)
    return {
      session: yield* Effect.orDie(Worker.find({ session, organizationId })),
      sessions: [session],
      environments: [...(applied?.environments ?? []), ...woken]
    }
  })

/** Stores a person's change and answers with the row after it. `refuse` sees the row before. */
const store = <E>(
  key: SessionKey,
  payload: Payload.Payload,
  refuse: (session: Session) => Effect.Effect<void, E>
) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    yield* refuse(yield* Worker.find(key))
    const applied = yield* apply([{ ...key, source: "client", payloads: [payload] }], now, uncached)
    return { session: yield* Worker.find(key), ...applied }
  })

const columns: ReadonlyArray<readonly [keyof SessionChange, string]> = [
  ["key", "gateway_key"],
  ["agentId", "gateway_agent"],
  ["label", "gateway_label"],
  ["parentKey", "gateway_parent"],
  ["spawnedBy", "gateway_spawned_by"],
  ["entry", "gateway_entry"],
  ["context", "context"]
]

const change = (sid: number, given: SessionChange) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const set = ["updated_at = ?"]
    const values: Array<string | number | null> = [given.updatedAt ?? (yield* Clock.currentTimeMillis)]
    for (const [name, column] of columns) {
      if (!(name in given)) continue
      set.push(`${column} = ?`)
      values.push(given[name] ?? null)
    }
    yield* sql.unsafe(`UPDATE sessions SET ${set.join(", ")} WHERE sid = ?`, [...values, sid])
    const [session] = yield* select("sid = ?", [sid])
    return session
  })

const assignEnvironment = (sid: number, environmentId: string, queue: boolean) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    yield* sql`UPDATE sessions SET environment_id = ${environmentId} WHERE sid = ${sid} AND environment_id IS NULL`
    return queue ? yield* Work.ensure([sid], now) : []
  })

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bus = yield* Bus

  const on = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient>) =>
    unavailable(Effect.provideService(effect, SqlClient.SqlClient, sql))
  const transact = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient>) => on(sql.withTransaction(effect))

  const signal = (applied: Pick<Applied, "sessions" | "environments">) => {
    for (const session of applied.sessions) bus.changed(`session:${session}`)
    for (const environment of applied.environments) bus.changed(`environment:${environment}`)
  }

  const stored = <E>(
    effect: Effect.Effect<
      { readonly session: Session } & Pick<Applied, "sessions" | "environments">,
      E,
      SqlClient.SqlClient
    >
  ) =>
    Effect.map(transact(effect), (applied) => {
      signal(applied)
      return applied.session
    })

  const list = (filter: Filter.Filter) => {
    const { text, values } = Filter.condition(filter)
    return on(select(`${text} ${Filter.order(filter)}`, [...values, filter.limit ?? -1]))
  }

  return Sessions.of({
    create: (request) => stored(create(request)),
    get: (key) => on(Worker.find(key)),
    list,
    find: (filter) => Effect.map(list({ ...filter, limit: 1 }), ([session]) => session),
    count: (filter) => {
      const { text, values } = Filter.condition(filter)
      return Effect.map(
        unavailable(
          sql.unsafe<{ readonly n: number }>(`SELECT count(*) AS n FROM sessions WHERE ${text}`, values)
        ),
        ([row]) => row?.n ?? 0
      )
    },
    change: (sid, given) => transact(change(sid, given)),
    rename: (key, title) => stored(store(key, sessionUpdate({ title }), () => Effect.void)),
    archive: (key) =>
      stored(
        store(key, sessionUpdate({ archived: true }), ({ archivedAt }) =>
          archivedAt === undefined ? Effect.void : new SessionArchived({ session: key.session })
        )
      ),
    assignEnvironment: (sid, environmentId, queue) =>
      Effect.map(transact(assignEnvironment(sid, environmentId, queue)), (environments) =>
        signal({ sessions: [], environments })
      ),
    waitingFor: (sids) => on(Effect.flatMap(Clock.currentTimeMillis, (now) => Work.waitingFor(sids, now))),
    setDefaultAgent: (agentId) =>
      Effect.asVoid(
        unavailable(sql`INSERT INTO gateway_settings (name, value) VALUES ('default_agent', ${agentId})
          ON CONFLICT (name) DO UPDATE SET value = excluded.value`)
      ),
    nextEpoch: (key, options) =>
      // The streams of those who were replaced end.
      Effect.tap(on(Worker.nextEpoch(key, options)), () =>
        Effect.sync(() => signal({ sessions: [key.session], environments: [] }))
      ),
    checkEpoch: (key) => Effect.asVoid(on(Worker.current(key))),
    seen: (key) => on(Worker.seen(key)),
    updateWorker: (key, state) =>
      Effect.tap(transact(Worker.update(key, state)), ({ environmentId, workerStatus }) =>
        Effect.sync(() =>
          signal({
            sessions: [key.session],
            // One that has nothing to do any more makes room for another.
            environments:
              workerStatus === "idle" && environmentId !== undefined
                ? [EnvironmentId.make(environmentId)]
                : []
          })
        )
      )
  })
})

export const layer: Layer.Layer<Sessions, never, SqlClient.SqlClient | Bus> = Layer.effect(Sessions, make)
