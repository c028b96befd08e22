/** The store's failures as callers see them. */
import * as WireError from "@causeway/protocol/WireError"
import type * as Errors from "@causeway/store/Errors"
import * as Effect from "effect/Effect"

export type StoreError =
  | Errors.SessionUnknown
  | Errors.SessionArchived
  | Errors.EnvironmentUnknown
  | Errors.HeadMoved
  | Errors.WorkerSuperseded
  | Errors.TokenSuperseded
  | Errors.AlreadyAnswered
  | Errors.StoreUnavailable
  | Errors.LogBusy

/** Each store failure as a wire error. What the database is short of is said in its own words. */
export const toWire = (error: StoreError): Effect.Effect<never, WireError.WireError> => {
  switch (error._tag) {
    case "SessionUnknown":
    case "EnvironmentUnknown":
      return WireError.NotFound.of(error.message)
    case "SessionArchived":
      return WireError.Conflict.of(error.message)
    case "HeadMoved":
      return WireError.Conflict.of(error.message, { head: error.head ?? null })
    case "WorkerSuperseded":
      return WireError.Conflict.of(error.message, { worker_epoch: error.current })
    case "TokenSuperseded":
      return WireError.Unauthenticated.of(error.message)
    case "AlreadyAnswered":
      return WireError.Conflict.of(error.message, {
        request_id: error.requestId,
        answered_by: error.answeredBy ?? null
      })
    case "LogBusy":
      return WireError.TooManyRequests.of(error.message)
    case "StoreUnavailable":
      return WireError.Unavailable.of(error.message)
  }
}

const tags: { readonly [T in StoreError["_tag"]]: true } = {
  SessionUnknown: true,
  SessionArchived: true,
  EnvironmentUnknown: true,
  HeadMoved: true,
  WorkerSuperseded: true,
  TokenSuperseded: true,
  AlreadyAnswered: true,
  StoreUnavailable: true,
  LogBusy: true
}

const isStoreError = (error: { readonly _tag: string }): error is StoreError => error._tag in tags

/** What {@link wired} makes of a failure. */
export type Wired<E> = E extends Errors.SessionUnknown | Errors.EnvironmentUnknown
  ? WireError.NotFound
  : E extends Errors.SessionArchived | Errors.HeadMoved | Errors.WorkerSuperseded | Errors.AlreadyAnswered
    ? WireError.Conflict
    : E extends Errors.TokenSuperseded
      ? WireError.Unauthenticated
      : E extends Errors.LogBusy
        ? WireError.TooManyRequests
        : E extends Errors.StoreUnavailable
          ? WireError.Unavailable
          : E

/** Translates the store's failures of an effect; wire errors pass. */
export const wired = <A, E extends WireError.WireError | StoreError, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Wired<E>, R> =>
  Effect.catchAll(
    effect,
    (error: WireError.WireError | StoreError) => (isStoreError(error) ? toWire(error) : Effect.fail(error))
    // `toWire` and `Wired` say the same, one for values and one for types.
  ) as Effect.Effect<A, Wired<E>, R>
