/**
 * The event streams of a session: the worker's and the viewers'.
 *
 * Both read the log by cursor at the pace of their reader and wait on the bus in between (a viewer's way of reading is
 * that of every route, see `Viewing.ts`): a reconnect goes on after the last event that was read, without a gap and without a
 * repetition, and a slow reader costs no memory. Source: spec 5 §1.
 */

import * as Api from "@causeway/protocol/http/CodeSessions"
import * as WireError from "@causeway/protocol/WireError"
import { Bus, type Subscription } from "@causeway/store/Bus"
import type { SessionUnknown, StoreUnavailable } from "@causeway/store/Errors"
import { Log, type SessionKey, type StoredEvent } from "@causeway/store/Log"
import { Sessions } from "@causeway/store/Session"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { Config } from "../Config.ts"
import { mapStoreErrors } from "../Failure.ts"
import * as HotRoutes from "../HotRoutes.ts"
import * as Caller from "../Http/Caller.ts"
import * as HttpHolder from "../Http/Holder.ts"
import * as Follow from "../Log/Follow.ts"
import { NodeServer } from "../Server.ts"
import * as EventStream from "../Streams/EventStream.ts"
import * as Frames from "./Frames.ts"
import * as Viewing from "./Viewing.ts"

/** How often an open worker's stream counts as a sign of life; well below the time after which a worker is gone. */
const SEEN = Duration.seconds(40)

const numberOf = (text: string | null | undefined): number | undefined =>
  text !== null && text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined

/** Where the reader goes on: the header that `EventSource` sends at a reconnect, else the query. */
const cursorOf = (request: HotRoutes.HotRequest): Effect.Effect<number | undefined, WireError.BadRequest> => {
  const header = request.headers["last-event-id"]
  const given = typeof header === "string" && header !== "" ? header : request.query.get("from_sequence_num")
  if (given === null || given === "") return Effect.succeed(undefined)
  const cursor = numberOf(given)
  return cursor === undefined
    ? WireError.BadRequest.of("from_sequence_num and Last-Event-ID are whole numbers")
    : Effect.succeed(cursor)
}

/** How long an answer may take whose reader asks for its end. */
const blockOf = (
  request: HotRoutes.HotRequest
): Effect.Effect<Duration.Duration | undefined, WireError.BadRequest> => {
  const given = request.query.get(Api.BLOCK_PARAMETER)
  if (given === null || given === "") return Effect.succeed(undefined)
  const millis = numberOf(given)
  return millis === undefined
    ? WireError.BadRequest.of(`${Api.BLOCK_PARAMETER} is a whole number of milliseconds`)
    : Effect.succeed(Duration.millis(Math.min(Math.max(millis, 1), Api.BLOCK_MAX_MILLIS)))
}

/** Viewers made by others do not know our own `session_update`, and would show or refuse what they do not know. */
const wantsUpdates = (request: HotRoutes.HotRequest): boolean =>
  request.query.get(Api.SESSION_UPDATES_PARAMETER) === "true"

