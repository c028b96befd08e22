/** The worker's side of a code session. Source: spec 5 §1. */

import type * as Api from "@causeway/protocol/CodeSessionsApi"
import type { ClientEvent, WorkerDeliveryStatus } from "@causeway/protocol/Event"
import type { EventUuid, SessionId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Stream from "effect/Stream"
import type { AccessError, IngressError, SessionNotFound, WorkerSuperseded } from "./ClientError.ts"

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
  readonly status?: Api.WorkerStatus
  readonly connection?: "connected" | "disconnected"
  readonly externalMetadata?: JsonObject
}

/** An event to post. `text` is sent as it is. */
export interface Upload {
  readonly text: string
  readonly ephemeral?: boolean
}

export interface Delivery {
  readonly eventId: EventUuid
  readonly status: WorkerDeliveryStatus
}

/** An event of the stream; `payloadText` is its payload as it stood on the wire. */
export interface Received extends ClientEvent {
  readonly payloadText: string
}

/** What a stream's connection does. `delayMillis`: the wait before the next attempt. */
export type Connection =
  | { readonly _tag: "Connected" }
  | { readonly _tag: "Disconnected"; readonly error: string; readonly delayMillis: number }

export interface StreamOptions {
  readonly onConnection?: (connection: Connection) => Effect.Effect<void>
}

export type WorkerError = IngressError | SessionNotFound | WorkerSuperseded

/** What ends a stream; everything else is met by connecting again. */
export type StreamError = Exclude<
  WorkerError,
  { readonly _tag: "HubUnreachable" | "InvalidResponse" | "CredentialsUnavailable" | "RequestFailed" }
>

/**
 * `create` and `credentials` go with the access token, the others with the session's ingress token from
 * `Credentials`. Each call but `stream` is one attempt, plus one after a token refresh; retry with `Backoff.uploads`.
 */
export class CodeSession extends Context.Tag("@causeway/client/CodeSession")<
  CodeSession,
  {
    /** The id is in the infrastructure spelling. */
    readonly create: (options: Create) => Effect.Effect<SessionId, AccessError>
    /** Takes the session over under a new epoch, and stores its token in `Credentials`. */
    readonly credentials: (sessionId: SessionId) => Effect.Effect<Grant, AccessError | SessionNotFound>
    /** Bumps the worker's epoch without replacing the token; answers the new epoch. */
    readonly register: (target: Target) => Effect.Effect<number, WorkerError>
    /** A fresh token of the same epoch, stored in `Credentials`. Answers how long it lives. */
    readonly refreshToken: (target: Target) => Effect.Effect<Duration.Duration, WorkerError>
    readonly getWorker: (target: Target) => Effect.Effect<typeof Api.Worker.Type, WorkerError>
    readonly putWorker: (target: Target, update: Update) => Effect.Effect<void, WorkerError>
    /** At most 100 events a call, in order. `resend` marks an upload whose first attempt may have arrived. */
    readonly postEvents: (
      target: Target,
      epoch: number,
      events: ReadonlyArray<Upload>,
      options?: { readonly resend?: boolean }
    ) => Effect.Effect<void, WorkerError>
    readonly postDelivery: (
      target: Target,
      epoch: number,
      updates: ReadonlyArray<Delivery>
    ) => Effect.Effect<void, WorkerError>
    /** Answers when the next one is due: 20 s where the hub does not say, never under 10 s. */
    readonly heartbeat: (target: Target, epoch: number) => Effect.Effect<Duration.Duration, WorkerError>
    /**
     * The client events after sequence number `from` (0: from the start), each once, in order, for ever. Connects
     * again after every loss (`Backoff.stream`); 45 s without a byte is a loss.
     */
    readonly stream: (
      target: Target,
      from: number,
      options?: StreamOptions
    ) => Stream.Stream<Received, StreamError>
  }
>() {}
