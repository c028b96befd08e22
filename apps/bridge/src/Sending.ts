/** How commands send what a person said, and watch what becomes of it. */
import * as Backoff from "@causeway/client/Backoff"
import * as ClientError from "@causeway/client/ClientError"
import * as Sessions from "@causeway/client/Sessions"
import * as Viewer from "@causeway/client/Viewer"
import type { SessionId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Failure } from "./Failure.ts"
import { Output } from "./Output.ts"

/** The client's backoff for uploads, for one minute: a person waits for this. */
export const sending = Backoff.uploads.pipe(Schedule.upTo("1 minute"))

/** Sends a payload again, under its uuid, until the hub has answered. */
export const post = (sessionId: SessionId, payload: JsonObject & { readonly uuid: string }) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.Sessions
    const output = yield* Output
    const sent = yield* sessions.sendEvents(sessionId, [payload]).pipe(
      Effect.tapError((error) =>
        ClientError.isTransient(error) ? output.progress(`not accepted yet: ${error.message}`) : Effect.void
      ),
      Effect.retry({ schedule: sending, while: ClientError.isTransient })
    )
    const event = sent.events[0]
    if (event === undefined) {
      return yield* Failure.failed("the hub did not confirm the message; send it again")
    }
    return { sequenceNum: event.sequence_num, waitingFor: sent.waiting_for ?? undefined }
  })

/** What comes after a number of a session's log; a person is told where the connection is not as it should be. */
export const watch = (sessionId: SessionId, from: number) =>
  Stream.unwrap(
    Effect.map(Effect.all([Viewer.Viewer, Output]), ([viewer, output]) =>
      viewer.watch(sessionId, from, {
        onConnection: (connection) =>
          Option.match(Viewer.wordsOf(connection), { onNone: () => Effect.void, onSome: output.progress })
      })
    )
  )
