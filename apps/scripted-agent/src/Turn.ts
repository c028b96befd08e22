/**
 * One turn of the scripted agent, and what it says.
 *
 * Every line that is kept has the uuid that the prompt's uuid and the line's place in the turn name, and is in the
 * transcript before it is said. Run again after a crash, a turn says the stored lines word for word and goes on from
 * there: no tool whose result was stored runs twice.
 */
import { setTimeout as delay } from "node:timers/promises"
import { uuid5 } from "@causeway/protocol/Uuid5"
import * as Agent from "./Agent.ts"
import { type Json, object, parse, textOf } from "./Json.ts"
import { write } from "./Output.ts"

export interface Turn {
  readonly agent: Agent.Agent
  readonly promptUuid: string
  readonly signal: AbortSignal
  /** In tokens. */
  readonly usage: { input: number; output: number }
  readonly denials: Array<Json>
  /** Uuids of the kept lines that were said by this process. */
  readonly spoken: Set<string>
  states: number
  messages: number
  /** The turn fails with this text. */
  failure: string | undefined
}

/** The turn was interrupted; `whilePending` when a permission request was open. */
export class Interrupted {
  readonly whilePending: boolean
  constructor(whilePending: boolean) {
    this.whilePending = whilePending
  }
}

/** The turn has had as many rounds with the model as it may. */
export class TurnsExceeded {}

const STANDS_IN =
  "No agent is installed on this machine. This is a scripted stand-in, which understands nothing: install claude, or name an agent with --agent."

/** About four characters a token: good enough to have figures that add up. */
const tokens = (text: string): number => Math.max(1, Math.ceil(text.length / 4))

export const make = (
  agent: Agent.Agent,
  promptUuid: string,
  promptText: string,
  signal: AbortSignal
): Turn => ({
  agent,
  promptUuid,
  signal,
  usage: { input: tokens(promptText), output: 0 },
  denials: [],
  spoken: new Set(),
  states: 0,
  messages: 0,
  failure: undefined
})

/** The uuid of a thing of the turn. */
export const idOf = ({ promptUuid }: Turn, place: string): string => uuid5(promptUuid, place)

const compactId = (turn: Turn, prefix: string, place: string): string =>
  `${prefix}_${idOf(turn, place).replaceAll("-", "")}`

// --- Lines ---

/** The line that is stored at a place; undefined before it was said. */
export const stored = (turn: Turn, place: string): Json | undefined => {
  const text = turn.agent.transcript.stored(idOf(turn, place))
  return text === undefined ? undefined : (parse(text) ?? {})
}

/** Says a line that is kept, once; a stored one word for word. */
export const keep = (turn: Turn, place: string, line: Json): Json => {
  const { agent, promptUuid, spoken } = turn
  const uuid = idOf(turn, place)
  const whole = { ...line, session_id: agent.sessionId, uuid }
  const text = agent.transcript.stored(uuid) ?? agent.transcript.addLine(promptUuid, whole, uuid)
  if (!spoken.has(uuid)) write(text)
  spoken.add(uuid)
  return parse(text) ?? {}
}

/** Says a line that is not kept but known again. */
export const pass = (turn: Turn, place: string, line: Json): void =>
  Agent.say(turn.agent, { ...line, uuid: idOf(turn, place) })

export const state = (turn: Turn, name: "running" | "requires_action" | "idle"): void =>
  pass(turn, `state ${turn.states++} ${name}`, {
    type: "system",
    subtype: "session_state_changed",
    state: name
  })

const partial = ({ agent }: Turn, event: Json): void => {
  if (agent.args.partialMessages) Agent.say(agent, { type: "stream_event", event, parent_tool_use_id: null })
}

/** A message of the agent: one round with the model. */
export const message = (turn: Turn, content: ReadonlyArray<Json>, more: Json = {}): Json => {
  const { agent, usage } = turn
  if (turn.messages >= agent.args.maxTurns) throw new TurnsExceeded()
  const written = tokens(JSON.stringify(content))
  usage.output += written
  return {
    type: "assistant",
    message: {
      id: compactId(turn, "msg", `message ${turn.messages++}`),
      type: "message",
      role: "assistant",
      model: agent.model,
      content,
      stop_reason: null,
      stop_sequence: null,
      usage: {
        input_tokens: usage.input,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 0,
        output_tokens: written
      }
    },
    parent_tool_use_id: null,
    ...more
  }
}

