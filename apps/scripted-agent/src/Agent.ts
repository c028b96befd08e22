/** The state of the agent's process: its settings, the turns that wait, and what its host is asked. */
import { randomUUID } from "node:crypto"
import type { Arguments } from "./Arguments.ts"
import { isObject, type Json, object, string } from "./Json.ts"
import { write } from "./Output.ts"
import type { Transcript } from "./Transcript.ts"

export interface Waiting {
  readonly prompt: Json
  readonly uuid: string
  /** The event that began the turn, where no prompt did. */
  readonly own?: Json
}

/** How a permission request ended. */
export type Answer =
  | { readonly _tag: "Allowed"; readonly input: Json; readonly updates: ReadonlyArray<Json> }
  | { readonly _tag: "Denied"; readonly message: string; readonly interrupt: boolean }
  /** The host answered with an error, or left. The tool fails with this text and the turn goes on. */
  | { readonly _tag: "Failed"; readonly message: string }

interface Question {
  readonly requestId: string
  readonly request: Json
  readonly answer: (answer: Answer) => void
}

export interface Agent {
  readonly args: Arguments
  readonly sessionId: string
  readonly transcript: Transcript
  model: string
  mode: string
  thinkingTokens: number | null
  flagSettings: Json
  /** Tools that are used without asking. */
  readonly allowed: Set<string>
  readonly waiting: Array<Waiting>
  current: (Waiting & { readonly abort: AbortController }) | undefined
  question: Question | undefined
  /** Tasks in the background, by id. */
  readonly tasks: Map<string, string>
  /** The host has left. */
  ended: boolean
  /** The last turn has failed. */
  failed: boolean
  /** Begins the next turn, where none runs. */
  wake: () => void
}

export const DEFAULT_MODEL = "scripted-1"

export const make = (args: Arguments, sessionId: string, transcript: Transcript): Agent => ({
  args,
  sessionId,
  transcript,
  model: args.model ?? DEFAULT_MODEL,
  mode: args.permissionMode ?? "default",
  thinkingTokens: null,
  flagSettings: args.settings,
  allowed: new Set(args.allowedTools),
  waiting: [],
  current: undefined,
  question: undefined,
  tasks: new Map(),
  ended: false,
  failed: false,
  wake: () => undefined
})

/** Says a line that is not kept. */
export const say = (agent: Agent, json: Json): void =>
  write(JSON.stringify({ session_id: agent.sessionId, ...json }))

const system = (agent: Agent, subtype: string, more: Json): void =>
  say(agent, { type: "system", subtype, ...more, uuid: randomUUID() })

// --- Settings ---

/** Moves to a permission mode; told whoever moved it. */
export const moveTo = (agent: Agent, mode: string): void => {
  agent.mode = mode
  system(agent, "status", { status: null, permissionMode: mode })
}

export const settings = ({ flagSettings, mode, model, thinkingTokens }: Agent): Json => ({
  model,
  permission_mode: mode,
  max_thinking_tokens: thinkingTokens,
  flag_settings: flagSettings
})

/** A rule or the permission mode allows the tool without asking. */
export const isAllowed = ({ allowed, mode }: Agent, tool: string): boolean =>
  mode === "bypassPermissions" || (mode === "acceptEdits" && tool === "Write") || allowed.has(tool)

const learn = (agent: Agent, updates: ReadonlyArray<Json>): void => {
  for (const { behavior, mode, rules, type } of updates) {
    if (type === "setMode" && typeof mode === "string") moveTo(agent, mode)
    if (type !== "addRules" || behavior !== "allow" || !Array.isArray(rules)) continue
    for (const rule of rules) {
      const tool = object(rule)["toolName"]
      if (typeof tool === "string") agent.allowed.add(tool)
    }
  }
}

// --- Questions ---

/** Asks the host whether a tool may be used, and remembers the rules that the answer brings. */
export const ask = async (agent: Agent, requestId: string, request: Json): Promise<Answer> => {
  if (agent.ended) return { _tag: "Failed", message: "the host has left" }
  const answer = await new Promise<Answer>((answer) => {
    agent.question = { requestId, request, answer }
    write(JSON.stringify({ type: "control_request", request_id: requestId, request }))
  })
  if (answer._tag === "Allowed") learn(agent, answer.updates)
  return answer
}

/** Settles the open question, where there is one. */
export const settle = (agent: Agent, answer: Answer): void => {
  const { question } = agent
  agent.question = undefined
  question?.answer(answer)
}

/** Reads the `response` of a `control_response`. */
export const answerOf = ({ error, response, subtype }: Json): Answer => {
  if (subtype !== "success") return { _tag: "Failed", message: string(error) ?? "refused" }
  const { behavior, interrupt, message, updatedInput, updatedPermissions } = object(response)
  return behavior === "allow"
    ? {
        _tag: "Allowed",
        input: object(updatedInput),
        updates: Array.isArray(updatedPermissions) ? updatedPermissions.filter(isObject) : []
      }
    : { _tag: "Denied", message: string(message) ?? "", interrupt: interrupt === true }
}

/** Stops the turn: a pending question is withdrawn first. */
export const interrupt = (agent: Agent): void => {
  if (agent.current === undefined) return
  agent.current.abort.abort()
  if (agent.question === undefined) return
  write(JSON.stringify({ type: "control_cancel_request", request_id: agent.question.requestId }))
  settle(agent, { _tag: "Failed", message: "interrupted" })
}

// --- In the background ---

/** Runs a task beside the turns; its end is told, and begins a turn. Answers its id. */
export const background = (agent: Agent, toolUseId: string, millis: number): string => {
  const id = `task_${randomUUID().slice(0, 8)}`
  const about = { task_id: id, tool_use_id: toolUseId }
  const task_type = "local_bash"
  const description = `waits ${millis} ms`
  const tellTasks = (): void =>
    system(agent, "background_tasks_changed", {
      tasks: Array.from(agent.tasks, ([task_id, description]) => ({ task_id, task_type, description }))
    })
  agent.tasks.set(id, description)
  tellTasks()
  system(agent, "task_started", { ...about, is_backgrounded: true, task_type, description })
  setTimeout(() => {
    agent.tasks.delete(id)
    system(agent, "task_updated", { task_id: id, patch: { status: "completed" } })
    system(agent, "task_notification", { ...about, status: "completed", summary: `${id} completed` })
    tellTasks()
    // Before the prompts that wait.
    agent.waiting.unshift({
      prompt: { type: "user", message: { role: "user", content: `!say ${id} has ended` } },
      uuid: randomUUID(),
      own: { kind: "task-notification", producer: "session-task" }
    })
    agent.wake()
  }, millis)
  return id
}
