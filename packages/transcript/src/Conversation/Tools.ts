/** Calls of tools, their results and the plans that some of them make. */
import { array, type JsonObject, name, object, string } from "../Read.ts"
import { type Draft, update } from "./Draft.ts"
import type { Common, Outcome, Plan, ToolCall } from "./Items.ts"

/** The text of a tool result's content. Source: spec 3 §3. */
const flatten = (content: unknown): string => {
  if (typeof content === "string") return content
  return array(content)
    .map((part) => {
      if (typeof part === "string") return part
      const { type, text } = object(part)
      return typeof text === "string" ? text : `[${name(type, 64) ?? "unknown"}]`
    })
    .join("\n")
}

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

export const planSteps = (value: unknown): Plan["steps"] =>
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
export const onToolUse = (
  draft: Draft,
  block: JsonObject,
  messageId: string | null,
  common: Common
): number => {
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

export const onToolResult = (draft: Draft, block: JsonObject, common: Common): void => {
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
export const endCalls = (draft: Draft, all: boolean): void => {
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