export const routes = Effect.gen(function* () {
  const log = yield* Log
  const bus = yield* Bus
  const sessions = yield* Sessions
  const caller = yield* Caller.make
  const viewing = yield* Viewing.make
  const config = yield* Config
  const hold = yield* HttpHolder.make
  const { stopping } = yield* NodeServer
  /** Open worker streams of each session in this process. */
  const attached = new Map<string, number>()

  // --- The worker's stream ---

  /**
   * Shows the worker as connected while it has a stream. One that asks again and again is not gone between two answers: it
   * is shown until it says that it leaves, or is not seen any more.
   */
  const attach = (key: SessionKey, asksAgain: boolean) => {
    const set = (connectionStatus: "connected" | "disconnected") =>
      sessions.updateWorker({ ...key, workerEpoch: undefined }, { connectionStatus })
    return Effect.acquireRelease(
      Effect.suspend(() => {
        attached.set(key.session, (attached.get(key.session) ?? 0) + 1)
        return set("connected")
      }),
      () =>
        Effect.suspend(() => {
          const left = (attached.get(key.session) ?? 1) - 1
          if (left > 0) {
            attached.set(key.session, left)
            return Effect.void
          }
          attached.delete(key.session)
          if (asksAgain) return Effect.void
          return Effect.catchAll(set("disconnected"), (error) =>
            Effect.logWarning("a worker's departure was not stored").pipe(
              Effect.annotateLogs({ module: "Streams", session: key.session, error: error._tag })
            )
          )
        })
    )
  }

  /** A worker whose stream is open is there, whether it sends heartbeats or not. */
  const keepSeen = (key: SessionKey) =>
    sessions
      .seen({ ...key, workerEpoch: undefined })
      .pipe(Effect.delay(SEEN), Effect.repeat(Schedule.forever), Effect.asVoid)

  const toWorker = (
    key: Caller.Caller,
    from: number | undefined,
    updates: boolean,
    subscription: Subscription,
    writer: EventStream.Writer
  ) => {
    const write = (events: ReadonlyArray<StoredEvent>) =>
      writer.write(events.map((event) => EventStream.frame(Frames.stored(event, updates))).join(""))
    let told = false
    // A worker that does not want changes of the session is told of its end all the same: nothing comes after it.
    const farewell = (after: number) =>
      Effect.gen(function* () {
        told = true
        const [last] = yield* log.read({ ...key, after, limit: 1 })
        if (last?.type === "session_update") yield* write([last])
      })
    return Follow.follow<true, SessionUnknown | StoreUnavailable>(log, {
      key,
      // A worker that names no position gets what no worker has answered yet; nothing is done twice.
      select:
        from === undefined
          ? updates
            ? "unprocessedUpdates"
            : "unprocessed"
          : updates
            ? "workerUpdates"
            : "worker",
      limit: Viewing.PAGE,
      from: { seq: from ?? 0, delivery: 0 },
      wakes: subscription,
      look: Effect.map(sessions.standing(key), ({ archivedAt, lastSeq, tokenEpoch }) =>
        key.tokenEpoch !== undefined && tokenEpoch > key.tokenEpoch
          ? { ended: true }
          : {
              caughtUp: ({ seq }) =>
                archivedAt === null || told
                  ? Effect.succeed(undefined)
                  : Effect.as(farewell(Math.max(seq, lastSeq - 1)), undefined)
            }
      ),
      sink: ({ events }) => write(events)
    })
  }

  const worker = HotRoutes.route(Api.workerStream, (request) =>
    Effect.gen(function* () {
      const key = yield* caller.worker(request)
      const from = yield* cursorOf(request)
      const block = yield* blockOf(request)
      // Before anything is answered, so that an unknown session is 404 rather than an empty stream.
      const subscription = yield* bus.subscribe(`session:${key.session}`)
      const ended = yield* hold(request, key.credential)
      yield* attach(key, block !== undefined)
      return yield* EventStream.run(request, {
        comment: config.streamComment,
        until: stopping,
        ended,
        block,
        produce: (writer) =>
          Effect.raceFirst(toWorker(key, from, wantsUpdates(request), subscription, writer), keepSeen(key))
      })
    }).pipe(Effect.scoped, mapStoreErrors)
  )

  // --- The viewers' stream ---

  const viewer = HotRoutes.route(Api.viewerStream, (request) =>
    Effect.gen(function* () {
      const key = yield* caller.person(request)
      const from = yield* cursorOf(request)
      const block = yield* blockOf(request)
      const subscription = yield* bus.subscribe(`session:${key.session}`)
      yield* sessions.get(key)
      const ended = yield* hold(request, key.credential)
      return yield* EventStream.run(request, {
        comment: config.streamComment,
        until: stopping,
        ended,
        block,
        produce: (writer) =>
          viewing.follow({
            key,
            subscription,
            after: from ?? 0,
            untilArchived: false,
            updates: wantsUpdates(request),
            // Progress would end each answer at once.
            progress: block === undefined,
            write: (frames) => writer.write(frames.map(EventStream.frame).join(""))
          })
      })
    }).pipe(Effect.scoped, mapStoreErrors)
  )

  return [worker, viewer]
})
