/** A database that does not answer, as a caller sees it: 503, worth retrying. The cause is logged, not sent. */
import * as WireError from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"

export const unavailable = (error: {
  readonly cause: unknown
}): Effect.Effect<never, WireError.Unavailable> =>
  Effect.zipRight(
    Effect.logError("the database did not answer").pipe(Effect.annotateLogs({ cause: error.cause })),
    WireError.Unavailable.of("the hub cannot reach its database: try again")
  )
