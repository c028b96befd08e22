/** Turns, from a prompt to its result. */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as ProtocolPayload from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Settings from "../Settings.ts"
import { endMessage, flush } from "./Messages.ts"
import { withdraw } from "./Permissions.ts"
import { attribution, type Draft, line, modelOf } from "./State.ts"
import { close, forget } from "./ToolCalls.ts"
import { compacted } from "./Updates.ts"

export type TurnEnd =
  /** The reply to `session/prompt`. */
  | { readonly _tag: "Stopped"; readonly stopReason: string; readonly reply: JsonObject }
  /** The agent refused the prompt or failed. */
  | { readonly _tag: "Failed"; readonly message: string; readonly reason?: string }
  /** The agent's process is gone. */
  | { readonly _tag: "Gone"; readonly message: string }

const INTERRUPTED = "[Request interrupted by user]"
const INTERRUPTED_IN_TOOL = "[Request interrupted by user for tool use]"

/** Times are in milliseconds since the epoch. */
export const startTurn = (draft: Draft, prompt: string, words: string, at: number): void => {
  endTurn(draft, { _tag: "Failed", message: "another prompt took its place" }, at, 0)
  flush(draft)
  endMessage(draft)
  draft.turn = { prompt, words, startedAt: at, messages: 0, said: "", denials: [], withdrawn: false }
  line(draft, {
    type: "system",
    subtype: "init",
    cwd: draft.cwd,
    model: modelOf(draft),
    permissionMode: Settings.mode(draft.settings),
    tools: [],
    mcp_servers: draft.mcpServers.map((name) => ({ name, status: "unknown" })),
    slash_commands: draft.commands.map((command) => command["name"]),
    capabilities: [],
    agent_name: draft.agent.name,
    agent_version: draft.agent.version,
    acp_session_id: draft.acpSessionId,
    modes: draft.settings.modes,
    config_options: draft.settings.configOptions
  })
  // The acknowledgement of the prompt, under the prompt's own uuid.
  draft.out.push(
    ProtocolPayload.make({
      type: "user",
      message: { role: "user", content: words },
      isReplay: true,
      parent_tool_use_id: null,
      session_id: draft.sessionId,
      uuid: prompt
    })
  )
}

const usageOf = (end: TurnEnd): JsonObject => {
  if (end._tag !== "Stopped") return {}
  const usage = Read.object(end.reply["usage"])
  const input = Read.amount(usage["inputTokens"])
  const output = Read.amount(usage["outputTokens"])
  if (input === null && output === null) return {}
  return {
    usage: {
      input_tokens: input ?? 0,
      output_tokens: output ?? 0,
      cache_read_input_tokens: Read.amount(usage["cachedReadTokens"]) ?? 0,
      cache_creation_input_tokens: Read.amount(usage["cachedWriteTokens"]) ?? 0
    }
  }
}

const failed = (errors: ReadonlyArray<string>, reason: string | undefined): JsonObject => ({
  subtype: "error_during_execution",
  is_error: true,
  errors,
  stop_reason: null,
  ...(reason === undefined ? {} : { terminal_reason: reason })
})

/** A turn's end as the members of its `result`. */
const outcome = (end: TurnEnd, said: string, inTool: boolean): JsonObject => {
  if (end._tag === "Gone") return failed([end.message], "agent_exited")
  if (end._tag === "Failed") return failed([end.message], end.reason)
  const { stopReason } = end
  switch (stopReason) {
    case "cancelled":
      return failed([], inTool ? "aborted_tools" : "aborted_streaming")
    case "max_turn_requests":
      return {
        subtype: "error_max_turns",
        is_error: true,
        errors: ["the agent reached its limit of requests for one turn"],
        stop_reason: stopReason
      }
    default: {
      const refused = stopReason === "refusal"
      const result = refused && said === "" ? "the agent refused to go on" : said
      return { subtype: "success", is_error: refused, result, stop_reason: stopReason }
    }
  }
}

/** Ends whatever is open: requests are withdrawn, calls get a result that says why they have none of their own. */
const settle = (draft: Draft, why: string): void => {
  flush(draft)
  for (const requestId of draft.permissions.keys()) withdraw(draft, requestId)
  for (const call of draft.calls.values()) if (call.closed === null) close(draft, call, why)
  for (const [id, summary] of draft.compactions) compacted(draft, id, summary)
  endMessage(draft)
}

const isCancelled = (end: TurnEnd): boolean => end._tag === "Stopped" && end.stopReason === "cancelled"

const whyNoResult = (end: TurnEnd): string =>
  isCancelled(end)
    ? INTERRUPTED_IN_TOOL
    : end._tag === "Gone" || (end._tag === "Failed" && end.reason === "aborted_by_signal")
      ? "the agent ended before this tool's result"
      : "the turn ended without a result of this tool"

/** Ends the turn, where there is one. `queued`: prompts that wait. */
export const endTurn = (draft: Draft, end: TurnEnd, at: number, queued: number): void => {
  const inTool =
    draft.turn?.withdrawn === true ||
    draft.permissions.size > 0 ||
    [...draft.calls.values()].some((call) => call.closed === null)
  // An agent that ends between turns may leave calls that it began there.
  if (draft.turn !== null || end._tag === "Gone") settle(draft, whyNoResult(end))
  const { context, costUsd, turn } = draft
  if (turn === null) return
  if (isCancelled(end)) {
    line(draft, {
      type: "user",
      message: { role: "user", content: [{ type: "text", text: INTERRUPTED }] },
      parent_tool_use_id: null,
      ...attribution(turn.prompt)
    })
  }
  line(draft, {
    type: "result",
    ...outcome(end, turn.said, inTool),
    duration_ms: Math.max(0, at - turn.startedAt),
    num_turns: Math.max(1, turn.messages),
    ...(costUsd === null ? {} : { total_cost_usd: costUsd }),
    ...usageOf(end),
    ...(context === null
      ? {}
      : { modelUsage: { [modelOf(draft)]: { contextTokens: context.used, contextWindow: context.size } } }),
    permission_denials: turn.denials,
    queued_turn_count: queued,
    result_index: draft.turns,
    user_message_uuid: turn.prompt
  })
  draft.turns += 1
  draft.lastPrompt = turn.prompt
  draft.turn = null
  draft.terminals = new Map()
  forget(draft)
}
