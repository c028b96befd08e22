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
  /** What the owner of the machine does not allow people to set: permission modes, `skip_permissions`, `auto_accept_edits`. */
  readonly notAllowed: ReadonlyArray<string>
  /** Tools that a person allows each time: no rule may. One that ends in `*` stands for all that begin so. */
  readonly alwaysAsk: ReadonlyArray<string>
}

/** No name has it. */
const SEPARATOR = ","

const names = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string" ? value.split(SEPARATOR).filter((name) => name !== "") : []

/** Left out where there are none, as in what older bridges tell. */
const told = (name: string, all: ReadonlyArray<string>): { readonly [name: string]: string } =>
  all.length === 0 ? {} : { [name]: all.join(SEPARATOR) }

export const toMetadata = (capabilities: EnvironmentCapabilities): { readonly [name: string]: string } => ({
  agents: capabilities.agents.join(SEPARATOR),
  worktrees: String(capabilities.worktrees),
  sessions: String(capabilities.sessions),
  stand_in: String(capabilities.standIn),
  ...told("not_allowed", capabilities.notAllowed),
  ...told("always_ask", capabilities.alwaysAsk)
})

/** Of metadata that says nothing of it: no agents are named, no worktrees, sessions are taken, and nothing is kept back. */
export const fromMetadata = (metadata: JsonObject): EnvironmentCapabilities => ({
  agents: names(metadata["agents"]),
  worktrees: metadata["worktrees"] === "true",
  sessions: metadata["sessions"] !== "false",
  standIn: metadata["stand_in"] === "true",
  notAllowed: names(metadata["not_allowed"]),
  alwaysAsk: names(metadata["always_ask"])
})

/** Whether a name is among names of tools; one that ends in `*` stands for all that begin so. */
export const covers = (tools: ReadonlyArray<string>, tool: string): boolean =>
  tools.some((name) => (name.endsWith("*") ? tool.startsWith(name.slice(0, -1)) : name === tool))
