/** A journal whose process dies at a chosen moment: what is on disk then is what the next process finds. */
import { copyFileSync, existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import * as Journal from "@causeway/runner/Journal"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

export interface CrashPlan {
  /** Number of the journal call, counted from 1, at which the process dies. */
  readonly at: number
  /** Before the call has done anything, or after it is durable and before its caller knows. */
  readonly when: "before" | "after"
  /** Where the next process finds the files. */
  readonly to: string
}

/** Runs `use` with a journal that dies by plan; `died` is completed at that moment. */
export const crashing = (
  journal: Journal.Journal["Type"],
  from: string,
  plan: CrashPlan,
  die: Effect.Effect<void>
): Effect.Effect<{ readonly journal: Journal.Journal["Type"]; readonly died: Deferred.Deferred<void> }> =>
  Effect.gen(function* () {
    const died = yield* Deferred.make<void>()
    let calls = 0
    const crash = Effect.suspend(() => {
      mkdirSync(plan.to, { recursive: true })
      for (const name of [Journal.JOURNAL_FILE, `${Journal.JOURNAL_FILE}-wal`]) {
        if (existsSync(join(from, name))) copyFileSync(join(from, name), join(plan.to, name))
      }
      return Effect.zipRight(die, Deferred.succeed(died, undefined))
    })
    const step = <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        calls++
        if (calls !== plan.at) return call
        return plan.when === "before" ? Effect.zipRight(crash, call) : Effect.tap(call, () => crash)
      })
    return {
      died,
      journal: {
        claim: (directory) => journal.claim(directory),
        enter: (session) => step(journal.enter(session)),
        session: (id) => step(journal.session(id)),
        sessions: (directory) => step(journal.sessions(directory)),
        chosen: (id, settings) => step(journal.chosen(id, settings)),
        launched: (id) => step(journal.launched(id)),
        moved: (id, environmentId) => step(journal.moved(id, environmentId)),
        park: (id) => step(journal.park(id)),
        end: (id) => step(journal.end(id)),
        record: (id, outputs) => step(journal.record(id, outputs)),
        pending: (id, limit) => step(journal.pending(id, limit)),
        confirm: (id, position, head) => step(journal.confirm(id, position, head)),
        setAside: (id, position, instead, why) => step(journal.setAside(id, position, instead, why)),
        kept: (id) => journal.kept(id),
        unconfirmed: (id) => step(journal.unconfirmed(id)),
        receive: (id, events) => step(journal.receive(id, events)),
        unanswered: (id) => step(journal.unanswered(id)),
        keep: (id, snapshot) => step(journal.keep(id, snapshot)),
        snapshot: (id, toolUseId) => journal.snapshot(id, toolUseId),
        reports: (id, limit) => step(journal.reports(id, limit)),
        reported: (id, reports) => step(journal.reported(id, reports))
      }
    }
  })
