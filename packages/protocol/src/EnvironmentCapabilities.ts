/**
 * Capabilities of an environment: what it has for new sessions, as its metadata tells it. Values of metadata are strings, so that every hub
 * keeps them as they are.
 */
import type { JsonObject } from "./Payload.ts"

export interface EnvironmentCapabilities {
  /** Names that `session_context.agent` may have there; the first is the one that a session gets which names none. */
  readonly agents: ReadonlyArray<string>
  /** A session that has `session_context.worktree: true` gets a git worktree of its own there. */
  readonly worktrees: boolean
  /** It takes sessions beside its own. */
  readonly sessions: boolean
  /** No agent is installed there: the scripted one stands in for it. */
  readonly standIn: boolean
}

/** No name of an agent has it. */
const SEPARATOR = ","

export const toMetadata = (capabilities: EnvironmentCapabilities): { readonly [name: string]: string } => ({
  agents: capabilities.agents.join(SEPARATOR),
  worktrees: String(capabilities.worktrees),
  sessions: String(capabilities.sessions),
  stand_in: String(capabilities.standIn)
})

/** Of metadata that says nothing of it: no agents are named, no worktrees, and sessions are taken. */
export const fromMetadata = (metadata: JsonObject): EnvironmentCapabilities => {
  const agents = metadata["agents"]
  return {
    agents: typeof agents === "string" ? agents.split(SEPARATOR).filter((name) => name !== "") : [],
    worktrees: metadata["worktrees"] === "true",
    sessions: metadata["sessions"] !== "false",
    standIn: metadata["stand_in"] === "true"
  }
}
