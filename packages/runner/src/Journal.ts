/**
 * The journal: what this host has taken responsibility for, in one SQLite file a state directory.
 *
 * - **Outbox.** An agent's line is here before the first attempt to send it and leaves when the hub has confirmed.
 * - **Inbox.** A client event is here before the agent gets it; its uuid is accepted once. `cursor` is the sequence
 *   number up to which a session's events were journalled.
 * - **Sessions.** What it takes to resume each session unattended.
 *
 * The conversation, and secrets of MCP servers among the options, are here; no tokens are. The file is 0600, in WAL mode with
 * `synchronous = FULL`. Lines and deliveries of all sessions that wait at the same moment are committed as one
 * transaction. Source: ARCHITECTURE.md ("Up", "Down").
 */

import { join } from "node:path"
import type * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { EnvironmentId, EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Claims from "./Journal/Claims.ts"
import * as Database from "./Journal/Database.ts"
import * as Inbox from "./Journal/Inbox.ts"
import {
  type DirectoryInUse,
  type Identified,
  type Incoming,
  JOURNAL_FILE,
  type JournalFailed,
  type JournalForeign,
  type JournalTooNew,
  type Kept,
  type NewSession,
  type OutboxEntry,
  type Outgoing,
  type SessionRecord,
  type Told
} from "./Journal/Model.ts"
import * as Outbox from "./Journal/Outbox.ts"
import * as Sessions from "./Journal/Sessions.ts"
import * as Snapshots from "./Journal/Snapshots.ts"
import type { Snapshot } from "./Snapshot.ts"

export { REMEMBERED_EVENTS } from "./Journal/Inbox.ts"
export * from "./Journal/Model.ts"
export { JOURNAL_VERSION } from "./Journal/Schema.ts"

/** The journal of one state directory. All failures are `JournalFailed`. */
export class Journal extends Context.Tag("@causeway/runner/Journal")<
  Journal,
  {
    /**
     * Takes the directory for this process until the scope closes. A claim whose process is dead (by pid and start
     * time) is taken over; of two who try at once, one succeeds.
     */
    readonly claim: (directory: string) => Effect.Effect<void, DirectoryInUse | JournalFailed, Scope.Scope>

    /** Enters a session as `live`, or makes a known one `live` again and answers with what is known of it. */
    readonly enter: (session: NewSession) => Effect.Effect<SessionRecord, JournalFailed>
    readonly session: (id: SessionId) => Effect.Effect<Option.Option<SessionRecord>, JournalFailed>
    /** A directory's sessions that have not ended, oldest first. */
    readonly sessions: (directory: string) => Effect.Effect<ReadonlyArray<SessionRecord>, JournalFailed>
    /**
     * Takes over what the session's log says was set of the agent, unless lines of this host are on their way there. What
     * this host hears itself (a `session_update` recorded or received) is noted with it.
     */
    readonly chosen: (
      id: SessionId,
      settings: AgentSettings.AgentSettings
    ) => Effect.Effect<void, JournalFailed>
    /** Notes that the agent conversation is about to exist. */
    readonly launched: (id: SessionId) => Effect.Effect<void, JournalFailed>
    /** Moves a session to another environment (the hub gave this directory a new one). */
    readonly moved: (id: SessionId, environmentId: EnvironmentId) => Effect.Effect<void, JournalFailed>
    readonly park: (id: SessionId) => Effect.Effect<void, JournalFailed>
    /** Ends a session and empties its boxes. Answers with how many lines had not been confirmed; they are kept. */
    readonly end: (id: SessionId) => Effect.Effect<number, JournalFailed>

    /**
     * Enters lines and deliveries in their order, whole or not at all; durable when it returns. A line whose uuid is
     * in the outbox already is entered once. Calls that wait at the same moment share a commit.
     */
    readonly record: (id: SessionId, outputs: ReadonlyArray<Outgoing>) => Effect.Effect<void, JournalFailed>
    /** The oldest unconfirmed lines, at most `count` and about `bytes` (at least one). */
    readonly pending: (
      id: SessionId,
      limit: { readonly count: number; readonly bytes: number }
    ) => Effect.Effect<ReadonlyArray<OutboxEntry>, JournalFailed>
    /** The hub has stored everything up to `position`; its head is `head`. */
    readonly confirm: (id: SessionId, position: number, head: EventUuid) => Effect.Effect<void, JournalFailed>
    /** Takes one line that the hub will never accept out of the outbox, keeps it, and puts another in its place. */
    readonly setAside: (
      id: SessionId,
      position: number,
      instead: Identified,
      why: string
    ) => Effect.Effect<void, JournalFailed>
    /** The lines of a session that could never be sent, oldest first. */
    readonly kept: (id: SessionId) => Effect.Effect<ReadonlyArray<Kept>, JournalFailed>
    readonly unconfirmed: (id: SessionId) => Effect.Effect<number, JournalFailed>

    /**
     * Enters client events that follow `cursor` and answers with those whose uuid is new, in order. A payload without
     * a uuid gets its event's. One whose uuid was seen under another event counts as processed. A message that an event
     * after it takes back, before the agent has begun it, is withdrawn in the same transaction: it is neither answered
     * with here nor unanswered later.
     */
    readonly receive: (
      id: SessionId,
      events: ReadonlyArray<Incoming>
    ) => Effect.Effect<ReadonlyArray<Identified>, JournalFailed>
    /** Keeps a file as the agent read it; of a session at most 256 MiB, the oldest give way. */
    readonly keep: (id: SessionId, snapshot: Snapshot) => Effect.Effect<void, JournalFailed>
    readonly snapshot: (
      id: SessionId,
      toolUseId: string
    ) => Effect.Effect<Option.Option<Snapshot>, JournalFailed>
    /** Client events that were journalled and not answered, oldest first. */
    readonly unanswered: (id: SessionId) => Effect.Effect<ReadonlyArray<Identified>, JournalFailed>
    /**
     * Deliveries that the hub has not been told, of `limit` events, the oldest first; of each event only the furthest, but
     * of an answered message also that it was begun.
     */
    readonly reports: (id: SessionId, limit: number) => Effect.Effect<ReadonlyArray<Told>, JournalFailed>
    /** The hub has been told. Processed events that it knows of are pruned to {@link REMEMBERED_EVENTS} uuids. */
    readonly reported: (id: SessionId, reports: ReadonlyArray<Told>) => Effect.Effect<void, JournalFailed>
  }
>() {}

const make = Effect.fnUntraced(function* (file: string) {
  const database = yield* Database.open(file)
  const outbox = yield* Outbox.make(database)
  return Journal.of({
    claim: yield* Claims.make(database),
    ...Sessions.make(database),
    ...outbox,
    ...Inbox.make(database),
    ...Snapshots.make(database)
  })
})

/** Opens the journal of a state directory, making both (0700, 0600) where they are missing. */
export const layer = (options: {
  readonly stateDirectory: string
}): Layer.Layer<Journal, JournalFailed | JournalForeign | JournalTooNew> =>
  Layer.scoped(Journal, make(join(options.stateDirectory, JOURNAL_FILE)))
