/** A journal whose disk is full: the work waits for it, and goes on by itself. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { JournalFailed } from "../src/Journal/Model.ts"
import * as JournalRetry from "../src/JournalRetry.ts"

describe("a journal that fails", () => {
  it.effect("holds back whoever writes, is told of once, and is used within 5 s of working again", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      let full = true
      const insist = JournalRetry.make((message) => Effect.sync(() => void told.push(message)))
      const write = Effect.suspend(() =>
        full
          ? new JournalFailed({ operation: "record", detail: "the disk is full" })
          : Effect.succeed("written")
      )
      const writers = yield* Effect.forkAll([insist(write), insist(write), insist(write)])
      yield* TestClock.adjust("2 minutes")
      expect(told).toEqual(["the journal failed (record): the disk is full"])
      full = false
      yield* TestClock.adjust("5 seconds")
      expect(yield* Fiber.join(writers)).toEqual(["written", "written", "written"])
      full = true
      const again = yield* Effect.fork(insist(write))
      yield* TestClock.adjust("1 second")
      expect(told).toHaveLength(2)
      yield* Fiber.interrupt(again)
    })
  )
})
