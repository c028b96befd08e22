/** Records of the journal, and how it fails. */
import type * as AgentSettings from "@causeway/protocol/AgentSettings"
import type * as Delivery from "@causeway/protocol/Delivery"
import type { EnvironmentId, EventUuid, SessionId } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import * as Schema from "effect/Schema"
import { AgentOptions } from "../AgentOptions.ts"

/** The journal was written by a newer version of this program; nothing was changed. */
export class JournalTooNew extends Schema.TaggedError<JournalTooNew>()("JournalTooNew", {
  file: Schema.String,
  found: Schema.Int,
  known: Schema.Int
}) {
  override get message(): string {
    return `${this.file} was written by a newer version (format ${this.found}; this one reads up to ${this.known}): upgrade Causeway, or use another --state-dir`
  }
}

/** The file is a database of another program; nothing was changed. */
export class JournalForeign extends Schema.TaggedError<JournalForeign>()("JournalForeign", {
  file: Schema.String
}) {
  override get message(): string {
    return `${this.file} is the database of another program: move it away, or use another --state-dir`
  }
}

/** The journal cannot be read or written (disk full, no permission, damaged). */
export class JournalFailed extends Schema.TaggedError<JournalFailed>()("JournalFailed", {
  operation: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `the journal failed (${this.operation}): ${this.detail}`
  }
}

/** Another bridge on this machine holds the directory. */
export class DirectoryInUse extends Schema.TaggedError<DirectoryInUse>()("DirectoryInUse", {
  directory: Schema.String,
  pid: Schema.Int
}) {
  override get message(): string {
    return `a bridge is already running for ${this.directory} (process ${this.pid}): stop it first, or use another directory or --state-dir`
  }
}

/**
 * `live` attached, or to be attached again at the next start; `parked` left in order by a perpetual bridge;
 * `ended` archived, deleted or given away.
 */
export type SessionState = "live" | "parked" | "ended"

/** What the journal knows of a session. */
export interface SessionRecord {
  readonly sessionId: SessionId
  readonly environmentId: EnvironmentId
  /** The directory of the bridge that holds the session. */
  readonly directory: string
  /** Whether the bridge made it for itself at start, rather than taking it as work. */
  readonly home: boolean
  readonly state: SessionState
  /** The agent's own id of the conversation, chosen before the first launch. */
  readonly agentSessionId: string
  readonly agent: string
  readonly cwd: string
  readonly model: string | undefined
  readonly permissionMode: string | undefined
  /** What was set of the agent since; goes before `model` and `permissionMode`. */
  readonly settings: AgentSettings.AgentSettings
  readonly launch: Launch
  /** Whether the agent was launched with that id before: if so it is resumed. */
  readonly launched: boolean
  /** The last entry of ours that the hub confirmed. */
  readonly head: EventUuid | undefined
  /** Sequence number of the last client event in the journal; 0 before the first. */
  readonly cursor: number
}

/** How an agent is started beyond its model and mode. */
export const Launch = Schema.Struct({
  options: Schema.optional(AgentOptions),
  /** The agent's id of the conversation that this one goes on from, by a fork. */
  forkOf: Schema.optional(Schema.String)
})
export type Launch = typeof Launch.Type

/** What a session is entered with. */
export type NewSession = Pick<
  SessionRecord,
  "sessionId" | "environmentId" | "directory" | "home" | "agentSessionId" | "agent" | "cwd"
> &
  Partial<Pick<SessionRecord, "model" | "permissionMode" | "cursor" | "launch">>

/** What an agent session hands over for good, in its order. */
export type Outgoing =
  /** `original`: the line that the payload stands for, because it can never be sent; it is kept. */
  | { readonly _tag: "Line"; readonly payload: Identified; readonly original?: Kept }
  | { readonly _tag: "Delivery"; readonly uuid: EventUuid; readonly state: Delivery.Report }

/** A line that the hub will never store, kept on this machine. */
export interface Kept {
  readonly payload: Payload.Payload
  readonly why: string
}

/** A payload that names itself. */
export type Identified = Payload.Payload & { readonly uuid: EventUuid }

/** A line that the hub has not confirmed. `position` orders a session's lines. */
export interface OutboxEntry {
  readonly position: number
  readonly payload: Identified
}

/** A client event as its stream brings it. */
export interface Incoming {
  readonly eventId: EventUuid
  readonly sequenceNum: number
  readonly payload: Payload.Payload
}

/** A delivery that the hub has not been told. */
export interface Told {
  readonly eventId: EventUuid
  readonly status: Delivery.State
}

/** The name of the journal's file in the state directory. */
export const JOURNAL_FILE = "journal.db"

/** Where a line that could never be sent is found, for people. */
export const KEPT_AT = `on the agent's machine (${JOURNAL_FILE} in the state directory, table kept)`
