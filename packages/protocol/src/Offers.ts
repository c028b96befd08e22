/**
 * What an environment offers to new sessions, as its metadata tells it. Values of metadata are strings, so that every hub
 * keeps them as they are.
 */
import type { JsonObject } from "./Payload.ts"

export interface Offers {
  /** Names that `session_context.agent` may have there; the first is the one that a session gets which names none. */
  readonly agents: ReadonlyArray<string>
  /** Whether a session that has `session_context.worktree: true` gets a git worktree of its own there. */
  readonly worktrees: boolean
  /** Whether it takes sessions beside its own. */
  readonly sessions: boolean
  /** No agent is installed there: the scripted one stands in for it. */
  readonly standIn: boolean
}

/** No name of an agent has it. */
const SEPARATOR = ","

export const toMetadata = (offers: Offers): { readonly [name: string]: string } => ({
  agents: offers.agents.join(SEPARATOR),
  worktrees: String(offers.worktrees),
  sessions: String(offers.sessions),
  stand_in: String(offers.standIn)
})

/** Of metadata that says nothing of it: no agents are named, no worktrees, and sessions are taken. */
export const fromMetadata = (metadata: JsonObject): Offers => {
  const agents = metadata["agents"]
  return {
    agents: typeof agents === "string" ? agents.split(SEPARATOR).filter((name) => name !== "") : [],
    worktrees: metadata["worktrees"] === "true",
    sessions: metadata["sessions"] !== "false",
    standIn: metadata["stand_in"] === "true"
  }
}
