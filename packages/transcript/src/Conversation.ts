/**
 * The conversation: what a person reads of a session, computed from its log event by event.
 *
 * Lines of the agent become items, one a content block; what belongs together is linked whichever side comes first: a
 * tool's call with its result and its approval, blocks of one message with each other, a subagent's items with the call
 * that started it. Nothing is refused: a line that this program does not know is kept as an `unknown` item. Source:
 * spec 3 §3 and §7, spec 4 §1.
 */
import * as Approvals from "./Approvals.ts"
import { type Conversation, commonOf, type Draft, draftOf, empty, update } from "./Conversation/Draft.ts"
import type { ToolCall } from "./Conversation/Items.ts"
import { onAssistant, onResult, onSystem, onUser } from "./Conversation/Lines.ts"
import { endCalls } from "./Conversation/Tools.ts"
import * as FileChange from "./FileChange.ts"
import { isSubagent, name, object, type ReadableEvent, string } from "./Read.ts"

export { type Conversation, empty } from "./Conversation/Draft.ts"
export type * from "./Conversation/Items.ts"

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

/** The conversation after some more events. Costs one copy of its indexes, however many events there are. */
export const steps = (conversation: Conversation, events: Iterable<ReadableEvent>): Conversation => {
  const draft = draftOf(conversation)
  for (const event of events) apply(draft, event)
  return draft
}

/** The conversation after one more event. */
export const step = (conversation: Conversation, event: ReadableEvent): Conversation =>
  conversation.seen.has(event.uuid) ? conversation : steps(conversation, [event])

/** The conversation of a whole log. */
export const fold = (events: Iterable<ReadableEvent>): Conversation => steps(empty, events)
