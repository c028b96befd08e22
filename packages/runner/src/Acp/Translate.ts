/**
 * What an ACP agent says, as the lines of spec 4 §1. Pure and incremental: a state, an input, the lines it causes.
 *
 * Chunks are told at once as partial text and written as one line when their message ends or something else begins.
 * Nothing that the agent says is refused or lost, in whatever order it comes: an update after the end of its turn is
 * attributed to that turn (`user_message_uuid`), an unknown one is passed on as it is. Every tool use that was said
 * has its result when the turn ends. Source: spec 4 §2 and §3.7.
 */
import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as ProtocolPayload from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import { uuid5 } from "../Uuid5.ts"
import * as Permission from "./Permission.ts"
import * as Settings from "./Settings.ts"
import * as ToolCall from "./ToolCall.ts"

/** Characters of a message after which a line is written and another one begun. */
export const SEGMENT_MAX = 1_000_000
/** Calls with a result that are remembered, for updates that come after it. */
const CLOSED_MAX = 256
/** Characters of a call's live output that a progress line carries. */
const PROGRESS_MAX = 16_384

// --- State ---

/** Text that is being written. */
interface Segment {
  readonly kind: "text" | "thinking" | "user"
  readonly parent: string | null
  readonly messageId: string | null
  readonly text: string
  readonly prompt: string | null
}

/** The message that blocks are added to. */
interface Message {
  /** Ours: an agent may use its own id again for a message that is over. */
  readonly id: string
  readonly acpId: string | null
  readonly parent: string | null
  /** Lines so far; the next block's index. */
  readonly blocks: number
  /** Whether its partial text has begun. */
  readonly started: boolean
}

interface Turn {
  readonly prompt: string
  /** Text of the prompt, by which an echo of it is known. */
  readonly words: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly messages: number
  /** Words of the latest message of the main context. */
  readonly said: string
  readonly denials: ReadonlyArray<JsonObject>
  /** Whether a question about a tool was withdrawn. */
  readonly withdrawn: boolean
}

/** A permission request that nobody has answered. */
export interface Pending {
  readonly requestId: string
  readonly toolUseId: string
  readonly toolName: string
  readonly input: JsonObject
  readonly options: ReadonlyArray<Permission.Option>
  /** A question about no call of the agent's: the call that shows it, to be closed by its answer. */
  readonly ownCall: string | null
}

export interface State {
  /** The owner's id of the conversation; `session_id` of every line. */
  readonly sessionId: string
  /** The agent's id of it. */
  readonly acpSessionId: string
  /** Names this start of the agent; with it and a count the lines' uuids are made. */
  readonly run: string
  readonly cwd: string
  readonly agent: { readonly name: string; readonly version: string }
  readonly mcpServers: ReadonlyArray<string>
  readonly lines: number
  readonly messages: number
  readonly settings: Settings.Settings
  readonly commands: ReadonlyArray<JsonObject>
  readonly turn: Turn | null
  /** The prompt that what comes between turns is attributed to. */
  readonly lastPrompt: string | null
  readonly turns: number
  readonly segment: Segment | null
  readonly message: Message | null
  readonly calls: ReadonlyMap<string, ToolCall.ToolCall>
  readonly terminals: ToolCall.Terminals
  readonly permissions: ReadonlyMap<string, Pending>
  readonly plan: string
  readonly context: { readonly used: number; readonly size: number | null } | null
  readonly costUsd: number | null
  readonly compactions: ReadonlyMap<string, string>
}

/** The state after the agent has opened its session. */
export const initial = (opened: {
  readonly sessionId: string
  readonly acpSessionId: string
  readonly run: string
  readonly cwd: string
  readonly agent: { readonly name: string; readonly version: string }
  readonly mcpServers: ReadonlyArray<string>
  readonly settings: Settings.Settings
}): State => ({
  ...opened,
  lines: 0,
  messages: 0,
  commands: [],
  turn: null,
  lastPrompt: null,
  turns: 0,
  segment: null,
  message: null,
  calls: new Map(),
  terminals: new Map(),
  permissions: new Map(),
  plan: "",
  context: null,
  costUsd: null,
  compactions: new Map()
})

// --- Inputs ---

