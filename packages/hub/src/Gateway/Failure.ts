/** A refusal that goes to the client as it is. Source: spec 2 §1 (errors). */
import { rowOf } from "@causeway/protocol/ErrorTable"
import type { ErrorCode, ErrorShape } from "@causeway/protocol/Gateway/Frames"
import * as WireError from "@causeway/protocol/WireError"
import type { StoreUnavailable } from "@causeway/store/Errors"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

export class Refused extends Data.TaggedError("GatewayRefused")<{
  readonly code: ErrorCode
  readonly message: string
  readonly details?: unknown
  readonly retryable?: boolean
  readonly retryAfterMs?: number
}> {}

/** Nearly every refusal. */
export const invalid = (message: string, details?: unknown): Refused =>
  new Refused({ code: "INVALID_REQUEST", message, ...(details === undefined ? {} : { details }) })

/** It may work later. */
export const unavailable = (message: string): Refused => new Refused({ code: "UNAVAILABLE", message })

/** HTTP's refusal in the gateway's code; the words stay. */
export const ofWire = (error: WireError.WireError): Refused => {
  const { code } = rowOf(error)
  const retryAfterMs = WireError.retryAfterMillis(error)
  const { details, message } = error.error
  return new Refused({
    code,
    message,
    ...(details === undefined ? {} : { details }),
    ...(retryAfterMs === undefined ? {} : { retryable: true, retryAfterMs })
  })
}

export const answered = <A, R>(
  effect: Effect.Effect<A, WireError.WireError, R>
): Effect.Effect<A, Refused, R> => Effect.mapError(effect, ofWire)

/** The same for methods that name a session. */
export const ofSession = <A, R>(
  effect: Effect.Effect<A, WireError.WireError, R>
): Effect.Effect<A, Refused, R> =>
  Effect.mapError(effect, (error) =>
    error._tag === "NotFound"
      ? new Refused({ code: "SESSION_NOT_FOUND", message: error.message })
      : ofWire(error)
  )

export const toShape = (failure: Refused | StoreUnavailable): ErrorShape => {
  const { code, details, message, retryAfterMs, retryable } =
    failure._tag === "StoreUnavailable" ? ofWire(WireError.Unavailable.of(failure.message)) : failure
  return {
    code,
    message,
    ...(details === undefined ? {} : { details }),
    ...(retryable === undefined ? {} : { retryable }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs })
  }
}
