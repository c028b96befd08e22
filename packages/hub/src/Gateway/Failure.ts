/** A refusal that goes to the client as it is. Source: spec 2 §1 (errors). */
import type { ErrorCode, ErrorShape } from "@causeway/protocol/Gateway/Frames"
import type { StoreUnavailable } from "@causeway/store/Errors"
import * as Data from "effect/Data"

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

export const toShape = (failure: Refused | StoreUnavailable): ErrorShape =>
  failure._tag === "StoreUnavailable"
    ? { code: "UNAVAILABLE", message: failure.message, retryable: true, retryAfterMs: 1000 }
    : {
        code: failure.code,
        message: failure.message,
        ...(failure.details === undefined ? {} : { details: failure.details }),
        ...(failure.retryable === undefined ? {} : { retryable: failure.retryable }),
        ...(failure.retryAfterMs === undefined ? {} : { retryAfterMs: failure.retryAfterMs })
      }
