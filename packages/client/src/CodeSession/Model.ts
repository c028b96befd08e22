/** Code sessions as their workers see them. Source: spec 5 §1. */
import { ClientEvent } from "@causeway/protocol/Event"
import type { WorkerStatus } from "@causeway/protocol/http/CodeSessions"
import type { SessionId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type {
  IdInvalid,
  IngressError,
  IngressTokenMissing,
  IngressTokenRejected,
  SessionNotFound,
  WorkerSuperseded
} from "../ClientError.ts"
import type * as Follow from "../internal/Follow.ts"

/** A session and where its calls go. */
export interface Target {
  readonly sessionId: SessionId
  /** `api_base_url` of the work secret; default the configured hub. */
  readonly apiBaseUrl?: string | undefined
}

/** The right to be a session's worker. */
export interface Grant {
  readonly token: Redacted.Redacted
  readonly apiBaseUrl: string
  readonly expiresIn: Duration.Duration
  readonly epoch: number
}

export interface Create {
  readonly title?: string | undefined
  readonly environmentId?: string | undefined
  readonly tags?: ReadonlyArray<string>
  readonly config?: JsonObject
}

export interface Update {
  readonly epoch: number
  readonly status?: WorkerStatus
  readonly connection?: "connected" | "disconnected"
  readonly externalMetadata?: JsonObject
}

/** An event to post. `text` is sent as it is. */
export interface Upload {
  readonly text: string
  readonly ephemeral?: boolean
}

/** An event of the stream; `payloadText` is its payload as it stood on the wire. */
export interface Received extends ClientEvent {
  readonly payloadText: string
}

/** State of a stream's connection. `delayMillis`: the wait before the next attempt. */
export type Connection = Follow.Connection

export interface StreamOptions {
  readonly onConnection?: (connection: Connection) => Effect.Effect<void>
}

export type WorkerError = IngressError | SessionNotFound | WorkerSuperseded

/** Errors that end a stream; everything else is met by connecting again. */
export type StreamError = IngressTokenMissing | IngressTokenRejected | SessionNotFound | IdInvalid

const eventJson = Schema.decodeUnknownEither(Schema.parseJson(ClientEvent))

/** An event frame, or why it is none. */
export const decodeEvent = (data: string): Either.Either<Received, string> =>
  Either.mapBoth(eventJson(data), {
    onLeft: (error) => error.message.split("\n")[0] ?? "does not decode",
    onRight: (event) => ({ ...event, payloadText: RawJson.member(data, "payload") ?? "{}" })
  })
