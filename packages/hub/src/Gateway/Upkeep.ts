/** Work by the clock: waiting sessions get their environments, and runs that were lost are ended. */
import type { StoreUnavailable } from "@causeway/store/Errors"
import { Sessions } from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { GatewayOutcomes } from "./Idempotency.ts"
import { GatewayRuns } from "./Runs.ts"
import * as SessionCommands from "./SessionCommands.ts"

/** Runs that count as lost, and remembered outcomes that have expired, are looked for once a minute. */
const sweepSchedule = Schedule.spaced("60 seconds")
/** Sessions that wait for an environment are looked at every 5 s. */
const assignSchedule = Schedule.spaced("5 seconds")

const assign = Effect.gen(function* () {
  const sessions = yield* Sessions
  const waiting = yield* sessions.list({ environmentId: null, written: true, order: "oldest", limit: 100 })
  for (const record of waiting) {
    const environment = yield* SessionCommands.chooseEnvironment(record.organizationId, record.agentId)
    if (environment !== undefined) yield* sessions.assignEnvironment(record.sid, environment, true)
  }
})

const sweep = Effect.gen(function* () {
  const outcomes = yield* GatewayOutcomes
  const runs = yield* GatewayRuns
  const sessions = yield* Sessions
  const now = yield* Clock.currentTimeMillis
  outcomes.sweep(now)
  for (const run of runs.expired(now)) {
    const record = yield* sessions.find({ sessions: [run.session] })
    if (record === undefined) runs.remove(run)
    else {
      yield* SessionCommands.abort(record, { runId: run.id, by: undefined, stopReason: "timeout" }).pipe(
        Effect.catchTag("GatewayRefused", () => Effect.sync(() => runs.remove(run)))
      )
    }
  }
})

/** Runs in the scope; a failure is logged, and the next time comes. */
const at = <R>(
  schedule: Schedule.Schedule<number>,
  doing: string,
  effect: Effect.Effect<void, StoreUnavailable, R>
) =>
  effect.pipe(
    Effect.catchAllCause((cause) => Effect.logError(`the gateway failed ${doing}`, cause)),
    Effect.schedule(schedule),
    Effect.forkScoped
  )

export const layer = Layer.scopedDiscard(
  Effect.zipRight(
    at(assignSchedule, "giving sessions their environments", assign),
    at(sweepSchedule, "ending runs that were lost", sweep)
  )
)
