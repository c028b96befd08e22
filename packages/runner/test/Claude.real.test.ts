/**
 * The driver against the published Claude Code CLI, with a stand-in for its model on loopback. Opt-in: the program is
 * nobody's dependency. Runs when both are set:
 *
 *     CAUSEWAY_TEST_CLAUDE        path of `claude`
 *     CAUSEWAY_TEST_MESSAGES_API  URL of a scriptable Messages API, or path of a module with `startFakeMessagesApi`
 */
import { execFileSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { SessionId } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import * as Payloads from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AgentSession, AgentSessions } from "../src/Agent.ts"
import * as Sessions from "../src/AgentSessions.ts"
import * as Drivers from "../src/Drivers.ts"
import * as Runner from "../src/Runner.ts"
import * as KilledHost from "./support/KilledHost.ts"
import * as Scripted from "./support/Scripted.ts"
import * as Talk from "./support/Talk.ts"

const claude = process.env["CAUSEWAY_TEST_CLAUDE"]
const messagesApi = process.env["CAUSEWAY_TEST_MESSAGES_API"]
const wanted = claude !== undefined && messagesApi !== undefined

if (!wanted) {
  process.stderr.write(
    "Claude.real: DID NOT RUN: set CAUSEWAY_TEST_CLAUDE and CAUSEWAY_TEST_MESSAGES_API to try the real Claude CLI\n"
  )
}

const startApi = async (): Promise<string> => {
  if (messagesApi === undefined || messagesApi.startsWith("http")) return messagesApi ?? ""
  const module: { startFakeMessagesApi: (options: object) => Promise<{ readonly url: string }> } =
    await import(/* @vite-ignore */ pathToFileURL(messagesApi).href)
  return (await module.startFakeMessagesApi({ port: 0 })).url
}
const url = wanted ? await startApi() : ""

/** A machine of its own: home, temporary directory and two checkouts of one repository. */
const machine = Effect.gen(function* () {
  const root = yield* Scripted.directory
  const at = (name: string) => {
    mkdirSync(join(root, name), { recursive: true })
    return join(root, name)
  }
  const checkout = at("checkout")
  const git = (...args: ReadonlyArray<string>) =>
    execFileSync("git", ["-c", "user.email=test@example.com", "-c", "user.name=test", ...args], {
      cwd: checkout
    })
  git("init", "-q")
  writeFileSync(join(checkout, "notes.txt"), "the sea is blue\n")
  git("add", "notes.txt")
  git("commit", "-q", "-m", "notes")
  git("clone", "-q", checkout, join(root, "other"))
  const environment = {
    PATH: process.env["PATH"],
    HOME: at("home"),
    TMPDIR: at("tmp"),
    CLAUDE_CONFIG_DIR: at("config"),
    ANTHROPIC_BASE_URL: url,
    ANTHROPIC_API_KEY: "dummy",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    CAUSEWAY_TOKEN: "not for agents"
  }
  const layer = Layer.provide(
    Sessions.layerWith({ silence: "4 seconds" }),
    Drivers.layer({ environment, claudePath: claude })
  )
  return { root, checkout, other: join(root, "other"), environment, layer }
})

/** A server that notes its environment and offers nothing. */
const mcpServer = `
  import { writeFileSync } from "node:fs"
  writeFileSync(process.argv[2], JSON.stringify(process.env))
  let text = ""
  process.stdin.on("data", (data) => {
    text += data
    for (let at = text.indexOf("\\n"); at >= 0; at = text.indexOf("\\n")) {
      const { id, method, params } = JSON.parse(text.slice(0, at))
      text = text.slice(at + 1)
      if (id === undefined) continue
      const result = method === "initialize"
        ? { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "probe", version: "1" } }
        : method === "tools/list" ? { tools: [] } : {}
      process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, result }) + "\\n")
    }
  })`

