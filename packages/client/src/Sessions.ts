/** The Sessions API. Source: spec 1 §2. */
import type * as Api from "@causeway/protocol/http/Sessions"
import type { SessionId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { ClientConfig } from "./ClientConfig.ts"
import type { AccessError, SessionConflict, SessionNotFound } from "./ClientError.ts"
import type { Credentials } from "./Credentials.ts"
import * as Request from "./internal/Request.ts"
import * as Calls from "./Sessions/Calls.ts"
import * as Groups from "./Sessions/Group.ts"
import type {
  ArchiveError,
  ArchiveOptions,
  Create,
  Group,
  GroupOptions,
  ListOptions,
  NotArchived,
  Session
} from "./Sessions/Model.ts"

export * from "./Sessions/Model.ts"

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
      archive?: GroupOptions
    ) => Effect.Effect<SessionId, AccessError, Scope.Scope>
    /**
     * Any number of sessions for the life of a scope: when it closes, those alive are archived all at once within one
     * bound, and those that did not archive are reported. Several `scoped` sessions of one scope would be archived
     * one after another.
     */
    readonly group: (options?: GroupOptions) => Effect.Effect<Group, never, Scope.Scope>
  }
>() {}

export const make = Effect.map(Request.make, (caller) => {
  const group = Groups.group(caller)
  return Sessions.of({
    create: Calls.create(caller),
    get: Calls.get(caller),
    list: Calls.list(caller),
    archive: Calls.archive(caller),
    archiveAll: Groups.archiveAll(caller),
    updateTitle: Calls.updateTitle(caller),
    sendEvents: Calls.sendEvents(caller),
    scoped: (options, archiving) => Effect.flatMap(group(archiving), ({ create }) => create(options)),
    group
  })
})

export const layer: Layer.Layer<Sessions, never, HttpClient.HttpClient | Credentials | ClientConfig> =
  Layer.effect(Sessions, make)
