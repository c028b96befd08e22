/**
 * The scripted agent: a program that speaks the line protocol of spec 4 §1 and does what its prompts say, so that
 * everything can be tried without an account and every fault caused on purpose.
 *
 *     scripted-agent (--session-id UUID | --resume UUID [--fork-session]) [--config-dir DIR] [--model NAME]
 *                    [--permission-mode MODE] [--allow-dangerously-skip-permissions] [--include-partial-messages]
 *                    [--stand-in]
 *
 * It imports nothing but Node, so that it starts at once.
 */
import { randomUUID } from "node:crypto"
import { copyFileSync, writeSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { type Answer, answerOf, isObject, type Json, type Question } from "./Host.ts"
import * as Transcript from "./Transcript.ts"
import * as Turn from "./Turn.ts"

const fail = (message: string): never => {
  process.stderr.write(`scripted-agent: ${message}\n`)
  process.exit(1)
}

const { values: flags } = parseArgs({
  options: {
    "session-id": { type: "string" },
    resume: { type: "string" },
    "fork-session": { type: "boolean" },
    "config-dir": { type: "string" },
    model: { type: "string" },
    "permission-mode": { type: "string" },
    "allow-dangerously-skip-permissions": { type: "boolean" },
    "include-partial-messages": { type: "boolean" },
    "stand-in": { type: "boolean" }
  },
  strict: false
})

const flag = (name: string): string | undefined => {
  const value = flags[name]
  return typeof value === "string" ? value : undefined
}

const pause = new Int32Array(new SharedArrayBuffer(4))

/**
 * Writes a line and returns when the pipe has it, so that nothing said is lost by an end of the process. A slow reader
 * holds the agent up; one that is gone ends it, and the host, if there is one, resumes it.
 */
const say = (line: string): void => {
  const bytes = Buffer.from(`${line}\n`)
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at)
    } catch (cause) {
      if (!(cause instanceof Error && "code" in cause && cause.code === "EAGAIN")) process.exit(1)
      Atomics.wait(pause, 0, 0, 1)
    }
  }
}

// --- The conversation ---

const directory = flag("config-dir") ?? join(homedir(), ".causeway", "scripted")
const file = (id: string): string => {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(id)) return fail("a session id is 1 to 128 letters, digits, _ or -")
  return join(directory, `${id}.jsonl`)
}
const resumed = flag("resume")
const wanted = flag("session-id")
const sessionId = resumed !== undefined && flags["fork-session"] !== true ? resumed : (wanted ?? randomUUID())

if (resumed === undefined) {
  if (Transcript.exists(file(sessionId))) fail(`session ID ${sessionId} is already in use`)
} else {
  if (!Transcript.exists(file(resumed))) {
    say(
      JSON.stringify({
        type: "result",
        subtype: "error_during_execution",
        is_error: true,
        errors: [`No conversation found with session ID: ${resumed}`],
        session_id: resumed,
        uuid: randomUUID()
      })
    )
    process.exit(1)
  }
  if (sessionId !== resumed) copyFileSync(file(resumed), file(sessionId))
}
const transcript = Transcript.open(file(sessionId))
const answeredBefore = new Set(
  Array.from(transcript.prompts.keys()).filter((uuid) => transcript.isAnswered(uuid))
)

// --- Settings that the host may change ---

let model = flag("model") ?? "scripted-1"
let mode = flag("permission-mode") ?? "default"
let thinkingTokens: number | null = null
let flagSettings: Json = {}
const allowed = new Set<string>()

/** Told whenever it moves, whoever moved it. */
const moveTo = (to: string): void => {
  mode = to
  say(
    JSON.stringify({
      type: "system",
      subtype: "status",
      status: null,
      permissionMode: mode,
      session_id: sessionId,
      uuid: randomUUID()
    })
  )
}

const learn = (updates: ReadonlyArray<Json>): void => {
  for (const update of updates) {
    if (update["type"] === "setMode" && typeof update["mode"] === "string") moveTo(update["mode"])
    if (update["type"] !== "addRules" || update["behavior"] !== "allow" || !Array.isArray(update["rules"]))
      continue
    for (const rule of update["rules"]) {
      if (isObject(rule) && typeof rule["toolName"] === "string") allowed.add(rule["toolName"])
    }
  }
}

// --- Turns: one at a time, the others wait ---

interface Waiting {
  readonly prompt: Json
  readonly uuid: string
  /** What began the turn, where no prompt did. */
  readonly own?: Json
}
const waiting: Array<Waiting> = []
let current: (Waiting & { readonly abort: AbortController }) | undefined
let question: Question | undefined
let ended = false
let failed = false

