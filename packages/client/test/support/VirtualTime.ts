/**
 * A clock that runs as fast as the program lets it: when nothing else is left to do, it leaps to the next time that
 * somebody waits for. For properties over many retries; `TestClock` is for tests that look at the times themselves.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** `wall`: by how much the clock on the wall is wrong each time that somebody looks at it. */
const make = (wall: () => number): Clock.Clock => {
  let now = 0
  const sleepers = new Set<Sleeper>()
  let ticking = false

  const tick = () => {
    ticking = false
    let next: Sleeper | undefined
    for (const sleeper of sleepers) if (next === undefined || sleeper.at < next.at) next = sleeper
    if (next === undefined) return
    now = Math.max(now, next.at)
    sleepers.delete(next)
    next.wake()
    schedule()
  }

  const schedule = () => {
    if (ticking || sleepers.size === 0) return
    ticking = true
    // Two turns of the event loop: what one turn's callbacks started has settled after the next.
    setImmediate(() => setImmediate(tick))
  }

  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => now + wall(),
    unsafeCurrentTimeNanos: () => BigInt(Math.floor(now)) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => now + wall()),
    currentTimeNanos: Effect.sync(() => BigInt(Math.floor(now)) * 1_000_000n),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const sleeper: Sleeper = { at: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
        sleepers.add(sleeper)
        schedule()
        return Effect.sync(() => void sleepers.delete(sleeper))
      })
  }
}

/** Runs an effect in its own virtual time, from 0. */
export const run = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() =>
    Effect.withClock(
      effect,
      make(() => 0)
    )
  )

/** The same, with a clock on the wall that is set forth and back while the program looks at it. */
export const runJumping = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  wall: () => number
): Effect.Effect<A, E, R> => Effect.suspend(() => Effect.withClock(effect, make(wall)))
