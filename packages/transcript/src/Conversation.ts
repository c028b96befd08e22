/**
 * The conversation: what a person reads of a session, computed from its log event by event.
 *
 * Lines of the agent become items, one a content block; what belongs together is linked whichever side comes first: a
 * tool's call with its result and its approval, blocks of one message with each other, a subagent's items with the call
 * that started it. Nothing is refused: a line that this program does not know is kept as an `unknown` item. Source:
 * spec 3 §3 and §7, spec 4 §1.
 */
import * as Approvals from "./Approvals.ts"
import * as Author from "./Author.ts"
import * as FileChange from "./FileChange.ts"
import {
  amount,
  array,
  clip,
  isSubagent,
  type JsonObject,
  name,
  object,
  type ReadableEvent,
  string,
  timeOf
} from "./Read.ts"
import { errorText, isFailure, wasStopped } from "./Result.ts"
import * as Usage from "./Usage.ts"

// --- Items ---

interface Common {
  /** Stable and unique within a conversation: the event's uuid and the block's place in it. */
  readonly id: string
  readonly seq: number
  /** Milliseconds since the epoch. */
  readonly at: number
  /** The call that started the subagent which wrote this (or the subagent's id); null in the main context. */
  readonly parentToolUseId: string | null
  /** Replaced by a later line (spec 4 §1, `supersedes`); readers leave it out. */
  readonly superseded: boolean
}

/** Words of a person or of the agent. Text blocks of one agent message that follow each other are one item. */
export interface Message extends Common {
  readonly kind: "message"
  readonly role: "user" | "assistant"
  /** Uuid of the event that began it; a person's message is followed by it. */
  readonly uuid: string
  readonly source: "worker" | "client"
  readonly text: string
  readonly parts: ReadonlyArray<{
    readonly uuid: string
    readonly text: string
    readonly superseded: boolean
  }>
  readonly messageId: string | null
  readonly model: string | null
  /** Blocks that cannot be shown as text: images, documents. */
  readonly attachments: ReadonlyArray<JsonObject>
  /** Cut short by an interrupt. */
  readonly aborted: boolean
  /** The agent's name for what went wrong with this message. */
  readonly error: string | null
}

export interface Thinking extends Common {
  readonly kind: "thinking"
  readonly messageId: string | null
  readonly text: string
  readonly redacted: boolean
}

/** What a tool answered. Text parts are joined by newlines, other parts are named in brackets. */
export interface Outcome {
  readonly text: string
  readonly isError: boolean
  readonly at: number
  /** Images that the tool answered with. */
  readonly attachments: ReadonlyArray<JsonObject>
}

export interface ToolCall extends Common {
  readonly kind: "tool_call"
  readonly toolUseId: string
  readonly messageId: string | null
  readonly name: string
  readonly input: unknown
  readonly completed: boolean
  /** What it belongs to has ended without its result: it does not run any more. */
  readonly unfinished: boolean
  readonly result: Outcome | null
  /** Milliseconds from the call to its result, as the log's clock saw them; null until it is completed. */
  readonly durationMs: number | null
  readonly approval: { readonly requestId: string; readonly state: "pending" | Approvals.Outcome } | null
  /** What stood in the file that it was to change, where the agent's side has told. */
  readonly before: FileChange.Told | null
}

export interface ToolResult extends Common {
  readonly kind: "tool_result"
  readonly toolUseId: string
  readonly outcome: Outcome
  /** Whether its call is known, which then shows it. */
  readonly linked: boolean
}

/** A report of the agent's program. `quiet` ones matter to programs rather than to people. */
export interface System extends Common {
  readonly kind: "system"
  readonly subtype: string
  readonly text: string | null
  readonly quiet: boolean
}

/** A plan: its steps (`TodoWrite`, ACP) or its text (`ExitPlanMode`). */
export interface Plan extends Common {
  readonly kind: "plan"
  readonly toolUseId: string | null
  readonly text: string | null
  readonly steps: ReadonlyArray<{
    readonly text: string
    readonly status: "pending" | "in_progress" | "completed"
  }>
}

