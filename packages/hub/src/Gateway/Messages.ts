/**
 * Log events as the gateway's clients read messages. Source: spec 2 §2 (`sessions.get`), §4, §6.
 *
 * A message is `{role, content[], timestamp, __openclaw{id, seq, logSeq}}`; `seq` counts messages and compactions,
 * `logSeq` is the position in the log, from which a client can replay.
 */
import * as Visible from "@causeway/protocol/Visible"
import type { StoredEvent } from "@causeway/store/Log"
import { array, type JsonObject, object, string } from "@causeway/transcript/Read"

export interface Message {
  readonly role: string
  readonly content: unknown
  readonly timestamp: number
  readonly [key: string]: unknown
}

/** The payload of a stored event; one that is no JSON object reads as an empty one. */
export const payloadOf = (event: Pick<StoredEvent, "payload">): JsonObject => {
  try {
    return object(JSON.parse(event.payload))
  } catch {
    return {}
  }
}

const block = (given: unknown): unknown => {
  const it = object(given)
  switch (it["type"]) {
    case "tool_use":
      return { type: "toolCall", id: it["id"], name: it["name"], arguments: it["input"] ?? {} }
    case "thinking":
      return { type: "thinking", thinking: it["thinking"] }
    case "image": {
      const source = object(it["source"])
      return { type: "image", data: source["data"], mimeType: source["media_type"] }
    }
    default:
      return given
  }
}

const blocks = (content: unknown): ReadonlyArray<unknown> =>
  typeof content === "string" ? [{ type: "text", text: content }] : array(content).map(block)

const count = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0)

const stopReasons: { readonly [reason: string]: string } = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  tool_use: "toolUse"
}

/** The tool results of a worker's user line, where it holds nothing else. */
const toolResults = (content: unknown): ReadonlyArray<JsonObject> | undefined => {
  const all = array(content).map(object)
  return all.length > 0 && all.every((it) => it["type"] === "tool_result") ? all : undefined
}

/** One visible event as a message. `seq` is its position among messages and compactions. */
export const toMessage = (event: StoredEvent, seq: number): Message => {
  const json = payloadOf(event)
  const openclaw = { id: event.uuid, seq, logSeq: event.seq }
  const timestamp = event.createdAt
  if (event.compaction) {
    return {
      role: "system",
      content: [{ type: "text", text: "Compaction" }],
      timestamp,
      __openclaw: { kind: "compaction", ...openclaw }
    }
  }
  const message = object(json["message"])
  const subagent = string(json["parent_tool_use_id"])
  const meta = subagent === null ? openclaw : { ...openclaw, parentToolUseId: subagent }
  if (event.type === "assistant") {
    const usage = object(message["usage"])
    const input = count(usage["input_tokens"])
    const output = count(usage["output_tokens"])
    const cacheRead = count(usage["cache_read_input_tokens"])
    const cacheWrite = count(usage["cache_creation_input_tokens"])
    const stop = string(message["stop_reason"])
    return {
      role: "assistant",
      content: blocks(message["content"]),
      api: "anthropic-messages",
      provider: string(json["provider"]) ?? "anthropic",
      model: string(message["model"]) ?? "unknown",
      usage: {
        input,
        output,
        totalTokens: input + output + cacheRead + cacheWrite,
        cacheRead,
        cacheWrite,
        cost: { total: 0 }
      },
      ...(stop === null ? {} : { stopReason: stopReasons[stop] ?? stop }),
      timestamp,
      ...(typeof message["id"] === "string" ? { responseId: message["id"] } : {}),
      __openclaw: meta
    }
  }
  const results = toolResults(message["content"])
  if (results !== undefined) {
    const [first] = results
    return {
      role: "toolResult",
      toolCallId: first?.["tool_use_id"],
      content: results.flatMap((result) => blocks(result["content"])),
      isError: results.some((result) => result["is_error"] === true),
      timestamp,
      __openclaw: meta
    }
  }
  return { role: "user", content: blocks(message["content"]), timestamp, __openclaw: meta }
}

/** The text blocks of a message, joined. */
export const textOf = (message: Message): string =>
  array(message.content)
    .map(object)
    .flatMap((it) => (it["type"] === "text" && typeof it["text"] === "string" ? [it["text"]] : []))
    .join("\n")

// --- Previews ---

/** Readers never get more than this, whatever they ask for. */
export const PREVIEW_ITEMS_MAX = 50
export const PREVIEW_CHARS_MAX = 2000

export interface PreviewItem {
  readonly role: "user" | "assistant" | "tool" | "system" | "other"
  readonly text: string
}

/** Put before a person's text by chat bridges: `[Sat 2026-11-21 01:42 UTC] `. */
const envelope = /^\[[^\]\n]*\d{4}-\d{2}-\d{2}[^\]\n]*\]\s*/

const cut = (text: string, max: number): string =>
  text.length <= max
    ? text
    : max <= 3
      ? Visible.beginning(text, max)
      : `${Visible.beginning(text, max - 3)}...`

/** One message on a line: its text, else which tools it calls, else what it shows. */
export const previewItem = (message: Message, maxChars: number): PreviewItem | undefined => {
  const content = array(message.content).map(object)
  const calls = content.flatMap((it) =>
    it["type"] === "toolCall" && typeof it["name"] === "string" ? [it["name"]] : []
  )
  const isTool = calls.length > 0 || message.role === "toolResult"
  const role = isTool
    ? "tool"
    : message.role === "user" || message.role === "assistant" || message.role === "system"
      ? message.role
      : "other"
  let text = textOf(message).trim()
  if (role === "user") text = text.replace(envelope, "").trim()
  if (text === "" && calls.length > 0) {
    text = `call ${calls.slice(0, 2).join(", ")}${calls.length > 2 ? ` +${calls.length - 2}` : ""}`
  }
  if (text === "") {
    const media = content.find((it) => typeof it["mimeType"] === "string")
    if (media !== undefined) text = `[${String(media["mimeType"])}]`
  }
  return text === "" ? undefined : { role, text: cut(text, Math.min(maxChars, PREVIEW_CHARS_MAX)) }
}
