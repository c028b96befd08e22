/** Claims: of the bridges of one machine, one holds a directory. */

import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ProcessTable from "../Process/ProcessTable.ts"
import type { Database } from "./Database.ts"
import { DirectoryInUse, JournalFailed } from "./Model.ts"

/** Somebody else moved the claim between two statements: looked at again, 3 times. */
const movedRetry = Schedule.recurs(3)

const moved = new JournalFailed({ operation: "claim", detail: "claim moved" })

export const make = Effect.fnUntraced(function* ({ run, sql }: Database) {
  /** A process that the system does not tell of is not taken for dead. */
  const startOf = (pid: number) =>
    Effect.mapError(
      ProcessTable.startOf(pid),
      ({ message }) => new JournalFailed({ operation: "claim", detail: message })
    )
  const self = { pid: process.pid, started: (yield* startOf(process.pid)) ?? "" }
  const holder = (directory: string) =>
    sql<{
      readonly pid: number
      readonly started: string
    }>`SELECT pid, started FROM claims WHERE directory = ${directory}`
  const takeClaim = (directory: string) =>
    Effect.gen(function* () {
      const insert = yield* sql`INSERT INTO claims (directory, pid, started)
        VALUES (${directory}, ${self.pid}, ${self.started}) ON CONFLICT DO NOTHING RETURNING pid`.pipe(
        run("claim")
      )
      if (insert.length === 1) return
      const [held] = yield* run("claim")(holder(directory))
      if (held === undefined) return yield* moved
      if ((yield* startOf(held.pid)) === held.started) {
        return yield* new DirectoryInUse({ directory, pid: held.pid })
      }
      // Only the claim that was judged is replaced: of two who judge it at once, one finds it.
      const replaced = yield* sql`UPDATE claims SET pid = ${self.pid}, started = ${self.started}
        WHERE directory = ${directory} AND pid = ${held.pid} AND started = ${held.started} RETURNING pid`.pipe(
        run("claim")
      )
      if (replaced.length === 0) return yield* moved
    })
  const claim = (directory: string) =>
    Effect.acquireRelease(
      takeClaim(directory).pipe(
        Effect.retry({
          while: (error) => error === moved,
          schedule: movedRetry
        })
      ),
      () =>
        sql`DELETE FROM claims
          WHERE directory = ${directory} AND pid = ${self.pid} AND started = ${self.started}`.pipe(
          run("release"),
          Effect.catchAll((error) =>
            Effect.logWarning("claim not released").pipe(
              Effect.annotateLogs({ operation: error.operation, detail: error.detail })
            )
          )
        )
    )
  return claim
})