/** How a turn ended. */
export type TurnEnd =
  /** The reply to `session/prompt`. */
  | { readonly _tag: "Stopped"; readonly stopReason: string; readonly reply: JsonObject }
  /** The agent refused the prompt or failed. */
  | { readonly _tag: "Failed"; readonly message: string; readonly reason?: string }
  /** The agent's process is gone. */
  | { readonly _tag: "Gone"; readonly message: string }

/** What happens to a session. Times are in milliseconds since the epoch. */
export type Input =
  | { readonly _tag: "TurnStarted"; readonly prompt: string; readonly words: string; readonly at: number }
  /** `params.update` of a `session/update`, whatever it is. */
  | { readonly _tag: "Update"; readonly update: unknown }
  | {
      readonly _tag: "PermissionAsked"
      readonly requestId: string
      readonly toolCall: unknown
      readonly options: unknown
    }
  /** A question to the person. `input` is an `AskUserQuestion`'s; `toolCallId` names the call that it is about. */
  | {
      readonly _tag: "QuestionAsked"
      readonly requestId: string
      readonly toolCallId: string | null
      readonly title: string
      readonly input: JsonObject
    }
  | { readonly _tag: "PermissionAnswered"; readonly requestId: string; readonly allowed: boolean }
  | { readonly _tag: "PermissionWithdrawn"; readonly requestId: string }
  /** What a terminal has printed so far, for the calls that show it. */
  | { readonly _tag: "TerminalOutput"; readonly terminalId: string; readonly output: string }
  /** `told`: whoever listens hears of it. */
  | { readonly _tag: "SettingsChanged"; readonly settings: Settings.Settings; readonly told: boolean }
  | { readonly _tag: "TurnEnded"; readonly end: TurnEnd; readonly at: number; readonly queued: number }
  /** Nothing has come for a while, or nothing can come any more: what was begun is written. */
  | { readonly _tag: "Quiet" }
  /** A line of our own among the agent's: a notice to the person, or a message that this program gave the agent. */
  | { readonly _tag: "Notice"; readonly text: string; readonly severity: string }
  | { readonly _tag: "Said"; readonly text: string }

/** The lines that an input causes, in order, and the state after it. */
export interface Step {
  readonly state: State
  readonly lines: ReadonlyArray<Payload>
}

// --- Draft ---

type Draft = { -readonly [K in keyof State]: State[K] } & { out: Array<Payload> }

const ephemeral = (draft: Draft, json: JsonObject & { readonly type: string }): void => {
  draft.out.push(ProtocolPayload.make({ ...json, session_id: draft.sessionId }))
}

/** Writes a line under the next uuid and answers that uuid. */
const line = (draft: Draft, json: JsonObject & { readonly type: string }): string => {
  const uuid = uuid5(draft.run, `${draft.acpSessionId} ${draft.lines}`)
  draft.lines += 1
  draft.out.push(ProtocolPayload.make({ ...json, session_id: draft.sessionId, uuid }))
  return uuid
}

const promptNow = (draft: Draft): string | null => draft.turn?.prompt ?? draft.lastPrompt

const attribution = (prompt: string | null): JsonObject =>
  prompt === null ? {} : { user_message_uuid: prompt }

const replaced = <K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> =>
  new Map(map).set(key, value)

const without = <K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> => {
  const next = new Map(map)
  next.delete(key)
  return next
}

// --- Messages ---

const contextUsage = (draft: Draft): JsonObject =>
  draft.context === null
    ? {}
    : {
        usage: {
          input_tokens: draft.context.used,
          output_tokens: 0,
          cache_read_input_tokens: 0,
          cache_creation_input_tokens: 0
        }
      }

const endMessage = (draft: Draft): void => {
  const { message } = draft
  if (message === null) return
  draft.message = null
  if (message.started) partial(draft, message.parent, { type: "message_stop" })
}

/** The message that a block of this id and parent belongs to: the current one, or a new one. */
const messageFor = (draft: Draft, id: string | null, parent: string | null): Message => {
  const { message } = draft
  if (message !== null && message.parent === parent && (id === null || message.acpId === id)) {
    return message
  }
  endMessage(draft)
  if (draft.turn !== null && parent === null) {
    draft.turn = { ...draft.turn, messages: draft.turn.messages + 1, said: "" }
  }
  draft.messages += 1
  const next: Message = {
    id: `msg_${uuid5(draft.run, `${draft.acpSessionId} message ${draft.messages}`).replaceAll("-", "")}`,
    acpId: id,
    parent,
    blocks: 0,
    started: false
  }
  draft.message = next
  return next
}

