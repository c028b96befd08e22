/**
 * A session's two directions as its agent sees them: client events that come down, lines and deliveries that go up.
 *
 * A link to a hub is one (packages/bridge); a run without a hub is another (`Runner`).
 */
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import type { SessionId } from "@causeway/protocol/Ids"
import type { Payload } from "@causeway/protocol/Payload"
import type * as Effect from "effect/Effect"
import type * as Queue from "effect/Queue"
import type * as Ref from "effect/Ref"
import type { AgentOutput, AgentStatus, AgentUnavailable } from "./Agent.ts"
import type { SessionRecord } from "./Journal/Model.ts"
import type { Snapshot } from "./Snapshot.ts"

export interface Channel {
  readonly sessionId: SessionId
  /** Whether the agent is started before the first message, and has no history elsewhere. */
  readonly home: boolean
  /** The session as the journal knew it when the channel was opened. */
  readonly record: Pick<
    SessionRecord,
    "agent" | "agentSessionId" | "cwd" | "launched" | "model" | "permissionMode" | "launch"
  >
  /** Hands over what an agent said, in its order. Durable lines and deliveries are journalled as one when it returns. */
  readonly write: (outputs: ReadonlyArray<AgentOutput>) => Effect.Effect<void>
  /** Client events for the agent, each once, journalled, oldest first. One consumer. */
  readonly inbound: Queue.Dequeue<Payload>
  /** Client events that nobody has answered, oldest first; may overlap with what waits in `inbound`. */
  readonly unanswered: Effect.Effect<ReadonlyArray<Payload>>
  /**
   * The conversation in the log up to the agent's last word: what an agent that is new to the session takes up. Empty
   * where no agent has answered yet, or where the log cannot be read (logged).
   */
  readonly history: Effect.Effect<ReadonlyArray<Payload>>
  /** Settings in force now. */
  readonly settings: Effect.Effect<AgentSettings>
  /** Settings that people change otherwise than by asking the agent, journalled. One consumer. */
  readonly changes: Queue.Dequeue<AgentSettings>
  /** Told when an agent is up, before anything that it says. */
  readonly opened: Effect.Effect<void>
  /** Told when no agent works here, and why; the next message tries again. */
  readonly failed: (error: AgentUnavailable) => Effect.Effect<void>
  /** Keeps a file as the agent read it. */
  readonly keep: (snapshot: Snapshot) => Effect.Effect<void>
  /** Notes that the agent's conversation exists: from the next launch on it is resumed. Durable when it returns. */
  readonly launched: Effect.Effect<void>
  readonly setStatus: (status: AgentStatus) => Effect.Effect<void>
  /** Tells whether the agent is at work. Set by whoever serves; undefined while nobody who tells serves. */
  readonly atWork: Ref.Ref<Effect.Effect<boolean> | undefined>
}
