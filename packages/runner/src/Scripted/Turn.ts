/**
 * One turn of the scripted agent: from a prompt to its result.
 *
 * Every line that is kept has the uuid that the prompt's uuid and the line's place in the turn name, and is in the
 * transcript before it is said. Run again after a crash, a turn says the stored lines word for word and goes on from
 * there: no tool whose result was stored runs twice.
 */
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { isAbsolute, resolve } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { uuid5 } from "../Uuid5.ts"
import { commands, type Directive, parse } from "./Directive.ts"
import { type Answer, isObject, type Json } from "./Host.ts"
import type { Transcript } from "./Transcript.ts"

/** What a turn needs of the process it runs in. */
export interface Surroundings {
  readonly sessionId: string
  readonly cwd: string
  readonly environment: { readonly [name: string]: string | undefined }
  readonly partialMessages: boolean
  readonly transcript: Transcript
  readonly model: () => string
  readonly permissionMode: () => string
  /** What it is set to. */
  readonly settings: () => Json
  /** It stands in for an agent that is not installed, and says so above each answer. */
  readonly standsIn: boolean
  /** Runs a task beside the turns; its end is told, and begins a turn. */
  readonly background: (toolUseId: string, millis: number) => string
  /** Moves to a permission mode by itself. */
  readonly moveTo: (mode: string) => void
  readonly say: (line: string) => void
  /** Asks the host whether a tool may be used. */
  readonly ask: (requestId: string, request: Json) => Promise<Answer>
  /** Whether a rule or the permission mode allows the tool without asking. */
  readonly isAllowed: (tool: string) => boolean
  readonly learn: (updates: ReadonlyArray<Json>) => void
  /** Ends the process at once: by exit code, or by SIGKILL. */
  readonly die: (how: number | "SIGKILL") => Promise<never>
}

/** What stands above each answer of one that stands in. */
const STANDS_IN =
  "No agent is installed on this machine. This is a scripted stand-in, which understands nothing: install claude, or name an agent with --agent."

/** The turn was interrupted; `whilePending` when a permission request was open. */
class Interrupted {
  readonly whilePending: boolean
  constructor(whilePending: boolean) {
    this.whilePending = whilePending
  }
}

const textOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : Array.isArray(content)
      ? content
          .filter(isObject)
          .map((block) => (typeof block["text"] === "string" ? block["text"] : ""))
          .join("")
      : ""

const first = (text: string, length: number): string => Array.from(text.trim()).slice(0, length).join("")

/** About four characters a token: good enough to have figures that add up. */
const tokens = (text: string): number => Math.max(1, Math.ceil(text.length / 4))

const words = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `word${index} `)

/** A picture of one pixel: PNG in base64. */
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

const number = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0)