const partial = (draft: Draft, parent: string | null, event: JsonObject): void =>
  ephemeral(draft, { type: "stream_event", event, parent_tool_use_id: parent })

/** Writes one block of the agent's message as a line. */
const assistant = (draft: Draft, message: Message, content: JsonObject, prompt: string | null): string => {
  const uuid = line(draft, {
    type: "assistant",
    message: {
      id: message.id,
      type: "message",
      role: "assistant",
      model: Settings.model(draft.settings) ?? draft.agent.name,
      content: [content],
      stop_reason: null,
      stop_sequence: null,
      ...contextUsage(draft)
    },
    parent_tool_use_id: message.parent,
    ...attribution(prompt)
  })
  draft.message = { ...message, blocks: message.blocks + 1 }
  return uuid
}

/** Writes the text that was begun. */
const flush = (draft: Draft): void => {
  const { segment, turn } = draft
  if (segment === null) return
  draft.segment = null
  if (segment.kind === "user") {
    // The echo of the prompt is in the log: the person wrote it.
    if (turn !== null && segment.text.trim() === turn.words.trim()) return
    line(draft, {
      type: "user",
      message: { role: "user", content: segment.text },
      isSynthetic: true,
      parent_tool_use_id: segment.parent,
      ...attribution(segment.prompt)
    })
    return
  }
  const message = messageFor(draft, segment.messageId, segment.parent)
  partial(draft, segment.parent, { type: "content_block_stop", index: message.blocks })
  assistant(
    draft,
    message,
    segment.kind === "text"
      ? { type: "text", text: segment.text }
      : { type: "thinking", thinking: segment.text, signature: "" },
    segment.prompt
  )
  if (segment.kind === "text" && segment.parent === null && draft.turn !== null) {
    draft.turn = { ...draft.turn, said: draft.turn.said + segment.text }
  }
}

const begin = (draft: Draft, kind: Segment["kind"], id: string | null, parent: string | null): Segment => {
  flush(draft)
  let messageId = id
  if (kind !== "user") {
    const message = messageFor(draft, id, parent)
    messageId = message.acpId
    if (!message.started) {
      partial(draft, parent, {
        type: "message_start",
        message: {
          id: message.id,
          type: "message",
          role: "assistant",
          model: Settings.model(draft.settings) ?? draft.agent.name,
          content: []
        }
      })
      draft.message = { ...message, started: true }
    }
    partial(draft, parent, {
      type: "content_block_start",
      index: message.blocks,
      content_block: kind === "text" ? { type: "text", text: "" } : { type: "thinking", thinking: "" }
    })
  }
  return { kind, parent, messageId, text: "", prompt: promptNow(draft) }
}

const onChunk = (draft: Draft, kind: Segment["kind"], update: JsonObject): void => {
  const id = Read.name(update["messageId"])
  const parent = ToolCall.parentOf(update)
  const content = Read.object(update["content"])
  if (content["type"] !== "text" || typeof content["text"] !== "string") {
    const made = ToolCall.block(content)
    flush(draft)
    if (kind === "user") {
      line(draft, {
        type: "user",
        message: { role: "user", content: [made] },
        isSynthetic: true,
        parent_tool_use_id: parent,
        ...attribution(promptNow(draft))
      })
    } else assistant(draft, messageFor(draft, id, parent), made, promptNow(draft))
    return
  }
  const { text } = content
  if (text === "") return
  const open = draft.segment
  const same =
    open !== null &&
    open.kind === kind &&
    open.parent === parent &&
    open.text.length < SEGMENT_MAX &&
    (id === null || id === open.messageId)
  const segment = same ? open : begin(draft, kind, id, parent)
  draft.segment = { ...segment, text: segment.text + text }
  if (kind !== "user") {
    partial(draft, parent, {
      type: "content_block_delta",
      index: draft.message?.blocks ?? 0,
      delta: kind === "text" ? { type: "text_delta", text } : { type: "thinking_delta", thinking: text }
    })
  }
}

// --- Tool calls ---

