/**
 * The one way to follow a session: the log by cursor at the reader's pace, then what comes. Streams, watches, the gateway's
 * feed and pushes are each a filter and a sink.
 *
 * A page is read when the sink has taken the one before, so that a slow reader costs one page of memory. A wake only says
 * that something may be there: one that is lost, doubled or late loses and repeats nothing, because the cursor alone says
 * what comes next.
 */
import { SessionBody } from "@causeway/protocol/Ids"
import * as Limits from "@causeway/protocol/Limits"
import type { Bus, Ephemeral, Signal, Subscription } from "@causeway/store/Bus"
import type { SessionUnknown, StoreUnavailable } from "@causeway/store/Errors"
import type { DeliveryChange, Log, ReadOptions, SessionKey, StoredEvent } from "@causeway/store/Log"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

/** Where a reader stands. */
export interface Cursor {
  /** Sequence number of the last event that it has; 0: none. */
  readonly seq: number
  /** `no` of the last delivery change that it has. */
  readonly delivery: number
}

/** The events and changes after a cursor. A change comes with its event or after it, never before. */
export interface Page {
  readonly after: Cursor
  readonly events: ReadonlyArray<StoredEvent>
  readonly deliveries: ReadonlyArray<DeliveryChange>
}

export interface Reader<E, R = never> {
  readonly key: SessionKey
  /** Default: all events. */
  readonly select?: ReadOptions["select"]
  /** Default: of every type. */
  readonly types?: ReadonlyArray<string>
  /** Default: no delivery changes. They are read only of readers of all events. */
  readonly deliveries?: boolean
  /** The last event that is wanted. Default: none is the last. */
  readonly until?: number | undefined
  /** Events of a page, and delivery changes; it ends earlier where it holds `Limits.FOLLOW_BYTES`. */
  readonly limit: number
  /** Takes a page, which is never empty; the next is read when it completes. */
  readonly sink: (page: Page) => Effect.Effect<void, E, R>
}

type ReadError = SessionUnknown | StoreUnavailable

/** Passes on all that is there after a cursor; answers where the reader stands then. */
export const catchUp = <E, R>(
  log: Log["Type"],
  reader: Reader<E, R>,
  from: Cursor
): Effect.Effect<Cursor, ReadError | E, R> =>
  Effect.gen(function* () {
    const { key, limit, select = "all", types } = reader
    const until = reader.until ?? Number.MAX_SAFE_INTEGER
    let cursor = from
    for (let more = true; more && cursor.seq < until; ) {
      const page = yield* log.page({
        ...key,
        after: cursor.seq,
        limit,
        bytes: Limits.FOLLOW_BYTES,
        select,
        ...(types && { types })
      })
      const events = page.events.filter(({ seq }) => seq <= until)
      const end = Math.min(page.events.at(-1)?.seq ?? cursor.seq, until)
      const changes =
        reader.deliveries === true ? yield* log.deliveries({ ...key, after: cursor.delivery, limit }) : []
      const early = changes.findIndex(({ seq }) => seq > end)
      const deliveries = early === -1 ? changes : changes.slice(0, early)
      if (events.length + deliveries.length > 0) yield* reader.sink({ after: cursor, events, deliveries })
      more = page.more || changes.length === limit || early !== -1
      cursor = { seq: end, delivery: deliveries.at(-1)?.no ?? cursor.delivery }
    }
    return cursor
  })

/** A look at the session before its log is read. */
export interface Look<A, E> {
  /** Ends before anything more is passed on. */
  readonly ended?: A | undefined
  /** Asked when all that is there was passed on; an answer ends it. */
  readonly caughtUp?: ((cursor: Cursor) => Effect.Effect<A | undefined, E>) | undefined
}

export interface Follower<A, E> extends Reader<E> {
  readonly from: Cursor
  /** Subscribed before anything was read, so that nothing falls between. */
  readonly wakes: Subscription
  /** Made before each reading: what was written before what it sees is read after it. */
  readonly look: Effect.Effect<Look<A, E>, E>
  /** Takes what is not stored. Default: it is dropped. */
  readonly ephemerals?: ((messages: ReadonlyArray<Ephemeral>) => Effect.Effect<void, E>) | undefined
}

/** Follows one session until a look ends it. */
export const follow = <A, E>(log: Log["Type"], follower: Follower<A, E>): Effect.Effect<A, ReadError | E> => {
  const { ephemerals, look, wakes } = follower
  const wake = Effect.tap(wakes.take, (signal) =>
    ephemerals === undefined || signal.ephemerals.length === 0 ? Effect.void : ephemerals(signal.ephemerals)
  ).pipe(Effect.repeat({ until: (signal) => signal.changed }))
  return Effect.suspend(() => {
    let cursor = follower.from
    const round = Effect.gen(function* () {
      const seen = yield* look
      if (seen.ended !== undefined) return Option.some<A>(seen.ended)
      cursor = yield* catchUp(log, follower, cursor)
      const answer = yield* seen.caughtUp?.(cursor) ?? Effect.succeed(undefined)
      if (answer === undefined) yield* wake
      return answer === undefined ? Option.none<A>() : Option.some(answer)
    })
    return Effect.map(Effect.repeat(round, { until: Option.isSome }), Option.getOrThrow)
  })
}

export interface Everything<E, R> {
  /** Of whom the log says that a session could not be read. */
  readonly name: string
  readonly onSession: (session: SessionBody, signal: Signal) => Effect.Effect<void, E, R>
  /** After each round of sessions. */
  readonly onRound?: Effect.Effect<void>
}

/**
 * Calls for every session that something happens to, one after the other in a fiber of the scope: nothing waits for it, and
 * one session that cannot be read stops no other.
 */
export const everySession = <E, R>(
  bus: Bus["Type"],
  { name, onRound = Effect.void, onSession }: Everything<E, R>
): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    const subscription = yield* bus.subscribeAll
    const round = Effect.gen(function* () {
      for (const [topic, signal] of yield* subscription.take) {
        if (!topic.startsWith("session:")) continue
        const session = SessionBody.make(topic.slice("session:".length))
        yield* Effect.catchAllCause(onSession(session, signal), (cause) =>
          Effect.logError("a session cannot be followed", cause).pipe(
            Effect.annotateLogs({ module: name, session })
          )
        )
      }
      yield* onRound
    })
    yield* Effect.forkScoped(Effect.forever(round))
  })
