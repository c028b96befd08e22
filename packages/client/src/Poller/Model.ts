/** Work as its pollers see it. Source: spec 1 §5. */
import type { EnvironmentId, SessionId, WorkId } from "@causeway/protocol/Ids"
import type * as WorkSecret from "@causeway/protocol/WorkSecret"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type {
  EnvironmentGone,
  EnvironmentSecretMissing,
  EnvironmentUnauthorized,
  IdInvalid,
  LeaseLost,
  PollGaveUp
} from "../ClientError.ts"
import type { Environments, Item, PollOptions } from "../Environments.ts"

/** An offered session with its secret decoded. Not acknowledged yet. */
export interface Work {
  readonly environmentId: EnvironmentId
  readonly workId: WorkId
  readonly sessionId: SessionId
  readonly item: Item
  readonly secret: WorkSecret.WorkSecret
}

/** The item is of a kind that this program does not know. */
export class WorkKindUnsupported extends Schema.TaggedError<WorkKindUnsupported>()("WorkKindUnsupported", {
  kind: Schema.String
}) {
  override get message(): string {
    return `work of kind ${JSON.stringify(this.kind)} is not supported: upgrade Causeway`
  }
}

/** Why an item cannot be done here; it was stopped. */
export type Unusable =
  | WorkSecret.WorkSecretVersionUnsupported
  | WorkSecret.WorkSecretInvalid
  | WorkKindUnsupported
  | IdInvalid

export interface PollFailure {
  readonly error: PollGaveUp["lastError"]
  /** Failures of this run so far. */
  readonly attempt: number
}

export interface Options extends PollOptions {
  /** Two polls that bring nothing start at least this far apart, lengthened at random up to 3 times; default 1 s. */
  readonly idleInterval?: Duration.DurationInput
  /** Told of each failed poll, before the wait: the bridge shows "reconnecting". */
  readonly onFailure?: (failure: PollFailure) => Effect.Effect<void>
  /** Told of the first success of all, and of the first after failures. */
  readonly onRecovery?: Effect.Effect<void>
  /** Told of each item that was stopped because it cannot be done here. */
  readonly onUnusable?: (item: Item, error: Unusable) => Effect.Effect<void>
}

/** Errors that end polling. An environment whose secret is not known (it was deregistered, say) is gone too. */
export type WorkError = PollGaveUp | EnvironmentUnauthorized | EnvironmentGone | IdInvalid

export interface LeaseOptions {
  /** Lease that is asked for; default 90 s. */
  readonly ttl?: Duration.DurationInput
}

/** The hub asked for the end of the work. */
export interface Stopping {
  readonly _tag: "Stopping"
}

/** Errors that end a lease which nobody asked to end. */
export type HoldError = LeaseLost | EnvironmentUnauthorized | EnvironmentSecretMissing | IdInvalid

/** The calls that polling stands on. */
export type Calls = Environments["Type"]
