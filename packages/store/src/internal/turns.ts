/** Turns at something that one has at a time: first come, first served. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface Turns {
  /** Waits for the turn and holds it until the scope closes. */
  readonly hold: Effect.Effect<void, never, Scope.Scope>
  /** Calls `body` in a turn of its own: at once where nobody holds one. What it answers is run after the turn. */
  readonly use: <A, E>(body: () => Effect.Effect<A, E>) => Effect.Effect<A, E>
}

export const make = (): Turns => {
  let held = false
  /** Each has its turn when it is called, and holds it on where it says so. */
  const waiting: Array<() => void> = []

  const wait = (begin: () => void) => {
    waiting.push(begin)
    return () => {
      const at = waiting.indexOf(begin)
      if (at !== -1) waiting.splice(at, 1)
    }
  }
  const release = () => {
    held = false
    for (let next = waiting.shift(); next !== undefined; next = held ? undefined : waiting.shift()) next()
  }

  const turn = Effect.async<void>((resume) => {
    let granted = false
    const leave = wait(() => {
      granted = true
      held = true
      resume(Effect.void)
    })
    // Interrupted between its turn and the news of it, a fiber would hold it for ever.
    return Effect.sync(() => (granted ? release() : leave()))
  })
  const released = Effect.addFinalizer(() => Effect.sync(release))

  return {
    hold: Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (held) return Effect.zipRight(restore(turn), released)
        held = true
        return released
      })
    ),
    use: (body) =>
      Effect.suspend(() => {
        if (!held) return body()
        return Effect.async((resume) => {
          const leave = wait(() => resume(body()))
          return Effect.sync(leave)
        })
      })
  }
}
