/** Wrong credentials, as somebody who tries many of them finds the doors. */
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Attempts from "../src/Attempts.ts"
import * as Config from "../src/Config.ts"
import * as Hub from "../src/Hub.ts"
import * as Gateway from "./Gateway/harness.ts"
import { call, token } from "./harness.ts"

const alone = Attempts.layer.pipe(Layer.provide(Config.layer()))

/** Milliseconds until the refusal may be answered. */
const waits = (who: Attempts.Failed) =>
  Effect.gen(function* () {
    const { failed } = yield* Attempts.Attempts
    const began = yield* Clock.currentTimeMillis
    const waiting = yield* Effect.fork(Effect.zipRight(failed(who), Clock.currentTimeMillis))
    for (let i = 0; i < 40 && Option.isNone(yield* Fiber.poll(waiting)); i++)
      yield* TestClock.adjust("250 millis")
    return (yield* Fiber.join(waiting)) - began
  })

describe("a refusal", () => {
  it.effect(
    "is later with each failure of the address or of the credential, up to 8 s, and forgotten after 5 min",
    () =>
      Effect.gen(function* () {
        for (let i = 0; i < 10; i++) expect(yield* waits({ address: "a", credential: `guess ${i}` })).toBe(0)
        const later: Array<number> = []
        for (let i = 0; i < 8; i++) later.push(yield* waits({ address: "a", credential: `later ${i}` }))
        expect(later).toEqual([250, 500, 1000, 2000, 4000, 8000, 8000, 8000])
        // Somebody else elsewhere is answered at once; the same credential from many addresses is not.
        expect(yield* waits({ address: "b", credential: "typo" })).toBe(0)
        for (let i = 0; i < 9; i++) yield* waits({ address: `c${i}`, credential: "typo" })
        expect(yield* waits({ address: "d", credential: "typo" })).toBe(250)
        yield* TestClock.adjust("5 minutes")
        expect(yield* waits({ address: "a", credential: "guess" })).toBe(0)
      }).pipe(Effect.provide(alone))
  )

  it.effect("is not waited for beside 32 others of its address", () =>
    Effect.gen(function* () {
      const { failed } = yield* Attempts.Attempts
      const one = (i: number) => failed({ address: "a", credential: `guess ${i}` })
      yield* Effect.forEach(
        Array.from({ length: 10 }, (_, i) => i),
        one
      )
      const waiting = yield* Effect.forEach(
        Array.from({ length: Attempts.WAITING_MAX }, (_, i) => i + 10),
        (i) => Effect.fork(one(i))
      )
      yield* TestClock.adjust("1 millis")
      const full = yield* Effect.either(one(99))
      expect(Either.isLeft(full) && full.left.error.message).toMatch(/^too many failed sign-ins/)
      // Those that leave give their places back.
      yield* Fiber.interruptAll(waiting)
      const next = yield* Effect.fork(one(100))
      yield* TestClock.adjust("8 seconds")
      yield* Fiber.join(next)
    }).pipe(Effect.provide(alone))
  )
})

describe("over real sockets", () => {
  const whileClockRuns = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.raceFirst(effect, Effect.forever(TestClock.adjust("250 millis")))

  const hub = Layer.fresh(Hub.layer({ filename: ":memory:" }))

  it.scoped("HTTP and the gateway count together, and a right token is let in meanwhile", () =>
    Effect.gen(function* () {
      const path = "/v1/access_tokens"
      const wrong = (i: number, at = path) => call({ method: "GET", path: at, token: `cw_wrong_${i}` })
      // One that is hot, one of HttpApi, and none at all, which is no guess.
      for (let i = 0; i < 10; i++) {
        const at = i % 2 === 0 ? path : "/v1/code/sessions/session_x/events/stream"
        expect((yield* wrong(i, at)).status).toBe(401)
      }
      for (let i = 0; i < 20; i++) expect((yield* call({ method: "GET", path })).status).toBe(401)

      const at = yield* Gateway.target
      const guess = yield* Gateway.open({ ...at, token: "cw_wrong_11" })
      const signedAt = yield* Clock.currentTimeMillis
      const refusal = yield* Effect.fork(
        Effect.promise(() => guess.connect({}, new Gateway.Device(), { signedAt }))
      )
      const access = yield* token
      const right = yield* Gateway.open(at)
      expect((yield* Effect.promise(() => right.connect({}, new Gateway.Device(), { signedAt })))["ok"]).toBe(
        true
      )
      expect((yield* call({ method: "GET", path, token: access })).status).toBe(200)
      expect(yield* Fiber.poll(refusal)).toEqual(Option.none())
      expect((yield* whileClockRuns(Fiber.join(refusal)))["error"].details.code).toBe("AUTH_TOKEN_MISMATCH")

      const late = yield* Effect.fork(wrong(12))
      expect((yield* call({ method: "GET", path, token: access })).status).toBe(200)
      expect(yield* Fiber.poll(late)).toEqual(Option.none())
      expect((yield* whileClockRuns(Fiber.join(late))).status).toBe(401)
    }).pipe(Effect.provide(hub))
  )
})
