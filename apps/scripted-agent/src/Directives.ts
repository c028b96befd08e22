/** The directives that a prompt may hold, and what each does. Source: spec 4 §3. */
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import * as Agent from "./Agent.ts"
import { type Json, object, parse, reasonOf, textOf } from "./Json.ts"
import { write } from "./Output.ts"
import * as Turn from "./Turn.ts"

/** Directives that may also be given as a slash command, at the start of the prompt alone; `init` offers these. */
export const commands: ReadonlyArray<string> = ["compact", "env", "say", "think", "todo"]

type Run = (turn: Turn.Turn, rest: string) => Promise<void> | void

// --- Arguments ---

const number = (text: string | undefined, otherwise: number): number => {
  const value = text === undefined || text === "" ? Number.NaN : Number(text)
  return Number.isFinite(value) && value >= 0 ? value : otherwise
}

/** First word and the rest. */
const word = (text: string): readonly [string, string] => {
  const at = text.search(/\s/)
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1).trim()]
}

const numbers = (rest: string, first: number, second: number): readonly [number, number] => {
  const [head, tail] = word(rest)
  return [number(head, first), number(tail, second)]
}

const parts = (rest: string): ReadonlyArray<string> => rest.split("|").map((part) => part.trim())

const jsonObject = (text: string): Json => {
  if (text === "") return {}
  try {
    const value: unknown = JSON.parse(text)
    return parse(text) ?? { value }
  } catch {
    return { text }
  }
}

const start = (text: string, length: number): string => Array.from(text.trim()).slice(0, length).join("")

// --- Tools ---

interface Done {
  readonly content: string
  readonly isError: boolean
}

const attempt = (run: () => string): Done => {
  try {
    return { content: run(), isError: false }
  } catch (cause) {
    return { content: reasonOf(cause), isError: true }
  }
}

/** Asks for a tool, unless its result is stored, and says how it ended. */
const asked = async (
  turn: Turn.Turn,
  name: string,
  input: Json,
  question: { readonly text: string; readonly always?: boolean },
  use: (input: Json) => Promise<Done> | Done
): Promise<Turn.ToolResult> => {
  Turn.toolUse(turn, name, input)
  if (Turn.stored(turn, "tool result") === undefined) {
    const given = await Turn.permission(turn, name, input, question.text, question.always)
    if (given._tag === "Allowed") {
      const { content, isError } = await use({ ...input, ...given.input })
      Turn.toolResult(turn, content, isError)
    } else {
      const denied = given._tag === "Denied"
      if (question.always !== true) {
        turn.denials.push({ tool_name: name, tool_use_id: Turn.toolUseId(turn), tool_input: input })
      }
      Turn.toolResult(turn, given.message === "" ? "denied" : given.message, true, { denied })
      if (given._tag === "Denied" && given.interrupt) throw new Turn.Interrupted(true)
    }
  }
  const result = Turn.toolResult(turn, "")
  Turn.checkpoint(turn)
  return result
}

/** A tool that needs permission. */
const guarded = async (
  turn: Turn.Turn,
  name: string,
  input: Json,
  description: string,
  use: (input: Json) => Promise<Done> | Done
): Promise<void> => {
  const { content, denied, isError } = await asked(turn, name, input, { text: description }, use)
  await Turn.say(
    turn,
    denied ? `denied: ${content}` : `${isError ? "failed" : "done"}: ${start(content, 60)}`
  )
}

/** A tool that needs no permission and does nothing. */
const used = (turn: Turn.Turn, name: string, input: Json, said: string): Promise<void> => {
  Turn.toolUse(turn, name, input)
  Turn.toolResult(turn, "ok")
  return Turn.say(turn, said)
}

const shell = (signal: AbortSignal, command: string): Promise<Done> =>
  new Promise((settle, refuse) => {
    const child = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    const take = (chunk: string): void => {
      if (output.length < 1_000_000) output += chunk
    }
    child.stdout.setEncoding("utf8").on("data", take)
    child.stderr.setEncoding("utf8").on("data", take)
    const stop = (): void => {
      child.kill("SIGKILL")
      refuse(new Turn.Interrupted(false))
    }
    signal.addEventListener("abort", stop, { once: true })
    child.on("error", (cause) => settle({ content: cause.message, isError: true }))
    child.on("close", (code) => {
      signal.removeEventListener("abort", stop)
      settle({ content: code === 0 ? output : `exit ${code}\n${output}`, isError: code !== 0 })
    })
  })

