/**
 * Sessions: their rows, which are projections of their logs, and what only the row holds (epochs, the worker's state).
 */
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { Payload } from "@causeway/protocol/Payload"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type {
  EnvironmentUnknown,
  SessionArchived,
  SessionUnknown,
  StoreUnavailable,
  WorkerSuperseded
} from "./Errors.ts"
import type { SessionKey } from "./Log.ts"

/** A session's row. Times are milliseconds since the epoch. */
export interface SessionRecord {
  readonly sid: number
  /** See `Ids.sessionBody`. */
  readonly session: string
  readonly organizationId: OrganizationId
  readonly environmentId: string | undefined
  readonly source: string | undefined
  /** JSON text of `session_context`, as it arrived. */
  readonly context: string
  readonly permissionMode: string | undefined
  readonly createdAt: number
  readonly updatedAt: number
  readonly archivedAt: number | undefined
  readonly lastSeq: number
  /** Uuid of the last transcript entry of source worker. */
  readonly workerHead: string | undefined
  readonly workerEpoch: number
  readonly tokenEpoch: number
  readonly workerStatus: "idle" | "running" | "requires_action" | undefined
  readonly connectionStatus: "connected" | "disconnected"
  /** JSON text of an object. */
  readonly externalMetadata: string | undefined
  readonly workerSeenAt: number | undefined
  /** JSON text of the `SessionRow` (packages/transcript). */
  readonly projection: string
}

export interface CreateSession {
  readonly organizationId: OrganizationId
  readonly environmentId: string | undefined
  readonly source: string | undefined
  readonly context: string
  readonly permissionMode: string | undefined
  /** JSON text of an array. */
  readonly tags: string | undefined
  /** First events, of source client. */
  readonly payloads: ReadonlyArray<Payload>
}

/** What a worker says of itself; a member that is left out stays as it is. */
export interface WorkerState {
  readonly workerStatus?: "idle" | "running" | "requires_action"
  readonly connectionStatus?: "connected" | "disconnected"
  /** JSON text of an object, or null to forget it. */
  readonly externalMetadata?: string | null
}

export class Sessions extends Context.Tag("@causeway/store/Sessions")<
  Sessions,
  {
    /** Makes a session with its first events and, where it has an environment, queues its work: one transaction. */
    readonly create: (
      request: CreateSession
    ) => Effect.Effect<SessionRecord, EnvironmentUnknown | StoreUnavailable>
    readonly get: (key: SessionKey) => Effect.Effect<SessionRecord, SessionUnknown | StoreUnavailable>
    /** Most recently updated first; a page starts after `after` (the last row of the page before). */
    readonly list: (options: {
      readonly organizationId: OrganizationId
      readonly limit: number
      readonly archived: "true" | "false" | "all"
      readonly environmentId?: string
      readonly after?: { readonly updatedAt: number; readonly sid: number }
    }) => Effect.Effect<ReadonlyArray<SessionRecord>, StoreUnavailable>
    /** Stores the new title as an event of source client. */
    readonly rename: (
      key: SessionKey,
      title: string
    ) => Effect.Effect<SessionRecord, SessionUnknown | StoreUnavailable>
    /** Stores the archiving as an event and stops the session's work. `SessionArchived`: it was before. */
    readonly archive: (
      key: SessionKey
    ) => Effect.Effect<SessionRecord, SessionUnknown | SessionArchived | StoreUnavailable>
    /**
     * A new epoch, for the worker and, with `token`, for the tokens: older tokens are refused from then on. Runs in its
     * own transaction, or inside the caller's.
     */
    readonly nextEpoch: (
      key: SessionKey,
      options: { readonly token: boolean }
    ) => Effect.Effect<number, SessionUnknown | StoreUnavailable>
    /** Replaces what is given of the worker's state and notes that it was seen. No epoch: that of the token is trusted. */
    readonly updateWorker: (
      key: SessionKey & { readonly workerEpoch: number | undefined },
      state: WorkerState
    ) => Effect.Effect<SessionRecord, SessionUnknown | WorkerSuperseded | StoreUnavailable>
  }
>() {}
