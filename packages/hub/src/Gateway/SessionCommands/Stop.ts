/** Runs stopped: aborted by people, or interrupted for what comes next. Source: spec 2 §6 (`chat.abort`). */
import { randomUUID } from "node:crypto"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import { Log, type StoredEvent } from "@causeway/store/Log"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Connection } from "../Connections.ts"
import { invalid, unavailable } from "../Failure.ts"
import { Notifier } from "../Notifier.ts"
import * as Rows from "../Rows.ts"
import { GatewayRuns, type Run, unowned } from "../Runs.ts"
import { holds } from "../Scopes.ts"
import { appendAll } from "./Append.ts"
import { endRun, rememberStopped } from "./Ended.ts"

/** How long an interrupted run may take to end: looked at every 100 ms for 15 s. */
export const interruptWait = Schedule.spaced("100 millis").pipe(Schedule.upTo("15 seconds"))

export interface Abort {
  readonly runId?: string | undefined
  /** Undefined: the hub itself. */
  readonly by: Connection | undefined
  readonly stopReason: string
}

const mayStop = (run: Run, by: Connection | undefined): boolean => {
  if (by === undefined || holds(by.info.scopes, "operator.admin")) return true
  if (run.ownerConnectionId === undefined && run.ownerDeviceId === undefined) return true
  return (
    run.ownerConnectionId === by.info.id ||
    (run.ownerDeviceId !== undefined && run.ownerDeviceId === by.info.deviceId)
  )
}

/** Runs of a session; those that only the log knows (of other APIs, or from before a restart) included. */
const runsOf = Effect.fnUntraced(function* (record: Session) {
  const log = yield* Log
  const runs = yield* GatewayRuns
  const now = yield* Clock.currentTimeMillis
  const track = (prompt: StoredEvent, startedAt: number | undefined) => {
    const known = runs.ofPrompt(record.session, prompt.uuid) !== undefined
    if (!known && !runs.hasEnded(record.session, prompt.uuid)) {
      runs.add(unowned(record, prompt, { now, startedAt }))
    }
  }
  const row = rowOf(record)
  // What somebody stopped before is on its way out.
  const isStopped = Rows.isStopped(record.entry, row)
  for (const prompt of yield* log.events(record.sid, { select: "openPrompts", limit: 1000 })) {
    const begun = prompt.delivery === "processing" || (row.begun && row.open[0] === prompt.uuid)
    const isOver = !row.open.includes(prompt.uuid) || (begun && isStopped)
    if (!isOver) track(prompt, begun ? prompt.createdAt : undefined)
  }
  if (runs.ofSession(record.session).length === 0 && Rows.hasRunInLog(record)) {
    const [last] = yield* log.events(record.sid, { select: "prompts", last: 1 })
    if (last !== undefined) track(last, last.createdAt)
  }
  return runs.ofSession(record.session)
})

/**
 * Events that stop these runs of all that a session has: all of them by one interrupt, which takes back what waits; some of
 * them by taking each back, and by an interrupt where one may have begun.
 */
const stopping = Effect.fnUntraced(function* (
  record: Session,
  some: ReadonlyArray<Run>,
  all: ReadonlyArray<Run>
) {
  if (some.length === all.length) return [Withdrawal.all(randomUUID())]
  const open = yield* (yield* Log).events(record.sid, { select: "openPrompts", limit: 1000 })
  const begun = open.filter(({ delivery }) => delivery === "processing")
  const waiting = new Set(open.filter((prompt) => !begun.includes(prompt)).map(({ uuid }) => uuid))
  const turn = begun.length > 0 ? begun : open.slice(0, 1)
  const interrupts = some.some(
    ({ promptUuid }) =>
      turn.some(({ uuid }) => uuid === promptUuid) || !open.some(({ uuid }) => uuid === promptUuid)
  )
  return [
    ...some.flatMap(({ promptUuid }) =>
      waiting.has(promptUuid) ? [Withdrawal.one(randomUUID(), promptUuid)] : []
    ),
    ...(interrupts
      ? [{ type: "control_request", request_id: randomUUID(), request: { subtype: "interrupt" } }]
      : [])
  ]
})

/** Tells everyone that a run was stopped, and forgets it. */
export const stop = Effect.fnUntraced(function* (record: Session, run: Run, stopReason: string) {
  const notifier = yield* Notifier
  const now = yield* Clock.currentTimeMillis
  const timedOut = stopReason === "timeout"
  notifier.chat(run, run.seq + 1, {
    state: "aborted",
    stopReason,
    ...(run.text === ""
      ? {}
      : {
          message: {
            role: "assistant",
            content: [{ type: "text", text: run.text }],
            timestamp: now
          }
        })
  })
  notifier.agent(
    run,
    "lifecycle",
    {
      phase: "end",
      status: "cancelled",
      aborted: true,
      stopReason,
      startedAt: run.startedAt ?? run.createdAt,
      endedAt: now
    },
    now
  )
  yield* endRun(run, now, {
    ok: true,
    payload: { status: "timeout", runId: run.id, stopReason, endedAt: now }
  })
  yield* rememberStopped(run, timedOut ? "timeout" : "killed", now)
  const after = yield* (yield* Sessions).find({ sessions: [record.session] })
  if (after !== undefined) yield* notifier.phase(after, { phase: "end", runId: run.id })
})

/**
 * Stops one run of a session, or all of them that the caller may stop. A run whose turn has begun is interrupted; a
 * message that waits is withdrawn, and never runs. All that is stopped is stopped by one write to the log.
 */
export const abort = Effect.fn("SessionCommands.abort")(function* (record: Session, options: Abort) {
  const runs = yield* GatewayRuns
  const all = yield* runsOf(record)
  let stopped = all
  if (options.runId !== undefined) {
    const run = runs.get(record.session, options.runId)
    if (run === undefined) {
      return runs.named(record.organizationId, options.runId).length === 0
        ? { aborted: false, runIds: [] }
        : yield* invalid("runId does not match sessionKey")
    }
    if (!mayStop(run, options.by)) return yield* invalid("unauthorized")
    stopped = [run]
  } else {
    stopped = all.filter((run) => mayStop(run, options.by))
    if (stopped.length === 0 && all.length > 0) return yield* invalid("unauthorized")
  }
  if (stopped.length === 0) return { aborted: false, runIds: [] }
  yield* appendAll(record, yield* stopping(record, stopped, all))
  yield* Effect.forEach(stopped, (run) => stop(record, run, options.stopReason), { discard: true })
  return { aborted: true, runIds: stopped.map((run) => run.id) }
})

const isRunning = (record: Session): boolean => {
  const { status } = rowOf(record)
  return status === "running" || status === "requires_action"
}

/** Stops whatever runs, withdraws whatever waits, and waits for the end of the turn. True where anything did. */
export const interrupt = Effect.fn("SessionCommands.interrupt")(function* (record: Session, by: Connection) {
  const sessions = yield* Sessions
  const fresh = (yield* sessions.find({ sessions: [record.session] })) ?? record
  if ((yield* runsOf(fresh)).length === 0 && !isRunning(fresh)) return false
  const { aborted } = yield* abort(fresh, { by, stopReason: "rpc" })
  const stopped = Effect.map(
    sessions.find({ sessions: [record.session] }),
    (now) => now === undefined || !isRunning(now)
  )
  // The schedule gives up with what it saw last.
  const ended = yield* Effect.repeat(stopped, {
    schedule: interruptWait,
    until: (done) => done
  }).pipe(Effect.flatMap(() => stopped))
  if (!ended) {
    return yield* unavailable(`Session ${record.key} is still active; try again in a moment.`)
  }
  return aborted
})
