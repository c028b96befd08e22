/** Time that has passed, whatever becomes of the clock on the wall: for bounds and for how long something held. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Milliseconds since some moment that stays the same while this process lives. */
export const millis: Effect.Effect<number> = Effect.map(Clock.currentTimeNanos, (nanos) =>
  Number(nanos / 1_000_000n)
)
