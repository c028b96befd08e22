/** The store's failures as callers see them. */
import * as WireError from "@causeway/protocol/WireError"
import type * as Environments from "@causeway/store/Environments"
import type * as Errors from "@causeway/store/Errors"
import type * as Tokens from "@causeway/store/Tokens"
import type * as Work from "@causeway/store/Work"
import * as Effect from "effect/Effect"

export type StoreError =
  | Errors.AlreadyAnswered
  | Errors.CursorInvalid
  | Errors.EnvironmentArchived
  | Errors.EnvironmentUnknown
  | Errors.HeadMoved
  | Errors.LogBusy
  | Errors.SessionArchived
  | Errors.SessionUnknown
  | Errors.StoreUnavailable
  | Errors.TokenSuperseded
  | Errors.WorkerSuperseded
  | Environments.SecretRefused
  | Tokens.TokenRefused
  | Tokens.TokenUnknown
  | Work.LeaseMoved
  | Work.SessionElsewhere
  | Work.WorkRefused
  | Work.WorkUnknown

interface Said {
  readonly message: string
}

const conflict = ({ message }: Said) => WireError.Conflict.of(message)
const notFound = ({ message }: Said) => WireError.NotFound.of(message)
const unauthenticated = ({ message }: Said) => WireError.Unauthenticated.of(message)

/** From the store's tags to errors of the wire. The one place that says so. */
const table = {
  AlreadyAnswered: ({ answeredBy, message, requestId }: Errors.AlreadyAnswered) =>
    WireError.Conflict.of(message, { request_id: requestId, answered_by: answeredBy ?? null }),
  CursorInvalid: ({ message }: Said) => WireError.BadRequest.of(message),
  EnvironmentArchived: ({ message }: Said) => WireError.Gone.of(message),
  EnvironmentUnknown: notFound,
  HeadMoved: ({ head, message }: Errors.HeadMoved) => WireError.Conflict.of(message, { head: head ?? null }),
  LeaseMoved: ({ lastHeartbeat, message, state, ttlSeconds }: Work.LeaseMoved) =>
    WireError.PreconditionFailed.of(message, {
      error_code: "heartbeat_precondition_failed",
      current_state: {
        last_heartbeat: lastHeartbeat ?? null,
        lease_extended: false,
        state,
        ttl_seconds: ttlSeconds
      }
    }),
  LogBusy: ({ message }: Said) => WireError.TooManyRequests.of(message),
  SecretRefused: unauthenticated,
  SessionArchived: conflict,
  SessionElsewhere: conflict,
  SessionUnknown: notFound,
  // What the database is short of is said in its own words.
  StoreUnavailable: ({ message }: Said) => WireError.Unavailable.of(message),
  TokenRefused: ({ message, reason }: Tokens.TokenRefused) =>
    WireError.Unauthenticated.of(message, { reason }),
  TokenSuperseded: unauthenticated,
  TokenUnknown: notFound,
  WorkRefused: ({ message, state }: Work.WorkRefused) =>
    WireError.Conflict.of(message, { current_state: { state } }),
  WorkUnknown: notFound,
  WorkerSuperseded: ({ current, message }: Errors.WorkerSuperseded) =>
    WireError.Conflict.of(message, { worker_epoch: current })
} satisfies {
  readonly [T in StoreError["_tag"]]: (error: Extract<StoreError, { _tag: T }>) => WireError.WireError
}

type Mapped<E> = E extends { readonly _tag: infer Tag extends keyof typeof table }
  ? ReturnType<(typeof table)[Tag]>
  : E

const isStoreError = (error: { readonly _tag: string }): error is StoreError => error._tag in table

/** Translates the store's failures of an effect; wire errors pass. */
export const mapStoreErrors = <A, E extends WireError.WireError | StoreError, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Mapped<E>, R> =>
  Effect.mapError(
    effect,
    (error: WireError.WireError | StoreError) =>
      // The table says for values what `Mapped` says for types.
      (isStoreError(error)
        ? (table[error._tag] as (error: StoreError) => unknown)(error)
        : error) as Mapped<E>
  )
