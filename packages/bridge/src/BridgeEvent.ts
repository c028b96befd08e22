/** What a bridge tells whoever runs it: typed, in order, without the contents of conversations. Source: spec 1 §7. */
import type { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Lifecycle from "./Lifecycle.ts"

/** Why a session's link to the hub ended. */
export type DetachReason =
  /** The hub asked for the end of the work. */
  | "lease_ended"
  /** The lease could not be renewed in time, or another took it. */
  | "lease_lost"
  /** A newer worker has the session. */
  | "superseded"
  /** The session's token was refused. */
  | "token_refused"
  /** The hub does not know the session any more. */
  | "session_gone"
  /** The hub refused what every attachment needs. */
  | "refused"

/** A step of the orderly shutdown. */
export type ShutdownStep =
  | "agents"
  | "flush"
  | "result"
  | "stop"
  | "archive"
  | "worktree"
  | "deregister"
  | "pointer"

/** A step of the shutdown that did not finish. */
export interface Unfinished {
  readonly step: ShutdownStep
  readonly sessionId: SessionId | undefined
  readonly detail: string
}

export type BridgeEvent = Data.TaggedEnum<{
  /** The lifecycle moved. */
  StateChanged: { readonly state: Lifecycle.State }
  /** `reused`: the environment of an earlier run came back. */
  Registered: { readonly environmentId: EnvironmentId; readonly reused: boolean }
  /** The hub cannot be reached while the bridge starts. */
  StartDelayed: { readonly why: string; readonly retryIn: Duration.Duration }
  /** The home session is known; `reused` where it was taken up again. */
  SessionReady: { readonly sessionId: SessionId; readonly reused: boolean }
  /** Work on a session cannot begin: calls do not arrive. Tried again. */
  AttachDelayed: { readonly sessionId: SessionId; readonly why: string }
  SessionAttached: { readonly sessionId: SessionId; readonly epoch: number }
  SessionDetached: { readonly sessionId: SessionId; readonly reason: DetachReason; readonly detail: string }
  /** `held`: somebody between here and the hub holds the session's stream back, and it is asked for piece by piece. */
  StreamHeld: { readonly sessionId: SessionId; readonly held: boolean }
  /** A line of the agent that somebody between here and the hub refuses; it is kept and sent again, later ones wait. */
  LineStuck: { readonly sessionId: SessionId; readonly bytes: number; readonly words: string }
  /** It went through. */
  LineWentThrough: { readonly sessionId: SessionId; readonly bytes: number }
  /** The bridge holds the session no more. `unsent`: agent lines that the hub had not confirmed. */
  SessionEnded: { readonly sessionId: SessionId; readonly why: string; readonly unsent: number }
  /** A session with nothing to do that made room for another; its next message wakes it. */
  SessionAsleep: { readonly sessionId: SessionId }
  /** Work that waits because this bridge runs as many sessions as it may. */
  AtCapacity: { readonly sessionId: SessionId; readonly maxSessions: number }
  /** Work that cannot be done here. */
  WorkRefused: { readonly sessionId: SessionId; readonly why: string }
  /** A saved session that cannot be taken up again; it is forgotten. */
  SavedSessionDropped: { readonly sessionId: SessionId; readonly why: string }
  /** Something that a person should know and that stops nothing. */
  Warning: { readonly message: string; readonly sessionId: SessionId | undefined }
  ShutDown: { readonly unfinished: ReadonlyArray<Unfinished> }
}>
export const BridgeEvent = Data.taggedEnum<BridgeEvent>()

/** One line for people. */
export const describe = (event: BridgeEvent): string =>
  BridgeEvent.$match(event, {
    StateChanged: ({ state }) => Lifecycle.describe(state),
    Registered: ({ environmentId, reused }) => `environment ${environmentId}${reused ? " (reused)" : ""}`,
    StartDelayed: ({ why, retryIn }) =>
      `the hub does not answer (${why}); trying again in ${Math.ceil(Duration.toSeconds(retryIn))} s`,
    SessionReady: ({ sessionId, reused }) => `session ${sessionId}${reused ? " (resumed)" : ""}`,
    AttachDelayed: ({ sessionId, why }) => `session ${sessionId} is not attached yet: ${why}; trying again`,
    SessionAttached: ({ sessionId }) => `session ${sessionId} attached`,
    SessionDetached: ({ sessionId, detail }) => `session ${sessionId} detached: ${detail}`,
    StreamHeld: ({ sessionId, held }) =>
      held
        ? `session ${sessionId}: a proxy between here and the hub buffers its stream; messages are polled for every few seconds instead`
        : `session ${sessionId}: its stream works again`,
    LineStuck: ({ sessionId, words }) => `session ${sessionId}: ${words}`,
    LineWentThrough: ({ sessionId, bytes }) =>
      `session ${sessionId}: the line of ${bytes} bytes that could not be sent has reached the hub`,
    SessionEnded: ({ sessionId, why, unsent }) =>
      `session ${sessionId} ended: ${why}${unsent === 0 ? "" : `; ${unsent} lines could not be sent; the journal keeps them`}`,
    SessionAsleep: ({ sessionId }) =>
      `session ${sessionId} was put to sleep to make room for another; its next message wakes it`,
    AtCapacity: ({ sessionId, maxSessions }) =>
      `session ${sessionId} waits: all ${maxSessions} places are busy; allow more with --capacity`,
    WorkRefused: ({ sessionId, why }) => `session ${sessionId} cannot run here: ${why}`,
    SavedSessionDropped: ({ sessionId, why }) => `saved session ${sessionId} is not resumed: ${why}`,
    Warning: ({ message }) => message,
    ShutDown: ({ unfinished }) =>
      unfinished.length === 0
        ? "shut down"
        : `shut down; unfinished: ${unfinished
            .map(({ step, sessionId, detail }) =>
              sessionId === undefined ? `${step} (${detail})` : `${step} of ${sessionId} (${detail})`
            )
            .join(", ")}`
  })