export interface Compaction extends Common {
  readonly kind: "compaction"
  readonly trigger: string | null
  readonly tokensBefore: number | null
  readonly summary: string | null
}

export interface Failure extends Common {
  readonly kind: "error"
  readonly text: string
}

/** The end of a turn. */
export interface Turn extends Common {
  readonly kind: "turn"
  readonly text: string | null
  readonly isError: boolean
  /** Stopped by a person. */
  readonly stopped: boolean
  readonly durationMs: number | null
  /** Running total at this point, in US dollars. */
  readonly totalCostUsd: number | null
  /** Of this turn's calls of the model, summed: cache reads count once for every call. */
  readonly usage: Usage.Usage | null
}

/** A line or a block that this program does not know, as it came. */
export interface Unknown extends Common {
  readonly kind: "unknown"
  readonly type: string
  readonly value: unknown
}

export type Item =
  | Message
  | Thinking
  | ToolCall
  | ToolResult
  | System
  | Plan
  | Compaction
  | Failure
  | Turn
  | Unknown

/** A conversation. Items stand in the order in which their events came; an item that changes keeps its place. */
export interface Conversation {
  readonly items: ReadonlyArray<Item>
  readonly approvals: Approvals.Approvals
  /** Uuids of all events that were taken, so that one that comes again changes nothing. */
  readonly seen: ReadonlySet<string>
  /** Places of tool calls, and of results whose calls have not come, by `tool_use_id`. */
  readonly calls: ReadonlyMap<string, number>
  readonly orphans: ReadonlyMap<string, number>
  /** What stood in files, by the `tool_use_id` that was to change them. */
  readonly files: ReadonlyMap<string, FileChange.Told>
  /** Calls that have no result, and belong to what goes on. */
  readonly running: ReadonlySet<string>
  /** Latest state of every approval, for calls that come after it. */
  readonly asked: ReadonlyMap<string, NonNullable<ToolCall["approval"]>>
  /** Places of the items that came from one agent line, by its uuid; and uuids that are replaced. */
  readonly places: ReadonlyMap<string, ReadonlyArray<number>>
  readonly replaced: ReadonlySet<string>
}

export const empty: Conversation = {
  items: [],
  approvals: Approvals.empty,
  seen: new Set(),
  calls: new Map(),
  orphans: new Map(),
  files: new Map(),
  running: new Set(),
  asked: new Map(),
  places: new Map(),
  replaced: new Set()
}

interface Draft {
  items: Array<Item>
  approvals: Approvals.Approvals
  seen: Set<string>
  calls: Map<string, number>
  orphans: Map<string, number>
  files: Map<string, FileChange.Told>
  running: Set<string>
  asked: Map<string, NonNullable<ToolCall["approval"]>>
  places: Map<string, ReadonlyArray<number>>
  replaced: Set<string>
}

// --- What is known and shows nothing ---

/** Types that concern programs, or that other projections show (approvals, title, delivery). */
const silent: ReadonlySet<string> = new Set([
  "active_goal",
  "ai-title",
  "attachment",
  "auth_status",
  "command_lifecycle",
  "control_cancel_request",
  "control_request",
  "control_response",
  "conversation_reset",
  "cost-state",
  "custom-title",
  "file-history-snapshot",
  "keep_alive",
  "last-prompt",
  "mode",
  "prompt_suggestion",
  "queue-operation",
  "rate_limit_event",
  "session_update",
  "stream_event",
  "summary",
  "tag",
  "tool_progress",
  "tool_use_summary",
  "tools-used",
  "transcript_mirror",
  "update_environment_variables"
])

/** Subtypes of `system` that people want to read. */
const loud: ReadonlySet<string> = new Set([
  "api_retry",
  "informational",
  "interrupted",
  "local_command_output",
  "model_refusal_fallback",
  "notification",
  "permission_denied",
  "session_writes_lost",
  "worker_shutting_down"
])