const acknowledge = ({ prompt, uuid }: Waiting): void =>
  say(JSON.stringify({ ...prompt, uuid, session_id: sessionId, isReplay: true }))

const exitWhenDone = (): void => {
  // What runs in the background is waited for.
  if (ended && current === undefined && waiting.length === 0 && tasks.size === 0) process.exit(failed ? 1 : 0)
}

// --- In the background ---

const tasks = new Map<string, string>()

const tell = (subtype: string, more: Json): void =>
  say(JSON.stringify({ type: "system", subtype, ...more, session_id: sessionId, uuid: randomUUID() }))

const tellTasks = (): void =>
  tell("background_tasks_changed", {
    tasks: Array.from(tasks, ([id, description]) => ({ task_id: id, task_type: "local_bash", description }))
  })

const background = (toolUseId: string, millis: number): string => {
  const id = `task_${randomUUID().slice(0, 8)}`
  const about = { task_id: id, tool_use_id: toolUseId }
  tasks.set(id, `waits ${millis} ms`)
  tellTasks()
  tell("task_started", {
    ...about,
    is_backgrounded: true,
    task_type: "local_bash",
    description: tasks.get(id)
  })
  setTimeout(() => {
    tasks.delete(id)
    tell("task_updated", { task_id: id, patch: { status: "completed" } })
    tell("task_notification", { ...about, status: "completed", summary: `${id} completed` })
    tellTasks()
    // Before the prompts that wait.
    waiting.unshift({
      prompt: { type: "user", message: { role: "user", content: `!say ${id} has ended` } },
      uuid: randomUUID(),
      own: { kind: "task-notification", producer: "session-task" }
    })
    next()
  }, millis)
  return id
}

const around: Turn.Surroundings = {
  sessionId,
  cwd: process.cwd(),
  environment: process.env,
  partialMessages: flags["include-partial-messages"] === true,
  transcript,
  model: () => model,
  permissionMode: () => mode,
  settings: () => ({
    model,
    permission_mode: mode,
    max_thinking_tokens: thinkingTokens,
    flag_settings: flagSettings
  }),
  standsIn: flags["stand-in"] === true,
  moveTo,
  background,
  say,
  ask: (requestId, request) =>
    new Promise<Answer>((answer) => {
      if (ended) {
        answer({ _tag: "Failed", message: "the host has left" })
        return
      }
      question = { requestId, request, answer }
      say(JSON.stringify({ type: "control_request", request_id: requestId, request }))
    }),
  isAllowed: (tool) =>
    mode === "bypassPermissions" || (mode === "acceptEdits" && tool === "Write") || allowed.has(tool),
  learn,
  die: async (how) => {
    if (how === "SIGKILL") {
      process.kill(process.pid, "SIGKILL")
      return new Promise<never>(() => undefined)
    }
    process.stderr.write(`scripted-agent: ends with ${how} as asked\n`)
    return process.exit(how)
  }
}

const next = (): void => {
  if (current !== undefined) return
  const first = waiting.shift()
  if (first === undefined) {
    exitWhenDone()
    return
  }
  const abort = new AbortController()
  current = { ...first, abort }
  Turn.run(around, first.prompt, first.uuid, abort.signal, first.own).then(
    (result) => {
      failed = result["is_error"] === true
      current = undefined
      question = undefined
      next()
    },
    (cause: unknown) => fail(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause))
  )
}

const take = (prompt: Json): void => {
  const uuid = typeof prompt["uuid"] === "string" ? prompt["uuid"] : randomUUID()
  if (transcript.isAnswered(uuid)) {
    acknowledge({ prompt, uuid })
    // Answered by a process before this one: whoever asks again may not have heard it.
    if (answeredBefore.delete(uuid)) for (const line of transcript.turn(uuid)) say(line)
    return
  }
  if (current?.uuid === uuid || waiting.some((each) => each.uuid === uuid)) return
  waiting.push({ prompt, uuid })
  next()
}

/** Stops the turn: a pending question is withdrawn first. */
const interrupt = (): void => {
  if (current === undefined) return
  current.abort.abort()
  if (question !== undefined) {
    say(JSON.stringify({ type: "control_cancel_request", request_id: question.requestId }))
    question.answer({ _tag: "Failed", message: "interrupted" })
    question = undefined
  }
}

// --- The control protocol ---

const reply = (requestId: string, response: Json): void =>
  say(
    JSON.stringify({
      type: "control_response",
      response: { subtype: "success", request_id: requestId, response }
    })
  )

const refuse = (requestId: string, error: string, code?: string): void =>
  say(
    JSON.stringify({
      type: "control_response",
      response: {
        subtype: "error",
        request_id: requestId,
        error,
        ...(code === undefined ? {} : { error_code: code })
      }
    })
  )

