/**
 * Sessions as rows and entries: what lists, headers and events show. Source: spec 2 §2 ("Changed event") and §3.
 *
 * Everything is read from the session's row, its projection and its entry; no transcript is parsed. Members that are not
 * known are left out.
 */
import { anySessionBody, type SessionBody, sessionUuid } from "@causeway/protocol/Ids"
import { rowOf, type Session } from "@causeway/store/Session"
import { type JsonObject, object, string } from "@causeway/transcript/Read"
import type * as SessionRow from "@causeway/transcript/SessionRow"
import * as AgentRuntime from "./AgentRuntime.ts"
import type { GatewayConfig, Model } from "./Config.ts"
import * as Keys from "./Keys.ts"

/** Where a log is, for `sessionFile` and `path`. */
export const locator = (body: SessionBody, archivedAt?: number): string =>
  `causeway:log/${sessionUuid(body)}${archivedAt === undefined ? "" : `?archived=${archivedAt}`}`

/** Where an agent's sessions are kept, for `path` and `storePath`. */
export const storeLocator = (agentId?: string): string =>
  agentId === undefined ? "(multiple)" : `causeway:sessions/${agentId}`

/** Drops members that are undefined. */
export const compact = <T extends { readonly [key: string]: unknown }>(value: T): JsonObject => {
  const out: { [key: string]: unknown } = {}
  for (const [key, member] of Object.entries(value)) if (member !== undefined) out[key] = member
  return out
}

// --- Models ---

const BASE_LEVELS = ["off", "minimal", "low", "medium", "high"] as const

export interface ModelRef {
  readonly provider: string | undefined
  readonly model: string | undefined
}

export const parseModel = (text: string, fallbackProvider: string | undefined): ModelRef => {
  const at = text.indexOf("/")
  return at > 0
    ? { provider: text.slice(0, at).trim(), model: text.slice(at + 1).trim() }
    : { provider: fallbackProvider, model: text.trim() }
}

/** The model of an agent where nobody chose another. */
export const defaultModel = (config: GatewayConfig, agentId: string | undefined): ModelRef => {
  const first = config.models[0]
  const text = config.agents.find((agent) => agent.id === agentId)?.model ?? config.defaultModel
  if (text !== undefined) return parseModel(text, first?.provider ?? "anthropic")
  return { provider: first?.provider, model: first?.id }
}

export const findModel = (config: GatewayConfig, ref: ModelRef): Model | undefined =>
  config.models.find((model) => model.provider === ref.provider && model.id === ref.model)

/** Claude Code takes these without a catalogue: its aliases, and the names of the models themselves. */
const CLAUDE_MODEL = /^((default|best|opus|sonnet|haiku|opusplan)(\[\w+\])?|claude-[\w.:@[\]-]+)$/i

/**
 * Why a model cannot be chosen; undefined where it can. Where models are configured, those are all there are; else a name of
 * another provider than the agent's is no model, and Claude Code's own names are known.
 */
export const refuseModel = (
  config: GatewayConfig,
  runtime: AgentRuntime.AgentRuntime,
  ref: ModelRef,
  fallback: ModelRef
): string | undefined => {
  if (ref.provider === fallback.provider && ref.model === fallback.model) return undefined
  const name = [ref.provider, ref.model].filter((part) => part !== undefined).join("/")
  if (config.models.length > 0) {
    const known = config.models.map((model) => `${model.provider}/${model.id}`)
    return findModel(config, ref) === undefined
      ? `model not allowed: ${name} (use ${known.join("|")})`
      : undefined
  }
  const provider = fallback.provider ?? "anthropic"
  if (ref.provider !== undefined && ref.provider !== provider && runtime.id.startsWith("acp:") === false) {
    return `model not allowed: ${name} (no provider ${JSON.stringify(ref.provider)} is configured; name its models in gateway.json)`
  }
  return runtime.id === "claude" && !CLAUDE_MODEL.test(ref.model ?? "")
    ? `model not allowed: ${name} (the agent "claude" takes its aliases, such as opus or sonnet, and names that begin with claude-)`
    : undefined
}

