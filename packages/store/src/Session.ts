/**
 * Sessions: their rows, which are projections of their logs, and what only the row holds (epochs, the worker's state).
 */
import { EnvironmentId } from "@causeway/protocol/Ids"
import type * as Attributes from "@causeway/protocol/SessionAttributes"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Bus } from "./Bus.ts"
import type {
  EnvironmentUnknown,
  SessionArchived,
  SessionUnknown,
  StoreUnavailable,
  WorkerSuperseded
} from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"
import type { Applied } from "./Log/Apply.ts"
import type { SessionKey } from "./Log/Request.ts"
import * as Change from "./Session/Change.ts"
import * as Filter from "./Session/Filter.ts"
import { type Session, select } from "./Session/Record.ts"
import * as Worker from "./Session/Worker.ts"
import * as Work from "./Work.ts"

export { type CreateSession, sessionUpdate } from "./Session/Change.ts"
export { rowOf, type Session } from "./Session/Record.ts"

export class Sessions extends Context.Tag("@causeway/store/Sessions")<
  Sessions,
  {
    /** Makes a session with its first events and, where it has an environment, queues its work: one transaction. */
    readonly create: (
      request: Change.CreateSession
    ) => Effect.Effect<Session, EnvironmentUnknown | StoreUnavailable>
    readonly get: (key: SessionKey) => Effect.Effect<Session, SessionUnknown | StoreUnavailable>
    readonly list: (filter: Filter.Filter) => Effect.Effect<ReadonlyArray<Session>, StoreUnavailable>
    /** The first of the list. */
    readonly find: (filter: Filter.Filter) => Effect.Effect<Session | undefined, StoreUnavailable>
    readonly count: (filter: Filter.Filter) => Effect.Effect<number, StoreUnavailable>
    /** Changes attributes, as an event of source client; undefined where the session is gone. */
    readonly change: (
      key: SessionKey,
      attributes: Attributes.Change
    ) => Effect.Effect<Session | undefined, StoreUnavailable>
    /** Stores the new title as an event of source client; the label of a session that has one goes with it. */
    readonly rename: (
      key: SessionKey,
      title: string
    ) => Effect.Effect<Session, SessionUnknown | StoreUnavailable>
    /**
     * Stores the archiving as an event, with what else changes by it, and stops the session's work. `SessionArchived`: it was
     * before.
     */
    readonly archive: (
      key: SessionKey,
      attributes?: Attributes.Change
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
    create: (request) => stored(Change.create(request)),
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
    change: (key, attributes) =>
      Effect.catchTag(stored(Change.update(key, { attributes })), "SessionUnknown", () =>
        Effect.succeed(undefined)
      ),
    rename: (key, title) => stored(Change.rename(key, title)),
    archive: (key, attributes) => stored(Change.archive(key, attributes)),
    assignEnvironment: (sid, environmentId, queue) =>
      Effect.map(transact(Change.assignEnvironment(sid, environmentId, queue)), (environments) =>
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
