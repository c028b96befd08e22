/** The worker's side of a code session. Source: spec 5 §1. */
import type * as Delivery from "@causeway/protocol/Delivery"
import type * as Api from "@causeway/protocol/http/CodeSessions"
import type { SessionId } from "@causeway/protocol/Ids"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
import type { ClientConfig } from "./ClientConfig.ts"
import type { AccessError, SessionNotFound } from "./ClientError.ts"
import * as Calls from "./CodeSession/Calls.ts"
import * as Events from "./CodeSession/Events.ts"
import type {
  Create,
  Grant,
  Received,
  StreamError,
  StreamOptions,
  Target,
  Update,
  Upload,
  WorkerError
} from "./CodeSession/Model.ts"
import type { Credentials } from "./Credentials.ts"
import * as Request from "./internal/Request.ts"

export * from "./CodeSession/Model.ts"

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

export const make = Effect.map(Request.make, (caller) =>
  CodeSession.of({
    create: Calls.create(caller),
    credentials: Calls.credentials(caller),
    register: Calls.register(caller),
    refreshToken: Calls.refreshToken(caller),
    getWorker: Calls.getWorker(caller),
    putWorker: Calls.putWorker(caller),
    postEvents: Calls.postEvents(caller),
    postDelivery: Calls.postDelivery(caller),
    heartbeat: Calls.heartbeat(caller),
    stream: Events.stream(caller)
  })
)

export const layer: Layer.Layer<CodeSession, never, HttpClient.HttpClient | Credentials | ClientConfig> =
  Layer.effect(CodeSession, make)
