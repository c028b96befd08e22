/** What a bridge's lifecycle is told by: polls, and the stream of the home session. */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import { BridgeEvent } from "../BridgeEvent.ts"
import * as Lifecycle from "../Lifecycle.ts"

export type Failed = Extract<Lifecycle.State, { readonly _tag: "Failed" }>

/** `homeless`: the home session was ended while the bridge runs; there is no stream to wait for. */
interface Seen {
  readonly polls: boolean
  readonly home: boolean
  readonly homeless: boolean
}

export interface Connectivity {
  readonly state: SubscriptionRef.SubscriptionRef<Lifecycle.State>
  /** Connected is: polls come through, and the home session's stream stands. Else `why` is shown. */
  readonly saw: (change: Partial<Seen>, why: string, retryIn?: Duration.Duration) => Effect.Effect<void>
  readonly giveUp: (reason: Lifecycle.FailureReason, detail: string, nextStep: string) => Effect.Effect<void>
  /** Waits until the bridge has given up. */
  readonly failed: Effect.Effect<Failed>
}

export const make = (emit: (event: BridgeEvent) => Effect.Effect<void>): Effect.Effect<Connectivity> =>
  Effect.gen(function* () {
    const lifecycle = yield* Lifecycle.make
    const failed = yield* Deferred.make<Failed>()
    const seen = yield* Ref.make<Seen>({ polls: false, home: false, homeless: false })
    const entered = (state: Lifecycle.State) =>
      Effect.zipRight(
        emit(BridgeEvent.StateChanged({ state })),
        state._tag === "Failed" ? Effect.asVoid(Deferred.succeed(failed, state)) : Effect.void
      )
    const signal = (signal: Lifecycle.Signal) =>
      Effect.flatMap(lifecycle.signal(signal), (states) => Effect.forEach(states, entered, { discard: true }))
    return {
      state: lifecycle.state,
      saw: (change, why, retryIn) =>
        Effect.flatMap(
          Ref.updateAndGet(seen, (now) => ({ ...now, ...change })),
          ({ polls, home, homeless }) =>
            signal(
              polls && (home || homeless)
                ? Lifecycle.Signal.IngressLive()
                : Lifecycle.Signal.Interrupted({ why, retryIn })
            )
        ),
      giveUp: (reason, detail, nextStep) => signal(Lifecycle.Signal.GaveUp({ reason, detail, nextStep })),
      failed: Deferred.await(failed)
    }
  })
