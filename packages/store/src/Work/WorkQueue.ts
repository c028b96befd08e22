/** The work queue as its callers see it: items, answers, refusals and the service. */

import type { WorkState } from "@causeway/protocol/http/Environments"
import type { EnvironmentId, OrganizationId, SessionBody, WorkId } from "@causeway/protocol/Ids"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type {
  CursorInvalid,
  EnvironmentArchived,
  EnvironmentUnknown,
  SessionArchived,
  SessionUnknown,
  StoreUnavailable
} from "../Errors.ts"
import type { RecordOf } from "../internal/record.ts"

export interface Row {
  readonly id: WorkId
  readonly environment_id: EnvironmentId
  readonly type: "session" | "healthcheck"
  readonly sid: number | null
  /** Body of the item's session, see `Ids.sessionBody`. */
  readonly session: SessionBody | null
  readonly state: WorkState
  readonly created_at: number
  readonly offered_at: number | null
  /** The poller that got the last offer, where it named itself. */
  readonly offered_to: string | null
  readonly acknowledged_at: number | null
  readonly started_at: number | null
  readonly latest_heartbeat_at: number | null
  readonly lease_expires_at: number | null
  /** Seconds. */
  readonly lease_ttl: number | null
  readonly stop_requested_at: number | null
  readonly stopped_at: number | null
  /** The JSON text of an object. */
  readonly metadata: string
}

/** A work item. Times are milliseconds since the epoch. */
export type WorkRecord = RecordOf<Row>

export interface ItemKey {
  readonly environmentId: EnvironmentId
  readonly workId: WorkId
}

/** An item for a poller, and the epoch that its token is to be issued for. */
export interface Offer {
  readonly item: WorkRecord
  readonly organizationId: OrganizationId
  /** Epoch of the session's worker and of its tokens from now on; undefined where the item has no session. */
  readonly epoch: number | undefined
}

/** `due`: when the passing of time may next make an item available (milliseconds since the epoch). */
export interface Polled {
  readonly offer: Offer | undefined
  readonly due: number | undefined
}

export interface WorkStats {
  readonly depth: number
  readonly pending: number
  readonly oldestQueuedAt: number | undefined
  readonly workersPolling: number
}

/** The answer to a heartbeat. The next one has to echo `lastHeartbeat`. */
export interface Beat {
  readonly lastHeartbeat: string
  readonly state: WorkState
  readonly ttlSeconds: number
}

/** No such item in this environment. */
export class WorkUnknown extends Data.TaggedError("WorkUnknown")<{ readonly workId: string }> {
  override get message(): string {
    return `no work item ${this.workId}`
  }
}

/** The state of the item does not allow it. */
export class WorkRefused extends Data.TaggedError("WorkRefused")<{
  readonly workId: string
  readonly state: WorkState
  readonly reason: string
}> {
  override get message(): string {
    return `work item ${this.workId} ${this.reason}`
  }
}

/** The heartbeat's guard does not match: another worker may hold the lease. */
export class LeaseMoved extends Data.TaggedError("LeaseMoved")<{
  readonly workId: string
  readonly state: WorkState
  readonly lastHeartbeat: string | undefined
  readonly ttlSeconds: number
}> {
  override get message(): string {
    return `the lease of work item ${this.workId} has moved`
  }
}

/** The session runs in another environment, which is not archived. */
export class SessionElsewhere extends Data.TaggedError("SessionElsewhere")<{
  readonly session: string
  readonly environmentId: string
}> {
  override get message(): string {
    return `session ${this.session} belongs to environment ${this.environmentId}`
  }
}

export class WorkQueue extends Context.Tag("@causeway/store/WorkQueue")<
  WorkQueue,
  {
    /**
     * One look at the queue, without waiting. An item that is offered moves its session to a new epoch in the same
     * transaction, so that tokens of earlier offers are superseded. Notes that the environment was seen.
     */
    readonly poll: (options: {
      readonly environmentId: EnvironmentId
      readonly reclaimOlderThanMillis: number
      /** Value of `Anthropic-Worker-ID`. */
      readonly workerId: string | undefined
      /** The poller puts an idle session to sleep for what it is offered: idle ones hold no place. */
      readonly makesRoom?: boolean
    }) => Effect.Effect<Polled, EnvironmentUnknown | EnvironmentArchived | StoreUnavailable>
    /**
     * `queued` → `starting`, leased for 90 s. Idempotent while the same offer holds. Refused where the item is stopped, not
     * on offer, on offer to another named poller, or where late and its place is taken.
     */
    readonly acknowledge: (
      key: ItemKey & { readonly workerId: string | undefined }
    ) => Effect.Effect<WorkRecord, WorkUnknown | WorkRefused | StoreUnavailable>
    /**
     * Extends the lease; the first one moves `starting` to `active`. `expected`: `NO_HEARTBEAT` first, then the last
     * answer's `lastHeartbeat`; not compared where undefined or while `stopping`. Refused while queued or stopped. A
     * poller that named itself (`workerId`) does not extend a lease that another named one has got since.
     */
    readonly heartbeat: (
      key: ItemKey & {
        readonly expected: string | undefined
        readonly ttlSeconds: number | undefined
        readonly workerId: string | undefined
      }
    ) => Effect.Effect<Beat, WorkUnknown | WorkRefused | LeaseMoved | StoreUnavailable>
    /**
     * Ends an item. An `active` one whose lease lasts becomes `stopping`, which its worker learns from the next heartbeat;
     * it is stopped at once with `force` (which a worker uses for its own item), on the second call, and in any other
     * state. A message that came since the item was offered, and that no worker has confirmed, queues a new item.
     */
    readonly stop: (
      key: ItemKey & { readonly force: boolean }
    ) => Effect.Effect<WorkRecord, WorkUnknown | WorkRefused | StoreUnavailable>
    /**
     * Offers the session's work again, here: takes it back from whoever holds it, or makes it. A session without an
     * environment, or whose environment is archived, moves to this one.
     */
    readonly requeue: (options: {
      readonly organizationId: OrganizationId
      readonly environmentId: EnvironmentId
      /** Session body. */
      readonly session: string
    }) => Effect.Effect<
      WorkId,
      | EnvironmentUnknown
      | EnvironmentArchived
      | SessionUnknown
      | SessionArchived
      | SessionElsewhere
      | StoreUnavailable
    >
    readonly get: (key: ItemKey) => Effect.Effect<WorkRecord, WorkUnknown | StoreUnavailable>
    /** Stopped ones too, the newest first. */
    readonly list: (options: {
      readonly environmentId: EnvironmentId
      readonly limit: number
      readonly cursor?: string | undefined
    }) => Effect.Effect<
      { readonly items: ReadonlyArray<WorkRecord>; readonly next: string | undefined },
      CursorInvalid | StoreUnavailable
    >
    readonly stats: (environmentId: EnvironmentId) => Effect.Effect<WorkStats, StoreUnavailable>
    /** Sets members of the item's metadata; null removes one. */
    readonly updateMetadata: (
      key: ItemKey & { readonly patch: { readonly [name: string]: string | null } }
    ) => Effect.Effect<WorkRecord, WorkUnknown | StoreUnavailable>
  }
>() {}
