/**
 * The ACP driver against published agents, with a stand-in for their model on loopback. Opt-in: they are nobody's
 * dependency. Runs for each agent that is set, when the API is:
 *
 *     CAUSEWAY_TEST_ACP_CLAUDE    path of `claude-agent-acp`'s program (`dist/index.js`)
 *     CAUSEWAY_TEST_ACP_OPENCODE  path of `opencode`
 *     CAUSEWAY_TEST_MESSAGES_API  URL of a scriptable Messages API, or path of a module with `startFakeMessagesApi`
 */
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type * as Payload from "@causeway/protocol/Payload"
import * as Payloads from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Conversation from "@causeway/transcript/Conversation"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AgentSession, AgentSessions } from "../src/Agent.ts"
import * as Sessions from "../src/AgentSessions.ts"
import * as Drivers from "../src/Drivers.ts"
import * as Scripted from "./support/Scripted.ts"
import * as Talk from "./support/Talk.ts"

const messagesApi = process.env["CAUSEWAY_TEST_MESSAGES_API"]

interface Candidate {
  readonly name: string
  readonly variable: string
  readonly path: string | undefined
  readonly command: (path: string) => string
  /** Prompts in the words of the stand-in, by the names that this agent's tools have. */
  readonly read: (path: string) => string
  readonly bash: (command: string) => string
  /** A prompt that makes the agent ask "Red or blue?", where it can. */
  readonly question: string | undefined
}

const candidates: ReadonlyArray<Candidate> = [
  {
    name: "claude-agent-acp",
    variable: "CAUSEWAY_TEST_ACP_CLAUDE",
    path: process.env["CAUSEWAY_TEST_ACP_CLAUDE"],
    command: (path) => `'${process.execPath}' '${path}'`,
    read: (path) => `!read ${path}`,
    bash: (command) => `!bash ${command}`,
    question: `!tool AskUserQuestion ${JSON.stringify({
      questions: [
        {
          question: "Red or blue?",
          header: "Color",
          multiSelect: false,
          options: [
            { label: "Red", description: "like a rose" },
            { label: "Blue", description: "like the sea" }
          ]
        }
      ]
    })}`
  },
  {
    name: "opencode",
    variable: "CAUSEWAY_TEST_ACP_OPENCODE",
    path: process.env["CAUSEWAY_TEST_ACP_OPENCODE"],
    command: (path) => `'${path}' acp`,
    read: (path) => `!tool read ${JSON.stringify({ filePath: path })}`,
    bash: (command) => `!tool bash ${JSON.stringify({ command, description: "test" })}`,
    question: undefined
  }
]

const startApi = async (): Promise<string> => {
  if (messagesApi === undefined || messagesApi.startsWith("http")) return messagesApi ?? ""
  const module: { startFakeMessagesApi: (options: object) => Promise<{ readonly url: string }> } =
    await import(/* @vite-ignore */ pathToFileURL(messagesApi).href)
  return (await module.startFakeMessagesApi({ port: 0 })).url
}
const url = candidates.some(({ path }) => path !== undefined) ? await startApi() : ""

/** A machine of its own: home, temporary directory, working directory. */
const machine = Effect.gen(function* () {
  const root = realpathSync(yield* Scripted.directory)
  const at = (name: string) => {
    mkdirSync(join(root, name), { recursive: true })
    return join(root, name)
  }
  const work = at("work")
  writeFileSync(join(work, "notes.txt"), "the sea is blue\n")
  const model = "anthropic/claude-sonnet-4-5"
  writeFileSync(
    join(at("config/opencode"), "opencode.json"),
    JSON.stringify({
      model,
      small_model: model,
      autoupdate: false,
      share: "disabled",
      permission: { bash: "ask", edit: "ask" },
      provider: { anthropic: { options: { baseURL: `${url}/v1`, apiKey: "dummy" } } }
    })
  )
  const environment = {
    PATH: process.env["PATH"],
    HOME: at("home"),
    TMPDIR: at("tmp"),
    XDG_CONFIG_HOME: join(root, "config"),
    XDG_DATA_HOME: at("home/data"),
    XDG_CACHE_HOME: at("home/cache"),
    XDG_STATE_HOME: at("home/state"),
    CLAUDE_CONFIG_DIR: at("home/claude"),
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_API_KEY: "dummy",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    OPENCODE_DISABLE_AUTOUPDATE: "1",
    OPENCODE_DISABLE_MODELS_FETCH: "1"
  }
  const layer = Layer.provide(
    Sessions.layerWith({ silence: "4 seconds", interruptGrace: "10 seconds" }),
    Drivers.layer({ environment, acpDirectory: at("records") })
  )
  return { work, layer }
})