/** Launches a run and waits for its question, and then to be killed. */
const hostScript = `
  import * as Effect from "effect/Effect"
  import * as Layer from "effect/Layer"
  import * as Stream from "effect/Stream"
  import * as Sessions from "${KilledHost.source("AgentSessions.ts")}"
  import * as Drivers from "${KilledHost.source("Drivers.ts")}"
  import * as Runner from "${KilledHost.source("Runner.ts")}"
  const [file, environment, claudePath, directory, query] = process.argv.slice(2)
  const layer = Runner.layer({ file }).pipe(
    Layer.provide(Sessions.layer),
    Layer.provide(Drivers.layer({ environment: JSON.parse(environment), claudePath }))
  )
  Effect.runFork(Effect.gen(function* () {
    const runner = yield* Runner.Runner
    const run = yield* runner.launch({ agent: "claude", directory, query })
    yield* runner.events().pipe(
      Stream.filter((event) => event.type === "approval_requested"), Stream.take(1), Stream.runDrain)
    console.log(JSON.stringify([run.id]))
    yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(layer)))`

const settled = (talk: Talk.Talk, payload: Payload.Payload) =>
  talk.until((each) => each._tag === "Delivery" && each.uuid === payload.uuid && each.state === "processed")

const answered = (talk: Talk.Talk, session: AgentSession, text: string) =>
  Effect.gen(function* () {
    const prompt = Talk.prompt(text)
    yield* session.input(prompt)
    return yield* talk.result(prompt)
  })

const isAsk = ({ type, json }: Payload.Payload) =>
  type === "control_request" && String(JSON.stringify(json["request"])).includes("can_use_tool")

