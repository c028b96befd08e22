/**
 * The live tail: text that the agent is writing now, from the ephemeral `stream_event` lines. It is shown below the
 * conversation and gives way block by block as the whole lines come.
 *
 * Partial text travels apart from the log, so it may be lost, begin in mid-sentence for a viewer that comes late, or
 * arrive after the whole line; whatever happens, the log is right and the tail never repeats it. Source: spec 4 §1.
 */
import { amount, isSubagent, type JsonObject, name, object, string } from "./Read.ts"

/** Characters that a block of the tail keeps. */
export const BLOCK_MAX = 262_144
/** Blocks that the tail of one message keeps. */
const BLOCKS_MAX = 64

export interface Block {
  readonly index: number
  readonly kind: "text" | "thinking" | "tool_use"
  /** Of a tool use: its name. */
  readonly name: string | null
  /** Of a tool use: the JSON text of its input so far. */
  readonly text: string
}

/** The tail of the main context; subagents have none. */
export interface Live {
  readonly messageId: string | null
  readonly blocks: ReadonlyArray<Block>
  /** Blocks of this message whose whole line has come: partial text of these is late. */
  readonly completed: number
}

export const empty: Live = { messageId: null, blocks: [], completed: 0 }

/** Between turns: whatever still comes is late, until a message starts. */
const closed: Live = { messageId: null, blocks: [], completed: Number.POSITIVE_INFINITY }

const kindOf = (type: unknown): Block["kind"] =>
  type === "thinking" || type === "redacted_thinking"
    ? "thinking"
    : type === "tool_use" || type === "server_tool_use" || type === "mcp_tool_use"
      ? "tool_use"
      : "text"

const put = (live: Live, block: Block): Live => {
  if (block.index < live.completed) return live
  const others = live.blocks.filter((b) => b.index !== block.index)
  if (others.length >= BLOCKS_MAX) return live
  return { ...live, blocks: [...others, block].sort((a, b) => a.index - b.index) }
}

const onStreamEvent = (live: Live, event: JsonObject): Live => {
  const index = amount(event["index"]) ?? 0
  switch (event["type"]) {
    case "message_start": {
      const messageId = name(object(event["message"])["id"])
      // The whole line may have overtaken it; what that one completed stays completed.
      return messageId !== null && messageId === live.messageId
        ? live
        : { messageId, blocks: [], completed: 0 }
    }
    case "content_block_start": {
      const block = object(event["content_block"])
      const text = string(block["text"]) ?? string(block["thinking"]) ?? ""
      return put(live, {
        index,
        kind: kindOf(block["type"]),
        name: name(block["name"]),
        text: text.slice(0, BLOCK_MAX)
      })
    }
    case "content_block_delta": {
      const delta = object(event["delta"])
      const type = delta["type"]
      const more = string(delta["text"]) ?? string(delta["thinking"]) ?? string(delta["partial_json"])
      if (more === null) return live
      const before = live.blocks.find((b) => b.index === index) ?? {
        index,
        kind: type === "thinking_delta" ? "thinking" : type === "input_json_delta" ? "tool_use" : "text",
        name: null,
        text: ""
      }
      const room = BLOCK_MAX - before.text.length
      return room <= 0 ? live : put(live, { ...before, text: before.text + more.slice(0, room) })
    }
    default:
      return live
  }
}

/** A whole line takes the place of the first blocks that are not completed yet. */
const onWhole = (live: Live, message: JsonObject): Live => {
  const messageId = name(message["id"])
  const content = message["content"]
  const blocks = Array.isArray(content) ? content.length : 1
  const same = messageId !== null && messageId === live.messageId
  const started = live.messageId === null && live.completed === 0
  const completed = (same || started ? live.completed : 0) + blocks
  return {
    messageId,
    completed,
    blocks: same || started ? live.blocks.filter((block) => block.index >= completed) : []
  }
}

/** The tail after a payload, stored or ephemeral, of the worker. */
export const step = (live: Live, payload: JsonObject): Live => {
  const json = object(payload)
  if (isSubagent(json)) return live
  switch (json["type"]) {
    case "stream_event":
      return onStreamEvent(live, object(json["event"]))
    case "assistant":
      return onWhole(live, object(json["message"]))
    case "result":
      return closed
    default:
      return live
  }
}