/** A message in the user's place. */
export const userMessage = (content: unknown, more: Json = {}): Json => ({
  type: "user",
  message: { role: "user", content },
  parent_tool_use_id: null,
  ...more
})

// --- Text ---

export const checkpoint = ({ signal }: Turn): void => {
  if (signal.aborted) throw new Interrupted(false)
}

export const wait = async (turn: Turn, millis: number): Promise<void> => {
  checkpoint(turn)
  await delay(millis, undefined, { signal: turn.signal }).catch(() => undefined)
  checkpoint(turn)
}

/** Text, streamed by pieces where partial messages are wanted, then whole. `pace` is awaited before each piece. */
export const answer = async (
  turn: Turn,
  words: ReadonlyArray<string>,
  pace: (index: number) => Promise<void> | undefined = () => undefined
): Promise<void> => {
  const { args, model } = turn.agent
  const pieces = args.standsIn ? [`${STANDS_IN}\n\n`, ...words] : words
  if (stored(turn, "answer") !== undefined) {
    keep(turn, "answer", {})
    turn.messages++
    return
  }
  partial(turn, { type: "message_start", message: { role: "assistant", model, content: [] } })
  partial(turn, { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } })
  let said = ""
  try {
    for (const [index, piece] of pieces.entries()) {
      await pace(index)
      said += piece
      partial(turn, { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: piece } })
    }
    checkpoint(turn)
  } catch (cause) {
    if (cause instanceof Interrupted && said !== "") {
      keep(turn, "aborted", message(turn, [{ type: "text", text: said }], { aborted: true }))
    }
    throw cause
  }
  partial(turn, { type: "content_block_stop", index: 0 })
  keep(turn, "answer", message(turn, [{ type: "text", text: pieces.join("") }]))
  partial(turn, { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: {} })
  partial(turn, { type: "message_stop" })
}

export const say = (turn: Turn, text: string): Promise<void> =>
  answer(turn, text.match(/[\s\S]{1,16}/gu) ?? [""])

// --- Tools ---

export const toolUseId = (turn: Turn, place = "tool"): string => compactId(turn, "toolu", place)

export const toolUse = (turn: Turn, name: string, input: Json): void => {
  keep(turn, "tool use", message(turn, [{ type: "tool_use", id: toolUseId(turn), name, input }]))
}

export interface ToolResult {
  readonly content: string
  readonly isError: boolean
  readonly denied?: boolean
}

/** Says a tool's result; answers the one that is stored, where there is one. */
export const toolResult = (turn: Turn, content: unknown, isError = false, more: Json = {}): ToolResult => {
  const result = { type: "tool_result", tool_use_id: toolUseId(turn), content, is_error: isError }
  const line = keep(turn, "tool result", userMessage([result], more))
  const blocks = object(line["message"])["content"]
  const block = object(Array.isArray(blocks) ? blocks[0] : undefined)
  return {
    content: textOf(block["content"]),
    isError: block["is_error"] === true,
    denied: line["denied"] === true
  }
}

/**
 * Asks the host. The request's id follows from the tool use, so that the same question is the same line. `always`: also
 * where a rule allows the tool.
 */
export const permission = async (
  turn: Turn,
  name: string,
  input: Json,
  description: string,
  always = false
): Promise<Agent.Answer> => {
  const { agent, signal } = turn
  if (agent.args.disallowedTools.includes(name)) {
    return { _tag: "Denied", message: `${name} is not to be used`, interrupt: false }
  }
  if (!always && Agent.isAllowed(agent, name)) return { _tag: "Allowed", input, updates: [] }
  checkpoint(turn)
  state(turn, "requires_action")
  const given = await Agent.ask(agent, `ask_${idOf(turn, "permission")}`, {
    subtype: "can_use_tool",
    tool_name: name,
    display_name: name,
    input,
    tool_use_id: toolUseId(turn),
    description,
    permission_suggestions: always
      ? []
      : [{ type: "addRules", rules: [{ toolName: name }], behavior: "allow", destination: "session" }],
    ...(always ? { requires_user_interaction: true } : {})
  })
  if (signal.aborted) throw new Interrupted(true)
  state(turn, "running")
  return given
}