const keep = (draft: Draft, call: ToolCall.ToolCall): ToolCall.ToolCall => {
  draft.calls = replaced(draft.calls, call.id, call)
  return call
}

/** Says a call as a tool use, once. */
const say = (draft: Draft, call: ToolCall.ToolCall): ToolCall.ToolCall => {
  if (call.said !== null) return call
  const name = ToolCall.toolName(call)
  const input = ToolCall.input(call)
  const said = keep(draft, { ...call, said: { name, input: Read.digest(input) } })
  flush(draft)
  assistant(
    draft,
    messageFor(draft, null, call.parent),
    { type: "tool_use", id: call.toolUseId, name, input },
    call.prompt
  )
  return said
}

/** Answers a call with a tool result. */
const close = (draft: Draft, call: ToolCall.ToolCall, by: "agent" | "turn", why: string): void => {
  const said = say(draft, call)
  flush(draft)
  endMessage(draft)
  const content = ToolCall.resultContent(said, draft.terminals)
  const uuid = line(draft, {
    type: "user",
    message: {
      role: "user",
      content: [
        {
          type: "tool_result",
          tool_use_id: said.toolUseId,
          content: by === "turn" ? [...content, { type: "text", text: why }] : content,
          is_error: by === "turn" || said.status === "failed"
        }
      ]
    },
    tool_use_result: ToolCall.resultDetail(said, content),
    parent_tool_use_id: said.parent,
    ...attribution(said.prompt),
    ...(said.closed === null ? {} : { supersedes: [said.closed.uuid] })
  })
  // What was said is in the log; only what tells a later result from this one is kept.
  keep(draft, {
    ...said,
    closed: { uuid, digest: ToolCall.digest(said), by },
    rawInput: undefined
  })
}

const progress = (draft: Draft, call: ToolCall.ToolCall): void => {
  const text = ToolCall.resultContent(call, draft.terminals)
    .map((each) => Read.string(each["text"]) ?? "")
    .join("\n")
  ephemeral(draft, {
    type: "tool_progress",
    tool_use_id: call.toolUseId,
    tool_name: ToolCall.toolName(call),
    parent_tool_use_id: call.parent,
    title: call.title,
    status: call.status,
    ...(text === "" ? {} : { output: text.slice(-PROGRESS_MAX) })
  })
}

/** Says the calls whose input is there and that only wait for it to change: something else has come since. */
const sayWaiting = (draft: Draft, but: unknown): void => {
  for (const call of draft.calls.values()) {
    if (call.said === null && call.closed === null && call.id !== but && ToolCall.hasInput(call))
      say(draft, call)
  }
}

/** An id for the log: agents that number their calls anew in every process must not meet their own old ones. */
const toolUseId = (draft: Draft, id: string): string =>
  id.length >= 16 && !draft.calls.has(id)
    ? id
    : `${id}-${uuid5(draft.run, `${draft.acpSessionId} call ${draft.lines} ${draft.calls.size}`).slice(0, 8)}`

/** The call that an update is about, patched; undefined where the update names none. */
const patched = (draft: Draft, json: JsonObject, isStart: boolean): ToolCall.ToolCall | undefined => {
  const id = Read.name(json["toolCallId"])
  if (id === null) return undefined
  const known = draft.calls.get(id)
  const status = json["status"] ?? "pending"
  const again =
    isStart &&
    known !== undefined &&
    known.closed?.by === "agent" &&
    (status === "pending" || status === "in_progress")
  const call =
    known === undefined || again
      ? ToolCall.make(id, toolUseId(draft, id), ToolCall.parentOf(json), promptNow(draft))
      : known
  return keep(draft, ToolCall.patch(call, json))
}

/** Forgets the oldest calls that have a result. */
const forget = (draft: Draft): void => {
  let surplus = draft.calls.size - CLOSED_MAX
  if (surplus <= 0) return
  const kept = new Map(draft.calls)
  for (const call of draft.calls.values()) {
    if (surplus <= 0) break
    if (call.closed === null) continue
    kept.delete(call.id)
    surplus -= 1
  }
  draft.calls = kept
}

