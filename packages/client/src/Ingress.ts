/** The durable log, written with a proof of its head and read whole. Source: spec 1 §3. */
import type { SessionId } from "@causeway/protocol/Ids"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type {
  AccessError,
  CallError,
  ConcurrentModification,
  IngressTokenMissing,
  IngressTokenRejected,
  RetriesExhausted,
  SessionExpired
} from "./ClientError.ts"
import type { ChainEntry, Entry } from "./Entry.ts"

export type AppendError =
  | IngressTokenMissing
  | IngressTokenRejected
  | ConcurrentModification
  | RetriesExhausted

export interface FetchOptions {
  /** Only what follows the last compaction. Default: the layer's (`CLAUDE_AFTER_LAST_COMPACT` in `layerFromEnv`). */
  readonly afterLastCompact?: boolean
}

/**
 * Appends of one session run one after another in the order they were called; those of different sessions run
 * concurrently. What is kept a session (its head, its queue) goes with `clear`, and the heads of sessions that nobody
 * writes to are bounded in number.
 */
export class Ingress extends Context.Tag("@causeway/client/Ingress")<
  Ingress,
  {
    /**
     * Stores one entry, exactly once however often it is called with it: succeeds when it is stored. Up to 10
     * attempts; see `Backoff.append`.
     */
    readonly append: (
      sessionId: SessionId,
      entry: ChainEntry,
      url: string
    ) => Effect.Effect<void, AppendError>
    /** Stores several entries whole or not at all, as one request. An empty batch is success without a request. */
    readonly appendBatch: (
      sessionId: SessionId,
      entries: ReadonlyArray<ChainEntry>,
      url: string
    ) => Effect.Effect<void, AppendError>
    /** The log with the ingress token; empty where it does not exist yet. The head becomes the last entry's uuid. */
    readonly fetch: (
      sessionId: SessionId,
      url: string,
      options?: FetchOptions
    ) => Effect.Effect<ReadonlyArray<Entry>, CallError | IngressTokenMissing | SessionExpired>
    /** The same with the access token, from the configured hub. */
    readonly fetchWithAccessToken: (
      sessionId: SessionId,
      options?: FetchOptions
    ) => Effect.Effect<ReadonlyArray<Entry>, AccessError | SessionExpired>
    /** Forgets a session's head and queue. Appends that run or wait go on in order. */
    readonly clear: (sessionId: SessionId) => Effect.Effect<void>
    readonly clearAll: Effect.Effect<void>
  }
>() {}
