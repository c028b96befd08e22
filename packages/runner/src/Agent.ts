/**
 * The seam between whoever owns a session (the bridge, or a program of its own) and an agent.
 *
 * Every driver speaks one vocabulary, the lines of spec 4 §1, whatever its agent speaks: an ACP driver translates.
 */

import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import type * as Delivery from "@causeway/protocol/Delivery"
import type { EventUuid, SessionId } from "@causeway/protocol/Ids"
import type { Payload } from "@causeway/protocol/Payload"
import type { Repairs } from "@causeway/transcript/Repairs"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import type { AgentOptions } from "./AgentOptions.ts"
import type { Ceiling } from "./Ceiling.ts"

/**
 * The agent cannot be started: not found, not executable, refused at once, wrong version, no such directory, its user not
 * signed in with whoever serves it, not allowed by the machine's owner as it was asked for.
 */
export class AgentUnavailable extends Schema.TaggedError<AgentUnavailable>()("AgentUnavailable", {
  agent: Schema.String,
  reason: Schema.Literal(
    "NotFound",
    "NotExecutable",
    "ExitedAtOnce",
    "WrongVersion",
    "DirectoryMissing",
    "SignedOut",
    "NotAllowed",
    "Unknown"
  ),
  /** In words for a person: what was tried, what was seen (the end of stderr), what to do. */
  detail: Schema.String
}) {
  override get message(): string {
    return `agent ${this.agent} cannot be started: ${this.detail}`
  }
}

export interface AgentSessionSpec {
  readonly sessionId: SessionId
  /** `claude`, `scripted`, `acp:<command>`, or a configured name. */
  readonly agent: string
  readonly cwd: string
  /** The agent's own id of the conversation (a uuid), chosen by the owner so that it is known before the first line. */
  readonly agentSessionId: string
  /** That conversation exists already: resume it, and take up an interrupted turn. */
  readonly resume: boolean
  /**
   * The conversation that this one starts from: at its first start the agent takes it over, and goes on with it under
   * `agentSessionId`. The other one stays as it is.
   */
  readonly forkOf?: string | undefined
  readonly options?: AgentOptions | undefined
  /** Settings made since; they go before the options. */
  readonly settings?: AgentSettings | undefined
  /** Modes beyond it are refused, also by the names that an agent itself gives to them; default: none are. */
  readonly ceiling?: Ceiling | undefined
  /** Added to the agent's environment, beside `CAUSEWAY_RUN_ID`, `CAUSEWAY_SESSION_ID` and `CAUSEWAY_HUB_URL`. */
  readonly env?: { readonly [name: string]: string } | undefined
  /**
   * Client payloads that an earlier process had taken in charge and whose answer was not seen, oldest first: given to
   * the agent again under their uuids, each at most once in effect.
   */
  readonly unanswered?: ReadonlyArray<Payload> | undefined
}

/** Output of an agent session, in order. */
export type AgentOutput =
  /** One line of the agent. Always has a uuid unless it is ephemeral. */
  | { readonly _tag: "Line"; readonly payload: Payload }
  /** How far a client payload has come: `received` is in this process; `processed` also where there is nothing to answer. */
  | { readonly _tag: "Delivery"; readonly uuid: EventUuid; readonly state: Delivery.Report }

export type AgentStatus =
  | "starting"
  | "idle"
  | "running"
  | "requires_action"
  | "restarting"
  | "stopped"
  | "failed"

/** One conversation with one agent, kept alive across crashes of its process. */
export interface AgentSession {
  /** Ends when the session is stopped or has failed for good. One consumer; slow consumers slow the agent down. */
  readonly output: Stream.Stream<AgentOutput, AgentUnavailable>
  /**
   * Gives a client payload (`user`, `control_request`, `control_response`, `control_cancel_request`) to the agent.
   * A uuid that was given before is ignored. Returns when it is in charge here, not when it is answered.
   */
  readonly input: (payload: Payload) => Effect.Effect<void>
  /** Sets what a person has set otherwise than by asking the agent: of the running one, and of each that follows. */
  readonly configure: (settings: AgentSettings) => Effect.Effect<void>
  readonly status: SubscriptionRef.SubscriptionRef<AgentStatus>
  /**
   * Something would be lost if its process were ended now: a turn, an open question, a request without its answer,
   * or what the agent reports as running in the background.
   */
  readonly isAtWork: Effect.Effect<boolean>
  /** The id of the agent's process, while there is one. */
  readonly process: Effect.Effect<Option.Option<number>>
}

/** A conversation as an agent keeps it. */
export type AgentConversation = Pick<AgentSessionSpec, "agent" | "cwd" | "agentSessionId" | "env">

/**
 * Writes the agent's own record of a conversation from transcript entries (oldest first), so that opening it with
 * `resume` takes it up with its history, mended so that a model takes it; answers what was mended. Answers none, and
 * changes nothing, where the agent has it already.
 */
export type Adopt = (
  conversation: AgentConversation,
  entries: ReadonlyArray<Payload>
) => Effect.Effect<Option.Option<Repairs>, AgentUnavailable>

/** Opens agent sessions. Closing the scope ends the agent: end of input, then SIGTERM, then SIGKILL to its group. */
export class AgentSessions extends Context.Tag("@causeway/runner/AgentSessions")<
  AgentSessions,
  {
    /** Returns when the agent is up. Fails when it cannot be started at all; later ends of its process are healed. */
    readonly open: (spec: AgentSessionSpec) => Effect.Effect<AgentSession, AgentUnavailable, Scope.Scope>
    readonly adopt: Adopt
  }
>() {}