const onToolCall = (draft: Draft, json: JsonObject, isStart: boolean): void => {
  const call = patched(draft, json, isStart)
  if (call === undefined) {
    unknownUpdate(draft, json)
    return
  }
  if (call.closed !== null) {
    // After its result: another result is written when it says something else, and names the one that it replaces.
    if (ToolCall.isOver(call) && ToolCall.digest(call) !== call.closed.digest) close(draft, call, "agent", "")
    return
  }
  if (ToolCall.isOver(call)) close(draft, call, "agent", "")
  else if (call.status === "in_progress") progress(draft, say(draft, call))
  else progress(draft, call)
  forget(draft)
}

// --- Other updates ---

const unknownUpdate = (draft: Draft, update: unknown): void => {
  flush(draft)
  line(draft, { type: "system", subtype: "acp_update", update, ...attribution(promptNow(draft)) })
}

const onPlan = (draft: Draft, update: JsonObject): void => {
  const entries = Read.array(update["entries"]).map(Read.object)
  const plan = Read.digest(entries)
  if (plan === draft.plan) return
  draft.plan = plan
  flush(draft)
  line(draft, { type: "system", subtype: "plan", entries, ...attribution(promptNow(draft)) })
}

const status = (draft: Draft, now: string | null): void =>
  ephemeral(draft, {
    type: "system",
    subtype: "status",
    status: now,
    permissionMode: Settings.mode(draft.settings),
    model: Settings.model(draft.settings)
  })

const onSettings = (draft: Draft, settings: Settings.Settings): void => {
  draft.settings = settings
  status(draft, null)
}

const onCommands = (draft: Draft, update: JsonObject): void => {
  draft.commands = Read.array(update["availableCommands"]).map((each) => {
    const { name, description, input } = Read.object(each)
    return {
      name: Read.name(name) ?? "",
      description: Read.name(description, 1024) ?? "",
      argumentHint: Read.name(Read.object(input)["hint"], 1024) ?? ""
    }
  })
  line(draft, { type: "system", subtype: "commands_changed", commands: draft.commands })
}

const onUsage = (draft: Draft, update: JsonObject): void => {
  const used = Read.amount(update["used"])
  if (used !== null) draft.context = { used, size: Read.amount(update["size"]) }
  const cost = Read.object(update["cost"])
  if (cost["currency"] === "USD") draft.costUsd = Read.amount(cost["amount"]) ?? draft.costUsd
}

const notice = (draft: Draft, text: string, severity: string): void => {
  flush(draft)
  line(draft, { type: "system", subtype: "notification", text, severity, ...attribution(promptNow(draft)) })
}

const onNotice = (draft: Draft, update: JsonObject): void => {
  const title = Read.name(update["title"], 4096) ?? ""
  const description = Read.name(update["description"], 16_384)
  notice(
    draft,
    description === null ? title : `${title}: ${description}`,
    Read.name(update["severity"], 32) ?? "info"
  )
}

const compacted = (draft: Draft, id: string, summary: string): void => {
  draft.compactions = without(draft.compactions, id)
  flush(draft)
  endMessage(draft)
  line(draft, {
    type: "system",
    subtype: "compact_boundary",
    compact_metadata: {
      trigger: "auto",
      ...(draft.context === null ? {} : { pre_tokens: draft.context.used })
    },
    ...attribution(promptNow(draft))
  })
  if (summary === "") return
  line(draft, {
    type: "user",
    message: { role: "user", content: summary },
    isCompactSummary: true,
    isSynthetic: true,
    parent_tool_use_id: null
  })
}

const textOfBlocks = (value: unknown): string =>
  Read.array(value)
    .map((each) => Read.string(ToolCall.block(each)["text"]) ?? "")
    .join("\n")

const onCompaction = (draft: Draft, update: JsonObject): void => {
  const id = Read.name(update["compactionId"]) ?? ""
  switch (update["status"]) {
    case "in_progress":
      draft.compactions = replaced(draft.compactions, id, draft.compactions.get(id) ?? "")
      status(draft, "compacting")
      return
    case "completed":
      compacted(
        draft,
        id,
        Array.isArray(update["summary"]) ? textOfBlocks(update["summary"]) : (draft.compactions.get(id) ?? "")
      )
      return
    case "failed":
    case "cancelled":
      draft.compactions = without(draft.compactions, id)
      notice(
        draft,
        `compaction ${update["status"]}${typeof update["error"] === "string" ? `: ${update["error"]}` : ""}`,
        "warning"
      )
      return
    default:
      unknownUpdate(draft, update)
  }
}

