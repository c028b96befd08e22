/** The Sessions API. Source: spec 1 §2. */
import type { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import type * as Api from "@causeway/protocol/SessionsApi"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { AccessError, SessionConflict, SessionNotFound } from "./ClientError.ts"

export interface Create {
  readonly environmentId: EnvironmentId
  readonly title?: string | undefined
  /** SDK messages to start with, oldest first. */
  readonly events: ReadonlyArray<JsonObject>
  /** A git remote or `owner/name`; what does not parse as either is left out. */
  readonly gitRepoUrl?: string | undefined
  readonly branch?: string | undefined
  /** Sent as the revision where `branch` is not given. */
  readonly defaultBranch?: string | undefined
  readonly model?: string | undefined
  readonly permissionMode?: string | undefined
  /** Another hub than the configured one. */
  readonly baseUrl?: string | undefined
}

/** What a server says of a session; members that only our hub sends may be missing. */
export interface Session {
  readonly id: SessionId
  readonly environmentId: Option.Option<string>
  readonly title: Option.Option<string>
  /** Set where the server says that the session is archived. */
  readonly archivedAt: Option.Option<string>
  /** The body as it arrived: `Api.Session` where a Causeway hub sent it. */
  readonly raw: JsonObject
}

export interface ListOptions {
  readonly limit?: number
  readonly cursor?: string
  readonly archived?: "true" | "false" | "all"
  readonly environmentId?: string
}

export interface ArchiveOptions {
  /** Default 10 s. */
  readonly timeout?: Duration.DurationInput
}

export type ArchiveError = AccessError | SessionNotFound

/** A session that did not archive, and why. */
export interface NotArchived {
  readonly sessionId: SessionId
  readonly error: ArchiveError
}

/**
 * Sessions of a hub. Ids may be given in either spelling; each endpoint gets the one it accepts. Every call is one
 * attempt (plus one after a token refresh); interrupting the calling fiber aborts the request.
 */
export class Sessions extends Context.Tag("@causeway/client/Sessions")<
  Sessions,
  {
    readonly create: (options: Create) => Effect.Effect<SessionId, AccessError>
    /** 10 s timeout. */
    readonly get: (id: SessionId) => Effect.Effect<Session, AccessError | SessionNotFound>
    /** One page, most recently updated first. `nextCursor` is opaque; `None` ends the list. */
    readonly list: (
      options?: ListOptions
    ) => Effect.Effect<
      { readonly data: ReadonlyArray<Session>; readonly nextCursor: Option.Option<string> },
      AccessError
    >
    /** Idempotent: an archived session (409) is success. Allowed in any status. */
    readonly archive: (id: SessionId, options?: ArchiveOptions) => Effect.Effect<void, ArchiveError>
    /**
     * Archives all at once under one bound (default 10 s) and answers those that did not archive. Uninterruptible.
     */
    readonly archiveAll: (
      ids: ReadonlyArray<SessionId>,
      options?: ArchiveOptions
    ) => Effect.Effect<ReadonlyArray<NotArchived>>
    /** 10 s timeout. */
    readonly updateTitle: (
      id: SessionId,
      title: string
    ) => Effect.Effect<void, AccessError | SessionNotFound | SessionConflict>
    /** Appends messages as a client. Answers what became of each, in order, where the server says so. */
    readonly sendEvents: (
      id: SessionId,
      events: ReadonlyArray<JsonObject>
    ) => Effect.Effect<typeof Api.SentEvents.Type, AccessError | SessionNotFound | SessionConflict>
    /**
     * A session for the life of a scope: created now, archived when the scope closes, whatever the reason, without
     * letting an interruption cut the archiving short. A failure to archive is logged (`session_archive_fail`).
     */
    readonly scoped: (
      options: Create,
      archive?: ArchiveOptions
    ) => Effect.Effect<SessionId, AccessError, Scope.Scope>
  }
>() {}
