/** Lines of the agent and of people, as items. */
import * as Author from "../Author.ts"
import {
  amount,
  array,
  clip,
  isSubagent,
  type JsonObject,
  name,
  object,
  type ReadableEvent,
  string
} from "../Read.ts"
import { errorText, isFailure, wasStopped } from "../Result.ts"
import * as Usage from "../Usage.ts"
import { commonOf, type Draft, update } from "./Draft.ts"
import type { Common, Message } from "./Items.ts"
import { endCalls, onToolResult, onToolUse, planSteps } from "./Tools.ts"

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

const shown = (parts: Message["parts"]): string =>
  parts
    .filter((part) => !part.superseded)
    .map((part) => part.text)
    .join("\n\n")

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

export const onAssistant = (draft: Draft, json: JsonObject, event: ReadableEvent): void => {
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

export const onUser = (draft: Draft, json: JsonObject, event: ReadableEvent): void => {
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

export const onSystem = (draft: Draft, json: JsonObject, event: ReadableEvent): void => {
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

export const onResult = (draft: Draft, json: JsonObject, event: ReadableEvent): void => {
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
