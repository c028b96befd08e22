/** The worker's side of a code session. Source: spec 5 §1. */

import type * as Delivery from "@causeway/protocol/Delivery"
import { ClientEvent } from "@causeway/protocol/Event"
import * as Api from "@causeway/protocol/http/CodeSessions"
import { type SessionId, toInfra } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ClientConfig } from "./ClientConfig.ts"
import {
  type AccessError,
  type HubUnreachable,
  type IdInvalid,
  type IngressError,
  type IngressTokenMissing,
  IngressTokenRejected,
  SessionNotFound,
  WorkerSuperseded
} from "./ClientError.ts"
import type { Credentials } from "./Credentials.ts"
import * as Diagnostics from "./Diagnostics.ts"
import * as Call from "./internal/Call.ts"
import * as Follow from "./internal/Follow.ts"
import * as Sse from "./internal/Sse.ts"

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

/** An event of the stream; `payloadText` is its payload as it stood on the wire. */
export interface Received extends ClientEvent {
  readonly payloadText: string
}

/** What a stream's connection does. `delayMillis`: the wait before the next attempt. */
export type Connection = Follow.Connection

export interface StreamOptions {
  readonly onConnection?: (connection: Connection) => Effect.Effect<void>
}

export type WorkerError = IngressError | SessionNotFound | WorkerSuperseded

/** What ends a stream; everything else is met by connecting again. */
export type StreamError = IngressTokenMissing | IngressTokenRejected | SessionNotFound | IdInvalid

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
      updates: ReadonlyArray<Delivery.Update>
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

// --- Bodies ---

const eventJson = Schema.decodeUnknownEither(Schema.parseJson(ClientEvent))

/** An event frame, or why it is none. */
export const decodeEvent = (data: string): Either.Either<Received, string> =>
  Either.mapBoth(eventJson(data), {
    onLeft: (error) => error.message.split("\n")[0] ?? "does not decode",
    onRight: (event) => ({ ...event, payloadText: RawJson.member(data, "payload") ?? "{}" })
  })

const Due = Schema.Struct({ heartbeat_interval_seconds: Schema.optional(Schema.NullOr(Schema.Number)) })

const HEARTBEAT_DEFAULT_SECONDS = 20
const HEARTBEAT_FLOOR_SECONDS = 10

const uploadBody = (epoch: number, events: ReadonlyArray<Upload>): string =>
  `{"worker_epoch":${epoch},"events":[${events
    .map(({ ephemeral, text }) => `{"payload":${text}${ephemeral === true ? ',"ephemeral":true' : ""}}`)
    .join(",")}]}`

// --- Service ---

const TIMEOUT = "10 seconds"
const UPLOAD_TIMEOUT = "30 seconds"

