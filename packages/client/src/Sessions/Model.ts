/** Sessions as callers see them. Source: spec 1 §2. */
import type { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { AccessError, SessionNotFound } from "../ClientError.ts"

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

/** A session as a server tells of it; members that only our hub sends may be missing. */
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
  /** Those that none goes on from. */
  readonly leaves?: "true"
}

export interface ArchiveOptions {
  /** Default 10 s. */
  readonly timeout?: Duration.DurationInput
}

export interface GroupOptions extends ArchiveOptions {
  /** Told of the sessions that did not archive when the scope closed. */
  readonly onNotArchived?: (sessions: ReadonlyArray<NotArchived>) => Effect.Effect<void>
}

/** Sessions that a scope archives when it closes. */
export interface Group {
  readonly create: (options: Create) => Effect.Effect<SessionId, AccessError>
  /** Takes in a session that exists. */
  readonly adopt: (id: SessionId) => Effect.Effect<void>
  /** Lets a session go: it outlives the scope. */
  readonly release: (id: SessionId) => Effect.Effect<void>
  /** Archives a session now. */
  readonly archive: (id: SessionId, options?: ArchiveOptions) => Effect.Effect<void, ArchiveError>
}

export type ArchiveError = AccessError | SessionNotFound

/** A session that did not archive, and why. */
export interface NotArchived {
  readonly sessionId: SessionId
  readonly error: ArchiveError
}