const read: Run = async (turn, path) => {
  Turn.toolUse(turn, "Read", { file_path: path })
  const { content: text, isError: failed } = attempt(() => readFileSync(resolve(path), "utf8"))
  const lines = text.split("\n")
  const count = lines.length
  const file = { filePath: resolve(path), content: text, numLines: count, startLine: 1, totalLines: count }
  const numbered = lines.map((line, index) => `${String(index + 1).padStart(6)}→${line}`).join("\n")
  const { content, isError } = Turn.toolResult(
    turn,
    failed ? text : numbered,
    failed,
    failed ? {} : { tool_use_result: { type: "text", file } }
  )
  await Turn.say(turn, `${isError ? "failed" : "done"}: ${start(content.replaceAll(/^ *\d+→/gm, ""), 60)}`)
}

const writeFile: Run = (turn, rest) => {
  const [path, content] = word(rest)
  return guarded(turn, "Write", { file_path: path, content }, `write ${path}`, (input) =>
    attempt(() => {
      const path = resolve(String(input["file_path"]))
      writeFileSync(path, String(input["content"]))
      return `wrote ${path}`
    })
  )
}

const ask: Run = async (turn, rest) => {
  const [question = "", ...labels] = parts(rest)
  const options = labels.length === 0 ? ["Yes", "No"] : labels
  const input = {
    questions: [
      {
        question,
        header: start(question, 12),
        options: options.map((label) => ({ label, description: label })),
        multiSelect: false
      }
    ]
  }
  const text = { text: question, always: true }
  const { content, isError } = await asked(turn, "AskUserQuestion", input, text, (given) => {
    const answers = object(given["answers"])
    return { content: String(answers[question] ?? Object.values(answers)[0] ?? "nothing"), isError: false }
  })
  await Turn.say(turn, isError ? `denied: ${content}` : `chosen: ${content}`)
}

const todo: Run = (turn, rest) => {
  const steps = parts(rest)
  const todos = steps.map((content, index) => ({
    content,
    activeForm: content,
    status: index === 0 ? "completed" : index === 1 ? "in_progress" : "pending"
  }))
  return used(turn, "TodoWrite", { todos }, `planned: ${steps.length}`)
}

/** A picture of one pixel: PNG in base64. */
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

const image: Run = (turn) => {
  Turn.toolUse(turn, "Read", { file_path: "pixel.png" })
  const source = { type: "base64", media_type: "image/png", data: PIXEL }
  Turn.toolResult(turn, [{ type: "image", source }])
  return Turn.say(turn, "done: an image")
}

const subagent: Run = (turn, rest) => {
  const task = rest === "" ? "look around" : rest
  Turn.toolUse(turn, "Task", { description: start(task, 40), prompt: task })
  const id = Turn.toolUseId(turn, "inner tool")
  const inside = { parent_tool_use_id: Turn.toolUseId(turn) }
  const use = { type: "tool_use", id, name: "Glob", input: { pattern: "*" } }
  const result = { type: "tool_result", tool_use_id: id, content: "a b c" }
  Turn.keep(turn, "inner use", Turn.message(turn, [use], inside))
  Turn.keep(turn, "inner result", Turn.userMessage([result], inside))
  Turn.keep(turn, "inner answer", Turn.message(turn, [{ type: "text", text: `inside: ${task}` }], inside))
  Turn.toolResult(turn, `inside: ${task}`)
  return Turn.say(turn, "done: subagent")
}

// --- Text ---

const words = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `word${index} `)

const slow: Run = (turn, rest) => {
  const [count, millis] = numbers(rest, 20, 200)
  return Turn.answer(turn, words(count), () => (millis > 0 ? Turn.wait(turn, millis) : undefined))
}

const stream: Run = (turn, rest) => {
  const [count, perSecond] = numbers(rest, 200, 200)
  // By the clock, so that a late timer is made up for and the rate holds.
  const from = Date.now()
  return Turn.answer(turn, words(count), (index) => {
    const early = from + (index * 1000) / Math.max(1, perSecond) - Date.now()
    return early > 0 ? Turn.wait(turn, early) : undefined
  })
}

const think: Run = (turn, thinking) => {
  Turn.keep(turn, "thinking", Turn.message(turn, [{ type: "thinking", thinking, signature: "" }]))
  return Turn.say(turn, "thought")
}

const flood: Run = (turn, rest) => {
  const [lines] = numbers(rest, 1000, 0)
  for (let index = 0; index < lines; index++) {
    const text = `flood ${index}`
    Turn.keep(turn, text, Turn.message(turn, [{ type: "text", text }]))
  }
  return Turn.say(turn, `flooded: ${lines}`)
}

// --- The conversation and the process ---

