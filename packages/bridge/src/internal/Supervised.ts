/**
 * What runs unattended in a bridge, and what becomes of it when a fault of this program ends it: somebody is told (the log,
 * and whoever runs the bridge), and it begins again. Nothing dies silently, and nothing takes another session with it.
 */
import type { SessionId } from "@causeway/protocol/Ids"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { BridgeEvent } from "../BridgeEvent.ts"
import { beginAgain } from "./Schedules.ts"

/** It was ended by a defect, which has been told. */
class Broken extends Data.TaggedError("Broken")<{ readonly message: string }> {}

export interface Options {
  /** What broke, for people: "the polling for work". */
  readonly what: string
  readonly sessionId?: SessionId | undefined
  readonly emit: (event: BridgeEvent) => Effect.Effect<void>
}

const brokenBy =
  ({ emit, sessionId, what }: Options, next: string) =>
  (cause: Cause.Cause<never>): Effect.Effect<never, Broken> => {
    // An end that was asked for is none of ours.
    if (Cause.isInterrupted(cause)) return Effect.failCause(cause)
    const defect = Cause.squash(cause)
    const detail = defect instanceof Error ? defect.message : String(defect)
    const message = `${what} ended because of a bug in Causeway and ${next}; please report it: ${detail}`
    return Effect.logError("ended by a defect", cause).pipe(
      Effect.annotateLogs({ what, ...(sessionId === undefined ? {} : { session: sessionId }) }),
      Effect.zipRight(emit(BridgeEvent.Warning({ message, sessionId }))),
      Effect.zipRight(new Broken({ message }))
    )
  }

/** Runs what must not end before it is interrupted or done; a defect is told, and it begins again. */
export const supervised =
  (options: Options) =>
  <A, R>(effect: Effect.Effect<A, never, R>): Effect.Effect<A, never, R> =>
    effect.pipe(
      Effect.catchAllCause(brokenBy(options, "begins again")),
      Effect.retry(beginAgain),
      // The schedule has no end.
      Effect.orDie
    )

/** Runs what is done once; a defect is told, and `otherwise` follows from it. */
export const contained =
  <B>(options: Options, otherwise: (detail: string) => B) =>
  <A, R>(effect: Effect.Effect<A, never, R>): Effect.Effect<A | B, never, R> =>
    effect.pipe(
      Effect.catchAllCause(brokenBy(options, "was given up")),
      Effect.catchTag("Broken", ({ message }) => Effect.sync(() => otherwise(message)))
    )
