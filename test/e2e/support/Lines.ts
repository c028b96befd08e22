/** Lines of an agent, for workers that a test plays. */

type Json = { readonly [key: string]: unknown }

export const says = (id: string, text: string, more: Json = {}): Json => ({
  type: "assistant",
  message: { id, role: "assistant", model: "scripted", content: [{ type: "text", text }] },
  ...more
})

export const uses = (toolUseId: string, name: string, input: Json, more: Json = {}): Json => ({
  type: "assistant",
  message: {
    id: `m-${toolUseId}`,
    role: "assistant",
    content: [{ type: "tool_use", id: toolUseId, name, input }]
  },
  ...more
})

export const gives = (toolUseId: string, content: unknown, more: Json = {}): Json => ({
  type: "user",
  message: { role: "user", content: [{ type: "tool_result", tool_use_id: toolUseId, content, ...more }] }
})

/** The end of the turn that `promptUuid` began. */
export const result = (promptUuid: string, more: Json = {}): Json => ({
  type: "result",
  subtype: "success",
  is_error: false,
  result: "ok",
  num_turns: 1,
  total_cost_usd: 0.25,
  user_message_uuid: promptUuid,
  ...more
})

/** A question for permission. */
export const asks = (requestId: string, toolUseId: string, request: Json): Json => ({
  type: "control_request",
  request_id: requestId,
  request: { subtype: "can_use_tool", tool_use_id: toolUseId, ...request }
})

export const init: Json = { type: "system", subtype: "init", model: "scripted", session_id: "a" }

/** A piece of text as it is being written. */
export const piece = (text: string): Json => ({
  type: "stream_event",
  event: { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }
})

export const begins = (id: string): Json => ({
  type: "stream_event",
  event: { type: "message_start", message: { id } }
})
