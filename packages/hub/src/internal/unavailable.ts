/** A database that cannot be used, as a caller sees it: 503, worth retrying, with the words that name its file. */
import * as WireError from "@causeway/protocol/WireError"
import { DatabaseHealth } from "@causeway/store/DatabaseHealth"
import * as Effect from "effect/Effect"

/** `detail`: the store's words, where it has put the failure into some. */
export const unavailable = (error: {
  readonly cause: unknown
  readonly detail?: string
}): Effect.Effect<never, WireError.Unavailable> =>
  Effect.flatMap(
    error.detail === undefined
      ? Effect.flatMap(DatabaseHealth, (health) => health.failed(error.cause))
      : Effect.succeed(error.detail),
    (detail) => WireError.Unavailable.of(detail)
  )
