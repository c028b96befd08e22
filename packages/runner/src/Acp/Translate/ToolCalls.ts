/** Tool calls: each is said once when its input is whole, and answered once. */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as ToolCall from "../ToolCall.ts"
import { assistant, endMessage, flush, messageFor, unknownUpdate } from "./Messages.ts"
import { attribution, type Draft, ephemeral, idOf, line, promptNow, replaced } from "./State.ts"

/** Calls with a result that are remembered, for updates that come after it. */
const CLOSED_MAX = 256
/** Characters of a call's live output that a progress line carries. */
const PROGRESS_MAX = 16_384

export const keep = (draft: Draft, call: ToolCall.ToolCall): ToolCall.ToolCall => {
  draft.calls = replaced(draft.calls, call.id, call)
  return call
}

/** Says a call as a tool use, once. */
export const say = (draft: Draft, call: ToolCall.ToolCall): ToolCall.ToolCall => {
  if (call.said !== null) return call
  const name = ToolCall.toolName(call)
  const input = ToolCall.input(call)
  const said = keep(draft, { ...call, said: { name, input: Read.digest(input) } })
  flush(draft)
  const use = { type: "tool_use", id: call.toolUseId, name, input }
  assistant(draft, messageFor(draft, null, call.parent), use, call.prompt)
  return said
}

/** Answers a call with a tool result. `why` says why its turn has ended it; none: the agent has. */
export const close = (draft: Draft, call: ToolCall.ToolCall, why?: string): void => {
  const said = say(draft, call)
  flush(draft)
  endMessage(draft)
  const content = ToolCall.resultContent(said, draft.terminals)
  const result = {
    type: "tool_result",
    tool_use_id: said.toolUseId,
    content: why === undefined ? content : [...content, { type: "text", text: why }],
    is_error: why !== undefined || said.status === "failed"
  }
  const uuid = line(draft, {
    type: "user",
    message: { role: "user", content: [result] },
    tool_use_result: ToolCall.resultDetail(said, content),
    parent_tool_use_id: said.parent,
    ...attribution(said.prompt),
    ...(said.closed === null ? {} : { supersedes: [said.closed.uuid] })
  })
  // What was said is in the log; only what tells a later result from this one is kept.
  keep(draft, {
    ...said,
    closed: { uuid, digest: ToolCall.digest(said), by: why === undefined ? "agent" : "turn" },
    rawInput: undefined
  })
}

const progress = (draft: Draft, call: ToolCall.ToolCall): void => {
  const text = ToolCall.textOf(ToolCall.resultContent(call, draft.terminals))
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
export const sayWaiting = (draft: Draft, but: unknown): void => {
  for (const call of draft.calls.values()) {
    if (call.said === null && call.closed === null && call.id !== but && ToolCall.hasInput(call))
      say(draft, call)
  }
}

/** An id for the log: agents that number their calls anew in every process must not meet their own old ones. */
const toolUseId = (draft: Draft, id: string): string =>
  id.length >= 16 && !draft.calls.has(id)
    ? id
    : `${id}-${idOf(draft, `call ${draft.lines} ${draft.calls.size}`).slice(0, 8)}`

/** The call that an update is about, patched; undefined where the update names none. */
export const patched = (draft: Draft, json: JsonObject, isStart: boolean): ToolCall.ToolCall | undefined => {
  const id = Read.name(json["toolCallId"])
  if (id === null) return undefined
  const known = draft.calls.get(id)
  const status = json["status"] ?? "pending"
  const again = isStart && known?.closed?.by === "agent" && (status === "pending" || status === "in_progress")
  const call =
    known === undefined || again
      ? ToolCall.make(id, toolUseId(draft, id), ToolCall.parentOf(json), promptNow(draft))
      : known
  return keep(draft, ToolCall.patch(call, json))
}

/** Forgets the oldest calls that have a result. */
export const forget = (draft: Draft): void => {
  const surplus = draft.calls.size - CLOSED_MAX
  if (surplus <= 0) return
  const old = [...draft.calls.values()].filter(({ closed }) => closed !== null).slice(0, surplus)
  const kept = new Map(draft.calls)
  for (const { id } of old) kept.delete(id)
  draft.calls = kept
}

export const onToolCall = (draft: Draft, json: JsonObject, isStart: boolean): void => {
  const call = patched(draft, json, isStart)
  if (call === undefined) {
    unknownUpdate(draft, json)
    return
  }
  if (call.closed !== null) {
    // After its result: another result is written when it says something else, and names the one that it replaces.
    if (ToolCall.isOver(call) && ToolCall.digest(call) !== call.closed.digest) close(draft, call)
    return
  }
  if (ToolCall.isOver(call)) close(draft, call)
  else progress(draft, call.status === "in_progress" ? say(draft, call) : call)
  forget(draft)
}
