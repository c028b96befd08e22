/**
 * The log of a session: append and read.
 *
 * Appends that wait at the same moment are committed as one transaction (`Log/Commit.ts`). Inside a batch every request
 * has its own outcome: one that is refused writes nothing and disturbs no other. Sequence numbers are dense per session; a
 * uuid is stored once, for ever. The session's row is computed by `SessionRow.step` in the same transaction. Source: spec 5
 * §3.1 and §3.3.
 */
import * as Limits from "@causeway/protocol/Limits"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Bus } from "./Bus.ts"
import { unavailable } from "./internal/unavailable.ts"
import type { Appends } from "./Log/Appends.ts"
import * as Commit from "./Log/Commit.ts"
import * as Delivery from "./Log/Delivery.ts"
import * as Read from "./Log/Read.ts"
import type { SessionKey } from "./Log/Request.ts"

export type { DeliveryChange } from "./Log/Delivery.ts"
export type { StoredEvent } from "./Log/Event.ts"
export type { Page } from "./Log/Read.ts"
export type { AppendError, Appended, AppendRequest, SessionKey } from "./Log/Request.ts"

export interface ReadOptions extends SessionKey, Read.EventQuery {
  readonly after: number
  readonly limit: number
}

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bus = yield* Bus
  const { append, offer } = yield* Commit.make

  /** Runs on the database, its failures translated. */
  const on = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient>) =>
    unavailable(Effect.provideService(effect, SqlClient.SqlClient, sql))

  return {
    /**
     * Stores, durably, and wakes `session:<body>` (and the environment that the session's work was queued for). One answer a
     * payload, in order. People's events to a session that has an environment and no unfinished work item queue one, in the
     * same transaction.
     */
    append,
    /** The same without an effect: `answer` is called with the outcome. False where too many wait: nothing will come of it. */
    offer,
    /** A few events in the order of the log, not bounded in bytes; fewer than `limit` only where there are no more now. */
    read: (options: ReadOptions) =>
      on(Effect.flatMap(Read.sidOf(options), (sid) => Read.events(sid, options))),
    /** The same, bounded in bytes (default: `Limits.PAGE_BYTES`). */
    page: ({ bytes = Limits.PAGE_BYTES, ...options }: ReadOptions & { readonly bytes?: number }) =>
      on(Effect.flatMap(Read.sidOf(options), (sid) => Read.page(sid, options, bytes))),
    /** The same of a session that the caller has found; empty where it is gone. */
    pageOf: (sid: number, query: Read.EventQuery) => on(Read.page(sid, query, Limits.PAGE_BYTES)),
    /** Position before the last boundary of a compaction; 0 where there is none. */
    beforeLastCompaction: (key: SessionKey) =>
      on(
        Effect.map(
          Effect.flatMap(Read.sidOf(key), (sid) => Read.events(sid, { select: "compactions", last: 1 })),
          ([boundary]) => (boundary?.seq ?? 1) - 1
        )
      ),
    /** A few events of a session that the caller has found, oldest first; none where it is gone. Not bounded in bytes. */
    events: (sid: number, query: Read.EventQuery) => on(Read.events(sid, query)),
    count: (sid: number, query: Omit<Read.EventQuery, "limit" | "last">) => on(Read.count(sid, query)),
    /**
     * Records how far client events have come. A state never goes back (`received` → `processing` → `processed`); unknown
     * uuids are ignored. What was taken back stays so, but where the agent had begun it before it heard of that: then it
     * says so (`processing`). Wakes the session.
     */
    deliver: (request: Delivery.DeliveryReport) =>
      Effect.map(on(sql.withTransaction(Delivery.report(request))), (changes) => {
        if (changes > 0) bus.changed(`session:${request.session}`)
      }),
    /** Delivery changes after `no`, oldest first. */
    deliveries: (key: SessionKey & { readonly after: number; readonly limit: number }) =>
      on(Effect.flatMap(Read.sidOf(key), (sid) => Delivery.changes(sid, key))),
    /** `no` of the last delivery change before this time (milliseconds since the epoch); 0 where there is none. */
    deliveriesBefore: (key: SessionKey & { readonly at: number }) =>
      on(Effect.flatMap(Read.sidOf(key), (sid) => Delivery.lastBefore(sid, key.at)))
  }
})

export class Log extends Context.Tag("@causeway/store/Log")<Log, Effect.Effect.Success<typeof make>>() {}

export const layer: Layer.Layer<Log, never, SqlClient.SqlClient | Appends | Bus> = Layer.scoped(Log, make)