/** `own`: the turn was begun by the agent itself, and what by; nobody's prompt is acknowledged or named. */
export const run = async (
  around: Surroundings,
  prompt: Json,
  promptUuid: string,
  signal: AbortSignal,
  own?: Json
): Promise<Json> => {
  const started = Date.now()
  const { transcript } = around
  const promptText = textOf(isObject(prompt["message"]) ? prompt["message"]["content"] : "")
  const usage = { input: tokens(promptText), output: 0 }
  let states = 0
  let messages = 0
  const denials: Array<Json> = []

  const spoken = new Set<string>()

  /** Says a line that is kept, once; a stored one word for word. */
  const keep = (place: string, line: Json): Json => {
    const uuid = uuid5(promptUuid, place)
    const stored = transcript.stored(uuid)
    const whole: Json = { ...line, session_id: around.sessionId, uuid }
    const text = stored ?? transcript.addLine(promptUuid, whole, uuid)
    if (!spoken.has(uuid)) around.say(text)
    spoken.add(uuid)
    return stored === undefined ? whole : JSON.parse(stored)
  }
  const has = (place: string): boolean => transcript.stored(uuid5(promptUuid, place)) !== undefined

  /** Says a line that is not kept but known again. */
  const pass = (place: string, line: Json): void =>
    around.say(JSON.stringify({ ...line, session_id: around.sessionId, uuid: uuid5(promptUuid, place) }))

  const state = (name: "running" | "requires_action" | "idle"): void =>
    pass(`state ${states++} ${name}`, { type: "system", subtype: "session_state_changed", state: name })

  const partial = (event: Json): void => {
    if (!around.partialMessages) return
    around.say(
      JSON.stringify({ type: "stream_event", event, parent_tool_use_id: null, session_id: around.sessionId })
    )
  }

  const checkpoint = (): void => {
    if (signal.aborted) throw new Interrupted(false)
  }

  const wait = async (millis: number): Promise<void> => {
    checkpoint()
    await delay(millis, undefined, { signal }).catch(() => undefined)
    checkpoint()
  }

  const message = (content: ReadonlyArray<Json>, more: Json = {}): Json => {
    const written = tokens(JSON.stringify(content))
    usage.output += written
    return {
      type: "assistant",
      message: {
        id: `msg_${uuid5(promptUuid, `message ${messages++}`).replaceAll("-", "")}`,
        type: "message",
        role: "assistant",
        model: around.model(),
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

  /** Text, streamed by pieces where partial messages are wanted, then whole. `pace` is awaited before each piece. */
  const answer = async (
    place: string,
    words: ReadonlyArray<string>,
    pace: (index: number) => Promise<void> | undefined
  ): Promise<string> => {
    const pieces = around.standsIn ? [`${STANDS_IN}\n\n`, ...words] : words
    const text = pieces.join("")
    if (has(place)) {
      keep(place, {})
      messages++
      return text
    }
    partial({ type: "message_start", message: { role: "assistant", model: around.model(), content: [] } })
    partial({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } })
    let said = ""
    try {
      for (const [index, piece] of pieces.entries()) {
        await pace(index)
        said += piece
        partial({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: piece } })
      }
      checkpoint()
    } catch (cause) {
      if (cause instanceof Interrupted && said !== "") {
        keep("aborted", message([{ type: "text", text: said }], { aborted: true }))
      }
      throw cause
    }
    partial({ type: "content_block_stop", index: 0 })
    keep(place, message([{ type: "text", text }]))
    partial({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: {} })
    partial({ type: "message_stop" })
    return text
  }

  const say = (text: string): Promise<string> =>
    answer("answer", text.match(/[\s\S]{1,16}/gu) ?? [""], () => undefined)

  const toolUseId = `toolu_${uuid5(promptUuid, "tool").replaceAll("-", "")}`

  const toolUse = (name: string, input: Json): void => {
    keep("tool use", message([{ type: "tool_use", id: toolUseId, name, input }]))
  }

  const toolResult = (
    content: string,
    isError: boolean,
    more: Json = {}
  ): { content: string; isError: boolean } => {
    const line = keep("tool result", {
      type: "user",
      message: {
        role: "user",
        content: [{ type: "tool_result", tool_use_id: toolUseId, content, is_error: isError }]
      },
      parent_tool_use_id: null,
      ...more
    })
    const kept = isObject(line["message"]) ? line["message"]["content"] : []
    const block: unknown = Array.isArray(kept) ? kept[0] : undefined
    return isObject(block)
      ? { content: textOf(block["content"]), isError: block["is_error"] === true }
      : { content, isError }
  }

  /** Asks the host. The request's id follows from the tool use, so that the same question is the same line. */
  const permission = async (
    name: string,
    input: Json,
    description: string,
    always: boolean
  ): Promise<Answer> => {
    if (!always && around.isAllowed(name)) return { _tag: "Allowed", input, updates: [] }
    checkpoint()
    state("requires_action")
    const given = await around.ask(`ask_${uuid5(promptUuid, "permission")}`, {
      subtype: "can_use_tool",
      tool_name: name,
      display_name: name,
      input,
      tool_use_id: toolUseId,
      description,
      permission_suggestions: always
        ? []
        : [{ type: "addRules", rules: [{ toolName: name }], behavior: "allow", destination: "session" }],
      ...(always ? { requires_user_interaction: true } : {})
    })
    if (signal.aborted) throw new Interrupted(true)
    state("running")
    if (given._tag === "Allowed") around.learn(given.updates)
    return given
  }

  /** A tool that needs permission. Answers with what the person said where it was refused. */
  const guarded = async (
    name: string,
    input: Json,
    description: string,
    use: (
      input: Json
    ) => Promise<{ readonly content: string; readonly isError: boolean; readonly more?: Json }>
  ): Promise<void> => {
    toolUse(name, input)
    if (!has("tool result")) {
      const given = await permission(name, input, description, false)
      if (given._tag === "Allowed") {
        const done = await use({ ...input, ...given.input })
        toolResult(done.content, done.isError, done.more)
      } else {
        denials.push({ tool_name: name, tool_use_id: toolUseId, tool_input: input })
        toolResult(given.message === "" ? "denied" : given.message, true, { denied: given._tag === "Denied" })
        if (given._tag === "Denied" && given.interrupt) throw new Interrupted(true)
      }
    }
    const stored = transcript.stored(uuid5(promptUuid, "tool result"))
    const line: unknown = stored === undefined ? {} : JSON.parse(stored)
    const { content, isError } = toolResult("", false)
    checkpoint()
    await say(
      isObject(line) && line["denied"] === true
        ? `denied: ${content}`
        : isError
          ? `failed: ${first(content, 60)}`
          : `done: ${first(content, 60)}`
    )
  }

  const at = (path: string): string => (isAbsolute(path) ? path : resolve(around.cwd, path))

  const bash = (command: string): Promise<{ readonly content: string; readonly isError: boolean }> =>
    new Promise((settle, refuse) => {
      const child = spawn("sh", ["-c", command], { cwd: around.cwd, stdio: ["ignore", "pipe", "pipe"] })
      let output = ""
      const take = (chunk: string): void => {
        if (output.length < 1_000_000) output += chunk
      }
      child.stdout.setEncoding("utf8").on("data", take)
      child.stderr.setEncoding("utf8").on("data", take)
      const stop = (): void => {
        child.kill("SIGKILL")
        refuse(new Interrupted(false))
      }
      signal.addEventListener("abort", stop, { once: true })
      child.on("error", (cause) => settle({ content: cause.message, isError: true }))
      child.on("close", (code) => {
        signal.removeEventListener("abort", stop)
        settle(
          code === 0
            ? { content: output, isError: false }
            : { content: `exit ${code}\n${output}`, isError: true }
        )
      })
    })

  const crash = async (how: number | "SIGKILL", times: number): Promise<void> => {
    keep("tool use", message([{ type: "text", text: "about to end" }]))
    if (transcript.crashes(promptUuid) < times) {
      transcript.addCrash(promptUuid)
      await around.die(how)
    }
    await say(`ended ${transcript.crashes(promptUuid)} times, now answered`)
  }

  let failure: string | undefined

  const perform = async (directive: Directive): Promise<void> => {
    switch (directive._tag) {
      case "Say":
        await say(directive.text)
        return
      case "Think":
        keep("thinking", message([{ type: "thinking", thinking: directive.text, signature: "" }]))
        await say("thought")
        return
      case "Slow":
        await answer("answer", words(directive.words), () =>
          directive.millis > 0 ? wait(directive.millis) : undefined
        )
        return
      case "Stream": {
        // By the clock, so that a late timer is made up for and the rate holds.
        const from = Date.now()
        await answer("answer", words(directive.words), (index) => {
          const early = from + (index * 1000) / directive.perSecond - Date.now()
          return early > 0 ? wait(early) : undefined
        })
        return
      }
      case "Read": {
        toolUse("Read", { file_path: directive.path })
        let text = ""
        let error: string | undefined
        try {
          text = readFileSync(at(directive.path), "utf8")
        } catch (cause) {
          error = cause instanceof Error ? cause.message : String(cause)
        }
        const lines = text.split("\n")
        const numbered = lines.map((line, index) => `${String(index + 1).padStart(6)}→${line}`).join("\n")
        const { content, isError } = toolResult(error ?? numbered, error !== undefined, {
          ...(error === undefined
            ? {
                tool_use_result: {
                  type: "text",
                  file: {
                    filePath: at(directive.path),
                    content: text,
                    numLines: lines.length,
                    startLine: 1,
                    totalLines: lines.length
                  }
                }
              }
            : {})
        })
        await say(`${isError ? "failed" : "done"}: ${first(content.replaceAll(/^ *\d+→/gm, ""), 60)}`)
        return
      }
      case "Write":
        await guarded(
          "Write",
          { file_path: directive.path, content: directive.text },
          `write ${directive.path}`,
          async (input) => {
            const path = at(String(input["file_path"]))
            try {
              writeFileSync(path, String(input["content"]))
              return { content: `wrote ${path}`, isError: false }
            } catch (cause) {
              return { content: cause instanceof Error ? cause.message : String(cause), isError: true }
            }
          }
        )
        return
      case "Bash":
        await guarded("Bash", { command: directive.command }, directive.command, (input) =>
          bash(String(input["command"]))
        )
        return
      case "Ask": {
        const questions = [
          {
            question: directive.question,
            header: first(directive.question, 12),
            options: directive.options.map((label) => ({ label, description: label })),
            multiSelect: false
          }
        ]
        toolUse("AskUserQuestion", { questions })
        if (!has("tool result")) {
          const given = await permission("AskUserQuestion", { questions }, directive.question, true)
          if (given._tag === "Allowed") {
            const answers = isObject(given.input["answers"]) ? given.input["answers"] : {}
            toolResult(String(answers[directive.question] ?? Object.values(answers)[0] ?? "nothing"), false)
          } else {
            toolResult(given.message, true)
            if (given._tag === "Denied" && given.interrupt) throw new Interrupted(true)
          }
        }
        const { content, isError } = toolResult("", false)
        await say(isError ? `denied: ${content}` : `chosen: ${content}`)
        return
      }
      case "Tool":
        toolUse(directive.name, directive.input)
        toolResult("ok", false)
        await say("done: ok")
        return
      case "Todo":
        toolUse("TodoWrite", {
          todos: directive.steps.map((content, index) => ({
            content,
            activeForm: content,
            status: index === 0 ? "completed" : index === 1 ? "in_progress" : "pending"
          }))
        })
        toolResult("ok", false)
        await say(`planned: ${directive.steps.length}`)
        return
      case "Image":
        toolUse("Read", { file_path: "pixel.png" })
        keep("tool result", {
          type: "user",
          message: {
            role: "user",
            content: [
              {
                type: "tool_result",
                tool_use_id: toolUseId,
                content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } }]
              }
            ]
          },
          parent_tool_use_id: null
        })
        await say("done: an image")
        return
      case "Subagent": {
        toolUse("Task", { description: first(directive.task, 40), prompt: directive.task })
        const inner = `toolu_${uuid5(promptUuid, "inner tool").replaceAll("-", "")}`
        const inside = { parent_tool_use_id: toolUseId }
        keep(
          "inner use",
          message([{ type: "tool_use", id: inner, name: "Glob", input: { pattern: "*" } }], inside)
        )
        keep("inner result", {
          type: "user",
          message: { role: "user", content: [{ type: "tool_result", tool_use_id: inner, content: "a b c" }] },
          ...inside
        })
        keep("inner answer", message([{ type: "text", text: `inside: ${directive.task}` }], inside))
        toolResult(`inside: ${directive.task}`, false)
        await say("done: subagent")
        return
      }
      case "Usage":
        usage.input = directive.tokens
        await say(`used: ${directive.tokens}`)
        return
      case "Compact":
        pass("compacting", { type: "system", subtype: "status", status: "compacting" })
        keep("boundary", {
          type: "system",
          subtype: "compact_boundary",
          compact_metadata: { trigger: "manual", pre_tokens: usage.input }
        })
        keep("summary", {
          type: "user",
          message: { role: "user", content: "summary: the conversation so far" },
          isCompactSummary: true,
          isSynthetic: true,
          parent_tool_use_id: null
        })
        await say("compacted")
        return
      case "Crash":
        return crash(directive.code, directive.times)
      case "Kill":
        return crash("SIGKILL", directive.times)
      case "Hang":
        while (!signal.aborted) await delay(3_600_000, undefined, { signal }).catch(() => undefined)
        return checkpoint()
      case "Flood":
        for (let index = 0; index < directive.lines; index++) {
          keep(`flood ${index}`, message([{ type: "text", text: `flood ${index}` }]))
        }
        await say(`flooded: ${directive.lines}`)
        return
      case "BadLine":
        around.say("this line is not JSON {")
        await say("after a bad line")
        return
      case "Fail":
        failure = directive.text
        return
      case "Recall": {
        const known = transcript.carried.flatMap(({ message, type }) => {
          const text = textOf(isObject(message) ? message["content"] : "")
          return (type === "user" || type === "assistant") && text !== "" ? [text] : []
        })
        await say(known.length === 0 ? "recalls nothing" : `recalls: ${known.join(" | ")}`)
        return
      }
      case "Background": {
        const id = around.background(toolUseId, directive.millis)
        await say(`runs in the background: ${id}`)
        return
      }
      case "Settings":
        await say(JSON.stringify(around.settings()))
        return
      case "Mode":
        around.moveTo(directive.mode)
        await say(`in mode ${directive.mode}`)
        return
      case "Env":
        await say(Object.keys(around.environment).sort().join(" "))
        return
    }
  }

  // --- The turn ---

  if (!transcript.prompts.has(promptUuid)) transcript.addPrompt(prompt, promptUuid)
  state("running")
  keep("init", {
    type: "system",
    subtype: "init",
    cwd: around.cwd,
    model: around.model(),
    permissionMode: around.permissionMode(),
    tools: ["AskUserQuestion", "Bash", "Read", "Write"],
    mcp_servers: [],
    slash_commands: commands,
    skills: [],
    agents: [],
    plugins: [],
    output_style: "default",
    apiKeySource: "none",
    claude_code_version: "scripted",
    capabilities: []
  })
  if (own === undefined) {
    around.say(JSON.stringify({ ...prompt, uuid: promptUuid, session_id: around.sessionId, isReplay: true }))
  }

  let outcome: Json = {
    subtype: "success",
    is_error: false,
    stop_reason: "end_turn",
    terminal_reason: "completed"
  }
  try {
    if (has("interrupted")) throw new Interrupted(false)
    await perform(parse(promptText))
    if (failure !== undefined) {
      keep("answer", message([{ type: "text", text: failure }], { error: "unknown" }))
      outcome = { ...outcome, is_error: true, result: failure, terminal_reason: "api_error" }
    } else {
      const stored = transcript.stored(uuid5(promptUuid, "answer"))
      const line: unknown = stored === undefined ? undefined : JSON.parse(stored)
      const said = isObject(line) && isObject(line["message"]) ? textOf(line["message"]["content"]) : ""
      outcome = { ...outcome, result: said }
    }
  } catch (cause) {
    if (!(cause instanceof Interrupted)) throw cause
    keep("interrupted", {
      type: "user",
      message: {
        role: "user",
        content: [
          {
            type: "text",
            text: cause.whilePending
              ? "[Request interrupted by user for tool use]"
              : "[Request interrupted by user]"
          }
        ]
      },
      parent_tool_use_id: null
    })
    outcome = {
      subtype: "error_during_execution",
      is_error: true,
      stop_reason: null,
      errors: ["interrupted"],
      terminal_reason: cause.whilePending ? "aborted_tools" : "aborted_streaming"
    }
  }

  const last = transcript.lastResult() ?? {}
  const totals = isObject(last["modelUsage"]) ? last["modelUsage"] : {}
  const before = isObject(totals[around.model()]) ? totals[around.model()] : {}
  const was = isObject(before) ? before : {}
  const cost = (usage.input * 3 + usage.output * 15) / 1_000_000
  const elapsed = Date.now() - started
  const result = keep("result", {
    type: "result",
    ...outcome,
    duration_ms: elapsed,
    duration_api_ms: elapsed,
    num_turns: messages === 0 ? 1 : messages,
    total_cost_usd: number(last["total_cost_usd"]) + cost,
    usage: {
      input_tokens: usage.input,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      output_tokens: usage.output
    },
    modelUsage: {
      ...totals,
      [around.model()]: {
        inputTokens: number(was["inputTokens"]) + usage.input,
        outputTokens: number(was["outputTokens"]) + usage.output,
        cacheReadInputTokens: 0,
        cacheCreationInputTokens: 0,
        costUSD: number(was["costUSD"]) + cost,
        contextWindow: 200_000
      }
    },
    permission_denials: denials,
    result_index: number(last["result_index"]) + 1,
    ...(own === undefined
      ? { user_message_uuid: promptUuid, user_message_uuids: [promptUuid] }
      : { origin: own })
  })
  state("idle")
  return result
}