const onUpdate = (draft: Draft, value: unknown): void => {
  const update = Read.object(value)
  sayWaiting(draft, update["toolCallId"])
  switch (update["sessionUpdate"]) {
    case "agent_message_chunk":
      onChunk(draft, "text", update)
      return
    case "agent_thought_chunk":
      onChunk(draft, "thinking", update)
      return
    case "user_message_chunk":
      onChunk(draft, "user", update)
      return
    case "tool_call":
      onToolCall(draft, update, true)
      return
    case "tool_call_update":
      onToolCall(draft, update, false)
      return
    case "plan":
      onPlan(draft, update)
      return
    case "available_commands_update":
      onCommands(draft, update)
      return
    case "current_mode_update":
      onSettings(draft, Settings.withMode(draft.settings, update["currentModeId"]))
      return
    case "config_option_update":
      onSettings(draft, Settings.withConfigOptions(draft.settings, update["configOptions"]))
      return
    case "session_info_update": {
      const title = Read.name(update["title"], 512)
      if (title !== null) line(draft, { type: "ai-title", aiTitle: title })
      return
    }
    case "usage_update":
      onUsage(draft, update)
      return
    case "notice":
      onNotice(draft, update)
      return
    case "compaction_update":
      onCompaction(draft, update)
      return
    case "compaction_summary_chunk": {
      const id = Read.name(update["compactionId"]) ?? ""
      const more = Read.string(ToolCall.block(update["content"])["text"]) ?? ""
      draft.compactions = replaced(draft.compactions, id, (draft.compactions.get(id) ?? "") + more)
      return
    }
    default:
      unknownUpdate(draft, value)
      return
  }
}

// --- Permissions ---

const withdraw = (draft: Draft, pending: Pending): void => {
  draft.permissions = without(draft.permissions, pending.requestId)
  if (draft.turn !== null) draft.turn = { ...draft.turn, withdrawn: true }
  line(draft, { type: "control_cancel_request", request_id: pending.requestId })
  closeOwn(draft, pending, "withdrawn")
}

/** Closes the call that only shows a question, once the question is settled. */
const closeOwn = (draft: Draft, pending: Pending, text: string): void => {
  const call = pending.ownCall === null ? undefined : draft.calls.get(pending.ownCall)
  if (call === undefined || call.closed !== null) return
  close(draft, keep(draft, { ...call, status: "completed", rawOutput: text }), "agent", "")
}

const onPermissionAsked = (
  draft: Draft,
  input: Extract<Input, { readonly _tag: "PermissionAsked" }>
): void => {
  if (draft.permissions.has(input.requestId)) return
  const json = Read.object(input.toolCall)
  const id = Read.name(json["toolCallId"]) ?? input.requestId
  // A call that has its result cannot be asked about: this is another one that the agent gave the same id.
  const call = patched(draft, { ...json, toolCallId: id, status: undefined }, true)
  if (call === undefined) return
  const said = say(draft, call)
  flush(draft)
  const options = Permission.options(input.options)
  const pending: Pending = {
    requestId: input.requestId,
    toolUseId: said.toolUseId,
    toolName: ToolCall.toolName(said),
    input: ToolCall.input(said),
    options,
    ownCall: null
  }
  ask(draft, said, pending, {})
}

const onQuestionAsked = (draft: Draft, input: Extract<Input, { readonly _tag: "QuestionAsked" }>): void => {
  if (draft.permissions.has(input.requestId)) return
  const toolCallId = input.toolCallId ?? input.requestId
  const asking = { toolCallId, name: "AskUserQuestion", title: input.title, rawInput: input.input }
  const call = patched(draft, asking, true)
  if (call === undefined) return
  const said = say(draft, call)
  flush(draft)
  const pending: Pending = {
    requestId: input.requestId,
    toolUseId: said.toolUseId,
    toolName: "AskUserQuestion",
    input: input.input,
    options: [],
    ownCall: input.toolCallId === null ? toolCallId : null
  }
  ask(draft, said, pending, { requires_user_interaction: true })
}

