/**
 * The states of a bridge and the only moves between them. Source: spec 1 §6.
 *
 *     ready → connected           ingress is live
 *     connected → reconnecting    transport dropped, poll failing, environment gone
 *     reconnecting → connected    attached again to the same session
 *     ready | reconnecting → failed
 *
 * The rules are pure; {@link make} adds the cell that others watch. A signal that no move answers changes nothing, so
 * that no order of events can lead to an illegal state.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"

/** Why a bridge gave up. The session and the pointer stay in every case. */
export type FailureReason =
  /** The hub could not be reached for as long as the poll schedule allows (15 minutes). */
  | "gave_up"
  /** The hub refused the credentials after one refresh. */
  | "credentials_rejected"
  /** The hub answered something that this program cannot work with. */
  | "protocol"

/** Where a bridge stands. */
export type State = Data.TaggedEnum<{
  /** Registered, and a session is known; nothing is attached yet. */
  Ready: Record<never, never>
  /** The home session's ingress is live. */
  Connected: Record<never, never>
  /** Something is in the way; the session is kept. `retryIn` where the next attempt is scheduled. */
  Reconnecting: { readonly why: string; readonly retryIn: Duration.Duration | undefined }
  /** Given up. Terminal. `nextStep` tells a person what to do. */
  Failed: { readonly reason: FailureReason; readonly detail: string; readonly nextStep: string }
}>
export const State = Data.taggedEnum<State>()

/** What happens to a bridge. */
export type Signal = Data.TaggedEnum<{
  IngressLive: Record<never, never>
  Interrupted: { readonly why: string; readonly retryIn: Duration.Duration | undefined }
  GaveUp: { readonly reason: FailureReason; readonly detail: string; readonly nextStep: string }
}>
export const Signal = Data.taggedEnum<Signal>()

const moves: { readonly [From in State["_tag"]]: ReadonlyArray<State["_tag"]> } = {
  Ready: ["Connected", "Failed"],
  Connected: ["Reconnecting"],
  Reconnecting: ["Connected", "Failed"],
  Failed: []
}

/** Whether a bridge may go from one state to another. Staying is no move. */
export const isLegal = (from: State["_tag"], to: State["_tag"]): boolean => moves[from].includes(to)

/**
 * The states entered one after another because of a signal; empty where nothing changes. A give-up while connected
 * passes through `Reconnecting`: there is no other way to `Failed`. News about an interruption that lasts (another
 * cause, another delay) replaces the details of `Reconnecting` and is no move.
 */
export const advance = (state: State, signal: Signal): ReadonlyArray<State> =>
  Signal.$match(signal, {
    IngressLive: () => (state._tag === "Ready" || state._tag === "Reconnecting" ? [State.Connected()] : []),
    Interrupted: ({ why, retryIn }) =>
      state._tag === "Connected" || state._tag === "Reconnecting"
        ? [State.Reconnecting({ why, retryIn })]
        : [],
    GaveUp: ({ reason, detail, nextStep }) => {
      const failed = State.Failed({ reason, detail, nextStep })
      if (state._tag === "Failed") return []
      return state._tag === "Connected"
        ? [State.Reconnecting({ why: detail, retryIn: undefined }), failed]
        : [failed]
    }
  })

/** One line for people. */
export const describe = (state: State): string =>
  State.$match(state, {
    Ready: () => "ready",
    Connected: () => "connected",
    Reconnecting: ({ why, retryIn }) =>
      retryIn === undefined
        ? `reconnecting (${why})`
        : `reconnecting in ${Math.ceil(Duration.toSeconds(retryIn))} s (${why})`,
    Failed: ({ detail, nextStep }) => `failed: ${detail}; ${nextStep}`
  })

/** A lifecycle that others watch. */
export interface Lifecycle {
  readonly state: SubscriptionRef.SubscriptionRef<State>
  /** Applies a signal; every state entered is published and answered, in order. */
  readonly signal: (signal: Signal) => Effect.Effect<ReadonlyArray<State>>
  /** The state now and every state entered after. */
  readonly changes: Stream.Stream<State>
  /** Waits for the first state that `test` accepts. */
  readonly until: (test: (state: State) => boolean) => Effect.Effect<State>
}

export const make: Effect.Effect<Lifecycle> = Effect.gen(function* () {
  const state = yield* SubscriptionRef.make<State>(State.Ready())
  const one = yield* Effect.makeSemaphore(1)
  const signal = (signal: Signal) =>
    Effect.flatMap(SubscriptionRef.get(state), (now) =>
      Effect.forEach(advance(now, signal), (next) => Effect.as(SubscriptionRef.set(state, next), next))
    ).pipe(one.withPermits(1))
  const until = (test: (state: State) => boolean) =>
    state.changes.pipe(
      Stream.filter(test),
      Stream.runHead,
      Effect.flatMap((found) => (found._tag === "Some" ? Effect.succeed(found.value) : Effect.never))
    )
  return { state, signal, changes: state.changes, until }
})
