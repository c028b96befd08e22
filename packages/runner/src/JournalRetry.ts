/** What the journal must do, whatever becomes of its disk meanwhile. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { JournalFailed } from "./Journal/Model.ts"

/** The journal is tried again for ever: 0.5 s doubling to 5 s. Space that was freed is used within that time. */
export const journalRetry = Schedule.exponential("500 millis").pipe(
  Schedule.union(Schedule.spaced("5 seconds"))
)

/**
 * A journal that fails holds everything back until it works again. `tell` is told once for each time that it fails, however
 * many calls meet it.
 */
export const make = (tell: (message: string) => Effect.Effect<void>) => {
  /** Calls that wait for the journal now. */
  let stuck = 0
  return <A>(effect: Effect.Effect<A, JournalFailed>): Effect.Effect<A> =>
    Effect.catchAll(effect, (error) =>
      Effect.acquireUseRelease(
        Effect.sync(() => ++stuck),
        (now) =>
          Effect.zipRight(
            now === 1 ? tell(error.message) : Effect.void,
            effect.pipe(Effect.retry(journalRetry), Effect.orDie)
          ),
        () => Effect.sync(() => --stuck)
      )
    )
}
