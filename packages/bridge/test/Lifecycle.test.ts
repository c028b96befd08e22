import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Lifecycle from "../src/Lifecycle.ts"

const { Signal, State } = Lifecycle

const signals = FastCheck.oneof(
  FastCheck.constant(Signal.IngressLive()),
  FastCheck.record({ why: FastCheck.string(), seconds: FastCheck.option(FastCheck.nat(60)) }).map(
    ({ why, seconds }) =>
      Signal.Interrupted({ why, retryIn: seconds === null ? undefined : Duration.seconds(seconds) })
  ),
  FastCheck.constantFrom("gave_up", "credentials_rejected", "protocol").map((reason) =>
    Signal.GaveUp({
      reason: reason as Lifecycle.FailureReason,
      detail: "no answer",
      nextStep: "start again"
    })
  )
)

describe("Lifecycle", () => {
  it.prop(
    "no order of signals makes an illegal move, and failed is left by none",
    [FastCheck.array(signals, { maxLength: 60 })],
    ([order]) => {
      let state: Lifecycle.State = State.Ready()
      for (const signal of order) {
        for (const next of Lifecycle.advance(state, signal)) {
          expect(state._tag).not.toBe("Failed")
          if (next._tag !== state._tag) expect(Lifecycle.isLegal(state._tag, next._tag)).toBe(true)
          else expect(next._tag).toBe("Reconnecting")
          state = next
        }
      }
    }
  )

  it.prop(
    "a give-up ends in failed from every state but failed itself",
    [FastCheck.array(signals, { maxLength: 30 })],
    ([order]) => {
      let state: Lifecycle.State = State.Ready()
      for (const signal of [...order, Signal.GaveUp({ reason: "gave_up", detail: "x", nextStep: "y" })])
        state = Lifecycle.advance(state, signal).at(-1) ?? state
      expect(state._tag).toBe("Failed")
    }
  )

  it("the legal moves are those of the specification and no others", () => {
    const tags = ["Ready", "Connected", "Reconnecting", "Failed"] as const
    const legal = tags.flatMap((from) =>
      tags.filter((to) => Lifecycle.isLegal(from, to)).map((to) => `${from}→${to}`)
    )
    expect(legal).toEqual([
      "Ready→Connected",
      "Ready→Failed",
      "Connected→Reconnecting",
      "Reconnecting→Connected",
      "Reconnecting→Failed"
    ])
  })

  it.effect("every state entered is published, also the one that is passed through", () =>
    Effect.gen(function* () {
      const lifecycle = yield* Lifecycle.make
      const watching = yield* Deferred.make<void>()
      const seen = yield* lifecycle.changes.pipe(
        Stream.tap(() => Deferred.succeed(watching, undefined)),
        Stream.takeUntil((state) => state._tag === "Failed"),
        Stream.map((state) => state._tag),
        Stream.runCollect,
        Effect.fork
      )
      yield* Deferred.await(watching)
      yield* lifecycle.signal(Signal.IngressLive())
      yield* lifecycle.signal(Signal.GaveUp({ reason: "gave_up", detail: "no hub", nextStep: "start again" }))
      expect(Chunk.toReadonlyArray(yield* Fiber.join(seen))).toEqual([
        "Ready",
        "Connected",
        "Reconnecting",
        "Failed"
      ])
      expect(Lifecycle.describe(yield* SubscriptionRef.get(lifecycle.state))).toBe(
        "failed: no hub; start again"
      )
    })
  )

  it("describes what a person waits for", () => {
    expect(
      Lifecycle.describe(State.Reconnecting({ why: "poll failing", retryIn: Duration.millis(3400) }))
    ).toBe("reconnecting in 4 s (poll failing)")
  })
})
