/** Compaction by the agent, and by lines. Source: spec 2 §2. */
import { randomUUID } from "node:crypto"
import * as Params from "@causeway/protocol/Gateway/Params"
import { Log } from "@causeway/store/Log"
import { Retention } from "@causeway/store/Retention"
import { type Session, Sessions } from "@causeway/store/Session"
import { string } from "@causeway/transcript/Read"
import * as Turns from "@causeway/transcript/Turns"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { connectionStatus } from "../../Sessions/View.ts"
import * as Checkpoints from "../Checkpoints.ts"
import { unavailable } from "../Failure.ts"
import { payloadOf } from "../Messages.ts"
import { answer, type Caller, method, requireKey, webchatGuard } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import * as Rows from "../Rows.ts"
import * as SessionCommands from "../SessionCommands.ts"

/** How long a worker may take to come to a session, and then to take the request: looked at every 250 ms for 15 s. */
export const takeWait = Schedule.spaced("250 millis").pipe(Schedule.upTo("15 seconds"))

/** A worker that only writes, and never registers, is there for this long after its last line. */
const WRITER_MILLIS = 90_000

/** How long an agent may take to compact: looked at every 250 ms for 5 min. */
export const compactWait = Schedule.spaced("250 millis").pipe(Schedule.upTo("5 minutes"))

/** The last answer, asked for until it fits or the schedule gives up. */
const waitFor = <A, E, R>(
  ask: Effect.Effect<A, E, R>,
  schedule: Schedule.Schedule<unknown>,
  fits: (answer: A) => boolean
) => Effect.zipRight(Effect.repeat(ask, { schedule, until: fits }), ask)

const isTrue = (is: boolean): boolean => is

/** Takes away the tokens that a log's beginning had. */
const withoutTokens = { inputTokens: null, outputTokens: null, totalTokens: null, totalTokensFresh: null }

/** The first boundary after `seq`, or how the turn of this prompt ended without one. */
const outcome = (record: Session, seq: number, prompt: string) =>
  Effect.gen(function* () {
    const log = yield* Log
    const [boundary] = yield* log.events(record.sid, { select: "compactions", last: 1 })
    if (boundary !== undefined && boundary.seq > seq) return { _tag: "Compacted" } as const
    const events = yield* log.events(record.sid, { after: seq, limit: 1000 })
    const end = events.find((event) => {
      if (event.type !== "result" || event.source !== "worker") return false
      const answered = Turns.promptsOf(payloadOf(event))
      return answered.length === 0 || answered.includes(prompt)
    })
    return end === undefined
      ? undefined
      : ({
          _tag: "Ended",
          reason: string(payloadOf(end)["result"]) ?? "the agent did not compact"
        } as const)
  })

const isAttached = (record: Session) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const session = yield* (yield* Sessions).get(record).pipe(Effect.option)
    return Option.exists(session, (found) => {
      const { workerEpoch, workerSeenAt } = found
      const isWriting = workerEpoch === 0 && workerSeenAt !== undefined && now - workerSeenAt < WRITER_MILLIS
      return isWriting || connectionStatus(found, now) === "connected"
    })
  })

/** Asks for a worker where none is there. Nothing is written to the log for one that may never come. */
const attached = (record: Session) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions
    if (yield* isAttached(record)) return
    if (record.environmentId !== undefined) {
      yield* sessions.assignEnvironment(record.sid, record.environmentId, true)
    }
    const waitsFor = Effect.map(sessions.waitingFor([record.sid]), (reasons) => reasons.get(record.sid))
    const missing = yield* waitsFor
    if (missing === undefined && record.environmentId !== undefined) {
      if (yield* waitFor(isAttached(record), takeWait, isTrue)) return
    }
    return yield* unavailable(
      `${record.key} cannot be compacted now: it waits for ${
        missing ?? (yield* waitsFor) ?? "its worker"
      }. Nothing was asked of it; compact again when it is there, or by maxLines, which needs no agent.`
    )
  })

