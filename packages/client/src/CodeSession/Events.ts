/** A code session's stream of client events. Source: spec 5 §1. */
import * as Api from "@causeway/protocol/http/CodeSessions"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Diagnostics from "../Diagnostics.ts"
import * as Call from "../internal/Call.ts"
import * as Follow from "../internal/Follow.ts"
import * as Request from "../internal/Request.ts"
import * as Calls from "./Calls.ts"
import { decodeEvent, type Received, type StreamError, type StreamOptions, type Target } from "./Model.ts"

export const stream =
  (caller: Request.Caller) =>
  (target: Target, from: number, options: StreamOptions = {}): Stream.Stream<Received, StreamError> =>
    Stream.suspend(() => {
      const { sessionId } = target
      const operation = "CodeSession.stream"
      const { 401: rejected, 404: missing } = Calls.refusals(sessionId)
      // What the reader has been given; a new connection goes on after it.
      let last = from

      return Follow.follow<StreamError, never>({
        operation,
        sessionId,
        connect: (manner) =>
          Effect.flatMap(
            Calls.askOf(caller, target, "stream", Api.workerStream, { query: Follow.place(last, manner) }),
            (ask) =>
              Call.ingressing(caller, sessionId, "401/403", (bearer) =>
                Request.open(caller, ask, last, bearer)
              )
          ),
        refused: (answer): Effect.Effect<void, StreamError> => {
          switch (answer.status) {
            case 401:
            case 403:
              return rejected(answer)
            case 404:
              return missing(answer)
            default:
              return Effect.void
          }
        },
        onConnection: options.onConnection
      }).pipe(
        Stream.filterMapEffect((frame) => {
          if (frame.event !== "client_event") return Option.none()
          const event = decodeEvent(frame.data)
          if (Either.isLeft(event)) {
            return Option.some(
              Effect.as(
                Diagnostics.record("worker_stream_bad_frame", { session_id: sessionId, operation }),
                Option.none<Received>()
              )
            )
          }
          // Redelivered over a new connection.
          if (event.right.sequence_num <= last) return Option.none()
          last = event.right.sequence_num
          return Option.some(Effect.succeedSome(event.right))
        }),
        Stream.filterMap((event) => event)
      )
    })
