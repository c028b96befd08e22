/**
 * Session keys: canonical form, aliases, kinds. Source: spec 2 §3 ("Keys").
 *
 * A canonical key is `agent:<agentId>:<rest>` in lower case; `global` and `unknown` stand alone.
 */

/** What keys mean here. */
export interface KeyRules {
  readonly defaultAgentId: string
  /** Configured agents, in order. */
  readonly agentIds: ReadonlyArray<string>
  readonly mainKey: string
  readonly scope: "per-sender" | "global"
}

/** The agent that bare keys belong to where nothing is configured. */
export const DEFAULT_AGENT_ID = "main"

const valid = /^[a-z0-9][a-z0-9_-]{0,63}$/

/** Lower case; invalid runs become `-`, edge dashes go, 64 characters at most; nothing left means `main`. */
export const normalizeAgentId = (id: string | undefined): string => {
  const lower = (id ?? "").trim().toLowerCase()
  if (valid.test(lower)) return lower
  const cleaned = lower
    .replace(/[^a-z0-9_-]+/g, "-")
    .replace(/^-+/, "")
    .replace(/-+$/, "")
    .slice(0, 64)
  return cleaned === "" ? DEFAULT_AGENT_ID : cleaned
}

export interface AgentKey {
  readonly agentId: string
  readonly rest: string
}

/** Splits on `:`, empty parts dropped; three parts at least, the first `agent`. */
export const parseAgentKey = (key: string): AgentKey | undefined => {
  const parts = key
    .trim()
    .toLowerCase()
    .split(":")
    .filter((part) => part !== "")
  const [first, agentId, ...rest] = parts
  return first === "agent" && agentId !== undefined && rest.length > 0
    ? { agentId, rest: rest.join(":") }
    : undefined
}

/** `global` and `unknown`, in any case. */
export const isSpecial = (key: string): boolean => {
  const lower = key.trim().toLowerCase()
  return lower === "global" || lower === "unknown"
}

/** The agent that a canonical key names; undefined for `global` and `unknown`. */
export const agentOf = (key: string): string | undefined => {
  const parsed = parseAgentKey(key)
  return parsed === undefined ? undefined : normalizeAgentId(parsed.agentId)
}

export const mainSessionKey = (rules: KeyRules): string =>
  rules.scope === "global" ? "global" : `agent:${rules.defaultAgentId}:${rules.mainKey}`

/** The key of an agent's main session for `main`, the main key and `agent:<id>:main`; else the key itself. */
const resolveMainAlias = (key: string, agentId: string, rules: KeyRules): string => {
  const main = `agent:${agentId}:${rules.mainKey}`
  const isAlias = key === "main" || key === rules.mainKey || key === main || key === `agent:${agentId}:main`
  if (!isAlias) return key
  return rules.scope === "global" ? "global" : main
}

/** Lower case, without what stands at either end of a key and names nothing. */
const tidy = (key: string): string => key.toLowerCase().replace(/^[\s:]+|[\s:]+$/g, "")

/** Whether a key names nothing: blank, or nothing but separators. */
export const isBlank = (key: string): boolean => /^[\s:]*$/.test(key)

/** The canonical form of a key as somebody gave it; of one that names nothing, the empty one. Idempotent. */
export const canonical = (given: string, rules: KeyRules): string => {
  if (isBlank(given)) return ""
  const key = tidy(given)
  if (isSpecial(key)) return key
  const parsed = parseAgentKey(key)
  if (parsed !== undefined) {
    const agentId = normalizeAgentId(parsed.agentId)
    // Without an agent called `main`, its main session is the default agent's.
    if (
      agentId === DEFAULT_AGENT_ID &&
      parsed.rest === "main" &&
      !rules.agentIds.includes(DEFAULT_AGENT_ID)
    ) {
      return mainSessionKey(rules)
    }
    return resolveMainAlias(key, agentId, rules)
  }
  if (key === "main" || key === rules.mainKey) return mainSessionKey(rules)
  return `agent:${rules.defaultAgentId}:${key}`
}

/**
 * Keys under which a session may still stand from before: as it was given, and as main sessions were called before the
 * main key or the default agent was changed. Without the canonical one.
 */
export const legacy = (given: string, rules: KeyRules): ReadonlyArray<string> => {
  const wanted = canonical(given, rules)
  const raw = tidy(given)
  const agentId = agentOf(wanted) ?? rules.defaultAgentId
  const isMain = wanted === mainSessionKey(rules) || wanted === `agent:${agentId}:${rules.mainKey}`
  const candidates = [raw, ...(isMain ? ["main", rules.mainKey, `agent:${agentId}:main`] : [])]
  return [...new Set(candidates)].filter((key) => key !== wanted && key !== "")
}

/** The canonical form of a key that a session is made with, bare keys belonging to this agent. */
export const canonicalFor = (given: string, agentId: string, rules: KeyRules): string => {
  const key = tidy(given)
  if (isSpecial(key) || parseAgentKey(key) !== undefined) return canonical(key, rules)
  return resolveMainAlias(
    key === "main" || key === rules.mainKey ? `agent:${agentId}:main` : `agent:${agentId}:${key}`,
    agentId,
    rules
  )
}

export type Kind = "global" | "unknown" | "group" | "direct"

export const kindOf = (key: string, chatType?: unknown): Kind => {
  if (key === "global" || key === "unknown") return key
  if (chatType === "group" || chatType === "channel") return "group"
  return key.includes(":group:") || key.includes(":channel:") ? "group" : "direct"
}

/** Channel and id of a group's key: `…:<channel>:group|channel:<id>`. */
export const groupOf = (
  key: string
): { readonly channel: string; readonly kind: "group" | "channel"; readonly id: string } | undefined => {
  const parts = (parseAgentKey(key)?.rest ?? key).split(":")
  const [channel, kind, ...id] = parts
  return channel !== undefined && (kind === "group" || kind === "channel") && id.length > 0
    ? { channel, kind, id: id.join(":") }
    : undefined
}

const restOf = (key: string): string => parseAgentKey(key)?.rest ?? key

/** Only these take lineage fields. */
export const isSubagentOrAcp = (key: string): boolean => {
  const rest = restOf(key)
  return rest.startsWith("subagent:") || rest.startsWith("acp:")
}

/** As patterns of `LIKE`: keys that lists leave out. */
export const unlisted = (
  shown: { readonly global?: boolean; readonly unknown?: boolean } = {}
): ReadonlyArray<string> => [
  "%:cron:%:run:%",
  ...(shown.global === true ? [] : ["global"]),
  ...(shown.unknown === true ? [] : ["unknown"])
]

export const isCronRun = (key: string): boolean => /:cron:.*:run:/.test(key)

/** Sessions that retention leaves alone: groups, channels and threads. */
export const isProtected = (key: string): boolean =>
  kindOf(key) === "group" || /:thread:[^:]+$/.test(key) || isSpecial(key)