const byAgent = (record: Session, caller: Caller) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions
    const log = yield* Log
    const notifier = yield* Notifier
    if ((yield* log.count(record.sid, { select: "entries" })) === 0) {
      return answer({ ok: true, key: record.key, compacted: false, reason: "no transcript" })
    }
    yield* attached(record)
    yield* SessionCommands.interrupt(record, caller.connection)
    const before = (yield* sessions.find({ sessions: [record.session] })) ?? record
    const runId = randomUUID()
    const prompt = SessionCommands.promptUuid(record.session, runId)
    const sent = yield* SessionCommands.send(before, { message: "/compact", runId }, caller.connection)
    yield* sent.release
    const giveUp = SessionCommands.abort(record, { runId, by: undefined, stopReason: "timeout" })
    const isTaken = Effect.gen(function* () {
      if ((yield* log.events(record.sid, { uuid: prompt }))[0]?.delivery !== undefined) return true
      const events = yield* log.events(record.sid, { after: before.lastSeq, limit: 100 })
      return events.some(({ source }) => source === "worker")
    })
    if (!(yield* waitFor(isTaken, takeWait, isTrue))) {
      yield* giveUp
      return yield* unavailable(
        `no worker has taken the request of ${record.key} within 15 s; it was withdrawn and will not run`
      )
    }
    const look = outcome(record, before.lastSeq, prompt)
    const seen = yield* waitFor(look, compactWait, (found) => found !== undefined)
    const changed = (compacted: boolean) =>
      notifier.changed(caller.organizationId, record.key, { reason: "compact", compacted })
    if (seen === undefined) {
      yield* giveUp
      return answer(
        {
          ok: false,
          key: record.key,
          compacted: false,
          reason: "the agent has not compacted within 5 min; it was told to stop"
        },
        changed(false)
      )
    }
    if (seen._tag === "Ended") {
      return answer({ ok: true, key: record.key, compacted: false, reason: seen.reason }, changed(false))
    }
    const after = (yield* sessions.find({ sessions: [record.session] })) ?? record
    const [checkpoint] = yield* Checkpoints.list(log, after)
    const { compactionCount } = after.entry
    const tokens = checkpoint?.["tokensAfter"]
    const entry = {
      ...withoutTokens,
      compactionCount: (typeof compactionCount === "number" ? compactionCount : 0) + 1,
      ...(tokens === undefined ? {} : { totalTokens: tokens, totalTokensFresh: true })
    }
    yield* sessions.change(after, { entry })
    return answer(
      {
        ok: true,
        key: record.key,
        compacted: true,
        result: Rows.compact({
          summary: checkpoint?.["summary"] ?? "",
          firstKeptEntryId: checkpoint?.["firstKeptEntryId"] ?? "",
          tokensBefore: checkpoint?.["tokensBefore"] ?? 0,
          tokensAfter: checkpoint?.["tokensAfter"]
        })
      },
      changed(true)
    )
  })

const byLines = (record: Session, maxLines: number) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions
    const log = yield* Log
    const retention = yield* Retention
    const notifier = yield* Notifier
    // The header is a line of the exported form.
    const total = (yield* log.count(record.sid, { select: "entries" })) + 1
    if (total <= maxLines) {
      return answer({ ok: true, key: record.key, compacted: false, kept: total })
    }
    const archivedAt = yield* Clock.currentTimeMillis
    const archive = yield* sessions
      .create({
        organizationId: record.organizationId,
        environmentId: undefined,
        source: "gateway",
        context: "{}",
        permissionMode: undefined,
        tags: undefined,
        payloads: []
      })
      .pipe(Effect.catchTag("EnvironmentUnknown", Effect.die))
    yield* retention.trim({ sid: record.sid, archive: archive.sid, keep: maxLines, archivedAt })
    yield* sessions.change(record, { entry: withoutTokens })
    return answer(
      {
        ok: true,
        key: record.key,
        compacted: true,
        archived: Rows.locator(archive.session, archivedAt),
        kept: maxLines
      },
      notifier.changed(record.organizationId, record.key, { reason: "compact", compacted: true })
    )
  })

const compact = method("sessions.compact", Params.SessionsCompact, function* (params, caller) {
  const sessions = yield* Sessions
  const given = yield* requireKey(params.key)
  yield* webchatGuard(caller, "compact")
  const key = yield* SessionCommands.canonical(given)
  const record = yield* sessions.find({ organizationId: caller.organizationId, keys: [key] })
  if (record === undefined) {
    return answer({ ok: true, key, compacted: false, reason: "no sessionId" })
  }
  return params.maxLines === undefined
    ? yield* byAgent(record, caller)
    : yield* byLines(record, params.maxLines)
})

export const methods = [compact]
