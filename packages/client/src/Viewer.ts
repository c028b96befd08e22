/** The viewer's side of a session: watch and steer. Source: spec 5 §1. */
import { DeliveryUpdate } from "@causeway/protocol/Event"
import * as Api from "@causeway/protocol/http/CodeSessions"
import type { SessionId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ClientConfig } from "./ClientConfig.ts"
import type {
  AccessError,
  AccessTokenMissing,
  IdInvalid,
  OrganizationMissing,
  SessionConflict,
  SessionNotFound,
  Unauthorized
} from "./ClientError.ts"
import { type Connection, decodeEvent, type Received, type StreamOptions } from "./CodeSession.ts"
import type { Credentials } from "./Credentials.ts"
import * as Answer from "./internal/Answer.ts"
import * as Call from "./internal/Call.ts"
import * as Follow from "./internal/Follow.ts"
import * as Request from "./internal/Request.ts"
import type * as Sse from "./internal/Sse.ts"

/** A frame of the stream, as a viewer sees it. `Ephemeral`: partial text and progress, never stored. */
export type Frame =
  | { readonly _tag: "Event"; readonly event: Received }
  | { readonly _tag: "Ephemeral"; readonly eventType: string; readonly payload: JsonObject }
  | { readonly _tag: "Delivery"; readonly update: DeliveryUpdate }
  | { readonly _tag: "CatchUpTruncated" }
  /** A kind of frame that this program does not know. */
  | { readonly _tag: "Unknown"; readonly name: string; readonly data: string }

/** Words for people about a connection; none where it is as it should be. */
export const wordsOf = (connection: Connection): Option.Option<string> =>
  connection._tag === "Disconnected"
    ? Option.some(`connection lost (${connection.error}), trying again`)
    : connection.polling
      ? Option.some(Follow.HELD_BACK)
      : Option.none()

/** Errors that end watching; everything else is met by connecting again. */
export type WatchError = AccessTokenMissing | OrganizationMissing | Unauthorized | IdInvalid | SessionNotFound

export class Viewer extends Context.Tag("@causeway/client/Viewer")<
  Viewer,
  {
    /** Frames after sequence number `from` (0: from the start), for ever; connects again after every loss. */
    readonly watch: (
      sessionId: SessionId,
      from: number,
      options?: StreamOptions
    ) => Stream.Stream<Frame, WatchError>
    /** Appends payloads as a client: messages, control requests and responses. At most 100 a call. */
    readonly send: (
      sessionId: SessionId,
      payloads: ReadonlyArray<JsonObject>
    ) => Effect.Effect<void, AccessError | SessionNotFound | SessionConflict>
  }
>() {}

// --- Frames ---

const Ephemeral = Schema.Struct({
  event_type: Schema.optional(Schema.String),
  payload: Schema.Record({ key: Schema.String, value: Schema.Unknown })
})

const ephemeralJson = Schema.decodeUnknownOption(Schema.parseJson(Ephemeral))
const deliveryJson = Schema.decodeUnknownOption(Schema.parseJson(DeliveryUpdate))

/** A frame of the stream. A known kind that does not decode is shown as it is. */
const decodeFrame = (frame: Sse.Frame): Frame => {
  const unknown: Frame = { _tag: "Unknown", name: frame.event, data: frame.data }
  switch (frame.event) {
    case "client_event": {
      const event = decodeEvent(frame.data)
      if (Either.isRight(event)) return { _tag: "Event", event: event.right }
      // Partial text and progress have no place in the log.
      return Option.match(ephemeralJson(frame.data), {
        onNone: () => unknown,
        onSome: ({ event_type, payload }) => ({
          _tag: "Ephemeral",
          eventType: event_type ?? (typeof payload["type"] === "string" ? payload["type"] : "unknown"),
          payload
        })
      })
    }
    case "delivery_update":
      return Option.match(deliveryJson(frame.data), {
        onNone: () => unknown,
        onSome: (update) => ({ _tag: "Delivery", update })
      })
    case "catch_up_truncated":
      return { _tag: "CatchUpTruncated" }
    default:
      return unknown
  }
}

// --- Service ---

const watch =
  (caller: Request.Caller) =>
  (sessionId: SessionId, from: number, options: StreamOptions = {}): Stream.Stream<Frame, WatchError> =>
    Stream.suspend(() => {
      const operation = "Viewer.watch"
      const meanings = Answer.either<Unauthorized, SessionNotFound>(
        Call.signInRefused,
        Call.missing(sessionId)
      )
      // What the reader has been given; a new connection goes on after it.
      let last = from

      return Follow.follow<WatchError, never>({
        operation,
        sessionId,
        connect: (manner) =>
          Effect.flatMap(Call.checkId("session", sessionId), (id) => {
            const place = Request.to(operation, Api.viewerStream, caller.config.baseUrl, {
              path: { id },
              query: Follow.place(last, manner)
            })
            return Call.accessing(caller, "known", (bearer, headers) =>
              Request.open(caller, place, last, bearer, headers)
            )
          }),
        refused: (answer) => meanings[answer.status]?.(answer) ?? Effect.void,
        onConnection: options.onConnection
      }).pipe(
        Stream.filterMap((raw) => {
          const frame = decodeFrame(raw)
          if (frame._tag === "Event") {
            if (frame.event.sequence_num <= last) return Option.none()
            last = frame.event.sequence_num
          }
          return Option.some(frame)
        })
      )
    })

const send = (caller: Request.Caller) =>
  Effect.fn("Viewer.send")(function* (sessionId: SessionId, payloads: ReadonlyArray<JsonObject>) {
    yield* Effect.annotateCurrentSpan({ "session.id": sessionId, "events.count": payloads.length })
    yield* Call.access(caller, "known", "Viewer.send", Api.sendViewerEvents, {
      path: { id: yield* Call.checkId("session", sessionId) },
      body: { session_id: sessionId, events: payloads.map((payload) => ({ payload })) },
      timeout: "30 seconds",
      meanings: Call.refused(sessionId)
    })
  })

export const make = Effect.map(Request.make, (caller) =>
  Viewer.of({ watch: watch(caller), send: send(caller) })
)

export const layer: Layer.Layer<Viewer, never, HttpClient.HttpClient | Credentials | ClientConfig> =
  Layer.effect(Viewer, make)