const ask = (draft: Draft, said: ToolCall.ToolCall, pending: Pending, more: JsonObject): void => {
  const { options } = pending
  draft.permissions = replaced(draft.permissions, pending.requestId, pending)
  line(draft, {
    type: "control_request",
    request_id: pending.requestId,
    request: {
      subtype: "can_use_tool",
      tool_name: pending.toolName,
      display_name: said.title === "" ? pending.toolName : said.title,
      input: pending.input,
      tool_use_id: pending.toolUseId,
      permission_suggestions: Permission.suggestions(options, pending.toolName),
      options: options.map(({ optionId, name, kind }) => ({ option_id: optionId, name, kind })),
      ...more
    }
  })
}

const onPermissionAnswered = (draft: Draft, requestId: string, allowed: boolean): void => {
  const pending = draft.permissions.get(requestId)
  if (pending === undefined) return
  draft.permissions = without(draft.permissions, requestId)
  closeOwn(draft, pending, allowed ? "answered" : "declined")
  if (allowed || draft.turn === null) return
  draft.turn = {
    ...draft.turn,
    denials: [
      ...draft.turn.denials,
      { tool_name: pending.toolName, tool_use_id: pending.toolUseId, tool_input: pending.input }
    ]
  }
}

// --- Turns ---

const onTurnStarted = (draft: Draft, input: Extract<Input, { readonly _tag: "TurnStarted" }>): void => {
  if (draft.turn !== null)
    endTurn(draft, { _tag: "Failed", message: "another prompt took its place" }, input.at, 0)
  flush(draft)
  endMessage(draft)
  draft.turn = {
    prompt: input.prompt,
    words: input.words,
    startedAt: input.at,
    messages: 0,
    said: "",
    denials: [],
    withdrawn: false
  }
  line(draft, {
    type: "system",
    subtype: "init",
    cwd: draft.cwd,
    model: Settings.model(draft.settings) ?? draft.agent.name,
    permissionMode: Settings.mode(draft.settings),
    tools: [],
    mcp_servers: draft.mcpServers.map((name) => ({ name, status: "unknown" })),
    slash_commands: draft.commands.map((command) => command["name"]),
    capabilities: [],
    agent_name: draft.agent.name,
    agent_version: draft.agent.version,
    acp_session_id: draft.acpSessionId,
    modes: draft.settings.modes,
    config_options: draft.settings.configOptions
  })
  // The acknowledgement of the prompt, under the prompt's own uuid.
  draft.out.push(
    ProtocolPayload.make({
      type: "user",
      message: { role: "user", content: input.words },
      isReplay: true,
      parent_tool_use_id: null,
      session_id: draft.sessionId,
      uuid: input.prompt
    })
  )
}

const usageOf = (reply: JsonObject): JsonObject | undefined => {
  const usage = Read.object(reply["usage"])
  const input = Read.amount(usage["inputTokens"])
  const output = Read.amount(usage["outputTokens"])
  return input === null && output === null
    ? undefined
    : {
        input_tokens: input ?? 0,
        output_tokens: output ?? 0,
        cache_read_input_tokens: Read.amount(usage["cachedReadTokens"]) ?? 0,
        cache_creation_input_tokens: Read.amount(usage["cachedWriteTokens"]) ?? 0
      }
}

/** How a stop reason is told in a `result`. */
const outcome = (end: TurnEnd, said: string, inTool: boolean): JsonObject => {
  if (end._tag !== "Stopped") {
    return {
      subtype: "error_during_execution",
      is_error: true,
      errors: [end.message],
      stop_reason: null,
      ...(end._tag === "Gone"
        ? { terminal_reason: "agent_exited" }
        : end.reason === undefined
          ? {}
          : { terminal_reason: end.reason })
    }
  }
  const { stopReason } = end
  switch (stopReason) {
    case "cancelled":
      return {
        subtype: "error_during_execution",
        is_error: true,
        errors: [],
        stop_reason: null,
        terminal_reason: inTool ? "aborted_tools" : "aborted_streaming"
      }
    case "max_turn_requests":
      return {
        subtype: "error_max_turns",
        is_error: true,
        errors: ["the agent reached its limit of requests for one turn"],
        stop_reason: stopReason
      }
    case "refusal":
      return {
        subtype: "success",
        is_error: true,
        result: said === "" ? "the agent refused to go on" : said,
        stop_reason: stopReason
      }
    default:
      return { subtype: "success", is_error: false, result: said, stop_reason: stopReason }
  }
}

