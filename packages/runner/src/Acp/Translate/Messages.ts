/** Chunks of text: told at once as partial text, written as one line when their message ends or something else begins. */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as ToolCall from "../ToolCall.ts"
import {
  attribution,
  type Draft,
  ephemeral,
  idOf,
  line,
  type Message,
  modelOf,
  promptNow,
  type Segment,
  synthetic
} from "./State.ts"

/** Characters of a message after which a line is written and another one begun. */
export const SEGMENT_MAX = 1_000_000

const partial = (draft: Draft, parent: string | null, event: JsonObject): void =>
  ephemeral(draft, { type: "stream_event", event, parent_tool_use_id: parent })

export const endMessage = (draft: Draft): void => {
  const { message } = draft
  if (message === null) return
  draft.message = null
  if (message.started) partial(draft, message.parent, { type: "message_stop" })
}

/** The message that a block of this id and parent belongs to: the current one, or a new one. */
export const messageFor = (draft: Draft, id: string | null, parent: string | null): Message => {
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
    id: `msg_${idOf(draft, `message ${draft.messages}`).replaceAll("-", "")}`,
    acpId: id,
    parent,
    blocks: 0,
    started: false
  }
  draft.message = next
  return next
}

const contextUsage = ({ context }: Draft): JsonObject =>
  context === null
    ? {}
    : {
        usage: {
          input_tokens: context.used,
          output_tokens: 0,
          cache_read_input_tokens: 0,
          cache_creation_input_tokens: 0
        }
      }

const envelope = (draft: Draft, message: Message, content: ReadonlyArray<JsonObject>): JsonObject => ({
  id: message.id,
  type: "message",
  role: "assistant",
  model: modelOf(draft),
  content
})

/** Writes one block of the agent's message as a line. */
export const assistant = (
  draft: Draft,
  message: Message,
  content: JsonObject,
  prompt: string | null
): void => {
  line(draft, {
    type: "assistant",
    message: {
      ...envelope(draft, message, [content]),
      stop_reason: null,
      stop_sequence: null,
      ...contextUsage(draft)
    },
    parent_tool_use_id: message.parent,
    ...attribution(prompt)
  })
  draft.message = { ...message, blocks: message.blocks + 1 }
}

/** Writes the text that was begun. */
export const flush = (draft: Draft): void => {
  const { segment, turn } = draft
  if (segment === null) return
  draft.segment = null
  const { kind, parent, prompt, text } = segment
  if (kind === "user") {
    // The echo of the prompt is in the log: the person wrote it.
    if (turn !== null && text.trim() === turn.words.trim()) return
    synthetic(draft, text, { parent_tool_use_id: parent, ...attribution(prompt) })
    return
  }
  const message = messageFor(draft, segment.messageId, parent)
  partial(draft, parent, { type: "content_block_stop", index: message.blocks })
  const content =
    kind === "text" ? { type: "text", text } : { type: "thinking", thinking: text, signature: "" }
  assistant(draft, message, content, prompt)
  if (kind === "text" && parent === null && draft.turn !== null) {
    draft.turn = { ...draft.turn, said: draft.turn.said + text }
  }
}

/** Writes a line of the system's after the text that was begun. */
export const system = (draft: Draft, json: JsonObject): void => {
  flush(draft)
  line(draft, { type: "system", ...json, ...attribution(promptNow(draft)) })
}

/** An update of an unknown kind, passed on as it is. */
export const unknownUpdate = (draft: Draft, update: unknown): void =>
  system(draft, { subtype: "acp_update", update })

const begin = (draft: Draft, kind: Segment["kind"], id: string | null, parent: string | null): Segment => {
  flush(draft)
  let messageId = id
  if (kind !== "user") {
    const message = messageFor(draft, id, parent)
    messageId = message.acpId
    if (!message.started) {
      partial(draft, parent, { type: "message_start", message: envelope(draft, message, []) })
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

export const onChunk = (draft: Draft, kind: Segment["kind"], update: JsonObject): void => {
  const id = Read.name(update["messageId"])
  const parent = ToolCall.parentOf(update)
  const content = Read.object(update["content"])
  const { text, type } = content
  if (type !== "text" || typeof text !== "string") {
    const made = ToolCall.block(content)
    flush(draft)
    const prompt = promptNow(draft)
    if (kind === "user") synthetic(draft, [made], { parent_tool_use_id: parent, ...attribution(prompt) })
    else assistant(draft, messageFor(draft, id, parent), made, prompt)
    return
  }
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
  if (kind === "user") return
  partial(draft, parent, {
    type: "content_block_delta",
    index: draft.message?.blocks ?? 0,
    delta: kind === "text" ? { type: "text_delta", text } : { type: "thinking_delta", thinking: text }
  })
}