// --- Helpers ---

/** The text of a tool result's content. Source: spec 3 §3. */
export const flatten = (content: unknown): string => {
  if (typeof content === "string") return content
  return array(content)
    .map((part) => {
      if (typeof part === "string") return part
      const { type, text } = object(part)
      return typeof text === "string" ? text : `[${name(type, 64) ?? "unknown"}]`
    })
    .join("\n")
}

const shown = (parts: Message["parts"]): string =>
  parts
    .filter((part) => !part.superseded)
    .map((part) => part.text)
    .join("\n\n")

const update = <K extends Item["kind"]>(
  draft: Draft,
  at: number | undefined,
  kind: K,
  change: (item: Extract<Item, { readonly kind: K }>) => Item
): void => {
  const item = at === undefined ? undefined : draft.items[at]
  if (at !== undefined && item?.kind === kind) {
    draft.items[at] = change(item as Extract<Item, { readonly kind: K }>)
  }
}

/** What every item of one event shares, with an id for each block. */
const commonOf = (draft: Draft, event: ReadableEvent, json: JsonObject) => (block: number) => ({
  id: `${event.uuid}:${block}`,
  seq: amount(event.seq) ?? 0,
  at: timeOf(event),
  parentToolUseId:
    name(json["parent_tool_use_id"]) ??
    // An agent's own transcript names the subagent rather than the call that started it.
    (json["isSidechain"] === true ? (name(json["agentId"]) ?? "sidechain") : null),
  superseded: draft.replaced.has(event.uuid)
})

// --- Tools ---

const complete = (call: ToolCall, outcome: Outcome): ToolCall =>
  call.completed
    ? call
    : {
        ...call,
        completed: true,
        unfinished: false,
        result: outcome,
        durationMs: Math.max(0, outcome.at - call.at)
      }

const planSteps = (value: unknown): Plan["steps"] =>
  array(value).flatMap((entry) => {
    const { content, text, status } = object(entry)
    const words = string(content) ?? string(text)
    if (words === null) return []
    return [
      {
        text: words,
        status: status === "completed" || status === "in_progress" ? status : ("pending" as const)
      }
    ]
  })

/** Answers the place of the call. */
const onToolUse = (draft: Draft, block: JsonObject, messageId: string | null, common: Common): number => {
  const toolUseId = name(block["id"]) ?? common.id
  const toolName = name(block["name"]) ?? "unknown"
  const input = block["input"] ?? null
  const known = draft.calls.get(toolUseId)
  const before = known === undefined ? undefined : draft.items[known]
  if (known !== undefined && before?.kind === "tool_call") {
    // Told again by a line that replaces the one before: the call keeps its place, its result and its approval.
    if (before.superseded && !common.superseded) {
      draft.items[known] = { ...before, messageId, name: toolName, input, superseded: false }
    }
    return known
  }
  const call: ToolCall = {
    ...common,
    kind: "tool_call",
    toolUseId,
    messageId,
    name: toolName,
    input,
    completed: false,
    unfinished: false,
    result: null,
    durationMs: null,
    approval: draft.asked.get(toolUseId) ?? null,
    before: draft.files.get(toolUseId) ?? null
  }
  const orphan = draft.orphans.get(toolUseId)
  const earlier = orphan === undefined ? undefined : draft.items[orphan]
  const place = draft.items.length
  draft.calls.set(toolUseId, place)
  if (earlier?.kind === "tool_result") {
    draft.orphans.delete(toolUseId)
    update(draft, orphan, "tool_result", (result) => ({ ...result, linked: true }))
    draft.items.push(complete(call, earlier.outcome))
  } else {
    draft.running.add(toolUseId)
    draft.items.push(call)
  }
  if (toolName === "TodoWrite") {
    draft.items.push({
      ...common,
      id: `${common.id}:plan`,
      kind: "plan",
      toolUseId,
      text: null,
      steps: planSteps(object(input)["todos"])
    })
  } else if (toolName === "ExitPlanMode") {
    draft.items.push({
      ...common,
      id: `${common.id}:plan`,
      kind: "plan",
      toolUseId,
      text: string(object(input)["plan"]),
      steps: []
    })
  }
  return place
}

