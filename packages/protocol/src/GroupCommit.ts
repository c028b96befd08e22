/** Group commit: what waits at the same moment is settled together, by one fiber. For Node alone. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface Options<A> {
  /** Most that wait; beyond, an offer is turned away. Default: no bound, like those below. */
  readonly waitingMax?: number
  /** Most in one batch. */
  readonly batchMax?: number
  /** Most weight of one batch; a single heavier one goes alone. */
  readonly weightMax?: number
  readonly weightOf?: (item: A) => number
  /** Settles a batch; never interrupted. */
  readonly settle: (batch: ReadonlyArray<A>) => Effect.Effect<void>
  /** Settles what waits when the scope closes. */
  readonly settleRest: (rest: ReadonlyArray<A>) => Effect.Effect<void>
}

export interface GroupCommit<A> {
  /** False where too many wait, and once the scope has closed. */
  readonly offer: (item: A) => boolean
  readonly size: () => number
}

export const make = <A>(options: Options<A>): Effect.Effect<GroupCommit<A>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { batchMax = Infinity, waitingMax = Infinity, weightMax = Infinity, weightOf = () => 0 } = options
    let waiting: Array<A> = []
    let wake: (() => void) | undefined
    let isOpen = true

    const take = (): ReadonlyArray<A> => {
      let weight = 0
      let count = 0
      for (const item of waiting) {
        weight += weightOf(item)
        if (count > 0 && (count >= batchMax || weight > weightMax)) break
        count++
      }
      return waiting.splice(0, count)
    }

    /**
     * Waits for an item and then for one turn of the event loop, in which those of other connections come in: fibers alone
     * run in microtasks, between two socket callbacks, and would find a batch of one every time.
     */
    const nextBatch = Effect.async<ReadonlyArray<A>>((resume) => {
      let turn: NodeJS.Immediate | undefined
      const collect = () => {
        turn = setImmediate(() => resume(Effect.sync(take)))
      }
      if (waiting.length > 0) collect()
      else wake = collect
      return Effect.sync(() => {
        wake = undefined
        clearImmediate(turn)
      })
    })

    yield* Effect.forkScoped(
      Effect.forever(
        Effect.uninterruptibleMask((restore) => Effect.flatMap(restore(nextBatch), options.settle))
      ).pipe(Effect.withTracerEnabled(false))
    )
    // Closed before the fiber is interrupted: finalizers run in reverse order.
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isOpen = false
        const rest = waiting
        waiting = []
        return rest.length === 0 ? Effect.void : options.settleRest(rest)
      })
    )

    return {
      offer: (item) => {
        if (!isOpen || waiting.length >= waitingMax) return false
        waiting.push(item)
        const waker = wake
        wake = undefined
        waker?.()
        return true
      },
      size: () => waiting.length
    }
  })