const control = (requestId: string, request: Json): void => {
  switch (request["subtype"]) {
    case "initialize": {
      const pending =
        question === undefined ? [] : [{ request_id: question.requestId, request: question.request }]
      say(
        JSON.stringify({
          type: "control_response",
          response: {
            subtype: "success",
            request_id: requestId,
            response: {
              commands: [],
              agents: [],
              models: [{ value: model, displayName: model }],
              account: {}
            },
            pending_permission_requests: pending
          }
        })
      )
      return
    }
    case "interrupt": {
      const cancelled = request["cancel_queued"] === true ? waiting.splice(0) : []
      // The withdrawn question goes first, then the reply, then the aborted turn's lines.
      interrupt()
      reply(requestId, {
        still_queued: waiting.map(({ uuid }) => uuid),
        ...(request["cancel_queued"] === true ? { cancelled: cancelled.map(({ uuid }) => uuid) } : {})
      })
      return
    }
    case "cancel_async_message": {
      const at = waiting.findIndex(({ uuid }) => uuid === request["message_uuid"])
      if (at >= 0) waiting.splice(at, 1)
      reply(requestId, { cancelled: at >= 0 })
      return
    }
    case "set_model":
      model =
        typeof request["model"] === "string" && request["model"] !== "default"
          ? request["model"]
          : "scripted-1"
      reply(requestId, {})
      return
    case "set_permission_mode": {
      const to = request["mode"]
      if (typeof to !== "string") {
        refuse(requestId, "mode is missing")
        return
      }
      if (
        to === "bypassPermissions" &&
        flag("permission-mode") !== "bypassPermissions" &&
        flags["allow-dangerously-skip-permissions"] !== true
      ) {
        refuse(requestId, "bypassPermissions needs a launch in that mode", "bypass_not_launched")
        return
      }
      reply(requestId, { mode: to })
      moveTo(to)
      return
    }
    case "set_max_thinking_tokens":
      thinkingTokens =
        typeof request["max_thinking_tokens"] === "number" ? request["max_thinking_tokens"] : null
      reply(requestId, {})
      return
    case "apply_flag_settings":
      if (isObject(request["settings"])) flagSettings = { ...flagSettings, ...request["settings"] }
      reply(requestId, {})
      return
    default:
      refuse(requestId, `unsupported request: ${String(request["subtype"])}`, "unsupported_request")
      return
  }
}

// --- Input ---

const accept = (text: string): void => {
  let line: unknown
  try {
    line = JSON.parse(text)
  } catch (cause) {
    fail(`a line of input is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  if (!isObject(line)) {
    fail("a line of input is not a JSON object")
    return
  }
  switch (line["type"]) {
    case "user":
      take(line)
      return
    case "control_request":
      if (typeof line["request_id"] === "string" && isObject(line["request"])) {
        control(line["request_id"], line["request"])
      }
      return
    case "control_response": {
      const response = line["response"]
      if (question === undefined || !isObject(response) || response["request_id"] !== question.requestId)
        return
      const { answer } = question
      question = undefined
      answer(answerOf(response))
      return
    }
    default:
      return
  }
}

let pending: Array<Buffer> = []
process.stdin.on("data", (chunk: Buffer) => {
  let rest = chunk
  for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
    const text = Buffer.concat([...pending, rest.subarray(0, at)]).toString("utf8")
    pending = []
    rest = rest.subarray(at + 1)
    if (text.trim() !== "") accept(text)
  }
  if (rest.length > 0) pending.push(rest)
})
process.stdin.on("end", () => {
  ended = true
  if (question !== undefined) {
    const { answer } = question
    question = undefined
    answer({ _tag: "Failed", message: "the host has left" })
  }
  exitWhenDone()
})

process.on("SIGINT", () => {
  ended = true
  waiting.length = 0
  // An interrupt by signal ends in order: exit code 0 after the aborted result.
  if (current === undefined) process.exit(0)
  interrupt()
  const leave = setInterval(() => {
    if (current === undefined) {
      clearInterval(leave)
      process.exit(0)
    }
  }, 5)
})
process.on("SIGTERM", () => process.exit(143))

if (process.env["CLAUDE_CODE_RESUME_INTERRUPTED_TURN"] === "1" && resumed !== undefined) {
  const [uuid, prompt] = Array.from(transcript.prompts).at(-1) ?? []
  if (uuid !== undefined && prompt !== undefined && !transcript.isAnswered(uuid)) {
    waiting.push({ prompt, uuid })
    next()
  }
}