export const thinkingLevels = (config: GatewayConfig, ref: ModelRef): ReadonlyArray<string> => [
  ...BASE_LEVELS,
  ...(findModel(config, ref)?.extraThinkingLevels ?? [])
]

/** The window of a model whose window is not configured. */
const CONTEXT_TOKENS = 200_000

/** `defaults` of the list. */
export const defaultsOf = (config: GatewayConfig, agentId?: string): JsonObject => {
  const ref = defaultModel(config, agentId ?? config.defaultAgentId)
  const levels = thinkingLevels(config, ref)
  return {
    modelProvider: ref.provider ?? null,
    model: ref.model ?? null,
    contextTokens: findModel(config, ref)?.contextWindow ?? CONTEXT_TOKENS,
    thinkingLevels: levels.map((id) => ({ id, label: id })),
    thinkingOptions: levels,
    thinkingDefault:
      config.agents.find((agent) => agent.id === (agentId ?? config.defaultAgentId))?.thinkingDefault ??
      "medium"
  }
}

/** The model that a session uses: chosen, else reported by its agent, else the agent's default. */
export const modelOf = (
  config: GatewayConfig,
  record: Session,
  entry: JsonObject,
  row: SessionRow.SessionRow
): ModelRef => {
  const fallback = defaultModel(config, record.agentId ?? config.defaultAgentId)
  const chosen = string(entry["modelOverride"])
  if (chosen !== null) {
    return { provider: string(entry["providerOverride"]) ?? fallback.provider, model: chosen }
  }
  return row.model === null ? fallback : { provider: fallback.provider ?? "anthropic", model: row.model }
}

// --- Runs ---

/** The run that people stopped last, while no later message has come: what its agent says of it later counts no more. */
const stoppedRun = (entry: JsonObject, row: SessionRow.SessionRow): JsonObject => {
  const run = object(entry["lastRun"])
  const prompts = run["prompts"]
  return typeof prompts === "number" && prompts < row.counts.prompts ? {} : run
}

/** How the last run ended. */
const lastRun = (entry: JsonObject, row: SessionRow.SessionRow): JsonObject => {
  const stopped = stoppedRun(entry, row)
  if (stopped["status"] !== undefined || row.numTurns === 0) return stopped
  const { endedAt, startedAt } = row.turn ?? {}
  return {
    status: row.turn?.stopped === true ? "killed" : row.lastError === null ? "done" : "failed",
    startedAt,
    ...(endedAt == null || startedAt === undefined
      ? {}
      : { endedAt, runtimeMs: Math.max(0, endedAt - startedAt) })
  }
}

/** What a run leaves behind in an entry. */
const leftBy = (entry: JsonObject, row: SessionRow.SessionRow): JsonObject => {
  const { status } = lastRun(entry, row)
  return status === undefined
    ? { systemSent: entry["systemSent"], abortedLastRun: entry["abortedLastRun"] }
    : { systemSent: true, abortedLastRun: status === "killed" || status === "timeout" }
}

const isRunning = (row: SessionRow.SessionRow): boolean =>
  row.status === "running" || row.status === "requires_action"

/** Whether the log says that a run is under way, or that a message waits for its first worker. */
export const hasRunInLog = (record: Session): boolean => {
  const row = rowOf(record)
  const open = isRunning(row) || (row.status === "pending" && row.prompted)
  return open && !isStopped(record.entry, row)
}

/** Whether people stopped the present run, whose agent has yet to say that it ended. */
export const isStopped = (entry: JsonObject, row: SessionRow.SessionRow): boolean => {
  const { status } = stoppedRun(entry, row)
  return status === "killed" || status === "timeout"
}

const statusOf = (entry: JsonObject, row: SessionRow.SessionRow, startedAt?: number): JsonObject => {
  if (isRunning(row) && !isStopped(entry, row)) return compact({ status: "running", startedAt })
  const { endedAt, runtimeMs, status, ...run } = lastRun(entry, row)
  return compact({ status, startedAt: run["startedAt"], endedAt, runtimeMs })
}

// --- Rows ---