const onToolResult = (draft: Draft, block: JsonObject, common: Common): void => {
  const toolUseId = name(block["tool_use_id"]) ?? common.id
  const outcome: Outcome = {
    text: flatten(block["content"]),
    isError: block["is_error"] === true,
    at: common.at,
    attachments: array(block["content"])
      .map(object)
      .filter(({ type }) => type === "image")
  }
  const call = draft.calls.get(toolUseId)
  if (call === undefined && !draft.orphans.has(toolUseId)) draft.orphans.set(toolUseId, draft.items.length)
  draft.running.delete(toolUseId)
  update(draft, call, "tool_call", (item) => complete(item, outcome))
  draft.items.push({ ...common, kind: "tool_result", toolUseId, outcome, linked: call !== undefined })
}

/**
 * What belongs to the turn that ended and has no result does not run any more. A subagent in the background outlives the
 * turn; nothing outlives the agent (`all`).
 */
const endCalls = (draft: Draft, all: boolean): void => {
  const ended = new Set<string>()
  // In the order of the log: a call stands before those that it led to.
  for (const id of draft.running) {
    const at = draft.calls.get(id)
    const call = at === undefined ? undefined : draft.items[at]
    if (at === undefined || call?.kind !== "tool_call") continue
    if (!all && call.parentToolUseId !== null && !ended.has(call.parentToolUseId)) continue
    ended.add(id)
    draft.items[at] = { ...call, unfinished: true }
  }
  for (const id of ended) draft.running.delete(id)
}

// --- Lines ---

/** Marks what came from the line `uuid` as replaced, now or when it comes. */
const replace = (draft: Draft, uuid: string): void => {
  draft.replaced.add(uuid)
  for (const at of draft.places.get(uuid) ?? []) {
    const item = draft.items[at]
    if (item === undefined) continue
    if (item.kind === "message") {
      const parts = item.parts.map((part) => (part.uuid === uuid ? { ...part, superseded: true } : part))
      draft.items[at] = {
        ...item,
        parts,
        text: shown(parts),
        superseded: parts.every((part) => part.superseded)
      }
    } else draft.items[at] = { ...item, superseded: true }
  }
}

const onAssistant = (draft: Draft, json: JsonObject, event: ReadableEvent): void => {
  for (const uuid of array(json["supersedes"])) {
    if (typeof uuid === "string" && uuid !== event.uuid) replace(draft, uuid)
  }
  const common = commonOf(draft, event, json)
  const message = object(json["message"])
  const messageId = name(message["id"])
  const first = draft.items.length
  const touched = new Set<number>()
  const say = (text: string, at: Common): void => {
    const part = { uuid: event.uuid, text, superseded: at.superseded }
    const lastAt = draft.items.length - 1
    const last = draft.items[lastAt]
    if (
      messageId !== null &&
      last?.kind === "message" &&
      last.role === "assistant" &&
      last.messageId === messageId &&
      last.parentToolUseId === at.parentToolUseId
    ) {
      const parts = [...last.parts, part]
      draft.items[lastAt] = {
        ...last,
        parts,
        text: shown(parts),
        superseded: last.superseded && at.superseded,
        aborted: last.aborted || json["aborted"] === true,
        error: last.error ?? name(json["error"])
      }
      touched.add(lastAt)
      return
    }
    draft.items.push({
      ...at,
      kind: "message",
      role: "assistant",
      uuid: event.uuid,
      source: event.source,
      text: at.superseded ? "" : text,
      parts: [part],
      messageId,
      model: name(message["model"]),
      attachments: [],
      aborted: json["aborted"] === true,
      error: name(json["error"])
    })
  }
  const content = message["content"]
  const blocks = typeof content === "string" ? [{ type: "text", text: content }] : array(content)
  blocks.forEach((value, index) => {
    const block = object(value)
    const type = string(block["type"]) ?? ""
    const at = common(index)
    if (type === "text") say(string(block["text"]) ?? "", at)
    else if (type === "thinking" || type === "redacted_thinking") {
      draft.items.push({
        ...at,
        kind: "thinking",
        messageId,
        text: string(block["thinking"]) ?? "",
        redacted: type === "redacted_thinking"
      })
    } else if (type === "tool_use" || type === "server_tool_use" || type === "mcp_tool_use") {
      touched.add(onToolUse(draft, block, messageId, at))
    } else if (type.endsWith("tool_result")) onToolResult(draft, block, at)
    else draft.items.push({ ...at, kind: "unknown", type: `assistant/${clip(type, 128)}`, value })
  })
  if (blocks.length === 0 && json["error"] !== undefined) say("", common(0))
  for (let i = first; i < draft.items.length; i++) touched.add(i)
  draft.places.set(event.uuid, [...touched])
}

