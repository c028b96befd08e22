/** Questions of the agent: for permission, and to the person. */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Permission from "../Permission.ts"
import * as ToolCall from "../ToolCall.ts"
import { flush } from "./Messages.ts"
import { type Draft, line, type Pending, replaced, without } from "./State.ts"
import { close, keep, patched, say } from "./ToolCalls.ts"

/** Closes the call that only shows a question, once the question is settled. */
const closeOwn = (draft: Draft, pending: Pending, text: string): void => {
  const call = pending.ownCall === null ? undefined : draft.calls.get(pending.ownCall)
  if (call === undefined || call.closed !== null) return
  close(draft, keep(draft, { ...call, status: "completed", rawOutput: text }))
}

export const withdraw = (draft: Draft, requestId: string): void => {
  const pending = draft.permissions.get(requestId)
  if (pending === undefined) return
  draft.permissions = without(draft.permissions, requestId)
  if (draft.turn !== null) draft.turn = { ...draft.turn, withdrawn: true }
  line(draft, { type: "control_cancel_request", request_id: requestId })
  closeOwn(draft, pending, "withdrawn")
}

/** Says the call that the question is about, then asks. `of`: what the question is, given the call as it was said. */
const ask = (
  draft: Draft,
  requestId: string,
  toolCall: JsonObject,
  of: (said: ToolCall.ToolCall) => Pick<Pending, "toolName" | "input" | "options" | "ownCall">,
  more: JsonObject
): void => {
  if (draft.permissions.has(requestId)) return
  const call = patched(draft, toolCall, true)
  if (call === undefined) return
  const said = say(draft, call)
  flush(draft)
  const pending: Pending = { requestId, toolUseId: said.toolUseId, ...of(said) }
  const { input, options, toolName, toolUseId } = pending
  draft.permissions = replaced(draft.permissions, requestId, pending)
  line(draft, {
    type: "control_request",
    request_id: requestId,
    request: {
      subtype: "can_use_tool",
      tool_name: toolName,
      display_name: said.title === "" ? toolName : said.title,
      input,
      tool_use_id: toolUseId,
      permission_suggestions: Permission.suggestions(options, toolName),
      options: options.map(({ optionId, name, kind }) => ({ option_id: optionId, name, kind })),
      ...more
    }
  })
}

export const onPermissionAsked = (
  draft: Draft,
  requestId: string,
  toolCall: unknown,
  options: unknown
): void => {
  const json = Read.object(toolCall)
  // A call that has its result cannot be asked about: this is another one that the agent gave the same id.
  const call = { ...json, toolCallId: Read.name(json["toolCallId"]) ?? requestId, status: undefined }
  const of = (said: ToolCall.ToolCall) => ({
    toolName: ToolCall.toolName(said),
    input: ToolCall.input(said),
    options: Permission.options(options),
    ownCall: null
  })
  ask(draft, requestId, call, of, {})
}

export const onQuestionAsked = (
  draft: Draft,
  {
    input,
    requestId,
    title,
    ...about
  }: {
    readonly requestId: string
    readonly toolCallId: string | null
    readonly title: string
    readonly input: JsonObject
  }
): void => {
  const toolName = "AskUserQuestion"
  const toolCallId = about.toolCallId ?? requestId
  const ownCall = about.toolCallId === null ? toolCallId : null
  const call = { toolCallId, name: toolName, title, rawInput: input }
  ask(draft, requestId, call, () => ({ toolName, input, options: [], ownCall }), {
    requires_user_interaction: true
  })
}

export const onPermissionAnswered = (draft: Draft, requestId: string, allowed: boolean): void => {
  const pending = draft.permissions.get(requestId)
  if (pending === undefined) return
  const { input, toolName, toolUseId } = pending
  draft.permissions = without(draft.permissions, requestId)
  closeOwn(draft, pending, allowed ? "answered" : "declined")
  if (allowed || draft.turn === null) return
  const denial = { tool_name: toolName, tool_use_id: toolUseId, tool_input: input }
  draft.turn = { ...draft.turn, denials: [...draft.turn.denials, denial] }
}
