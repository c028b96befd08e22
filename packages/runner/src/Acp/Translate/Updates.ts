/** Updates of a session (`session/update`) by their kind. */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Settings from "../Settings.ts"
import * as ToolCall from "../ToolCall.ts"
import { endMessage, flush, onChunk, system, unknownUpdate } from "./Messages.ts"
import { type Draft, ephemeral, line, replaced, synthetic, without } from "./State.ts"
import { onToolCall, sayWaiting } from "./ToolCalls.ts"

const onPlan = (draft: Draft, update: JsonObject): void => {
  const entries = Read.array(update["entries"]).map(Read.object)
  const plan = Read.digest(entries)
  if (plan === draft.plan) return
  draft.plan = plan
  system(draft, { subtype: "plan", entries })
}

export const status = (draft: Draft, now: string | null): void =>
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
  const { amount, currency } = Read.object(update["cost"])
  if (currency === "USD") draft.costUsd = Read.amount(amount) ?? draft.costUsd
}

export const notice = (draft: Draft, text: string, severity: string): void =>
  system(draft, { subtype: "notification", text, severity })

const onNotice = (draft: Draft, update: JsonObject): void => {
  const words = [Read.name(update["title"], 4096) ?? "", Read.name(update["description"], 16_384)]
  notice(draft, words.filter((each) => each !== null).join(": "), Read.name(update["severity"], 32) ?? "info")
}

// --- Compaction ---

export const compacted = (draft: Draft, id: string, summary: string): void => {
  draft.compactions = without(draft.compactions, id)
  flush(draft)
  endMessage(draft)
  system(draft, {
    subtype: "compact_boundary",
    compact_metadata: {
      trigger: "auto",
      ...(draft.context === null ? {} : { pre_tokens: draft.context.used })
    }
  })
  if (summary !== "") synthetic(draft, summary, { isCompactSummary: true })
}

const onCompaction = (draft: Draft, update: JsonObject): void => {
  const { error, status: state, summary } = update
  const id = Read.name(update["compactionId"]) ?? ""
  const soFar = draft.compactions.get(id) ?? ""
  switch (state) {
    case "in_progress":
      draft.compactions = replaced(draft.compactions, id, soFar)
      status(draft, "compacting")
      return
    case "completed":
      compacted(draft, id, Array.isArray(summary) ? ToolCall.textOf(summary.map(ToolCall.block)) : soFar)
      return
    case "failed":
    case "cancelled":
      draft.compactions = without(draft.compactions, id)
      notice(draft, `compaction ${state}${typeof error === "string" ? `: ${error}` : ""}`, "warning")
      return
    default:
      unknownUpdate(draft, update)
  }
}

const onCompactionChunk = (draft: Draft, update: JsonObject): void => {
  const id = Read.name(update["compactionId"]) ?? ""
  const more = Read.string(ToolCall.block(update["content"])["text"]) ?? ""
  draft.compactions = replaced(draft.compactions, id, (draft.compactions.get(id) ?? "") + more)
}

const onSessionInfo = (draft: Draft, update: JsonObject): void => {
  const title = Read.name(update["title"], 512)
  if (title !== null) line(draft, { type: "ai-title", aiTitle: title })
}

// --- By kind ---

const handlers: { readonly [kind: string]: (draft: Draft, update: JsonObject) => void } = {
  agent_message_chunk: (draft, update) => onChunk(draft, "text", update),
  agent_thought_chunk: (draft, update) => onChunk(draft, "thinking", update),
  user_message_chunk: (draft, update) => onChunk(draft, "user", update),
  tool_call: (draft, update) => onToolCall(draft, update, true),
  tool_call_update: (draft, update) => onToolCall(draft, update, false),
  plan: onPlan,
  available_commands_update: onCommands,
  current_mode_update: (draft, update) =>
    onSettings(draft, Settings.withMode(draft.settings, update["currentModeId"])),
  config_option_update: (draft, update) =>
    onSettings(draft, Settings.withConfigOptions(draft.settings, update["configOptions"])),
  session_info_update: onSessionInfo,
  usage_update: onUsage,
  notice: onNotice,
  compaction_update: onCompaction,
  compaction_summary_chunk: onCompactionChunk
}

export const onUpdate = (draft: Draft, value: unknown): void => {
  const update = Read.object(value)
  const { sessionUpdate: kind, toolCallId } = update
  sayWaiting(draft, toolCallId)
  if (typeof kind === "string" && Object.hasOwn(handlers, kind)) handlers[kind]?.(draft, update)
  else unknownUpdate(draft, value)
}