describe.runIf(wanted)("the real Claude CLI", () => {
  it.scopedLive(
    "reads, asks, is interrupted, takes a second turn, and is resumed in another checkout with its history",
    () =>
      Effect.gen(function* () {
        const { checkout, other, layer } = yield* machine
        yield* Effect.gen(function* () {
          const sessions = yield* AgentSessions
          const spec = Talk.spec({ cwd: checkout, agent: "claude" })
          const transcript: Array<Payload.Payload> = []

          yield* Effect.gen(function* () {
            const session = yield* sessions.open(spec)
            const talk = yield* Talk.listen(session)
            const say = (text: string) =>
              Effect.gen(function* () {
                const prompt = Talk.prompt(text)
                transcript.push(...talk.lines().slice(taken), prompt)
                taken = talk.lines().length
                yield* session.input(prompt)
                return prompt
              })
            let taken = 0

            const read = yield* say(`!read ${join(checkout, "notes.txt")}`)
            const result = yield* talk.result(read)
            expect(result.json["result"]).toContain("the sea is blue")
            yield* talk.until((each) => each._tag === "Delivery" && each.state === "processed")
            expect(talk.deliveries(read.uuid)).toEqual(["processing", "processed"])

            const bash = yield* say(`!bash touch ${join(checkout, "made.txt")}`)
            const ask = yield* talk.untilLine(isAsk)
            expect(yield* SubscriptionRef.get(session.status)).toBe("requires_action")
            yield* session.input(
              Talk.answer(ask.json["request_id"], {
                behavior: "allow",
                updatedInput: (ask.json["request"] as Payload.JsonObject)["input"]
              })
            )
            yield* talk.result(bash)
            expect(existsSync(join(checkout, "made.txt"))).toBe(true)

            const denied = yield* say(`!bash touch ${join(checkout, "denied.txt")}`)
            const second = yield* talk.untilLine(isAsk)
            yield* session.input(
              Talk.answer(second.json["request_id"], { behavior: "deny", message: "use another name" })
            )
            const deniedResult = yield* talk.result(denied)
            expect(deniedResult.json["result"]).toContain("use another name")
            expect(existsSync(join(checkout, "denied.txt"))).toBe(false)

            const slow = yield* say("!slow 200 50")
            yield* talk.untilLine(
              ({ type, json }) => type === "stream_event" && JSON.stringify(json).includes("word3")
            )
            yield* session.input(Talk.request({ subtype: "interrupt" }))
            expect((yield* talk.result(slow)).json["terminal_reason"]).toBe("aborted_streaming")

            const last = yield* say("--version of a prompt")
            expect((yield* talk.result(last)).json["result"]).toBe("echo: --version of a prompt")
            transcript.push(...talk.lines().slice(taken))
            const uuids = talk.lines().flatMap(({ uuid }) => (uuid === undefined ? [] : [uuid]))
            expect(new Set(uuids).size).toBe(uuids.length)
            expect(
              talk.lines().filter((line) => line.uuid === undefined && !Payloads.isEphemeral(line))
            ).toEqual([])
          }).pipe(Effect.scoped)

          const elsewhere = { ...spec, cwd: other, resume: true }
          expect(yield* sessions.adopt(elsewhere, transcript.filter(Payloads.isTranscript))).toEqual(
            Option.some({})
          )
          expect(yield* sessions.adopt(elsewhere, [])).toEqual(Option.none())
          const session = yield* sessions.open(elsewhere)
          const talk = yield* Talk.listen(session)
          const marker = `marker ${randomUUID()}`
          expect((yield* answered(talk, session, marker)).json["result"]).toBe(`echo: ${marker}`)
          expect(talk.lines().filter(({ type }) => type === "bridge_error")).toEqual([])
          // What the model was sent tells what the CLI knows of the conversation.
          const requests = yield* Effect.promise(async () => (await fetch(`${url}/__fake/requests`)).json())
          const sent = (requests as ReadonlyArray<{ readonly body: { readonly messages?: unknown } }>)
            .map(({ body }) => JSON.stringify(body.messages ?? ""))
            .find((messages) => messages.includes(marker))
          for (const known of [
            "!read ",
            "the sea is blue",
            "touch",
            "use another name",
            "Request interrupted by user",
            "echo: --version of a prompt"
          ]) {
            expect(sent).toContain(known)
          }
        }).pipe(Effect.provide(layer))
      }),
    60_000
  )

  it.scopedLive(
    "answers a prompt whose process is killed while it waits for permission, once",
    () =>
      Effect.gen(function* () {
        const { checkout, layer } = yield* machine
        yield* Effect.gen(function* () {
          const sessions = yield* AgentSessions
          for (const wait of [0, 500] as const) {
            const session = yield* sessions.open(Talk.spec({ cwd: checkout, agent: "claude" }))
            const talk = yield* Talk.listen(session)
            expect((yield* answered(talk, session, "hello")).json["result"]).toBe("echo: hello")
            const prompt = Talk.prompt(`!bash touch ${join(checkout, `killed${wait}.txt`)}`)
            yield* session.input(prompt)
            yield* talk.untilLine(isAsk)
            // At once the reply is not on disk and the turn is run anew; later it is, and the agent goes on from it.
            yield* Effect.sleep(wait)
            const pid = Option.getOrThrow(yield* session.process)
            process.kill(-pid, "SIGKILL")
            const next = yield* talk.untilLine(
              (line) =>
                isAsk(line) || (line.type === "result" && line.json["user_message_uuid"] !== undefined)
            )
            if (isAsk(next)) {
              yield* session.input(
                Talk.answer(next.json["request_id"], {
                  behavior: "allow",
                  updatedInput: (next.json["request"] as Payload.JsonObject)["input"]
                })
              )
            }
            yield* talk.until(
              (each) => each._tag === "Delivery" && each.uuid === prompt.uuid && each.state === "processed"
            )
            expect(talk.deliveries(prompt.uuid)).toEqual(["processing", "processed"])
            const results = talk
              .lines()
              .filter(
                ({ type, json }) =>
                  type === "result" &&
                  JSON.stringify(json["user_message_uuids"]).includes(String(prompt.uuid))
              )
            expect(results).toHaveLength(1)
            expect(talk.lines().filter(({ json }) => json["reason"] === "agent_ended")).toHaveLength(1)
            if (isAsk(next)) expect(existsSync(join(checkout, `killed${wait}.txt`))).toBe(true)
            expect((yield* answered(talk, session, "after")).json["result"]).toBe("echo: after")
          }
        }).pipe(Effect.provide(layer))
      }),
    60_000
  )

  it.scopedLive(
    "asks a question, follows mode and model, queues prompts, drops the queue, and tells a failure as it is",
    () =>
      Effect.gen(function* () {
        const { checkout, layer } = yield* machine
        yield* Effect.gen(function* () {
          const sessions = yield* AgentSessions
          const session = yield* sessions.open(Talk.spec({ cwd: checkout, agent: "claude" }))
          const talk = yield* Talk.listen(session)

          const questions = [
            {
              question: "Which?",
              header: "Which",
              multiSelect: false,
              options: [
                { label: "A", description: "a" },
                { label: "B", description: "b" }
              ]
            }
          ]
          const asking = Talk.prompt(`!tool AskUserQuestion ${JSON.stringify({ questions })}`)
          yield* session.input(asking)
          const question = yield* talk.untilLine(isAsk)
          expect(question.json["request"]).toMatchObject({ requires_user_interaction: true })
          yield* session.input(
            Talk.answer(question.json["request_id"], {
              behavior: "allow",
              updatedInput: { questions, answers: { "Which?": "B" } }
            })
          )
          expect((yield* talk.result(asking)).json["result"]).toContain('"Which?"="B"')

          const mode = Talk.request({ subtype: "set_permission_mode", mode: "acceptEdits" })
          yield* session.input(mode)
          yield* settled(talk, mode)
          const edit = Talk.prompt(`!write ${join(checkout, "edited.txt")} unasked`)
          yield* session.input(edit)
          yield* talk.result(edit)
          expect(readFileSync(join(checkout, "edited.txt"), "utf8")).toBe("unasked\n")
          const bypass = Talk.request({ subtype: "set_permission_mode", mode: "bypassPermissions" })
          yield* session.input(bypass)
          const refused = yield* talk.untilLine(({ type }) => type === "control_response")
          expect(refused.json["response"]).toMatchObject({ subtype: "error" })

          const model = Talk.request({ subtype: "set_model", model: "claude-haiku-4-5" })
          yield* session.input(model)
          yield* settled(talk, model)
          const other = Talk.prompt("!say with another model")
          yield* session.input(other)
          const line = yield* talk.untilLine(({ type }) => type === "assistant")
          expect(line.json["message"]).toMatchObject({ model: "claude-haiku-4-5" })
          yield* talk.result(other)

          const [slow, second, third] = [
            Talk.prompt("!slow 100 50"),
            Talk.prompt("!say two"),
            Talk.prompt("!say three")
          ]
          for (const each of [slow, second, third]) yield* session.input(each)
          yield* talk.untilLine(
            ({ type, json }) => type === "stream_event" && JSON.stringify(json).includes("word2")
          )
          yield* session.input(Talk.request({ subtype: "interrupt", cancel_queued: true }))
          const open = new Set([slow, second, third].map(({ uuid }) => uuid))
          yield* talk.until((each) => {
            if (each._tag === "Delivery" && each.state === "processed") open.delete(each.uuid)
            return open.size === 0
          })
          const results = (uuid: string | undefined) =>
            talk
              .lines()
              .filter(({ type, json }) => type === "result" && json["user_message_uuid"] === uuid)
              .map(({ json }) => json["is_error"])
          expect(results(slow.uuid)).toEqual([true])
          // Taken back before its turn: it has none, and the agent says so in its answer to the interrupt.
          for (const { uuid } of [second, third]) {
            expect(results(uuid)).toEqual([])
            const says = talk.lines().filter(({ type }) => type === "control_response")
            expect(JSON.stringify(says.map(({ json }) => json["response"]))).toContain(uuid)
          }
          expect(yield* SubscriptionRef.get(session.status)).toBe("idle")

          const failing = Talk.prompt("!fail 400 99")
          yield* session.input(failing)
          expect((yield* talk.result(failing)).json).toMatchObject({ is_error: true, subtype: "success" })
          expect((yield* answered(talk, session, "!say still here")).json["result"]).toBe("still here")
          expect(talk.lines().filter(({ type }) => type === "bridge_error")).toEqual([])
        }).pipe(Effect.provide(layer))
      }),
    60_000
  )

  it.scopedLive(
    "goes on elsewhere from a compacted conversation with its summary",
    () =>
      Effect.gen(function* () {
        const { checkout, layer, other } = yield* machine
        yield* Effect.gen(function* () {
          const sessions = yield* AgentSessions
          const spec = Talk.spec({ cwd: checkout, agent: "claude" })
          const prompts = ["!say long ago", "/compact", "!say since then"].map((text) => Talk.prompt(text))
          const lines = yield* Effect.scoped(
            Effect.gen(function* () {
              const session = yield* sessions.open(spec)
              const talk = yield* Talk.listen(session)
              const transcript: Array<Payload.Payload> = []
              for (const prompt of prompts) {
                const before = talk.lines().length
                yield* session.input(prompt)
                yield* talk.result(prompt)
                transcript.push(prompt, ...talk.lines().slice(before))
              }
              return transcript
            })
          )
          expect(lines.filter(Payloads.isCompaction)).toHaveLength(1)
          yield* sessions.adopt({ ...spec, cwd: other }, lines.filter(Payloads.isTranscript))
          const session = yield* sessions.open({ ...spec, cwd: other, resume: true })
          const talk = yield* Talk.listen(session)
          const marker = `marker ${randomUUID()}`
          yield* answered(talk, session, marker)
          const requests = yield* Effect.promise(async () => (await fetch(`${url}/__fake/requests`)).json())
          const sent = (requests as ReadonlyArray<{ readonly body: { readonly messages?: unknown } }>)
            .map(({ body }) => JSON.stringify(body.messages ?? ""))
            .find((messages) => messages.includes(marker))
          expect(sent).toContain("fake summary of the conversation")
          expect(sent).toContain("since then")
          expect(sent).not.toContain("!say long ago")
        }).pipe(Effect.provide(layer))
      }),
    60_000
  )

  it.scopedLive(
    "is launched with MCP servers and words of its own, and gone on from in a fork that knows what was said",
    () =>
      Effect.gen(function* () {
        const { checkout, layer, root } = yield* machine
        const server = join(root, "server.mjs")
        writeFileSync(server, mcpServer)
        yield* Effect.gen(function* () {
          const runner = yield* Runner.Runner
          const secret = `secret ${randomUUID()}`
          const first = yield* runner.launch({
            agent: "claude",
            directory: checkout,
            query: "!say the first word",
            options: {
              maxTurns: 3,
              appendSystemPrompt: "--not-a-flag",
              allowedTools: ["Bash(touch:*)"],
              mcpServers: Redacted.make({
                probe: {
                  command: process.execPath,
                  args: [server, join(root, "seen.json")],
                  env: { PROBE_SECRET: secret }
                }
              })
            }
          })
          expect((yield* runner.ended(first.id)).result).toBe("the first word")
          const seen = JSON.parse(readFileSync(join(root, "seen.json"), "utf8"))
          expect(seen).toMatchObject({ PROBE_SECRET: secret, CAUSEWAY_SESSION_ID: first.id })
          const log = Chunk.toReadonlyArray(yield* Stream.runCollect(runner.log(first.id)))
          expect(log.map(({ payload }) => payload.text).join("\n")).not.toContain(secret)

          const allowed = join(checkout, "allowed.txt")
          const second = yield* runner.continue(first.id, { query: `!bash touch ${allowed}` })
          expect((yield* runner.ended(second.id)).status).toBe("completed")
          expect(existsSync(allowed)).toBe(true)
          expect(second.agentSessionId).not.toBe(first.agentSessionId)
          const requests = yield* Effect.promise(async () => (await fetch(`${url}/__fake/requests`)).json())
          const sent = (requests as ReadonlyArray<{ readonly body: unknown }>)
            .map(({ body }) => JSON.stringify(body))
            .findLast((body) => body.includes("allowed.txt"))
          expect(sent).toContain("the first word")
          expect(sent).toContain("--not-a-flag")
        }).pipe(Effect.provide(Runner.layer({ file: join(root, "runner.db") }).pipe(Layer.provide(layer))))
      }),
    60_000
  )

  it.scopedLive(
    "asks again after its host was killed while a person was asked, and nothing is lost or done twice",
    () =>
      Effect.gen(function* () {
        const { checkout, environment, layer, root } = yield* machine
        const made = join(checkout, "after-the-kill.txt")
        const file = join(root, "runner.db")
        const [id] = (yield* KilledHost.run(root, hostScript, [
          file,
          JSON.stringify(environment),
          String(claude),
          checkout,
          `!bash touch ${made}`
        ])) as ReadonlyArray<SessionId>
        expect(existsSync(made)).toBe(false)
        yield* Effect.gen(function* () {
          const runner = yield* Runner.Runner
          if (id === undefined) return
          // What is asked now: the question of before, or that of the turn begun anew, which takes its place.
          yield* runner.events().pipe(
            Stream.filter((event) => event.type === "approval_requested"),
            Stream.runForEach(({ toolUseId }) =>
              Effect.ignore(runner.answer(id, toolUseId, { behavior: "allow" }))
            ),
            Effect.forkScoped
          )
          const run = yield* Effect.timeout(runner.ended(id), "40 seconds")
          expect(run.status).toBe("completed")
          const log = Chunk.toReadonlyArray(yield* Stream.runCollect(runner.log(id)))
          const texts = log.map(({ payload }) => payload.text).join("\n")
          expect(texts).not.toContain("stdin")
          expect(log.filter(({ payload }) => payload.type === "result")).toHaveLength(1)
          expect(run.pendingApprovals).toEqual([])
        }).pipe(Effect.provide(Runner.layer({ file }).pipe(Layer.provide(layer))))
      }),
    60_000
  )

  it.scopedLive(
    "hides the host's secrets and says where the agent is",
    () =>
      Effect.gen(function* () {
        const { checkout, layer } = yield* machine
        yield* Effect.gen(function* () {
          const sessions = yield* AgentSessions
          const spec = Talk.spec({ cwd: checkout, agent: "claude" })
          const session = yield* sessions.open(spec)
          const pid = Option.getOrThrow(yield* session.process)
          if (process.platform !== "linux") return
          const environment = readFileSync(`/proc/${pid}/environ`, "utf8")
          expect(environment).not.toContain("not for agents")
          expect(environment).toContain(`CAUSEWAY_SESSION_ID=${spec.sessionId}`)
        }).pipe(Effect.provide(layer))
      }),
    60_000
  )

  it.scopedLive(
    "stays while a task runs in the background, answers meanwhile, and its own turn answers nobody's prompt",
    () =>
      Effect.gen(function* () {
        const { checkout, environment } = yield* machine
        const layer = Layer.provide(
          Sessions.layerWith({ idleStop: "500 millis" }),
          Drivers.layer({ environment, claudePath: claude })
        )
        yield* Effect.gen(function* () {
          const sessions = yield* AgentSessions
          const session = yield* sessions.open(Talk.spec({ cwd: checkout, agent: "claude" }))
          const talk = yield* Talk.listen(session)
          const task = JSON.stringify({ command: "sleep 4", description: "waits", run_in_background: true })
          yield* answered(talk, session, `!tool Bash ${task}`)
          const pid = yield* session.process
          expect(yield* session.isAtWork).toBe(true)
          // Longer than the idle stop: its process is still the same.
          yield* talk.untilLine(({ json }) => json["subtype"] === "task_notification")
          expect(yield* session.process).toEqual(pid)
          const prompt = Talk.prompt("!slow 10 100")
          yield* session.input(prompt)
          const own = yield* talk.untilLine(({ type }) => type === "result")
          expect(own.json["origin"]).toMatchObject({ kind: "task-notification" })
          expect(talk.deliveries(prompt.uuid)).not.toContain("processed")
          expect((yield* talk.result(prompt)).json["result"]).toContain("word9")
        }).pipe(Effect.provide(layer))
      }),
    60_000
  )

  it.scopedLive(
    "is started again in the mode, the model and the thinking that were set when it was killed",
    () =>
      Effect.gen(function* () {
        const { checkout, layer } = yield* machine
        yield* Effect.gen(function* () {
          const sessions = yield* AgentSessions
          const session = yield* sessions.open(
            Talk.spec({
              cwd: checkout,
              agent: "claude",
              options: { permissionMode: "bypassPermissions" },
              env: { IS_SANDBOX: "1" }
            })
          )
          const talk = yield* Talk.listen(session)
          for (const request of [
            { subtype: "set_permission_mode", mode: "plan" },
            { subtype: "set_model", model: "claude-haiku-4-5" },
            { subtype: "set_max_thinking_tokens", max_thinking_tokens: 4000 },
            { subtype: "apply_flag_settings", settings: { effortLevel: "high" } }
          ].map(Talk.request)) {
            yield* session.input(request)
            yield* settled(talk, request)
          }
          const pid = Option.getOrThrow(yield* session.process)
          process.kill(-pid, "SIGKILL")
          yield* answered(talk, session, "!say hello")
          const init = talk.lines().findLast(({ json }) => json["subtype"] === "init")
          expect(init?.json).toMatchObject({ permissionMode: "plan", model: "claude-haiku-4-5" })
          // What it was made for, it may be moved back to.
          const back = Talk.request({ subtype: "set_permission_mode", mode: "bypassPermissions" })
          yield* session.input(back)
          yield* settled(talk, back)
          expect(talk.lines().filter(({ json }) => json["reason"] === "setting_refused")).toEqual([])
          expect(
            talk.lines().findLast(({ type }) => type === "session_update")?.json["permission_mode"]
          ).toBe("bypassPermissions")
        }).pipe(Effect.provide(layer))
      }),
    60_000
  )
})

it.runIf(!wanted)("did not run against the real Claude CLI: CAUSEWAY_TEST_CLAUDE is not set", () => {
  expect(wanted).toBe(false)
})
