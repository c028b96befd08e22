/** Test time that passes while the system does its part: SQLite, files and immediates are real. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"

/** Lets what waits for the system go on, then passes time. */
export const tick = Effect.zipRight(
  Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void))),
  TestClock.adjust("500 millis")
)

/** Ticks that are far more than any test takes: what has not happened by then never will. */
const PATIENCE = 2_000

export const until = (done: () => boolean, left = PATIENCE): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (done()) return Effect.void
    return left === 0 ? Effect.dieMessage("it does not happen") : Effect.zipRight(tick, until(done, left - 1))
  })

/** Runs an effect while time passes. */
export const passing = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    const look = (left: number): Effect.Effect<A, E> =>
      Effect.flatMap(
        Fiber.poll(fiber),
        Option.match({
          onNone: () =>
            left === 0 ? Effect.dieMessage("it does not end") : Effect.zipRight(tick, look(left - 1)),
          onSome: () => Fiber.join(fiber)
        })
      )
    return yield* look(PATIENCE)
  })