const onUser = (draft: Draft, json: JsonObject, event: ReadableEvent): void => {
  if (json["isReplay"] === true) return
  const common = commonOf(draft, event, json)
  const content = object(json["message"])["content"]
  const blocks = typeof content === "string" ? [{ type: "text", text: content }] : array(content)
  const words: Array<string> = []
  const attachments: Array<JsonObject> = []
  blocks.forEach((value, index) => {
    const block = object(value)
    const { type, text } = block
    if (typeof type === "string" && type.endsWith("tool_result")) onToolResult(draft, block, common(index))
    else if (typeof text === "string") words.push(text)
    else if (type === "image" || type === "document") attachments.push(block)
    else
      draft.items.push({
        ...common(index),
        kind: "unknown",
        type: `user/${name(type, 128) ?? ""}`,
        value
      })
  })
  if (words.length === 0 && attachments.length === 0) return
  const text = words.join("\n")
  const at = common(blocks.length)
  if (json["isCompactSummary"] === true) {
    const last = draft.items.findLastIndex((item) => item.kind === "compaction")
    if (last >= 0) update(draft, last, "compaction", (item) => ({ ...item, summary: item.summary ?? text }))
    else draft.items.push({ ...at, kind: "compaction", trigger: null, tokensBefore: null, summary: text })
    return
  }
  if (Author.isOfProgram(json, event.source, text)) {
    const stopped = Author.saysInterrupted(text)
    if (stopped && !isSubagent(json)) endCalls(draft, false)
    draft.items.push({
      ...at,
      kind: "system",
      subtype: stopped ? "interrupted" : "meta",
      text,
      quiet: !stopped
    })
    return
  }
  draft.items.push({
    ...at,
    kind: "message",
    role: "user",
    uuid: event.uuid,
    source: event.source,
    text,
    parts: [{ uuid: event.uuid, text, superseded: at.superseded }],
    messageId: null,
    model: null,
    attachments,
    aborted: false,
    error: null
  })
}

const onSystem = (draft: Draft, json: JsonObject, event: ReadableEvent): void => {
  const at = commonOf(draft, event, json)(0)
  const subtype = name(json["subtype"], 128) ?? ""
  // A turn begins: what the one before it left, a killed agent's say, does not run any more.
  if (subtype === "init" && event.source === "worker" && !isSubagent(json)) endCalls(draft, false)
  if (subtype === "compact_boundary") {
    const metadata = object(json["compact_metadata"] ?? json["compactMetadata"])
    draft.items.push({
      ...at,
      kind: "compaction",
      trigger: name(metadata["trigger"]),
      tokensBefore: amount(metadata["pre_tokens"] ?? metadata["preTokens"]),
      summary: null
    })
    return
  }
  if (subtype === "plan") {
    draft.items.push({
      ...at,
      kind: "plan",
      toolUseId: null,
      text: string(json["text"]),
      steps: planSteps(json["entries"])
    })
    return
  }
  const text = string(json["message"]) ?? string(json["content"]) ?? string(json["text"])
  draft.items.push({ ...at, kind: "system", subtype, text, quiet: !loud.has(subtype) })
}

