/** Environments and their work. Source: spec 1 §5, spec 5 §2. */
import type * as Api from "@causeway/protocol/http/Environments"
import type { EnvironmentId, SessionId, WorkId } from "@causeway/protocol/Ids"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type { ClientConfig } from "./ClientConfig.ts"
import type {
  AccessError,
  EnvironmentError,
  EnvironmentGone,
  LeaseLost,
  SessionConflict,
  SessionNotFound,
  WorkConflict
} from "./ClientError.ts"
import type { Credentials } from "./Credentials.ts"
import * as Calls from "./Environments/Calls.ts"
import type {
  BeatOptions,
  ListOptions,
  Offered,
  PollOptions,
  Registered,
  Registration
} from "./Environments/Model.ts"
import * as Work from "./Environments/Work.ts"
import * as Request from "./internal/Request.ts"

export * from "./Environments/Model.ts"

/**
 * Calls of an environment. `register`, `deregister`, `reconnect`, `list` and `get` go with the access token, the
 * others with the environment's secret, which `register` stores in `Credentials`. Every call is one attempt, bounded
 * by a timeout, with at most one refresh of a refused token. Retrying is the caller's (`Poller`, `Backoff`).
 */
export class Environments extends Context.Tag("@causeway/client/Environments")<
  Environments,
  {
    readonly register: (registration: Registration) => Effect.Effect<Registered, AccessError>
    /** Idempotent: an environment that is gone counts as deregistered. Forgets its secret. */
    readonly deregister: (environmentId: EnvironmentId) => Effect.Effect<void, AccessError>
    /** Asks for the session's work to be offered again. */
    readonly reconnect: (
      environmentId: EnvironmentId,
      sessionId: SessionId
    ) => Effect.Effect<void, AccessError | EnvironmentGone | SessionNotFound | SessionConflict>
    readonly get: (
      environmentId: EnvironmentId
    ) => Effect.Effect<Api.Environment, AccessError | EnvironmentGone>
    readonly list: (
      options?: ListOptions
    ) => Effect.Effect<
      { readonly data: ReadonlyArray<Api.Environment>; readonly nextCursor: Option.Option<string> },
      AccessError
    >
    /** One long poll; `None`: no work. Bounded by `blockMs` + 10 s, at most 60 s. */
    readonly poll: (
      environmentId: EnvironmentId,
      options?: PollOptions
    ) => Effect.Effect<Option.Option<Offered>, EnvironmentError>
    /** Claims an item. `WorkConflict`: another has it, or it is stopped. */
    readonly ack: (
      environmentId: EnvironmentId,
      workId: WorkId
    ) => Effect.Effect<void, EnvironmentError | WorkConflict>
    /** Extends the lease. `LeaseLost`: 412, 404 or 410. An answer may still say `lease_extended: false` or `stopping`. */
    readonly heartbeat: (
      environmentId: EnvironmentId,
      workId: WorkId,
      options: BeatOptions
    ) => Effect.Effect<Api.Heartbeat, EnvironmentError | LeaseLost | WorkConflict>
    /** Ends an item. Already stopped (409) is success. */
    readonly stop: (
      environmentId: EnvironmentId,
      workId: WorkId,
      options?: { readonly force?: boolean }
    ) => Effect.Effect<void, EnvironmentError>
  }
>() {}

export const make = Effect.map(Request.make, (caller) =>
  Environments.of({
    register: Calls.register(caller),
    deregister: Calls.deregister(caller),
    reconnect: Calls.reconnect(caller),
    get: Calls.get(caller),
    list: Calls.list(caller),
    poll: Work.poll(caller),
    ack: Work.ack(caller),
    heartbeat: Work.heartbeat(caller),
    stop: Work.stop(caller)
  })
)

export const layer: Layer.Layer<Environments, never, HttpClient.HttpClient | Credentials | ClientConfig> =
  Layer.effect(Environments, make)
