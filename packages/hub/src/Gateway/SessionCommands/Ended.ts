/** How runs end: remembered in their session's entry and for repeated requests, and forgotten by whoever tracked them. */
import { rowOf, Sessions } from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { GatewayOutcomes, type Outcome } from "../Idempotency.ts"
import * as Rows from "../Rows.ts"
import { GatewayRuns, type Run } from "../Runs.ts"

export interface Ending {
  readonly status: "done" | "failed" | "killed" | "timeout"
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly outcome: Outcome
}

/** By which a run's outcome is remembered. */
export const outcomeKey = (session: string, runId: string): string => `chat:${session}:${runId}`

export const endRun = Effect.fn("SessionCommands.endRun")(function* (run: Run, end: Ending) {
  const sessions = yield* Sessions
  const runs = yield* GatewayRuns
  runs.end(run)
  ;(yield* GatewayOutcomes).set(outcomeKey(run.session, run.id), end.outcome, end.at)
  const record = yield* sessions.find({ sessions: [run.session] })
  if (record === undefined) return
  const startedAt = run.startedAt ?? run.createdAt
  const entry = Rows.compact({
    ...Rows.entryOf(record),
    abortedLastRun: end.status === "killed" || end.status === "timeout",
    systemSent: true,
    lastRun: {
      runId: run.id,
      status: end.status,
      startedAt,
      endedAt: end.at,
      runtimeMs: Math.max(0, end.at - startedAt),
      prompts: rowOf(record).counts.prompts
    }
  })
  yield* sessions.change(record.sid, {
    entry: JSON.stringify(entry),
    updatedAt: Math.max(record.updatedAt, yield* Clock.currentTimeMillis)
  })
})
