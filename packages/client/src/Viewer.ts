/** The viewer's side of a session: watch and steer. Source: spec 5 §1. */
import { DeliveryUpdate } from "@causeway/protocol/Event"
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
import {
  type AccessError,
  type AccessTokenMissing,
  type IdInvalid,
  type OrganizationMissing,
  SessionConflict,
  SessionNotFound,
  Unauthorized
} from "./ClientError.ts"
import { type Connection, decodeEvent, type Received, type StreamOptions } from "./CodeSession.ts"
import type { Credentials } from "./Credentials.ts"
import * as Call from "./internal/Call.ts"
import * as Follow from "./internal/Follow.ts"
import * as Sse from "./internal/Sse.ts"

/** What a viewer sees. `Ephemeral`: partial text and progress, never stored. */
export type Frame =
  | { readonly _tag: "Event"; readonly event: Received }
  | { readonly _tag: "Ephemeral"; readonly eventType: string; readonly payload: JsonObject }
  | { readonly _tag: "Delivery"; readonly update: DeliveryUpdate }
  | { readonly _tag: "CatchUpTruncated" }
  /** A kind of frame that this program does not know. */
  | { readonly _tag: "Unknown"; readonly name: string; readonly data: string }

/** What a person is told of a connection; nothing where it is as it should be. */
export const wordsOf = (connection: Connection): Option.Option<string> =>
  connection._tag === "Disconnected"
    ? Option.some(`connection lost (${connection.error}), trying again`)
    : connection.polling
      ? Option.some(Follow.HELD_BACK)
      : Option.none()

/** What ends watching; everything else is met by connecting again. */
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

export const make = Effect.gen(function* () {
  const call = yield* Call.make
  const open = Sse.open(call)

  const root = (sessionId: SessionId) =>
    Effect.map(
      Call.checkId("session", sessionId),
      (id) => `${call.config.baseUrl}/v1/code/sessions/${id}/events`
    )

  const watch = (
    sessionId: SessionId,
    from: number,
    options: StreamOptions = {}
  ): Stream.Stream<Frame, WatchError> =>
    Stream.suspend(() => {
      const operation = "Viewer.watch"
      // What the reader has been given; a new connection goes on after it.
      let last = from

      const connect = Effect.fnUntraced(function* (manner: Follow.Manner) {
        const url = `${yield* root(sessionId)}/stream`
        return yield* call.accessing("known", (bearer, headers) =>
          open(
            {
              operation,
              url: `${url}${Call.query(Follow.place(last, manner))}`,
              ...(last === 0 ? {} : { headers: { "last-event-id": String(last) } })
            },
            bearer,
            headers
          )
        )
      })

      return Follow.follow<WatchError, never>({
        operation,
        sessionId,
        connect,
        refused: (answer) => {
          if (answer.status === 401 || answer.status === 403) {
            return new Unauthorized({ operation, status: answer.status, ...Call.detailOf(answer) })
          }
          return answer.status === 404
            ? new SessionNotFound({ sessionId, ...Call.detailOf(answer) })
            : Effect.void
        },
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

  const send = Effect.fn("Viewer.send")(function* (
    sessionId: SessionId,
    payloads: ReadonlyArray<JsonObject>
  ) {
    yield* Effect.annotateCurrentSpan({ "session.id": sessionId, "events.count": payloads.length })
    const answer = yield* call.access(
      {
        operation: "Viewer.send",
        method: "POST",
        url: yield* root(sessionId),
        timeout: "30 seconds",
        body: JSON.stringify({ session_id: sessionId, events: payloads.map((payload) => ({ payload })) })
      },
      "known"
    )
    if (answer.status === 404) return yield* new SessionNotFound({ sessionId, ...Call.detailOf(answer) })
    if (answer.status === 409) {
      return yield* new SessionConflict({
        sessionId,
        operation: answer.operation,
        ...Call.detailOf(answer)
      })
    }
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
  })

  return Viewer.of({ watch, send })
})

export const layer: Layer.Layer<Viewer, never, HttpClient.HttpClient | Credentials | ClientConfig> =
  Layer.effect(Viewer, make)
