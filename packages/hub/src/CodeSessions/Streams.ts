/**
 * The event streams of a session: the worker's and the viewers'.
 *
 * Both read the log by cursor at the pace of their reader and wait on the bus in between: a reconnect goes on after the last
 * event that was read, without a gap and without a repetition, and a slow reader costs no memory. Source: spec 5 §1.
 */

import * as WireError from "@causeway/protocol/WireError"
import { Bus, type Subscription } from "@causeway/store/Bus"
import { type DeliveryChange, Log, type SessionKey, type StoredEvent } from "@causeway/store/Log"
import { Sessions } from "@causeway/store/Sessions"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as BareDoor from "../BareDoor.ts"
import { Config } from "../Config.ts"
import { wired } from "../Failure.ts"
import * as Caller from "../Log/Caller.ts"
import { NodeServer } from "../Server.ts"
import * as EventStream from "../Streams/EventStream.ts"
import * as Frames from "./Frames.ts"

/** How often an open worker's stream counts as a sign of life; well below the time after which a worker is gone. */
const SEEN = Duration.seconds(40)

/** Events that are read, and frames that are written, at a time. */
const PAGE = 64

const numberOf = (text: string | null | undefined): number | undefined =>
  text !== null && text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined

/** Where the reader goes on: the header that `EventSource` sends at a reconnect, else the query. */
const cursorOf = (request: BareDoor.BareRequest): Effect.Effect<number | undefined, WireError.BadRequest> => {
  const header = request.headers["last-event-id"]
  const given = typeof header === "string" && header !== "" ? header : request.query.get("from_sequence_num")
  if (given === null || given === "") return Effect.succeed(undefined)
  const cursor = numberOf(given)
  return cursor === undefined
    ? WireError.BadRequest.of("from_sequence_num and Last-Event-ID are whole numbers")
    : Effect.succeed(cursor)
}

export const routes = Effect.gen(function* () {
  const log = yield* Log
  const bus = yield* Bus
  const sessions = yield* Sessions
  const caller = yield* Caller.make
  const config = yield* Config
  const { stopping } = yield* NodeServer
  /** Open worker streams of each session in this process. */
  const attached = new Map<string, number>()

  // --- The worker's stream ---

  /** Shows the worker as connected while it has a stream. */
  const attach = (key: SessionKey) => {
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
    subscription: Subscription,
    writer: EventStream.Writer
  ) =>
    Effect.gen(function* () {
      // A worker that names no position gets what no worker has answered yet; nothing is done twice.
      const select = from === undefined ? "unprocessed" : "worker"
      let after = from ?? 0
      for (;;) {
        const events: ReadonlyArray<StoredEvent> = yield* log.read({ ...key, after, limit: PAGE, select })
        if (events.length > 0) yield* writer.write(events.map(Frames.stored).join(""))
        after = events.at(-1)?.seq ?? after
        if (events.length === PAGE) continue
        yield* subscription.take
        if (key.tokenEpoch !== undefined && (yield* sessions.get(key)).tokenEpoch > key.tokenEpoch) return
      }
    })

  const worker = BareDoor.route("GET", "/v1/code/sessions/:id/worker/events/stream", (request) =>
    Effect.gen(function* () {
      const key = yield* caller.either(request)
      const from = yield* cursorOf(request)
      // Before anything is answered, so that an unknown session is 404 rather than an empty stream.
      const subscription = yield* bus.subscribe(`session:${key.session}`)
      yield* attach(key)
      return yield* EventStream.run(request, {
        comment: config.streamComment,
        until: stopping,
        produce: (writer) => Effect.raceFirst(toWorker(key, from, subscription, writer), keepSeen(key))
      })
    }).pipe(Effect.scoped, wired)
  )

  // --- The viewers' stream ---

  /** The number of the last delivery change that a viewer which has read up to `seq` has surely been told of. */
  const deliveryCursor = (key: SessionKey, seq: number) =>
    Effect.gen(function* () {
      if (seq === 0) return 0
      const [event] = yield* log.read({ ...key, after: seq - 1, limit: 1 })
      if (event === undefined) return 0
      // A viewer is told of changes before it is told of later events.
      return yield* log.deliveriesBefore({ ...key, at: event.createdAt })
    })

  const toViewer = (key: SessionKey, from: number, subscription: Subscription, writer: EventStream.Writer) =>
    Effect.gen(function* () {
      let after = from
      let told = yield* deliveryCursor(key, from)
      for (;;) {
        const events: ReadonlyArray<StoredEvent> = yield* log.read({ ...key, after, limit: PAGE })
        const changes: ReadonlyArray<DeliveryChange> = yield* log.deliveries({
          ...key,
          after: told,
          limit: PAGE
        })
        const newest = new Map(changes.map((change) => [change.seq, change] as const))
        let frames = ""
        for (const change of changes) {
          if (change.seq <= after) frames += Frames.delivery(change.uuid, change.delivery, change.deliveredAt)
        }
        for (const event of events) {
          frames += Frames.stored(event)
          const change = newest.get(event.seq)
          const state = change?.delivery ?? event.delivery
          const at = change?.deliveredAt ?? event.deliveredAt
          if (state !== undefined && at !== undefined) frames += Frames.delivery(event.uuid, state, at)
        }
        if (frames !== "") yield* writer.write(frames)
        after = events.at(-1)?.seq ?? after
        told = changes.at(-1)?.no ?? told
        if (events.length === PAGE || changes.length === PAGE) continue
        const { ephemerals } = yield* subscription.take
        if (ephemerals.length > 0) yield* writer.write(ephemerals.map(Frames.ephemeral).join(""))
      }
    })

  const viewer = BareDoor.route("GET", "/v1/code/sessions/:id/events/stream", (request) =>
    Effect.gen(function* () {
      const key = yield* caller.person(request)
      const from = yield* cursorOf(request)
      const subscription = yield* bus.subscribe(`session:${key.session}`)
      yield* sessions.get(key)
      return yield* EventStream.run(request, {
        comment: config.streamComment,
        until: stopping,
        produce: (writer) => toViewer(key, from ?? 0, subscription, writer)
      })
    }).pipe(Effect.scoped, wired)
  )

  return [worker, viewer]
})