const onResult = (draft: Draft, json: JsonObject, event: ReadableEvent): void => {
  endCalls(draft, false)
  const isError = isFailure(json)
  draft.items.push({
    ...commonOf(draft, event, json)(0),
    kind: "turn",
    text: isError ? errorText(json) : string(json["result"]),
    isError,
    stopped: wasStopped(json),
    durationMs: amount(json["duration_ms"]),
    totalCostUsd: amount(json["total_cost_usd"]),
    usage: Usage.read(json["usage"])
  })
}

/** Carries what changed of the approvals to the calls that they are about. */
const onApprovals = (draft: Draft, before: Approvals.Approvals): void => {
  const after = draft.approvals
  const note = (toolUseId: string, approval: NonNullable<ToolCall["approval"]>): void => {
    draft.asked.set(toolUseId, approval)
    update(draft, draft.calls.get(toolUseId), "tool_call", (call) => ({ ...call, approval }))
  }
  const settledBefore = new Set(before.settled)
  for (const settled of after.settled) {
    if (settledBefore.has(settled)) continue
    note(settled.toolUseId, { requestId: settled.requestId, state: settled.outcome })
  }
  const pendingBefore = new Set(before.pending)
  for (const pending of after.pending) {
    if (pendingBefore.has(pending)) continue
    note(pending.toolUseId, { requestId: pending.requestId, state: "pending" })
  }
}

const apply = (draft: Draft, event: ReadableEvent): void => {
  if (draft.seen.has(event.uuid)) return
  draft.seen.add(event.uuid)
  const before = draft.approvals
  draft.approvals = Approvals.step(before, event)
  if (draft.approvals !== before) onApprovals(draft, before)
  const json = object(event.payload.json)
  const type = json["type"]
  if (event.source === "worker" && Approvals.tellsOfEnd(json)) endCalls(draft, true)
  const told = FileChange.told(event)
  if (told !== null) {
    draft.files.set(told.toolUseId, told)
    update(draft, draft.calls.get(told.toolUseId), "tool_call", (call) => ({ ...call, before: told }))
  }
  if (type === "user") onUser(draft, json, event)
  else if (type === "assistant") onAssistant(draft, json, event)
  else if (type === "system") onSystem(draft, json, event)
  else if (type === "result") {
    if (!isSubagent(json)) onResult(draft, json, event)
  } else if (type === "bridge_error") {
    draft.items.push({
      ...commonOf(draft, event, json)(0),
      kind: "error",
      text: string(json["message"]) ?? string(json["error"]) ?? "bridge error"
    })
  } else if (typeof type !== "string" || !silent.has(type)) {
    draft.items.push({
      ...commonOf(draft, event, json)(0),
      kind: "unknown",
      type: name(type, 128) ?? "",
      value: json
    })
  }
}

// --- Steps ---

/** The conversation after some more events. Costs one copy of its indexes, however many events there are. */
export const steps = (conversation: Conversation, events: Iterable<ReadableEvent>): Conversation => {
  const draft: Draft = {
    items: [...conversation.items],
    approvals: conversation.approvals,
    seen: new Set(conversation.seen),
    calls: new Map(conversation.calls),
    orphans: new Map(conversation.orphans),
    files: new Map(conversation.files),
    running: new Set(conversation.running),
    asked: new Map(conversation.asked),
    places: new Map(conversation.places),
    replaced: new Set(conversation.replaced)
  }
  for (const event of events) apply(draft, event)
  return draft
}

/** The conversation after one more event. */
export const step = (conversation: Conversation, event: ReadableEvent): Conversation =>
  conversation.seen.has(event.uuid) ? conversation : steps(conversation, [event])

/** The conversation of a whole log. */
export const fold = (events: Iterable<ReadableEvent>): Conversation => steps(empty, events)
