/**
 * What stands for an error on each wire: the one table from its tag to HTTP's status and to the gateway's code.
 *
 * It needs nothing but itself, so that the page can take it along. Source: spec 1 §1, spec 2 §1, spec 5 §1 to §3.
 */
import type { ErrorCode } from "./Gateway/Frames.ts"

export interface ErrorRow {
  readonly status: number
  /** `error.type` of the body, for foreign programs. */
  readonly type: string
  /** Code of the same refusal on the gateway. */
  readonly code: ErrorCode
  /** Wait before the same call is worth another try; absent where it is not. */
  readonly retryAfterMillis?: number
}

const invalid = { type: "invalid_request_error", code: "INVALID_REQUEST" } as const
const later = { code: "UNAVAILABLE", retryAfterMillis: 1000 } as const

export const errorTable = {
  BadRequest: { status: 400, ...invalid },
  Unauthenticated: { status: 401, type: "authentication_error", code: "INVALID_REQUEST" },
  Forbidden: { status: 403, type: "permission_error", code: "INVALID_REQUEST" },
  NotFound: { status: 404, type: "not_found_error", code: "INVALID_REQUEST" },
  MethodNotAllowed: { status: 405, ...invalid },
  RequestTimeout: { status: 408, ...invalid },
  Conflict: { status: 409, type: "conflict_error", code: "CONFLICT" },
  Gone: { status: 410, type: "gone_error", code: "INVALID_REQUEST" },
  PreconditionFailed: { status: 412, type: "precondition_failed_error", code: "INVALID_REQUEST" },
  PayloadTooLarge: { status: 413, type: "request_too_large", code: "INVALID_REQUEST" },
  MisdirectedRequest: { status: 421, ...invalid },
  TooManyRequests: { status: 429, type: "rate_limit_error", ...later },
  HeadersTooLarge: { status: 431, ...invalid },
  InternalError: { status: 500, type: "api_error", code: "UNAVAILABLE" },
  Unavailable: { status: 503, type: "overloaded_error", ...later }
} as const satisfies { readonly [tag: string]: ErrorRow }

export type ErrorTag = keyof typeof errorTable

/** The row of an error of the wire. */
export const rowOf = ({ _tag }: { readonly _tag: ErrorTag }): ErrorRow => errorTable[_tag]

/**
 * The same call may succeed later without anybody doing anything. `refusal` is HTTP's status (408, 425, 429 and 5xx, whoever
 * answered) or the gateway's code; `UNREACHABLE` is what a caller says of a hub that did not answer.
 */
export const isTransient = (refusal: number | string): boolean =>
  typeof refusal === "number"
    ? refusal === 408 || refusal === 425 || refusal === 429 || refusal >= 500
    : refusal === "UNREACHABLE" || refusal === "UNAVAILABLE" || refusal === "AGENT_TIMEOUT"
