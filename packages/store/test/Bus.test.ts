import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Bus from "../src/Bus.ts"

const message = (i: number, payload = "{}"): Bus.Ephemeral => ({
  uuid: `m${i}`,
  type: "x",
  createdAt: 0,
  payload
})

describe("the bus", () => {
  it.scoped("keeps a change that came before the taker, and only that it came", () =>
    Effect.gen(function* () {
      const bus = yield* Bus.Bus
      const subscription = yield* bus.subscribe("session:a")
      bus.changed("session:a")
      bus.changed("session:a")
      bus.changed("session:b")
      expect(yield* subscription.take).toEqual({ changed: true, ephemerals: [], lost: 0 })
      const waiting = yield* Effect.fork(subscription.take)
      yield* Effect.yieldNow()
      expect(yield* Fiber.poll(waiting)).toMatchObject({ _tag: "None" })
      bus.ephemeral("a", message(1))
      expect(yield* Fiber.join(waiting)).toMatchObject({ changed: false, ephemerals: [{ uuid: "m1" }] })
    }).pipe(Effect.provide(Bus.layer))
  )

  it.scoped(
    "a slow subscriber loses the oldest ephemeral messages, by number and by size, and nothing else",
    () =>
      Effect.gen(function* () {
        const bus = yield* Bus.Bus
        const subscription = yield* bus.subscribe("session:a")
        bus.changed("session:a")
        for (let i = 0; i < Bus.EPHEMERAL_LIMIT + 10; i++) bus.ephemeral("a", message(i))
        const signal = yield* subscription.take
        expect(signal).toMatchObject({ changed: true, lost: 10 })
        expect(signal.ephemerals.length).toBe(Bus.EPHEMERAL_LIMIT)
        expect(signal.ephemerals.at(-1)?.uuid).toBe(`m${Bus.EPHEMERAL_LIMIT + 9}`)
        const large = "x".repeat(Bus.EPHEMERAL_LIMIT_UNITS / 2 + 1)
        for (let i = 0; i < 3; i++) bus.ephemeral("a", message(i, large))
        expect(yield* subscription.take).toMatchObject({ lost: 2, ephemerals: [{ uuid: "m2" }] })
      }).pipe(Effect.provide(Bus.layer))
  )

  it.effect("forgets a subscriber whose scope has closed", () =>
    Effect.gen(function* () {
      const bus = yield* Bus.Bus
      const subscription = yield* Effect.scoped(bus.subscribe("session:a"))
      bus.changed("session:a")
      const waiting = yield* Effect.fork(subscription.take)
      yield* Effect.yieldNow()
      expect(yield* Fiber.poll(waiting)).toMatchObject({ _tag: "None" })
      yield* Fiber.interrupt(waiting)
    }).pipe(Effect.provide(Bus.layer))
  )
})
