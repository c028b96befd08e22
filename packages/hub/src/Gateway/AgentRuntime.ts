/** Which agent a session has, and which of the gateway's settings that agent acts on. Source: spec 2 §2 (`sessions.patch`). */
import type { Session } from "@causeway/store/Session"
import { type JsonObject, string } from "@causeway/transcript/Read"
import type { GatewayConfig } from "./Config.ts"

export interface AgentRuntime {
  /** As a bridge names it: `claude`, `scripted`, `acp:<command>`; `unassigned` where nobody has chosen one yet. */
  readonly id: string
  /**
   * Who chose it: the session itself, its agent's configuration, the environment where it runs, or nobody yet. A chosen agent
   * that its environment does not offer is refused there, so what is shown here is what runs.
   */
  readonly source: "session" | "agent" | "environment" | "implicit"
}

/** Nobody has chosen yet. */
export const unassigned: AgentRuntime = { id: "unassigned", source: "implicit" }

export const of = (
  config: GatewayConfig,
  record: Pick<Session, "agentId" | "context" | "environmentAgent">
): AgentRuntime => {
  const configured = config.agents.find((agent) => agent.id === record.agentId)?.driver
  const asked = string(record.context["agent"])
  if (asked !== null && asked !== configured) return { id: asked, source: "session" }
  if (configured !== undefined) return { id: configured, source: "agent" }
  if (record.environmentAgent !== undefined) return { id: record.environmentAgent, source: "environment" }
  return unassigned
}

/** Settings that nothing here would change, and what to use instead. */
const withoutEffect: { readonly [field: string]: string } = {
  traceLevel: "there are no plugins to trace",
  reasoningLevel: "what the agent thinks stands in the transcript",
  elevatedLevel: "what the agent may do is its permission mode",
  execHost: "commands run where the agent runs",
  execSecurity: "what the agent may do is its permission mode",
  execAsk: "what the agent may do is its permission mode",
  execNode: "commands run where the agent runs",
  groupActivation: "a session has no group chat here",
  responseUsage: "what a turn used stands in its result"
}

/** Settings that reach agents which speak Claude Code's protocol. */
const ofClaude: ReadonlySet<string> = new Set(["thinkingLevel", "fastMode"])
const speaksClaude = ({ id }: AgentRuntime): boolean => id === "claude" || id === "scripted"

/**
 * Why a setting does nothing for a session's agent; undefined where it acts. Before a session has an agent all are kept:
 * those that turn out to do nothing are dropped, and told, when it gets one.
 */
export const unsupported = (runtime: AgentRuntime, field: string): string | undefined => {
  if (runtime.source === "implicit") return undefined
  const instead =
    withoutEffect[field] ??
    (ofClaude.has(field) && !speaksClaude(runtime) ? "it has settings of its own" : undefined)
  return instead === undefined ? undefined : `${field} does nothing for the agent "${runtime.id}": ${instead}`
}

/** The entry's settings that do nothing for the agent, with the reasons. */
export const unsupportedIn = (
  runtime: AgentRuntime,
  entry: JsonObject
): ReadonlyArray<{ readonly field: string; readonly reason: string }> =>
  [...Object.keys(withoutEffect), ...ofClaude].flatMap((field) => {
    const reason = entry[field] === undefined ? undefined : unsupported(runtime, field)
    return reason === undefined ? [] : [{ field, reason }]
  })
