/** How runs end: remembered for repeated requests, and forgotten by whoever tracked them. */
import { rowOf, Sessions } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import { GatewayOutcomes, type Outcome } from "../Idempotency.ts"
import { GatewayRuns, type Run } from "../Runs.ts"

/** By which a run's outcome is remembered. */
export const outcomeKey = (session: string, runId: string): string => `chat:${session}:${runId}`

/** `at`: milliseconds since the epoch. */
export const endRun = Effect.fn("SessionCommands.endRun")(function* (run: Run, at: number, outcome: Outcome) {
  ;(yield* GatewayRuns).end(run)
  ;(yield* GatewayOutcomes).set(outcomeKey(run.session, run.id), outcome, at)
})

/** How a run ended that people stopped, until its agent says so: of all others the log tells. */
export const rememberStopped = Effect.fnUntraced(function* (
  run: Run,
  status: "killed" | "timeout",
  endedAt: number
) {
  const sessions = yield* Sessions
  const record = yield* sessions.find({ sessions: [run.session] })
  if (record === undefined) return
  const startedAt = run.startedAt ?? run.createdAt
  const runtimeMs = Math.max(0, endedAt - startedAt)
  const { prompts } = rowOf(record).counts
  yield* sessions.change(record, {
    entry: { lastRun: { runId: run.id, status, startedAt, endedAt, runtimeMs, prompts } }
  })
})
