/**
 * The log of a session: append and read.
 *
 * Appends that wait at the same moment are committed as one transaction by one writer fiber (group commit), and each is
 * answered after the commit. Inside a batch every request has its own outcome: one that is refused writes nothing and
 * disturbs no other. Sequence numbers are dense per session; a uuid is stored once, for ever. The session's row is
 * computed by `SessionRow.step` in the same transaction. Source: spec 5 §3.1 and §3.3.
 */
import type { Source, WorkerDeliveryStatus } from "@causeway/protocol/Event"
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { Payload } from "@causeway/protocol/Payload"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type {
  AlreadyAnswered,
  HeadMoved,
  SessionArchived,
  SessionUnknown,
  StoreUnavailable,
  TokenSuperseded,
  WorkerSuperseded
} from "./Errors.ts"

/** An event as it is stored. Times are milliseconds since the epoch. */
export interface StoredEvent {
  readonly seq: number
  readonly uuid: string
  readonly source: Source
  readonly type: string
  readonly transcript: boolean
  readonly compaction: boolean
  readonly createdAt: number
  readonly delivery: WorkerDeliveryStatus | undefined
  readonly deliveredAt: number | undefined
  /** The JSON text as it arrived. */
  readonly payload: string
}

/** What a writer claims to know. Checked in the transaction that stores, before anything else. */
export type Guard =
  /** The ingress chain. `lastUuid`: value of `Last-Uuid`. */
  | { readonly kind: "lastUuid"; readonly lastUuid: string | undefined }
  /** The worker routes. Refused where a newer epoch has been given out. */
  | { readonly kind: "epoch"; readonly workerEpoch: number }

export interface AppendRequest {
  /** Session body, see `Ids.sessionBody`. */
  readonly session: string
  readonly organizationId: OrganizationId
  readonly source: Source
  /** At least one; stored in this order, whole or not at all. One without a uuid is given one. */
  readonly payloads: ReadonlyArray<Payload>
  readonly guard?: Guard
  /** Epoch of the token that the request came with; refused where a newer one was issued. */
  readonly tokenEpoch?: number
}

/** What became of one payload. */
export interface Appended {
  readonly seq: number
  readonly uuid: string
  /** Milliseconds since the epoch, of the event that is stored. */
  readonly createdAt: number
  /** Its uuid was in the log already: nothing was stored. */
  readonly duplicate: boolean
}

export type AppendError =
  | SessionUnknown
  | SessionArchived
  | HeadMoved
  | WorkerSuperseded
  | TokenSuperseded
  | AlreadyAnswered
  | StoreUnavailable

/** Which session, and whose. */
export interface SessionKey {
  readonly session: string
  readonly organizationId: OrganizationId
}

export interface ReadOptions extends SessionKey {
  /** Events after this sequence number; 0 for all. */
  readonly after: number
  readonly limit: number
  /**
   * `all`; `worker`: what people sent to the worker (`user` and `control_*` of source client); `unprocessed`: of those,
   * what no worker has reported as processed; `transcript`: see `Payload.isTranscript`.
   */
  readonly select?: "all" | "worker" | "unprocessed" | "transcript"
}

/** A delivery state that has changed. `no` grows with every change in the session. */
export interface DeliveryChange {
  readonly no: number
  readonly seq: number
  readonly uuid: string
  readonly delivery: WorkerDeliveryStatus
  readonly deliveredAt: number
}

export class Log extends Context.Tag("@causeway/store/Log")<
  Log,
  {
    /**
     * Stores, durably, and wakes `session:<body>` (and the environment that the session's work was queued for). One
     * answer a payload, in order. People's events to a session that has an environment and no unfinished work item
     * queue one, in the same transaction.
     */
    readonly append: (request: AppendRequest) => Effect.Effect<ReadonlyArray<Appended>, AppendError>
    /** In the order of the log; fewer than `limit` only where there are no more now. */
    readonly read: (
      options: ReadOptions
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, SessionUnknown | StoreUnavailable>
    /** Transcript entries from the last compaction boundary on (that one included); all, where there is none. */
    readonly afterLastCompaction: (
      key: SessionKey
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, SessionUnknown | StoreUnavailable>
    /** The event of this uuid. */
    readonly byUuid: (
      key: SessionKey & { readonly uuid: string }
    ) => Effect.Effect<StoredEvent | undefined, SessionUnknown | StoreUnavailable>
    /**
     * Records how far client events have come, on behalf of a worker of this epoch. A state never goes back
     * (`received` → `processing` → `processed`); unknown uuids are ignored. Wakes the session.
     */
    readonly deliver: (
      request: SessionKey & {
        readonly workerEpoch: number
        readonly updates: ReadonlyArray<{ readonly uuid: string; readonly status: WorkerDeliveryStatus }>
      }
    ) => Effect.Effect<void, SessionUnknown | WorkerSuperseded | StoreUnavailable>
    /** Delivery changes after `no`, oldest first. */
    readonly deliveries: (
      key: SessionKey & { readonly after: number; readonly limit: number }
    ) => Effect.Effect<ReadonlyArray<DeliveryChange>, SessionUnknown | StoreUnavailable>
  }
>() {}