/** Ends whatever is open: requests are withdrawn, calls get a result that says why they have none of their own. */
const settle = (draft: Draft, why: string): void => {
  flush(draft)
  for (const pending of draft.permissions.values()) withdraw(draft, pending)
  for (const call of draft.calls.values()) if (call.closed === null) close(draft, call, "turn", why)
  for (const [id, summary] of draft.compactions) compacted(draft, id, summary)
  endMessage(draft)
}

const endTurn = (draft: Draft, end: TurnEnd, at: number, queued: number): void => {
  const cancelled = end._tag === "Stopped" && end.stopReason === "cancelled"
  const inTool =
    draft.turn?.withdrawn === true ||
    draft.permissions.size > 0 ||
    [...draft.calls.values()].some((call) => call.closed === null)
  const { turn } = draft
  // An agent that ends between turns may leave calls that it began there.
  if (turn !== null || end._tag === "Gone") {
    settle(
      draft,
      cancelled
        ? "[Request interrupted by user for tool use]"
        : end._tag === "Gone" || (end._tag === "Failed" && end.reason === "aborted_by_signal")
          ? "the agent ended before this tool's result"
          : "the turn ended without a result of this tool"
    )
  }
  if (turn === null) return
  if (cancelled) {
    line(draft, {
      type: "user",
      message: { role: "user", content: [{ type: "text", text: "[Request interrupted by user]" }] },
      parent_tool_use_id: null,
      ...attribution(turn.prompt)
    })
  }
  const model = Settings.model(draft.settings) ?? draft.agent.name
  const usage = end._tag === "Stopped" ? usageOf(end.reply) : undefined
  const said = draft.turn?.said ?? ""
  line(draft, {
    type: "result",
    ...outcome(end, said, inTool),
    duration_ms: Math.max(0, at - turn.startedAt),
    num_turns: Math.max(1, draft.turn?.messages ?? 0),
    ...(draft.costUsd === null ? {} : { total_cost_usd: draft.costUsd }),
    ...(usage === undefined ? {} : { usage }),
    ...(draft.context === null
      ? {}
      : {
          modelUsage: { [model]: { contextTokens: draft.context.used, contextWindow: draft.context.size } }
        }),
    permission_denials: turn.denials,
    queued_turn_count: queued,
    result_index: draft.turns,
    user_message_uuid: turn.prompt
  })
  draft.turns += 1
  draft.lastPrompt = turn.prompt
  draft.turn = null
  draft.terminals = new Map()
  forget(draft)
}

// --- The step ---

const apply = (draft: Draft, input: Input): void => {
  switch (input._tag) {
    case "TurnStarted":
      onTurnStarted(draft, input)
      return
    case "Update":
      onUpdate(draft, input.update)
      return
    case "PermissionAsked":
      onPermissionAsked(draft, input)
      return
    case "QuestionAsked":
      onQuestionAsked(draft, input)
      return
    case "PermissionAnswered":
      onPermissionAnswered(draft, input.requestId, input.allowed)
      return
    case "PermissionWithdrawn": {
      const pending = draft.permissions.get(input.requestId)
      if (pending !== undefined) withdraw(draft, pending)
      return
    }
    case "TerminalOutput":
      draft.terminals = replaced(draft.terminals, input.terminalId, input.output)
      return
    case "SettingsChanged":
      if (input.told) onSettings(draft, input.settings)
      else draft.settings = input.settings
      return
    case "TurnEnded":
      endTurn(draft, input.end, input.at, input.queued)
      return
    case "Quiet":
      // Within a turn the agent may only be thinking.
      if (draft.turn === null) flush(draft)
      return
    case "Notice":
      notice(draft, input.text, input.severity)
      return
    case "Said":
      line(draft, {
        type: "user",
        message: { role: "user", content: input.text },
        isSynthetic: true,
        parent_tool_use_id: null,
        ...attribution(promptNow(draft))
      })
      return
  }
}

/** The lines that `input` causes. Never throws. */
export const step = (state: State, input: Input): Step => {
  const draft: Draft = { ...state, out: [] }
  apply(draft, input)
  const { out, ...next } = draft
  return { state: next, lines: out }
}