/** Entry fields that rows and changed events carry as they stand. */
const carried = [
  "channel",
  "subject",
  "groupChannel",
  "space",
  "chatType",
  "origin",
  "spawnedWorkspaceDir",
  "forkedFromParent",
  "spawnDepth",
  "subagentRole",
  "subagentControlScope",
  "deliveryContext",
  "thinkingLevel",
  "fastMode",
  "verboseLevel",
  "traceLevel",
  "reasoningLevel",
  "elevatedLevel",
  "sendPolicy",
  "lastChannel",
  "lastTo",
  "lastAccountId",
  "lastThreadId",
  "responseUsage"
] as const

/** Extensions of plugins as rows have them; an entry has them nested. */
const extensionsOf = (entry: JsonObject): ReadonlyArray<JsonObject> | undefined => {
  const list = Object.entries(object(entry["pluginExtensions"])).flatMap(([pluginId, namespaces]) =>
    Object.entries(object(namespaces)).map(([namespace, value]) => ({ pluginId, namespace, value }))
  )
  return list.length === 0 ? undefined : list
}

const displayName = (record: Session, entry: JsonObject, row: SessionRow.SessionRow): string | undefined => {
  const own = string(entry["displayName"])
  if (own !== null) return own
  const group = Keys.groupOf(record.key)
  if (group !== undefined && record.label === undefined) return `${group.channel}:g-${group.id}`
  const given = row.titleOrigin === "given" ? row.title : null
  return record.label ?? given ?? string(object(entry["origin"])["label"]) ?? undefined
}

/** `<id8> (YYYY-MM-DD)`. */
const fallbackTitle = (record: Session): string =>
  `${record.session.slice(0, 8)} (${new Date(record.updatedAt).toISOString().slice(0, 10)})`

const tokensOf = (entry: JsonObject, row: SessionRow.SessionRow): JsonObject => {
  const usage = row.usage
  return compact({
    inputTokens: usage === null ? entry["inputTokens"] : usage.inputTokens,
    outputTokens: usage === null ? entry["outputTokens"] : usage.outputTokens,
    totalTokens: row.contextTokens ?? entry["totalTokens"],
    totalTokensFresh: row.contextTokens !== null || entry["totalTokensFresh"] === true,
    estimatedCostUsd: row.totalCostUsd ?? undefined
  })
}

export interface RowOptions {
  readonly includeDerivedTitles?: boolean | undefined
  readonly includeLastMessage?: boolean | undefined
  readonly hasActiveRun?: boolean | undefined
  readonly childSessions?: ReadonlyArray<string> | undefined
  readonly checkpoints?: { readonly count: number; readonly latest: JsonObject | undefined } | undefined
  /** When the present run began. */
  readonly startedAt?: number | undefined
  /** What a session that cannot run now waits for. */
  readonly waitingFor?: string | null | undefined
}

/** A session as a row. */
export const toRow = (config: GatewayConfig, record: Session, options: RowOptions = {}): JsonObject => {
  const entry = record.entry
  const row = rowOf(record)
  const model = modelOf(config, record, entry, row)
  const levels = thinkingLevels(config, model)
  const name = displayName(record, entry, row)
  const title = options.includeDerivedTitles
    ? (string(entry["displayName"]) ?? string(entry["subject"]) ?? row.title ?? fallbackTitle(record))
    : undefined
  const pick = (names: ReadonlyArray<string>) => Object.fromEntries(names.map((each) => [each, entry[each]]))
  const group = Keys.groupOf(record.key)
  const checkpoints = options.checkpoints
  return compact({
    key: record.key,
    kind: Keys.kindOf(record.key, entry["chatType"]),
    label: record.label,
    displayName: name,
    derivedTitle: title,
    lastMessagePreview: options.includeLastMessage ? row.lastMessage?.text : undefined,
    ...pick(carried),
    pluginExtensions: extensionsOf(entry),
    channel: entry["channel"] ?? group?.channel,
    spawnedBy: record.spawnedBy,
    parentSessionKey: record.parentKey,
    updatedAt: record.updatedAt,
    sessionId: sessionUuid(record.session),
    ...leftBy(entry, row),
    thinkingLevels: levels.map((id) => ({ id, label: id })),
    thinkingOptions: levels,
    thinkingDefault: defaultsOf(config, record.agentId)["thinkingDefault"],
    ...tokensOf(entry, row),
    ...statusOf(entry, row, options.startedAt),
    childSessions:
      options.childSessions === undefined || options.childSessions.length === 0
        ? undefined
        : options.childSessions,
    modelProvider: model.provider,
    model: model.model,
    agentRuntime: AgentRuntime.of(config, record),
    contextTokens:
      findModel(config, model)?.contextWindow ??
      (entry["modelOverride"] === undefined ? CONTEXT_TOKENS : undefined),
    compactionCheckpointCount:
      checkpoints === undefined || checkpoints.count === 0 ? undefined : checkpoints.count,
    latestCompactionCheckpoint: checkpoints?.latest,
    pendingApprovals: row.approvals.pending.length === 0 ? undefined : row.approvals.pending.length,
    waitingFor: options.waitingFor ?? undefined,
    hasActiveRun: options.hasActiveRun
  })
}