export const make = Effect.gen(function* () {
  const call = yield* Call.make
  const { config, credentials } = call
  const open = Sse.open(call)

  const root = (sessionId: SessionId, apiBaseUrl?: string) =>
    Effect.map(
      Call.checkId("session", sessionId),
      (id) => `${apiBaseUrl?.replace(/\/+$/, "") ?? config.baseUrl}/v1/code/sessions/${toInfra(id)}`
    )

  // --- With the access token ---

  const create = Effect.fn("CodeSession.create")(function* (options: Create) {
    const answer = yield* call.access(
      {
        operation: "CodeSession.create",
        method: "POST",
        url: `${config.baseUrl}/v1/code/sessions`,
        timeout: "30 seconds",
        body: JSON.stringify({
          title: options.title ?? null,
          bridge: {},
          ...(options.tags === undefined ? {} : { tags: options.tags }),
          ...(options.config === undefined ? {} : { config: options.config }),
          ...(options.environmentId === undefined ? {} : { environment_id: options.environmentId })
        })
      },
      "known"
    )
    if (answer.status !== 200 && answer.status !== 201) return yield* Call.failed(answer)
    const { session } = yield* Call.decode(Api.CreatedCodeSession)(answer)
    yield* Effect.annotateCurrentSpan("session.id", session.id)
    return session.id
  })

  const remoteCredentials = Effect.fn("CodeSession.credentials")(function* (sessionId: SessionId) {
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const answer = yield* call.access(
      {
        operation: "CodeSession.credentials",
        method: "POST",
        url: `${yield* root(sessionId)}/bridge`,
        timeout: TIMEOUT,
        body: "{}"
      },
      "known"
    )
    if (answer.status === 404) return yield* new SessionNotFound({ sessionId, ...Call.detailOf(answer) })
    if (answer.status !== 200) return yield* Call.failed(answer)
    const body = yield* Call.decode(Api.RemoteCredentials)(answer)
    const token = Redacted.make(body.worker_jwt)
    yield* credentials.setIngressToken(sessionId, token)
    const grant: Grant = {
      token,
      apiBaseUrl: body.api_base_url,
      expiresIn: Duration.seconds(body.expires_in),
      epoch: body.worker_epoch
    }
    return grant
  })

  // --- With the ingress token ---

  /** What a worker's call may be answered besides 2xx. */
  const refusal = (sessionId: SessionId, answer: Call.Answer) => {
    switch (answer.status) {
      case 401:
      case 403:
        return new IngressTokenRejected({ sessionId, ...Call.detailOf(answer) })
      case 404:
        return new SessionNotFound({ sessionId, ...Call.detailOf(answer) })
      case 409:
        return new WorkerSuperseded({ sessionId, ...Call.detailOf(answer) })
      default:
        return Call.failed(answer)
    }
  }

  const worker = (
    { apiBaseUrl, sessionId }: Target,
    operation: string,
    method: Call.Ask["method"],
    path: string,
    options: {
      readonly body?: string
      readonly headers?: { readonly [name: string]: string }
      readonly timeout?: Duration.DurationInput
      readonly refresh?: "none"
    } = {}
  ): Effect.Effect<Call.Answer, WorkerError> =>
    Effect.gen(function* () {
      yield* Effect.annotateCurrentSpan("session.id", sessionId)
      const answer = yield* call.ingress(
        sessionId,
        {
          operation: `CodeSession.${operation}`,
          method,
          url: `${yield* root(sessionId, apiBaseUrl)}/worker${path}`,
          timeout: options.timeout ?? TIMEOUT,
          ...(options.headers === undefined ? {} : { headers: options.headers }),
          ...(options.body === undefined ? {} : { body: options.body })
        },
        { refresh: options.refresh ?? "401/403" }
      )
      return Call.is2xx(answer) ? answer : yield* refusal(sessionId, answer)
    })

  const register = Effect.fn("CodeSession.register")(function* (target: Target) {
    const answer = yield* worker(target, "register", "POST", "/register", { body: "{}" })
    return (yield* Call.decode(Api.Registered)(answer)).worker_epoch
  })

  const refreshToken = Effect.fn("CodeSession.refreshToken")(function* (target: Target) {
    const answer = yield* worker(target, "refreshToken", "POST", "/token", { body: "{}", refresh: "none" })
    const body = yield* Call.decode(Fresh)(answer)
    yield* credentials.setIngressToken(target.sessionId, Redacted.make(body.worker_jwt))
    return Duration.seconds(body.expires_in)
  })

  const getWorker = Effect.fn("CodeSession.getWorker")(function* (target: Target) {
    return yield* Call.decode(Api.Worker)(yield* worker(target, "getWorker", "GET", ""))
  })

  const putWorker = Effect.fn("CodeSession.putWorker")(function* (target: Target, update: Update) {
    yield* worker(target, "putWorker", "PUT", "", {
      body: JSON.stringify({
        worker_epoch: update.epoch,
        ...(update.status === undefined ? {} : { worker_status: update.status }),
        ...(update.connection === undefined ? {} : { connection_status: update.connection }),
        ...(update.externalMetadata === undefined ? {} : { external_metadata: update.externalMetadata })
      })
    })
  })

  const postEvents = Effect.fn("CodeSession.postEvents")(function* (
    target: Target,
    epoch: number,
    events: ReadonlyArray<Upload>,
    options: { readonly resend?: boolean } = {}
  ) {
    if (events.length === 0) return
    yield* Effect.annotateCurrentSpan("events.count", events.length)
    yield* worker(target, "postEvents", "POST", "/events", {
      body: uploadBody(epoch, events),
      headers: { "x-ccr-upload-attempt": options.resend === true ? "resend" : "first" },
      timeout: UPLOAD_TIMEOUT
    })
  })

  const postDelivery = Effect.fn("CodeSession.postDelivery")(function* (
    target: Target,
    epoch: number,
    updates: ReadonlyArray<Delivery.Update>
  ) {
    if (updates.length === 0) return
    yield* worker(target, "postDelivery", "POST", "/events/delivery", {
      body: JSON.stringify({
        worker_epoch: epoch,
        updates: updates.map(({ eventId, status }) => ({ event_id: eventId, status }))
      })
    })
  })

  const heartbeat = Effect.fn("CodeSession.heartbeat")(function* (target: Target, epoch: number) {
    const answer = yield* worker(target, "heartbeat", "POST", "/heartbeat", {
      body: JSON.stringify({ session_id: target.sessionId, worker_epoch: epoch })
    })
    const due = answer.text === "" ? {} : yield* Call.decode(Due)(answer)
    return Duration.seconds(
      Math.max(due.heartbeat_interval_seconds ?? HEARTBEAT_DEFAULT_SECONDS, HEARTBEAT_FLOOR_SECONDS)
    )
  })

  // --- Stream ---

  const stream = (
    target: Target,
    from: number,
    options: StreamOptions = {}
  ): Stream.Stream<Received, StreamError> =>
    Stream.suspend(() => {
      const { sessionId } = target
      const operation = "CodeSession.stream"
      // What the reader has been given; a new connection goes on after it.
      let last = from

      const connect = Effect.fnUntraced(function* (manner: Follow.Manner) {
        const url = `${yield* root(sessionId, target.apiBaseUrl)}/worker/events/stream`
        const token = yield* credentials.ingressToken(sessionId)
        return yield* call.sendRefreshing(
          token,
          (bearer): Effect.Effect<Sse.Opened, HubUnreachable> =>
            open(
              {
                operation,
                url: `${url}${Call.query(Follow.place(last, manner))}`,
                ...(last === 0 ? {} : { headers: { "last-event-id": String(last) } })
              },
              bearer
            ),
          (answer) => answer.status === 401 || answer.status === 403,
          (rejected) => credentials.refreshIngressToken(sessionId, rejected)
        )
      })

      return Follow.follow<StreamError, never>({
        operation,
        sessionId,
        connect,
        refused: (answer) => {
          const error = refusal(sessionId, answer)
          return error._tag === "IngressTokenRejected" || error._tag === "SessionNotFound"
            ? error
            : Effect.void
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
          return Option.some(Effect.succeed(Option.some(event.right)))
        }),
        Stream.filterMap((event) => event)
      )
    })

  return CodeSession.of({
    create,
    credentials: remoteCredentials,
    register,
    refreshToken,
    getWorker,
    putWorker,
    postEvents,
    postDelivery,
    heartbeat,
    stream
  })
})

/** Our hub's reply to `worker/token`. */
const Fresh = Schema.Struct({ worker_jwt: Schema.String, expires_in: Schema.Number })

export const layer: Layer.Layer<CodeSession, never, HttpClient.HttpClient | Credentials | ClientConfig> =
  Layer.effect(CodeSession, make)