/** The messages of the latest request of a model that holds `text`. */
const sentWith = (text: string) =>
  Effect.promise(async () => {
    const requests = (await (await fetch(`${url}/__fake/requests`)).json()) as ReadonlyArray<{
      readonly body: { readonly messages?: unknown }
    }>
    return requests
      .map(({ body }) => JSON.stringify(body.messages ?? ""))
      .findLast((messages) => messages.includes(text))
  })

const isAsk = ({ type, json }: Payload.Payload): boolean =>
  type === "control_request" && JSON.stringify(json["request"]).includes("can_use_tool")

const conversation = (talk: Talk.Talk): Conversation.Conversation =>
  Conversation.fold(
    talk
      .lines()
      .filter((line) => !Payloads.isEphemeral(line))
      .map((payload, at) => ({
        seq: at + 1,
        uuid: payload.uuid ?? String(at),
        source: "worker" as const,
        createdAt: at,
        payload
      }))
  )

for (const candidate of candidates) {
  const { path } = candidate
  const wanted = path !== undefined && messagesApi !== undefined
  if (!wanted) {
    process.stderr.write(
      `Acp.real: ${candidate.name} DID NOT RUN: set ${candidate.variable} and CAUSEWAY_TEST_MESSAGES_API to try it\n`
    )
  }
  describe.runIf(wanted)(candidate.name, () => {
    const agent = `acp:${candidate.command(path ?? "")}`
    const say = (session: AgentSession, text: string) =>
      Effect.gen(function* () {
        const prompt = Talk.prompt(text)
        yield* session.input(prompt)
        return prompt
      })
    const answered = (talk: Talk.Talk, session: AgentSession, text: string) =>
      Effect.flatMap(say(session, text), talk.result)

    it.scopedLive(
      "answers, reads, asks for permission, is cancelled, and is cancelled while it asks",
      () =>
        Effect.gen(function* () {
          const { work, layer } = yield* machine
          yield* Effect.gen(function* () {
            const sessions = yield* AgentSessions
            const session = yield* sessions.open(Talk.spec({ cwd: work, agent }))
            const talk = yield* Talk.listen(session)

            const hello = yield* say(session, "hello")
            expect((yield* talk.result(hello)).json).toMatchObject({ is_error: false, result: "echo: hello" })
            yield* talk.until((each) => each._tag === "Delivery" && each.state === "processed")
            expect(talk.deliveries(hello.uuid)).toEqual(["processing", "processed"])

            const read = yield* answered(talk, session, candidate.read(join(work, "notes.txt")))
            expect(read.json["is_error"]).toBe(false)
            const call = conversation(talk).items.find((item) => item.kind === "tool_call")
            expect(call).toMatchObject({ completed: true, result: { isError: false } })
            expect(JSON.stringify(call)).toContain("the sea is blue")

            const ask = (file: string, response: (input: unknown) => Payload.JsonObject) =>
              Effect.gen(function* () {
                const prompt = yield* say(session, candidate.bash(`touch ${join(work, file)}`))
                const asked = yield* talk.untilLine(isAsk)
                expect(yield* SubscriptionRef.get(session.status)).toBe("requires_action")
                const { input } = asked.json["request"] as { readonly input: unknown }
                expect(JSON.stringify(input)).toContain(file)
                yield* session.input(Talk.answer(asked.json["request_id"], response(input)))
                return yield* talk.result(prompt)
              })
            yield* ask("made.txt", (updatedInput) => ({ behavior: "allow", updatedInput }))
            expect(existsSync(join(work, "made.txt"))).toBe(true)
            yield* ask("denied.txt", () => ({ behavior: "deny", message: "use another name" }))
            expect(existsSync(join(work, "denied.txt"))).toBe(false)
            // The comment reaches the agent as a prompt of its own, right after the turn.
            const comment = yield* talk.untilLine(({ type }) => type === "result")
            expect(comment.json["result"]).toContain("use another name")

            if (candidate.question !== undefined) {
              const prompt = yield* say(session, candidate.question)
              const asked = yield* talk.untilLine(isAsk)
              const request = asked.json["request"] as {
                readonly input: unknown
                readonly tool_name: unknown
              }
              expect(request.tool_name).toBe("AskUserQuestion")
              const [question] = Approvals.questionsOf(request.input)
              expect(question?.options.map(({ label }) => label)).toEqual(["Red", "Blue"])
              const updatedInput = Approvals.withAnswers(request.input, {
                [question?.question ?? ""]: "Blue"
              })
              yield* session.input(Talk.answer(asked.json["request_id"], { behavior: "allow", updatedInput }))
              expect((yield* talk.result(prompt)).json["is_error"]).toBe(false)
              expect(JSON.stringify(conversation(talk).items.at(-2))).toContain("Red or blue?")
            }

            const slow = yield* say(session, "!slow 400 50")
            yield* talk.untilLine(
              ({ type, json }) => type === "stream_event" && JSON.stringify(json).includes("word3")
            )
            yield* session.input(Talk.request({ subtype: "interrupt" }))
            expect((yield* talk.result(slow)).json["terminal_reason"]).toBe("aborted_streaming")

            const open = yield* say(session, candidate.bash(`touch ${join(work, "never.txt")}`))
            yield* talk.untilLine(isAsk)
            yield* session.input(Talk.request({ subtype: "interrupt" }))
            expect((yield* talk.result(open)).json["terminal_reason"]).toBe("aborted_tools")
            expect(existsSync(join(work, "never.txt"))).toBe(false)

            expect((yield* answered(talk, session, "still there")).json["result"]).toBe("echo: still there")
            for (const item of conversation(talk).items) {
              if (item.kind === "tool_call") expect(item.completed).toBe(true)
            }
            expect(conversation(talk).approvals.pending).toEqual([])
            const unknown = conversation(talk).items.filter(
              (item) => item.kind === "unknown" || item.kind === "error"
            )
            expect(unknown).toEqual([])
            const uuids = talk.lines().flatMap(({ uuid }) => (uuid === undefined ? [] : [uuid]))
            expect(new Set(uuids).size).toBe(uuids.length)
          }).pipe(Effect.provide(layer))
        }),
      300_000
    )

    it.scopedLive(
      "is killed in mid-turn: the turn is reported, the next start has the history, and says nothing twice",
      () =>
        Effect.gen(function* () {
          const { work, layer } = yield* machine
          yield* Effect.gen(function* () {
            const sessions = yield* AgentSessions
            const session = yield* sessions.open(Talk.spec({ cwd: work, agent }))
            const talk = yield* Talk.listen(session)
            yield* answered(talk, session, "remember the sea")
            const slow = yield* say(session, "!slow 400 50")
            yield* talk.untilLine(
              ({ type, json }) => type === "stream_event" && JSON.stringify(json).includes("word3")
            )
            process.kill(-Option.getOrThrow(yield* session.process), "SIGKILL")
            expect((yield* talk.result(slow)).json).toMatchObject({
              is_error: true,
              terminal_reason: "agent_exited"
            })
            const next = yield* answered(talk, session, "and now")
            expect(next.json["result"]).toBe("echo: and now")
            expect(talk.lines().filter(({ json }) => json["reason"] === "conversation_missing")).toEqual([])
            const said = conversation(talk).items.flatMap((item) =>
              item.kind === "message" ? [item.text] : []
            )
            expect(said.filter((text) => text === "echo: remember the sea")).toHaveLength(1)
            // What the model was sent tells what the agent knows of the conversation.
            expect(yield* sentWith("and now")).toContain("remember the sea")
          }).pipe(Effect.provide(layer))
        }),
      300_000
    )

    it.scopedLive(
      "is closed in order, resumed by another host, and forked",
      () =>
        Effect.gen(function* () {
          const { work, layer } = yield* machine
          const spec = Talk.spec({ cwd: work, agent })
          const once = (resume: boolean, text: string, more: Partial<typeof spec> = {}) =>
            Effect.gen(function* () {
              const session = yield* (yield* AgentSessions).open({ ...spec, resume, ...more })
              const talk = yield* Talk.listen(session)
              const result = yield* answered(talk, session, text)
              expect(talk.lines().filter(({ type }) => type === "bridge_error")).toEqual([])
              return { result: result.json["result"], lines: talk.lines() }
            }).pipe(Effect.scoped, Effect.provide(layer))
          expect((yield* once(false, "first")).result).toBe("echo: first")
          const second = yield* once(true, "second")
          expect(second.result).toBe("echo: second")
          expect(second.lines.filter((line) => line.text.includes("echo: first"))).toEqual([])
          const { agentSessionId, sessionId } = Talk.spec({ cwd: work })
          const fork = { agentSessionId, sessionId, forkOf: spec.agentSessionId }
          expect((yield* once(false, "third", fork)).result).toBe("echo: third")
          expect(yield* sentWith("third")).toContain("echo: second")
          expect((yield* once(true, "fourth")).result).toBe("echo: fourth")
          expect(yield* sentWith("fourth")).not.toContain("echo: third")
          expect(readFileSync(join(work, "notes.txt"), "utf8")).toBe("the sea is blue\n")
        }),
      300_000
    )
  })
}
