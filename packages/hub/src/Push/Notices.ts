/**
 * News for people who are not looking: a session that waits for an approval, a turn that ended, one that
 * failed. A push carries the session's title and the tool's name, and nothing else of the conversation.
 *
 * One fiber reads; the log never waits for it. What happened while the hub was away is told by nobody.
 */

import { BoundedMap } from "@causeway/protocol/BoundedMap"
import { compatSessionId, type SessionBody } from "@causeway/protocol/Ids"
import * as Visible from "@causeway/protocol/Visible"
import { Bus } from "@causeway/store/Bus"
import { Log } from "@causeway/store/Log"
import { type Session, Sessions } from "@causeway/store/Session"
import { isSubagent, type JsonObject } from "@causeway/transcript/Read"
import * as Result from "@causeway/transcript/Result"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { payloadOf } from "../Gateway/Messages.ts"
import * as Follow from "../Log/Follow.ts"
import { type Notification, Push } from "./Push.ts"

/** Whoever sent a message and got its answer within this is still looking: 10 s. */
export const SHORT_TURN_MILLIS = 10_000

/** How far back a session is read that is seen for the first time. */
const BACKLOG = 500
/** Events that are read at a time. */
const PAGE = 100
/** Events older than this, when a session is seen for the first time, are no news: 60 s. */
const LATE_MILLIS = 60_000
/** Sessions whose positions are kept; the oldest give way. */
const POSITIONS_MAX = 10_000

const TYPES = ["control_request", "result", "bridge_error"]
const DAY_SECONDS = 24 * 60 * 60

/** One line, without what could turn it round or hide in it, of at most `max` characters. */
export const plain = (text: string, max: number): string => {
  const line = Visible.bare(text.slice(0, max * 8))
    .replace(/\s+/g, " ")
    .trim()
  return Visible.clip(line, max)
}

/** The news of an event of a session's log; undefined for most. */
export const noticeOf = (
  row: SessionRow.SessionRow,
  session: SessionBody,
  event: { readonly seq: number; readonly source: string; readonly type: string; readonly json: JsonObject }
): Notification | undefined => {
  const id = compatSessionId(session)
  const name = plain(row.title ?? "", 120) || "Session"
  const notice = (
    kind: string,
    title: string,
    body: string,
    urgency: Notification["urgency"]
  ): Notification => ({
    title,
    body,
    tag: `${id}:${kind}`,
    url: `#/session/${id}`,
    ttlSeconds: DAY_SECONDS,
    urgency
  })
  switch (event.type) {
    case "control_request": {
      // It starts to wait with the oldest request that is still open; those beside it change nothing.
      const [waiting] = row.approvals.pending
      if (event.source !== "worker" || waiting?.seq !== event.seq) return undefined
      const what = plain(waiting.toolName, 80)
      return notice("approval", "Waits for approval", `${name}: ${what}`, "high")
    }
    case "result": {
      if (event.source !== "worker" || isSubagent(event.json) || Result.wasStopped(event.json))
        return undefined
      if (Result.isFailure(event.json)) return notice("failed", "Turn failed", name, "normal")
      const { duration_ms: duration } = event.json
      const isShort = typeof duration === "number" && duration < SHORT_TURN_MILLIS
      return isShort ? undefined : notice("ended", "Turn ended", name, "normal")
    }
    case "bridge_error":
      return notice("failed", "Session failed", name, "normal")
    default:
      return undefined
  }
}

export const make = Effect.gen(function* () {
  const bus = yield* Bus
  const log = yield* Log
  const sessions = yield* Sessions
  const push = yield* Push
  /** Up to where each session was read. */
  const positions = new BoundedMap<string, number>(POSITIONS_MAX)

  const read = Effect.fn("Notices.read")(function* (record: Session, wantedSince: number) {
    const since = Math.max(wantedSince, (yield* Clock.currentTimeMillis) - LATE_MILLIS)
    const row = SessionRow.fromJson(record.projection, record.attributes)
    const known = positions.get(record.session)
    const seq = known ?? Math.max(0, record.lastSeq - BACKLOG)
    if (row === undefined || record.lastSeq <= seq) return
    const notices = new Map<string, Notification>()
    yield* Follow.catchUp(
      log,
      {
        key: record,
        types: TYPES,
        until: record.lastSeq,
        limit: PAGE,
        sink: ({ events }) =>
          Effect.sync(() => {
            for (const event of events) {
              if (known === undefined && event.createdAt < since) continue
              const notice = noticeOf(row, record.session, { ...event, json: payloadOf(event) })
              if (notice !== undefined) notices.set(notice.tag, notice)
            }
          })
      },
      { seq, delivery: 0 }
    )
    positions.set(record.session, record.lastSeq)
    for (const notice of notices.values()) yield* push.notify(record.organizationId, notice)
  })

  yield* Follow.everySession(bus, {
    name: "Notices",
    onSession: (session, signal) =>
      Effect.gen(function* () {
        if (!push.isWanted()) return positions.clear()
        if (!signal.changed) return
        const record = yield* sessions.find({ sessions: [session] })
        const since = record === undefined ? undefined : push.wantedSince(record.organizationId)
        if (record !== undefined && since !== undefined) return yield* read(record, since)
        positions.delete(session)
      })
  })
})

export const layer: Layer.Layer<never, never, Bus | Sessions | Log | Push> = Layer.scopedDiscard(make)
