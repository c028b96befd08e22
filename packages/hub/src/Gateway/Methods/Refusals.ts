/** HTTP's refusals as the gateway's. */
import { anySessionBody, type OrganizationId } from "@causeway/protocol/Ids"
import type * as WireError from "@causeway/protocol/WireError"
import type { SessionKey } from "@causeway/store/Log"
import * as Effect from "effect/Effect"
import { Refused } from "../Failure.ts"

/** HTTP's refusals in the gateway's codes; the words stay. */
const refused = (error: WireError.WireError): Refused => {
  const { details, message } = error.error
  const given = { message, ...(details === undefined ? {} : { details }) }
  switch (error._tag) {
    case "Conflict":
      return new Refused({ code: "CONFLICT", ...given })
    case "TooManyRequests":
    case "Unavailable":
      return new Refused({ code: "UNAVAILABLE", ...given, retryable: true, retryAfterMs: 1000 })
    default:
      return new Refused({ code: "INVALID_REQUEST", ...given })
  }
}

export const answered = <A, R>(
  effect: Effect.Effect<A, WireError.WireError, R>
): Effect.Effect<A, Refused, R> => Effect.mapError(effect, refused)

/** The same for methods that name a session. */
export const ofSession = <A, R>(
  effect: Effect.Effect<A, WireError.WireError, R>
): Effect.Effect<A, Refused, R> =>
  Effect.mapError(effect, (error) =>
    error._tag === "NotFound"
      ? new Refused({ code: "SESSION_NOT_FOUND", message: error.message })
      : refused(error)
  )

/** Any spelling: `session_…`, `cse_…`, a uuid with or without dashes. */
export const keyOf = (organizationId: OrganizationId, sessionId: string): SessionKey => ({
  organizationId,
  session: anySessionBody(sessionId)
})
