/** A message taken back before its turn. */
import { randomUUID } from "node:crypto"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import { Log } from "@causeway/store/Log"
import type { Session } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { invalid } from "../Failure.ts"
import { GatewayRuns } from "../Runs.ts"
import { append } from "./Append.ts"
import { stop } from "./Stop.ts"

/** How long an agent may take to say whether it had begun a message that is taken back: looked at every 50 ms for 3 s. */
const withdrawWait = Schedule.spaced("50 millis").pipe(Schedule.upTo("3 seconds"))

/**
 * Fails where the message is not there; false where it is too late, or where the agent has not answered in time (3 s) and
 * may have begun it.
 */
export const withdraw = Effect.fn("SessionCommands.withdraw")(function* (record: Session, uuid: string) {
  const log = yield* Log
  const look = Effect.map(log.events(record.sid, { uuid }), ([event]) => event)
  const before = yield* look
  if (before === undefined || before.source !== "client" || before.type !== "user") {
    return yield* invalid(`no such message in ${record.key}: ${uuid}`)
  }
  if (before.delivery === "withdrawn") return true
  if (before.delivery === "processing" || before.delivery === "processed") return false
  const requestId = randomUUID()
  const { withdrawn } = yield* append(record, Withdrawal.one(requestId, uuid))
  if (!withdrawn.includes(uuid)) return false
  if (before.delivery === "received") {
    // It is with a worker, whose agent may have begun it at this moment: it says so, or that it has let go of it.
    const decided = Effect.gen(function* () {
      if ((yield* look)?.delivery !== "withdrawn") return true
      return (yield* log.count(record.sid, { after: before.seq, answersTo: requestId })) > 0
    })
    const isDecided = yield* Effect.repeat(decided, {
      schedule: withdrawWait,
      until: (done) => done
    }).pipe(Effect.flatMap(() => decided))
    if (!isDecided || (yield* look)?.delivery !== "withdrawn") return false
  }
  const run = (yield* GatewayRuns).ofPrompt(record.session, uuid)
  if (run !== undefined) yield* stop(record, run, "withdrawn")
  return true
})
