/** Lines of an agent on their way out: kept until the connection is handed over, then held back for their reader. */
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { DriverLine } from "../Driver.ts"

/** Lines that wait for their reader. A line has at most 10 MiB; more than these stay in the agent's pipe. */
const BUFFER = 16
/** Unreadable lines that are kept while the agent starts. */
const EARLY_MAX = 1000

export interface Lines {
  readonly offer: (lines: ReadonlyArray<DriverLine>) => Effect.Effect<void>
  /** Lines that came before the connection was handed over. */
  readonly early: () => ReadonlyArray<DriverLine>
  /** Hands the connection over. */
  readonly open: () => Stream.Stream<DriverLine>
  readonly end: Effect.Effect<void>
}

export const make: Effect.Effect<Lines, never, Scope.Scope> = Effect.gen(function* () {
  const mailbox = yield* Mailbox.make<DriverLine>(BUFFER)
  let early: Array<DriverLine> | undefined = []
  return {
    offer: (lines) =>
      Effect.suspend(() => {
        if (early === undefined) return Effect.asVoid(mailbox.offerAll(lines))
        for (const line of lines) if (line._tag === "Payload" || early.length < EARLY_MAX) early.push(line)
        return Effect.void
      }),
    early: () => early ?? [],
    open: () => {
      const first = early ?? []
      early = undefined
      return Stream.concat(Stream.fromIterable(first), Mailbox.toStream(mailbox))
    },
    end: Effect.asVoid(mailbox.end)
  }
})
