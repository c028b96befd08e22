/**
 * The scripted agent: a program that speaks the line protocol of spec 4 §1 and does what its prompts say, so that
 * everything can be tried without an account and every fault caused on purpose.
 *
 *     scripted-agent (--session-id UUID | --resume UUID [--fork-session]) [--config-dir DIR] [--stand-in] [FLAGS]
 *
 * FLAGS are those of the Claude CLI that `Arguments` names. It imports nothing but Node, so that it starts at once.
 */
import { randomUUID } from "node:crypto"
import { copyFileSync, existsSync } from "node:fs"
import { join } from "node:path"
import * as Agent from "./Agent.ts"
import * as Arguments from "./Arguments.ts"
import { control } from "./Control.ts"
import { isObject, type Json, parse, reasonOf, string } from "./Json.ts"
import { fail, write } from "./Output.ts"
import { run } from "./Run.ts"
import * as Transcript from "./Transcript.ts"

// --- The conversation ---

const open = (args: Arguments.Arguments): Agent.Agent => {
  const file = (id: string): string => {
    if (!/^[A-Za-z0-9_-]{1,128}$/.test(id)) return fail("a session id is 1 to 128 letters, digits, _ or -")
    return join(args.directory, `${id}.jsonl`)
  }
  const { forkSession, resume, sessionId: wanted } = args
  const sessionId = resume !== undefined && !forkSession ? resume : (wanted ?? randomUUID())
  if (resume === undefined) {
    if (existsSync(file(sessionId))) fail(`session ID ${sessionId} is already in use`)
  } else if (!existsSync(file(resume))) {
    write(
      JSON.stringify({
        type: "result",
        subtype: "error_during_execution",
        is_error: true,
        errors: [`No conversation found with session ID: ${resume}`],
        session_id: resume,
        uuid: randomUUID()
      })
    )
    process.exit(1)
  } else if (sessionId !== resume) copyFileSync(file(resume), file(sessionId))
  return Agent.make(args, sessionId, Transcript.open(file(sessionId)))
}

const readArguments = (): Arguments.Arguments => {
  try {
    return Arguments.read()
  } catch (cause) {
    return fail(reasonOf(cause))
  }
}

const agent = open(readArguments())
const { transcript, waiting } = agent

// --- Turns: one at a time, the others wait ---

/** Answered by a process before this one, and not told again by this one. */
const answeredBefore = new Set([...transcript.prompts.keys()].filter((uuid) => transcript.isAnswered(uuid)))

const exitWhenDone = (): void => {
  // What runs in the background is waited for.
  if (agent.ended && agent.current === undefined && waiting.length === 0 && agent.tasks.size === 0)
    process.exit(agent.failed ? 1 : 0)
}

agent.wake = () => {
  if (agent.current !== undefined) return
  const next = waiting.shift()
  if (next === undefined) {
    exitWhenDone()
    return
  }
  const abort = new AbortController()
  agent.current = { ...next, abort }
  run(agent, next, abort.signal).then(
    (result) => {
      agent.failed = result["is_error"] === true
      agent.current = undefined
      agent.question = undefined
      agent.wake()
    },
    (cause: unknown) => fail(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause))
  )
}

const give = (prompt: Json): void => {
  const uuid = string(prompt["uuid"]) ?? randomUUID()
  if (transcript.isAnswered(uuid)) {
    Agent.say(agent, { ...prompt, uuid, session_id: agent.sessionId, isReplay: true })
    // Whoever asks again may not have heard it.
    if (answeredBefore.delete(uuid)) for (const line of transcript.turn(uuid)) write(line)
    return
  }
  if (agent.current?.uuid === uuid || waiting.some((each) => each.uuid === uuid)) return
  waiting.push({ prompt, uuid })
  agent.wake()
}

// --- Input ---

const accept = (text: string): void => {
  const line = parse(text) ?? fail("a line of input is not a JSON object")
  const { request, request_id: requestId, response, type } = line
  if (type === "user") give(line)
  else if (type === "control_request" && typeof requestId === "string" && isObject(request)) {
    control(agent, requestId, request)
  } else if (
    type === "control_response" &&
    isObject(response) &&
    response["request_id"] === agent.question?.requestId
  ) {
    Agent.settle(agent, Agent.answerOf(response))
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
  agent.ended = true
  Agent.settle(agent, { _tag: "Failed", message: "the host has left" })
  exitWhenDone()
})

process.on("SIGINT", () => {
  agent.ended = true
  waiting.length = 0
  // An interrupt by signal ends in order: exit code 0 after the aborted result.
  if (agent.current === undefined) process.exit(0)
  Agent.interrupt(agent)
  const leave = setInterval(() => {
    if (agent.current !== undefined) return
    clearInterval(leave)
    process.exit(0)
  }, 5)
})
process.on("SIGTERM", () => process.exit(143))

if (process.env["CLAUDE_CODE_RESUME_INTERRUPTED_TURN"] === "1" && agent.args.resume !== undefined) {
  const [uuid, prompt] = [...transcript.prompts].at(-1) ?? []
  if (uuid !== undefined && prompt !== undefined && !transcript.isAnswered(uuid)) {
    waiting.push({ prompt, uuid })
    agent.wake()
  }
}
