/** One run of an effect a key at a time, shared by all who ask for it meanwhile. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"

/**
 * The run belongs to the scope, not to whoever asked first: an interrupted caller leaves, the others still get its
 * result. Closing the scope interrupts it.
 */
export const make = <A, E>(): Effect.Effect<
  (key: string, effect: Effect.Effect<A, E>) => Effect.Effect<A, E>,
  never,
  Scope.Scope
> =>
  Effect.map(Effect.scope, (scope) => {
    const running = new Map<string, Deferred.Deferred<A, E>>()
    return (key, effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          const current = running.get(key)
          if (current !== undefined) return restore(Deferred.await(current))
          const result = Deferred.unsafeMake<A, E>(FiberId.none)
          running.set(key, result)
          return effect.pipe(
            Effect.interruptible,
            Effect.onExit((exit) =>
              Effect.zipRight(
                Effect.sync(() => running.delete(key)),
                Deferred.done(result, exit)
              )
            ),
            Effect.forkIn(scope),
            Effect.zipRight(restore(Deferred.await(result)))
          )
        })
      )
  })
