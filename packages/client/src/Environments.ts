/** Environments and their work items, call by call. Source: spec 1 §5, spec 5 §2. */
import type * as Api from "@causeway/protocol/EnvironmentsApi"
import type { EnvironmentId, SessionId, WorkId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type {
  AccessError,
  CallError,
  EnvironmentError,
  EnvironmentGone,
  LeaseLost,
  SessionNotFound,
  WorkConflict
} from "./ClientError.ts"

/** What a bridge says of itself when it registers. */
export interface Registration {
  readonly machineName: string
  readonly directory: string
  readonly branch?: string | undefined
  readonly gitRepoUrl?: string | undefined
  /** How many sessions run at once; default 1. */
  readonly maxSessions?: number
  /** Opaque; sent as `metadata.worker_type`. */
  readonly workerType: string
  /** More metadata, beside `worker_type`. */
  readonly metadata?: JsonObject
  /** Take this environment up again; the hub answers with another one when it is gone. */
  readonly reuseEnvironmentId?: EnvironmentId | undefined
}

export interface Registered {
  readonly environmentId: EnvironmentId
  readonly secret: Redacted.Redacted
  /** Whether the environment asked for by `reuseEnvironmentId` came back. */
  readonly reused: boolean
}

export interface PollOptions {
  /** How long the hub may hold the poll, 1 to 25,000 ms; default 999, the most a published hub allows. */
  readonly blockMs?: number
  /** Offer again what was not acknowledged for this long; default 5,000 ms. */
  readonly reclaimOlderThanMs?: number
}

export interface BeatOptions {
  /** `last_heartbeat` of the last answer, echoed exactly; `None` before the first. */
  readonly expected: Option.Option<string>
  /** Lease asked for; the hub clamps it to 10–600 s; default 90 s. */
  readonly ttl?: Duration.DurationInput
}

/** A work item whose secret has been taken out of it. */
export type Item = Omit<Api.WorkItem, "secret">

/** What a poll brought: the item, and its secret still encoded. */
export interface Offered {
  readonly item: Item
  readonly secret: Option.Option<Redacted.Redacted>
}

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
    ) => Effect.Effect<void, AccessError | EnvironmentGone | SessionNotFound | WorkConflict>
    readonly get: (
      environmentId: EnvironmentId
    ) => Effect.Effect<Api.Environment, AccessError | EnvironmentGone>
    readonly list: (options?: {
      readonly limit?: number
      readonly cursor?: string
      readonly archived?: "true" | "false" | "all"
    }) => Effect.Effect<
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

export type { CallError }