const compact: Run = (turn) => {
  Turn.pass(turn, "compacting", { type: "system", subtype: "status", status: "compacting" })
  Turn.keep(turn, "boundary", {
    type: "system",
    subtype: "compact_boundary",
    compact_metadata: { trigger: "manual", pre_tokens: turn.usage.input }
  })
  const summary = "summary: the conversation so far"
  Turn.keep(turn, "summary", Turn.userMessage(summary, { isCompactSummary: true, isSynthetic: true }))
  return Turn.say(turn, "compacted")
}

/** Tells what it knows of a conversation that was carried here. */
const recall: Run = (turn) => {
  const known = turn.agent.transcript.carried.flatMap(({ message, type }) => {
    const text = textOf(object(message)["content"])
    return (type === "user" || type === "assistant") && text !== "" ? [text] : []
  })
  return Turn.say(turn, known.length === 0 ? "recalls nothing" : `recalls: ${known.join(" | ")}`)
}

const die = (how: number | "SIGKILL"): Promise<never> => {
  if (how === "SIGKILL") {
    process.kill(process.pid, "SIGKILL")
    return new Promise<never>(() => undefined)
  }
  process.stderr.write(`scripted-agent: ends with ${how} as asked\n`)
  return process.exit(how)
}

/** Ends the process in mid-turn, `times` times in all for one prompt: the turn's next run after those answers. */
const crash = async (turn: Turn.Turn, how: number | "SIGKILL", times: number): Promise<void> => {
  const { agent, promptUuid } = turn
  Turn.keep(turn, "tool use", Turn.message(turn, [{ type: "text", text: "about to end" }]))
  if (agent.transcript.crashes(promptUuid) < times) {
    agent.transcript.addCrash(promptUuid)
    await die(how)
  }
  await Turn.say(turn, `ended ${agent.transcript.crashes(promptUuid)} times, now answered`)
}

const hang: Run = async (turn) => {
  while (!turn.signal.aborted) {
    await delay(3_600_000, undefined, { signal: turn.signal }).catch(() => undefined)
  }
  Turn.checkpoint(turn)
}

/** Tells what it was started with. */
const options: Run = (turn) => {
  const { args } = turn.agent
  return Turn.say(
    turn,
    JSON.stringify({
      model: args.model,
      permission_mode: args.permissionMode,
      max_turns: Number.isFinite(args.maxTurns) ? args.maxTurns : undefined,
      system_prompt: args.systemPrompt,
      append_system_prompt: args.appendSystemPrompt,
      allowed_tools: args.allowedTools,
      disallowed_tools: args.disallowedTools,
      additional_directories: args.additionalDirectories,
      mcp_servers: Object.keys(args.mcpServers),
      settings: args.settings
    })
  )
}

// --- By name ---

export const directives: { readonly [name: string]: Run } = {
  ask,
  background: (turn, rest) => {
    const [millis] = numbers(rest, 1000, 0)
    const id = Agent.background(turn.agent, Turn.toolUseId(turn), millis)
    return Turn.say(turn, `runs in the background: ${id}`)
  },
  badline: (turn) => {
    write("this line is not JSON {")
    return Turn.say(turn, "after a bad line")
  },
  bash: (turn, command) =>
    guarded(turn, "Bash", { command }, command, (input) => shell(turn.signal, String(input["command"]))),
  compact,
  crash: (turn, rest) => crash(turn, ...numbers(rest, 1, 1)),
  env: (turn) => Turn.say(turn, Object.keys(process.env).sort().join(" ")),
  fail: (turn, rest) => {
    turn.failure = rest === "" ? "failed as asked" : rest
  },
  flood,
  hang,
  image,
  kill: (turn, rest) => crash(turn, "SIGKILL", numbers(rest, 1, 0)[0]),
  mode: (turn, rest) => {
    const [mode] = word(rest)
    Agent.moveTo(turn.agent, mode === "" ? "default" : mode)
    return Turn.say(turn, `in mode ${turn.agent.mode}`)
  },
  options,
  read,
  recall,
  say: Turn.say,
  settings: (turn) => Turn.say(turn, JSON.stringify(Agent.settings(turn.agent))),
  slow,
  stream,
  subagent,
  think,
  todo,
  tool: (turn, rest) => {
    const [name, input] = word(rest)
    return used(turn, name, jsonObject(input), "done: ok")
  },
  usage: (turn, rest) => {
    const [tokens] = numbers(rest, 1000, 0)
    turn.usage.input = tokens
    return Turn.say(turn, `used: ${tokens}`)
  },
  write: writeFile
}
