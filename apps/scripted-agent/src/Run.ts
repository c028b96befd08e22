/** Runs a turn from its prompt to its result. */
import type { Agent, Waiting } from "./Agent.ts"
import * as Agents from "./Agent.ts"
import { parse } from "./Directive.ts"
import { commands, directives } from "./Directives.ts"
import { type Json, number, object, textOf } from "./Json.ts"
import * as Turn from "./Turn.ts"

const init = ({ args, mode, model }: Agent): Json => ({
  type: "system",
  subtype: "init",
  cwd: process.cwd(),
  model,
  permissionMode: mode,
  tools: ["AskUserQuestion", "Bash", "Read", "Write"],
  mcp_servers: Object.keys(args.mcpServers).map((name) => ({ name, status: "pending" })),
  slash_commands: commands,
  skills: [],
  agents: [],
  plugins: [],
  output_style: "default",
  apiKeySource: "none",
  claude_code_version: "scripted",
  capabilities: []
})

const failed = (turn: Turn.Turn, cause: unknown): Json => {
  const outcome = { subtype: "error_during_execution", is_error: true, stop_reason: null }
  if (cause instanceof Turn.TurnsExceeded) {
    const { maxTurns } = turn.agent.args
    return { ...outcome, subtype: "error_max_turns", errors: [`the limit of ${maxTurns} turns is reached`] }
  }
  if (!(cause instanceof Turn.Interrupted)) throw cause
  const text = `[Request interrupted by user${cause.whilePending ? " for tool use" : ""}]`
  Turn.keep(turn, "interrupted", Turn.userMessage([{ type: "text", text }]))
  return {
    ...outcome,
    errors: ["interrupted"],
    terminal_reason: cause.whilePending ? "aborted_tools" : "aborted_streaming"
  }
}

/** Does what the prompt asks for; answers the members of the result that tell how it ended. */
const perform = async (turn: Turn.Turn, promptText: string): Promise<Json> => {
  try {
    if (Turn.stored(turn, "interrupted") !== undefined) throw new Turn.Interrupted(false)
    const { name, rest } = parse(promptText)
    await directives[name]?.(turn, rest)
    const { failure } = turn
    const done = { subtype: "success", stop_reason: "end_turn" }
    if (failure !== undefined) {
      const content = [{ type: "text", text: failure }]
      Turn.keep(turn, "answer", Turn.message(turn, content, { error: "unknown" }))
      return { ...done, is_error: true, terminal_reason: "api_error", result: failure }
    }
    const result = textOf(object(Turn.stored(turn, "answer")?.["message"])["content"])
    return { ...done, is_error: false, terminal_reason: "completed", result }
  } catch (cause) {
    return failed(turn, cause)
  }
}

/** Usage of the turn, and the running totals of the conversation. */
const totals = ({ agent, usage: { input, output } }: Turn.Turn): Json => {
  const last = agent.transcript.lastResult() ?? {}
  const models = object(last["modelUsage"])
  const before = object(models[agent.model])
  const cost = (input * 3 + output * 15) / 1_000_000
  return {
    total_cost_usd: number(last["total_cost_usd"]) + cost,
    usage: {
      input_tokens: input,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens: output
    },
    modelUsage: {
      ...models,
      [agent.model]: {
        inputTokens: number(before["inputTokens"]) + input,
        outputTokens: number(before["outputTokens"]) + output,
        cacheReadInputTokens: 0,
        cacheCreationInputTokens: 0,
        costUSD: number(before["costUSD"]) + cost,
        contextWindow: 200_000
      }
    },
    result_index: number(last["result_index"]) + 1
  }
}

/** Answers the result. */
export const run = async (
  agent: Agent,
  { own, prompt, uuid }: Waiting,
  signal: AbortSignal
): Promise<Json> => {
  const started = Date.now()
  const promptText = textOf(object(prompt["message"])["content"])
  const turn = Turn.make(agent, uuid, promptText, signal)
  if (!agent.transcript.prompts.has(uuid)) agent.transcript.addPrompt(prompt, uuid)
  Turn.state(turn, "running")
  Turn.keep(turn, "init", init(agent))
  // A turn that the agent began itself answers nobody's prompt.
  if (own === undefined) Agents.say(agent, { ...prompt, uuid, session_id: agent.sessionId, isReplay: true })
  const outcome = await perform(turn, promptText)
  const elapsed = Date.now() - started
  const result = Turn.keep(turn, "result", {
    type: "result",
    ...outcome,
    duration_ms: elapsed,
    duration_api_ms: elapsed,
    num_turns: Math.max(1, turn.messages),
    ...totals(turn),
    permission_denials: turn.denials,
    ...(own === undefined ? { user_message_uuid: uuid, user_message_uuids: [uuid] } : { origin: own })
  })
  Turn.state(turn, "idle")
  return result
}
