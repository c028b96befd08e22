/** Work from the hub, as a stream. Source: spec 1 §5. */
import type { EnvironmentId, SessionId, WorkId } from "@causeway/protocol/Ids"
import type {
  WorkSecret,
  WorkSecretInvalid,
  WorkSecretVersionUnsupported
} from "@causeway/protocol/WorkSecret"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type {
  EnvironmentError,
  EnvironmentGone,
  EnvironmentSecretMissing,
  EnvironmentUnauthorized,
  IdInvalid,
  LeaseLost,
  PollGaveUp,
  WorkConflict
} from "./ClientError.ts"
import type { Item, PollOptions } from "./Environments.ts"

/** An offered session with its secret decoded. Not acknowledged yet. */
export interface Work {
  readonly environmentId: EnvironmentId
  readonly workId: WorkId
  readonly sessionId: SessionId
  readonly item: Item
  readonly secret: WorkSecret
}

/** Why an item cannot be done here; it was stopped. */
export type Unusable = WorkSecretVersionUnsupported | WorkSecretInvalid | IdInvalid

export interface Options extends PollOptions {
  /** Two polls that bring nothing start at least this far apart, plus up to twice it at random; default 1 s. */
  readonly idleInterval?: Duration.DurationInput
  /** Told of each failed poll, before the wait: the bridge shows "reconnecting". */
  readonly onFailure?: (failure: PollFailure) => Effect.Effect<void>
  /** Told of the first success after failures, and of the first of all. */
  readonly onSuccess?: Effect.Effect<void>
  /** Told of each item that was stopped because it cannot be done here. */
  readonly onUnusable?: (item: Item, error: Unusable) => Effect.Effect<void>
}

export interface PollFailure {
  readonly error: PollGaveUp["lastError"]
  readonly attempt: number
}

export type WorkError =
  | PollGaveUp
  | EnvironmentUnauthorized
  | EnvironmentGone
  | EnvironmentSecretMissing
  | IdInvalid

/** How a lease ended without being lost. */
export type LeaseEnd = { readonly reason: "Stopping" | "Stopped" }

export class Poller extends Context.Tag("@causeway/client/Poller")<
  Poller,
  {
    /**
     * Sessions offered to an environment, for ever; fails when polling cannot go on. Failures follow
     * `Backoff.poll`; one success resets it. Health checks are acknowledged and stopped here.
     */
    readonly work: (environmentId: EnvironmentId, options?: Options) => Stream.Stream<Work, WorkError>
    /**
     * Keeps an acknowledged item's lease until the hub asks for the end (succeeds) or the lease is lost. Beats every
     * min(ttl/2, 30 s); without one success for a whole ttl the lease counts as lost (`Silent`).
     */
    readonly hold: (
      work: Pick<Work, "environmentId" | "workId">,
      options?: { readonly ttl?: Duration.DurationInput }
    ) => Effect.Effect<LeaseEnd, LeaseLost | Exclude<EnvironmentError, { readonly _tag: "RequestFailed" }>>
    /**
     * Acknowledges, runs `use` while the lease holds, then stops the item. A lost lease interrupts `use` and never
     * calls stop; an end that the hub asked for interrupts `use`, then stops the item.
     */
    readonly run: <A, E, R>(
      work: Work,
      use: Effect.Effect<A, E, R>,
      options?: { readonly ttl?: Duration.DurationInput }
    ) => Effect.Effect<A | LeaseEnd, E | LeaseLost | WorkConflict | EnvironmentError, R>
  }
>() {}
