/**
 * The log on its way to the gateway's clients: what is new in each session that anyone cares for, as events in the order of
 * the log. Source: spec 2 §2 (`session.message`), §6 (`chat`, `agent`, lifecycle).
 *
 * One fiber reads, so that events of one session never overtake each other. A session that nobody watches and that has no
 * tracked run is not read. Positions live in memory only: a client that missed something replays it from the log.
 */
import type { SessionBody } from "@causeway/protocol/Ids"
import { Bus } from "@causeway/store/Bus"
import { type DeliveryChange, Log, type StoredEvent } from "@causeway/store/Log"
import { type Session, Sessions } from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Follow from "../Log/Follow.ts"
import { GatewayConnections } from "./Connections.ts"
import { isVisible, onEvent } from "./Feed/Events.ts"
import * as Turns from "./Feed/Turns.ts"
import { Notifier } from "./Notifier.ts"
import { GatewayRuns } from "./Runs.ts"

/** Events of one read. */
const BATCH = 500

interface Position {
  readonly organizationId: Session["organizationId"]
  readonly key: string
  seq: number
  delivery: number
  /** Where the log began when `visible` was counted: a compaction by lines cuts off its beginning. */
  oldest: number | undefined
  /** Messages and compactions up to `seq`. */
  visible: number
}

/** A copied transcript is older than its session: it was told where it was said. */
const isCopied = (record: Session, event: StoredEvent): boolean => event.createdAt < record.createdAt

/** A session that is seen for the first time is told of from `since` on. */
const firstPosition = Effect.fnUntraced(function* (record: Session, since: number) {
  const after = Math.max(0, record.lastSeq - BATCH)
  const recent = yield* (yield* Log).events(record.sid, { after, limit: BATCH })
  const fresh = recent.find((event) => event.createdAt >= since)
  return { seq: fresh === undefined ? record.lastSeq : fresh.seq - 1, visible: 0, oldest: undefined }
})

const tellDelivery = Effect.fnUntraced(function* (record: Session, change: DeliveryChange) {
  const notifier = yield* Notifier
  const run = (yield* GatewayRuns).ofPrompt(record.session, change.uuid)
  notifier.toWatchers(
    record,
    "session.delivery",
    {
      sessionKey: record.key,
      messageId: change.uuid,
      ...(run === undefined ? {} : { runId: run.id }),
      status: change.delivery,
      ts: change.deliveredAt,
      logSeq: change.seq
    },
    change.seq
  )
})

/** Passes on what a session's log has after a position, and moves it. */
const tell = Effect.fnUntraced(function* (record: Session, position: Position) {
  const log = yield* Log
  const sessions = yield* Sessions
  const oldest = (yield* log.events(record.sid, { limit: 1 }))[0]?.seq
  if (oldest !== position.oldest) {
    position.oldest = oldest
    position.visible = yield* log.count(record.sid, { select: "visible", through: position.seq })
  }
  let now = record
  yield* Follow.catchUp(
    log,
    {
      key: record,
      deliveries: true,
      limit: BATCH,
      sink: ({ after, events, deliveries }) =>
        Effect.gen(function* () {
          if (after.seq > record.lastSeq) now = (yield* sessions.find({ sessions: [record.session] })) ?? now
          for (const event of events) {
            position.seq = event.seq
            if (isVisible(event)) position.visible += 1
            if (isCopied(record, event)) continue
            yield* onEvent(now, event, position.visible).pipe(
              // One event that cannot be told does not hold up those after it.
              Effect.catchAllDefect((defect) =>
                Effect.logError("an event cannot be told to the gateway's clients", defect).pipe(
                  Effect.annotateLogs({ module: "Feed", session: record.session, seq: event.seq })
                )
              )
            )
          }
          for (const change of deliveries) {
            position.delivery = change.no
            yield* tellDelivery(now, change)
          }
        })
    },
    position
  )
})

const tellArchived = Effect.fnUntraced(function* (session: SessionBody, { key, organizationId }: Position) {
  const archived = yield* (yield* Sessions).find({ organizationId, sessions: [session], archived: "all" })
  // Of what a method of the gateway put away that method tells.
  if (archived !== undefined && archived.entry["archivedBy"] !== undefined) return
  yield* (yield* Notifier).changed(organizationId, key, { reason: "archive" })
})

export const make = Effect.gen(function* () {
  const sessions = yield* Sessions
  const connections = yield* GatewayConnections
  const notifier = yield* Notifier
  const runs = yield* GatewayRuns
  const positions = new Map<string, Position>()
  let since = yield* Clock.currentTimeMillis

  const onChange = Effect.fn("Feed.session")(function* (session: SessionBody) {
    const record = yield* sessions.find({ sessions: [session] })
    const known = positions.get(session)
    if (record === undefined) {
      positions.delete(session)
      return known === undefined ? undefined : yield* tellArchived(session, known)
    }
    const { key, organizationId } = record
    if (known === undefined && record.createdAt >= since && record.attributes.source !== "gateway") {
      yield* notifier.changed(organizationId, key, { reason: "create" })
    }
    const position: Position = {
      // What changed before is told by `sessions.deliveries.list`.
      delivery: record.deliveryNo,
      ...(known ?? (yield* firstPosition(record, since))),
      organizationId,
      key
    }
    positions.set(session, position)
    yield* tell(record, position)
  })

  yield* Follow.everySession(yield* Bus, {
    name: "Feed",
    onSession: (session, { changed, ephemerals }) =>
      Effect.gen(function* () {
        if (connections.size === 0 && runs.ofSession(session).length === 0) return
        if (changed) yield* onChange(session)
        const record = ephemerals.length === 0 ? undefined : yield* sessions.find({ sessions: [session] })
        if (record === undefined) return
        for (const message of ephemerals) yield* Turns.onEphemeral(record, message)
      }),
    onRound: Effect.gen(function* () {
      if (connections.size > 0) return
      // Whoever connects next hears of what happens from then on.
      since = yield* Clock.currentTimeMillis
      for (const session of positions.keys()) {
        if (runs.ofSession(session).length === 0) positions.delete(session)
      }
    })
  })
})

export const layer = Layer.scopedDiscard(make)
