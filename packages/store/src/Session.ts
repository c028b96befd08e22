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
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"
import type { Appends, Applied } from "./Log/Appends.ts"
import type { SessionKey } from "./Log/Request.ts"
import * as Change from "./Session/Change.ts"
import * as Filter from "./Session/Filter.ts"
import { type Session, select } from "./Session/Record.ts"
import * as Worker from "./Session/Worker.ts"
import * as Work from "./Work.ts"

export { type CreateSession, sessionUpdate } from "./Session/Change.ts"
export { rowOf, type Session } from "./Session/Record.ts"

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bus = yield* Bus
  const context = yield* Effect.context<SqlClient.SqlClient | Appends>()

  const on = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient | Appends>) =>
    unavailable(Effect.provide(effect, context))
  const transact = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient | Appends>) =>
    on(sql.withTransaction(effect))

  const signal = (applied: Pick<Applied, "sessions" | "environments">) => {
    for (const session of applied.sessions) bus.changed(`session:${session}`)
    for (const environment of applied.environments) bus.changed(`environment:${environment}`)
  }

  const stored = <E>(
    effect: Effect.Effect<
      { readonly session: Session } & Pick<Applied, "sessions" | "environments">,
      E,
      SqlClient.SqlClient | Appends
    >
  ) =>
    Effect.map(transact(effect), (applied) => {
      signal(applied)
      return applied.session
    })

  const list = (filter: Filter.Filter): Effect.Effect<ReadonlyArray<Session>, StoreUnavailable> => {
    // Living and archived ones have an index each by their last update.
    if (filter.archived === "all") {
      return Effect.zipWith(
        list({ ...filter, archived: "false" }),
        list({ ...filter, archived: "true" }),
        (living, archived) => Filter.merge(filter, living, archived)
      )
    }
    const { text, values } = Filter.condition(filter)
    return on(select(`${text} ${Filter.order(filter)}`, [...values, filter.limit ?? -1]))
  }

  return {
    /** Makes a session with its first events and, where it has an environment, queues its work: one transaction. */
    create: (request: Change.CreateSession) => stored(Change.create(request)),
    get: (key: SessionKey) => on(Worker.find(key)),
    /** What changes of it under those who follow it. */
    standing: (key: SessionKey) => on(Worker.standing(key)),
    list,
    /** The first of the list. */
    find: (filter: Filter.Filter) => Effect.map(list({ ...filter, limit: 1 }), ([session]) => session),
    count: (filter: Filter.Filter) => {
      const { text, values } = Filter.condition(filter)
      return Effect.map(
        unavailable(
          sql.unsafe<{ readonly n: number }>(`SELECT count(*) AS n FROM sessions WHERE ${text}`, values)
        ),
        ([row]) => row?.n ?? 0
      )
    },
    /** Changes attributes, as an event of source client; undefined where the session is gone. */
    change: (key: SessionKey, attributes: Attributes.Change) =>
      Effect.catchTag(stored(Change.update(key, { attributes })), "SessionUnknown", () =>
        Effect.succeed(undefined)
      ),
    /** Stores the new title as an event of source client; the label of a session that has one goes with it. */
    rename: (key: SessionKey, title: string) => stored(Change.rename(key, title)),
    /** Stores the archiving, with what else changes by it, as an event, and stops the session's work. */
    archive: (key: SessionKey, attributes?: Attributes.Change) => stored(Change.archive(key, attributes)),
    /** Gives a session without one an environment, and queues its work where somebody's message waits. */
    /** `EnvironmentUnknown`: the organisation has no such environment, or it is archived. */
    requireEnvironment: (organizationId: SessionKey["organizationId"], environmentId: string) =>
      on(Change.requireEnvironment(organizationId, environmentId)),
    assignEnvironment: (sid: number, environmentId: string, queue: boolean) =>
      Effect.map(transact(Change.assignEnvironment(sid, environmentId, queue)), (environments) =>
        signal({ sessions: [], environments })
      ),
    /** What keeps sessions' messages from their workers, in words for people, by sid; none of those whom nothing keeps. */
    waitingFor: (sids: ReadonlyArray<number>) =>
      on(Effect.flatMap(Clock.currentTimeMillis, (now) => Work.waitingFor(sids, now))),
    /** The agent that names the keys of sessions which are made without one. */
    setDefaultAgent: (agentId: string) =>
      Effect.asVoid(
        unavailable(sql`INSERT INTO gateway_settings (name, value) VALUES ('default_agent', ${agentId})
          ON CONFLICT (name) DO UPDATE SET value = excluded.value`)
      ),
    /**
     * A new epoch, for the worker and, with `token`, for the tokens: older tokens are refused from then on. Runs in its
     * own transaction, or inside the caller's.
     */
    nextEpoch: (key: SessionKey, options: { readonly token: boolean }) =>
      // The streams of those who were replaced end.
      Effect.tap(on(Worker.nextEpoch(key, options)), () =>
        Effect.sync(() => signal({ sessions: [key.session], environments: [] }))
      ),
    /** Refuses an epoch that a newer one has replaced. */
    checkEpoch: (key: Worker.WorkerKey) => Effect.asVoid(on(Worker.current(key))),
    /** The same, and notes that the worker was seen, at most every {@link Worker.SEEN_MILLIS}. Wakes nobody. */
    seen: (key: Worker.WorkerKey) => on(Worker.seen(key)),
    /** Replaces what is given of the worker's state and notes that it was seen. */
    updateWorker: (key: Worker.WorkerKey, state: Worker.WorkerState) =>
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
  }
})

export class Sessions extends Context.Tag("@causeway/store/Sessions")<
  Sessions,
  Effect.Effect.Success<typeof make>
>() {}

export const layer: Layer.Layer<Sessions, never, SqlClient.SqlClient | Appends | Bus> = Layer.effect(
  Sessions,
  make
)