/** Members of a row that changed events repeat; what only rows carry stays out. */
const rowOnly = new Set([
  "key",
  "derivedTitle",
  "lastMessagePreview",
  "thinkingLevels",
  "thinkingOptions",
  "thinkingDefault",
  "agentRuntime"
])

export const changedFields = (row: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(row).filter(([name]) => !rowOnly.has(name)))

/** Entry fields that the gateway keeps for itself. */
const internal = new Set(["lastRun", "archivedBy", "archivedKey"])

/** A session as an entry, as methods that change it answer. */
export const toEntry = (record: Session): JsonObject => {
  const entry = record.entry
  const row = rowOf(record)
  return compact({
    sessionId: sessionUuid(record.session),
    updatedAt: record.updatedAt,
    ...Object.fromEntries(Object.entries(entry).filter(([name]) => !internal.has(name))),
    ...leftBy(entry, row),
    label: record.label,
    parentSessionKey: record.parentKey,
    spawnedBy: record.spawnedBy,
    sessionFile: locator(record.session),
    ...(row.numTurns === 0 ? {} : { sessionStartedAt: record.createdAt, ...statusOf(entry, row) })
  })
}

/** How long an ended or changed child is still shown with its parent. */
const CHILD_ENDED_MILLIS = 30 * 60_000
const CHILD_UPDATED_MILLIS = 60 * 60_000

/** Keys of children that are running, ended lately or were changed lately. */
export const childKeys = (
  children: ReadonlyArray<Session>,
  parent: string,
  nowMillis: number
): ReadonlyArray<string> =>
  children
    .filter((child) => child.parentKey === parent || child.spawnedBy === parent)
    .filter((child) => {
      const row = rowOf(child)
      if (isRunning(row)) return true
      const ended = lastRun(child.entry, row)["endedAt"]
      if (typeof ended === "number" && nowMillis - ended <= CHILD_ENDED_MILLIS) return true
      return nowMillis - child.updatedAt <= CHILD_UPDATED_MILLIS
    })
    .map((child) => child.key)

// --- Resolving a session id ---

export type Resolved =
  | { readonly _tag: "None" }
  | { readonly _tag: "One"; readonly record: Session }
  | { readonly _tag: "Several"; readonly keys: ReadonlyArray<string> }

/**
 * The session that an id names, of these: by session id or key; among several, those whose key ends in the id; among
 * those, the one that is strictly freshest.
 */
export const resolveSessionId = (candidates: ReadonlyArray<Session>, sessionId: string): Resolved => {
  const wanted = sessionId.trim().toLowerCase()
  const body = anySessionBody(wanted)
  const matches = candidates.filter(
    (record) => record.session.toLowerCase() === body || record.key === wanted
  )
  if (matches.length === 0) return { _tag: "None" }
  const named = matches.filter((record) => record.key === wanted || record.key.endsWith(`:${wanted}`))
  const best = [...(named.length > 0 ? named : matches)].sort((a, b) => b.updatedAt - a.updatedAt)
  const [first, second] = best
  if (first === undefined) return { _tag: "None" }
  return second === undefined || first.updatedAt > second.updatedAt
    ? { _tag: "One", record: first }
    : { _tag: "Several", keys: best.map((record) => record.key) }
}
