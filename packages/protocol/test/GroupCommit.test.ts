import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as GroupCommit from "../src/GroupCommit.ts"

/** Items are numbers that weigh themselves; batches are noted. */
const start = (settle: (batch: ReadonlyArray<number>) => Effect.Effect<void> = () => Effect.void) =>
  Effect.gen(function* () {
    const batches: Array<ReadonlyArray<number>> = []
    const settled = yield* Queue.unbounded<void>()
    const rest: Array<number> = []
    const group = yield* GroupCommit.make<number>({
      waitingMax: 5,
      batchMax: 3,
      weightMax: 10,
      weightOf: (item) => item,
      settle: (batch) =>
        settle(batch).pipe(
          Effect.zipRight(Effect.sync(() => void batches.push(batch))),
          Effect.zipRight(Queue.offer(settled, undefined))
        ),
      settleRest: (left) => Effect.sync(() => void rest.push(...left))
    })
    /** Waits until so many more batches are settled. */
    const batchesMore = (count: number) => Queue.takeBetween(settled, count, count)
    return { batches, batchesMore, group, rest }
  })

describe("a group commit", () => {
  it.scopedLive("settles together what waits, in order, within its bounds", () =>
    Effect.gen(function* () {
      const { batches, batchesMore, group } = yield* start()
      expect([1, 1, 1, 1].map(group.offer)).toEqual([true, true, true, true])
      yield* batchesMore(2)
      expect(batches).toEqual([[1, 1, 1], [1]])
      for (const item of [6, 6, 20, 1]) group.offer(item)
      yield* batchesMore(4)
      expect(batches.slice(2)).toEqual([[6], [6], [20], [1]])
    })
  )

  it.scopedLive("turns away what is too much", () =>
    Effect.gen(function* () {
      const { group } = yield* start()
      expect([1, 1, 1, 1, 1, 1].map(group.offer)).toEqual([true, true, true, true, true, false])
      expect(group.size()).toBe(5)
    })
  )

  it.live("hands back what waits when it ends, and finishes the batch that it has begun", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const begun = yield* Deferred.make<void>()
      const { batches, group, rest } = yield* Scope.extend(
        start(() => Effect.zipRight(Deferred.succeed(begun, undefined), Effect.sleep("30 millis"))),
        scope
      )
      group.offer(1)
      yield* Deferred.await(begun)
      group.offer(2)
      yield* Scope.close(scope, Exit.void)
      expect(batches).toEqual([[1]])
      expect(rest).toEqual([2])
      expect(group.offer(3)).toBe(false)
    })
  )
})
