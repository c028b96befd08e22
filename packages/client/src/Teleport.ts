/** Reads a session from elsewhere. Source: spec 1 §4. */
import type { SessionId } from "@causeway/protocol/Ids"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { AccessError, CursorStuck, SessionExpired, TranscriptNotFound } from "./ClientError.ts"
import type { Entry } from "./Entry.ts"

/** One entry of a transcript, with what its page says of it. */
export interface TranscriptEntry extends Entry {
  readonly eventId: Option.Option<string>
  /** ISO 8601. */
  readonly createdAt: Option.Option<string>
  readonly isCompaction: boolean
}

export interface Transcript {
  readonly entries: ReadonlyArray<TranscriptEntry>
  /** How many pages were read. */
  readonly pages: number
  /** The cap of 100 pages ended it: there is more. */
  readonly truncated: boolean
}

export interface ReadOptions {
  /** Entries a page, 1 to 1000; default 1000. */
  readonly pageSize?: number
}

export type ReadError = AccessError | SessionExpired | TranscriptNotFound | CursorStuck

export class Teleport extends Context.Tag("@causeway/client/Teleport")<
  Teleport,
  {
    /** The entries, page after page as they are taken. Ends early, with a warning, at 100 pages. */
    readonly events: (
      sessionId: SessionId,
      options?: ReadOptions
    ) => Stream.Stream<TranscriptEntry, ReadError>
    readonly transcript: (sessionId: SessionId, options?: ReadOptions) => Effect.Effect<Transcript, ReadError>
    /** Where teleport-events knows no transcript: the ingress log, read with the access token. */
    readonly transcriptWithFallback: (
      sessionId: SessionId,
      options?: ReadOptions
    ) => Effect.Effect<Transcript, Exclude<ReadError, TranscriptNotFound>>
  }
>() {}
