import { execFileSync } from "node:child_process"
import { once } from "node:events"
import {
  createReadStream,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Conversation from "@causeway/transcript/Conversation"
import * as Read from "@causeway/transcript/Read"
import * as SessionRow from "@causeway/transcript/SessionRow"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Driver from "../../src/Acp/Driver.ts"
import type { Connection, ConnectSpec, DriverLine } from "../../src/Driver.ts"

const stub = fileURLToPath(new URL("../fixtures/acp-agent.mjs", import.meta.url))
const sdkAgent = fileURLToPath(new URL("../fixtures/acp-sdk-agent.mjs", import.meta.url))

/** A directory of its own for each test, with the working directory `work` in it. */
const directory = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "acp-test-")))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

let runs = 0
const user = (uuid: string, content: unknown): Payload.Payload =>
  Payload.make({ type: "user", uuid, message: { role: "user", content } })
const control = (requestId: string, request: Payload.JsonObject): Payload.Payload =>
  Payload.make({ type: "control_request", uuid: requestId, request_id: requestId, request })
const answer = (requestId: unknown, response: Payload.JsonObject): Payload.Payload =>
  Payload.make({
    type: "control_response",
    uuid: `answer-${String(requestId)}`,
    response: { subtype: "success", request_id: requestId, response }
  })

/** A connection whose lines are read as they come. */
const converse = (connection: Connection) =>
  Effect.gen(function* () {
    const lines: Array<DriverLine> = []
    const queue = yield* Queue.unbounded<DriverLine>()
    yield* Stream.runForEach(connection.lines, (line) =>
      Effect.zipRight(
        Effect.sync(() => lines.push(line)),
        Queue.offer(queue, line)
      )
    ).pipe(Effect.zipRight(Queue.shutdown(queue)), Effect.forkScoped)
    /** The next line of that type; fails the test by interruption when the agent is gone before. */
    const next = (type: string, more: (json: Payload.JsonObject) => boolean = () => true) =>
      Effect.gen(function* () {
        for (;;) {
          const line = yield* Queue.take(queue)
          if (line._tag === "Payload" && line.payload.type === type && more(line.payload.json))
            return line.payload.json
        }
      })
    return {
      connection,
      lines,
      next,
      result: next("result"),
      send: connection.send,
      ask: (uuid: string, content: unknown) =>
        Effect.zipRight(connection.send(user(uuid, content)), next("result"))
    }
  })

const driver = (root: string) =>
  Driver.make({
    directory: join(root, "records"),
    environment: { PATH: process.env["PATH"], SECRET: "s", CAUSEWAY_TOKEN: "never" },
    grace: { endOfInput: "2 seconds", terminate: "1 second" },
    readyWithin: "20 seconds"
  })

const spec = (root: string, flags = "", more: Partial<ConnectSpec> = {}): ConnectSpec => ({
  sessionId: SessionId.make("session_test"),
  agent: `acp:"${process.execPath}" "${stub}" ${flags}`,
  cwd: root,
  agentSessionId: "0195d9f4-0000-4000-8000-000000000001",
  resume: false,
  runId: `run-${++runs}`,
  resumeInterrupted: false,
  ...more
})

const start = (root: string, flags = "", more: Partial<ConnectSpec> = {}) =>
  Effect.flatMap(driver(root).connect(spec(root, flags, more)), converse)

const durable = (lines: ReadonlyArray<DriverLine>): ReadonlyArray<Payload.Payload> =>
  lines.flatMap((line) =>
    line._tag === "Payload" && !Payload.isEphemeral(line.payload) ? [line.payload] : []
  )
const row = (lines: ReadonlyArray<DriverLine>) =>
  SessionRow.replay(
    durable(lines).map((payload, at) => ({
      seq: at + 1,
      uuid: payload.uuid ?? String(at),
      source: "worker" as const,
      createdAt: at,
      payload
    }))
  )
const conversation = (lines: ReadonlyArray<DriverLine>) =>
  Conversation.fold(
    durable(lines).map((payload, at) => ({
      seq: at + 1,
      uuid: payload.uuid ?? String(at),
      source: "worker" as const,
      createdAt: at,
      payload
    }))
  )
const kinds = (lines: ReadonlyArray<DriverLine>): ReadonlyArray<string> =>
  durable(lines).map(({ type, json }) =>
    typeof json["subtype"] === "string" ? `${type}/${json["subtype"]}` : type
  )

describe("a conversation with an ACP agent", () => {
  it.scopedLive(
    "a prompt is acknowledged, answered in one line while its parts pass by, and ends in a result",
    () =>
      Effect.gen(function* () {
        const agent = yield* start(yield* directory)
        const result = yield* agent.ask("p1", "hello there, how are you")
        expect(result).toMatchObject({
          is_error: false,
          result: "echo: hello there, how are you",
          user_message_uuid: "p1"
        })
        expect(kinds(agent.lines)).toEqual([
          "system/commands_changed",
          "system/init",
          "user",
          "assistant",
          "result/success"
        ])
        const partial = agent.lines.flatMap((line) =>
          line._tag === "Payload" && line.payload.type === "stream_event"
            ? [Read.string(Read.object(Read.object(line.payload.json["event"])["delta"])["text"]) ?? ""]
            : []
        )
        expect(partial.length).toBeGreaterThan(3)
        expect(partial.join("")).toBe("echo: hello there, how are you")
        expect(row(agent.lines)).toMatchObject({ model: "small", permissionMode: "code", status: "idle" })
        expect(agent.connection.resumed).toBe(false)
      })
  )

  it.scopedLive("prompts wait for each other, and one uuid is one prompt", () =>
    Effect.gen(function* () {
      const agent = yield* start(yield* directory)
      for (const uuid of ["a", "b", "a", "c"]) yield* agent.send(user(uuid, `say ${uuid}`))
      const results = [yield* agent.result, yield* agent.result, yield* agent.result]
      expect(results.map((each) => each["user_message_uuid"])).toEqual(["a", "b", "c"])
      expect(results.map((each) => each["queued_turn_count"])).toEqual([2, 1, 0])
    })
  )

  it.scopedLive("thought, plan, an image, and text that comes after the reply", () =>
    Effect.gen(function* () {
      const agent = yield* start(yield* directory)
      yield* agent.ask("p1", "think deep")
      yield* agent.ask("p2", "plan")
      const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }
      const third = yield* agent.ask("p3", [{ type: "text", text: "look " }, image])
      expect(third["result"]).toBe("echo: look [image]")
      yield* agent.send(user("p4", "late and found"))
      const late = yield* agent.next("assistant", (json) => json["user_message_uuid"] === "p4")
      expect(late["message"]).toMatchObject({ content: [{ type: "text", text: "and found" }] })
      const items = conversation(agent.lines).items
      expect(items.find((item) => item.kind === "thinking")).toMatchObject({ text: "deep" })
      expect(items.find((item) => item.kind === "plan")).toMatchObject({
        steps: [
          { text: "first", status: "completed" },
          { text: "second", status: "pending" }
        ]
      })
    })
  )

  it.scopedLive("files: a tool call with its diff; reads by line; nothing outside of the directory", () =>
    Effect.gen(function* () {
      const root = yield* directory
      writeFileSync(join(root, "lines.txt"), "one\ntwo\nthree\nfour\n")
      symlinkSync("/etc", join(root, "out"))
      const agent = yield* start(root)
      yield* agent.ask("p1", `edit ${root}/sub/new.txt some text`)
      expect(readFileSync(join(root, "sub/new.txt"), "utf8")).toBe("some text")
      const call = conversation(agent.lines).items.find((item) => item.kind === "tool_call")
      expect(call).toMatchObject({
        name: "Write",
        completed: true,
        input: { file_path: `${root}/sub/new.txt`, content: "some text" }
      })
      expect((yield* agent.ask("p2", `read ${root}/lines.txt 2 2`))["result"]).toBe(
        '{"content":"two\\nthree"}'
      )
      for (const [uuid, path] of [
        ["p3", "/etc/hostname"],
        ["p4", `${root}/../x`],
        ["p5", `${root}/out/hostname`]
      ]) {
        const refused = yield* agent.ask(uuid ?? "", `read ${path}`)
        expect(refused["result"]).toContain("is outside of the working directory")
      }
      yield* agent.ask("p6", "edit /tmp/acp-must-not-exist x")
      const failed = durable(agent.lines).filter((line) => line.json["tool_use_result"] !== undefined)
      expect(
        Read.object(Read.array(Read.object(failed.at(-1)?.json["message"])["content"])[0])["is_error"]
      ).toBe(true)
    })
  )

  it.scopedLive(
    "a terminal's output stands in the call's result; the agent's environment has no secret of the host",
    () =>
      Effect.gen(function* () {
        const agent = yield* start(yield* directory)
        const result = yield* agent.ask(
          "p1",
          "run echo out; echo err >&2; echo token=$CAUSEWAY_TOKEN; exit 3"
        )
        expect(result["result"]).toBe("exit 3")
        const call = conversation(agent.lines).items.find((item) => item.kind === "tool_call")
        if (call?.kind !== "tool_call") return expect.unreachable()
        expect(call.name).toBe("Bash")
        expect(call.result?.isError).toBe(true)
        expect(call.result?.text.split("\n").sort()).toEqual(["", "err", "out", "token="])
      })
  )

  it.scopedLive("permission: allowed, always allowed, and denied with a comment that reaches the agent", () =>
    Effect.gen(function* () {
      const agent = yield* start(yield* directory)
      const ask = (uuid: string, response: (request: Payload.JsonObject) => Payload.JsonObject) =>
        Effect.gen(function* () {
          yield* agent.send(user(uuid, `ask rm ${uuid}`))
          const asked = yield* agent.next("control_request")
          const request = Read.object(asked["request"])
          expect(request).toMatchObject({
            subtype: "can_use_tool",
            tool_name: "Bash",
            display_name: `rm ${uuid}`
          })
          yield* agent.send(answer(asked["request_id"], response(request)))
          return yield* agent.result
        })
      expect((yield* ask("p1", () => ({ behavior: "allow" })))["result"]).toBe("chosen yes")
      const always = yield* ask("p2", (request) => ({
        behavior: "allow",
        updatedPermissions: request["permission_suggestions"]
      }))
      expect(always["result"]).toBe("chosen always")
      const denied = yield* ask("p3", () => ({ behavior: "deny", message: "use git" }))
      expect(denied["permission_denials"]).toMatchObject([
        { tool_name: "Bash", tool_input: { command: "rm p3" } }
      ])
      expect((yield* agent.result)["result"]).toBe("echo: Bash was not allowed: use git")
      expect(row(agent.lines).approvals.pending).toEqual([])
    })
  )

  it.scopedLive("a form is a question to the person, and its answer the form's content", () =>
    Effect.gen(function* () {
      const agent = yield* start(yield* directory)
      const ask = (uuid: string, response: Payload.JsonObject) =>
        Effect.gen(function* () {
          yield* agent.send(user(uuid, "form"))
          const asked = yield* agent.next("control_request")
          const request = Read.object(asked["request"])
          expect(request).toMatchObject({ tool_name: "AskUserQuestion", requires_user_interaction: true })
          expect(Approvals.questionsOf(request["input"]).map(({ question }) => question)).toEqual([
            "Which color?",
            "sizes",
            "Sure?",
            "How many?"
          ])
          yield* agent.send(answer(asked["request_id"], response))
          return JSON.parse(String((yield* agent.result)["result"]))
        })
      const given = (answers: { readonly [question: string]: string }) => ({
        behavior: "allow",
        updatedInput: Approvals.withAnswers({}, answers)
      })
      expect(
        yield* ask(
          "p1",
          given({ "Which color?": "blue, dark", sizes: "S, L", "Sure?": "Yes", "How many?": "3" })
        )
      ).toEqual({
        action: "accept",
        content: { color: "blue, dark", sizes: ["S", "L"], sure: true, count: 3 }
      })
      expect(yield* ask("p2", given({ "Which color?": "green" }))).toEqual({
        action: "accept",
        content: { color_custom: "green" }
      })
      expect(yield* ask("p3", given({ "How many?": "2" }))).toEqual({ action: "decline" })
      expect(yield* ask("p4", { behavior: "deny", message: "no" })).toEqual({ action: "decline" })
      yield* agent.send(user("p5", "form"))
      yield* agent.next("control_request")
      yield* agent.send(control("i", { subtype: "interrupt" }))
      yield* agent.next("control_cancel_request")
      expect((yield* agent.result)["result"]).toBe('{"action":"cancel"}')
      for (const item of conversation(agent.lines).items)
        if (item.kind === "tool_call") expect(item.completed).toBe(true)
      expect(row(agent.lines).approvals.pending).toEqual([])
    })
  )

  it.scopedLive("cancel ends the turn; while a permission is open it is withdrawn first", () =>
    Effect.gen(function* () {
      const agent = yield* start(yield* directory)
      yield* agent.send(user("p1", "hang"))
      yield* agent.next("stream_event")
      yield* agent.send(user("p2", "after"))
      yield* agent.send(control("i1", { subtype: "interrupt" }))
      expect((yield* agent.next("control_response"))["response"]).toMatchObject({
        subtype: "success",
        response: { still_queued: ["p2"] }
      })
      expect(yield* agent.result).toMatchObject({
        terminal_reason: "aborted_streaming",
        user_message_uuid: "p1"
      })
      expect((yield* agent.result)["result"]).toBe("echo: after")

      yield* agent.send(user("p3", "ask rm x"))
      const asked = yield* agent.next("control_request")
      yield* agent.send(control("i2", { subtype: "interrupt" }))
      expect((yield* agent.next("control_cancel_request"))["request_id"]).toBe(asked["request_id"])
      expect(yield* agent.result).toMatchObject({ is_error: true, terminal_reason: "aborted_tools" })
      // Late: nobody waits for it, and nothing happens.
      yield* agent.send(answer(asked["request_id"], { behavior: "allow" }))
      expect((yield* agent.ask("p4", "still there"))["result"]).toBe("echo: still there")
      for (const item of conversation(agent.lines).items)
        if (item.kind === "tool_call") expect(item.completed).toBe(true)
    })
  )

  it.scopedLive("cancel with cancel_queued drops what waits; a call that never ended has a result", () =>
    Effect.gen(function* () {
      const agent = yield* start(yield* directory)
      yield* agent.send(user("p1", "open"))
      yield* agent.next("assistant")
      yield* agent.send(user("p2", "never"))
      yield* agent.send(control("i1", { subtype: "interrupt", cancel_queued: true }))
      expect((yield* agent.next("control_response"))["response"]).toMatchObject({
        response: { cancelled: ["p2"] }
      })
      expect((yield* agent.result)["terminal_reason"]).toBe("aborted_tools")
      expect((yield* agent.ask("p3", "next"))["result"]).toBe("echo: next")
    })
  )

  it.scopedLive("modes and models are set by what the agent offers", () =>
    Effect.gen(function* () {
      const agent = yield* start(yield* directory, "", { options: { model: "Big", permissionMode: "yolo" } })
      yield* agent.next("system", (json) => json["subtype"] === "notification")
      yield* agent.ask("p1", "x")
      expect(row(agent.lines)).toMatchObject({ model: "big", permissionMode: "code" })
      yield* agent.send(control("c1", { subtype: "set_permission_mode", mode: "plan" }))
      expect((yield* agent.next("control_response"))["response"]).toMatchObject({ subtype: "success" })
      yield* agent.send(control("c2", { subtype: "set_model", model: "gpt" }))
      expect((yield* agent.next("control_response"))["response"]).toMatchObject({
        subtype: "error",
        error: "this agent has no model gpt; it has small, big"
      })
      yield* agent.send(control("c3", { subtype: "mcp_status" }))
      expect((yield* agent.next("control_response"))["response"]).toMatchObject({
        error_code: "unsupported_request"
      })
      yield* agent.ask("p2", "x")
      expect(row(agent.lines)).toMatchObject({ model: "big", permissionMode: "plan" })
    })
  )

  it.scopedLive("junk is reported and passed over; errors of the agent end the turn with their words", () =>
    Effect.gen(function* () {
      const agent = yield* start(yield* directory)
      expect((yield* agent.ask("p1", "junk"))["result"]).toBe("after the junk")
      const bad = agent.lines.flatMap((line) => (line._tag === "Bad" ? [line.excerpt] : []))
      expect(bad).toEqual(["this is no JSON", "[1,2]", '{"jsonrpc":"1.0"}'])
      expect(yield* agent.ask("p2", "fail no credit")).toMatchObject({
        is_error: true,
        errors: ["Internal error: no credit"]
      })
      expect(yield* agent.ask("p3", "stop refusal")).toMatchObject({ is_error: true, stop_reason: "refusal" })
      expect((yield* agent.ask("p4", "call no/such {}"))["result"]).toContain("error -32601")
    })
  )

  it.scopedLive("a reader that does not read holds the agent up, and misses nothing", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const connection = yield* driver(root).connect(spec(root))
      yield* connection.send(user("p1", "flood 20000"))
      // Nobody reads yet: what waits in this process is bounded by buffers, the rest waits in the agent.
      const agent = yield* converse(connection)
      const result = yield* agent.result
      expect(String(result["result"]).split(" ").length).toBe(20_001)
    })
  )
})

describe("an agent built on the protocol's SDK, which checks what it is sent", () => {
  it.scopedLive("takes every call of this side, and gets every answer", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const agent = yield* Effect.flatMap(
        Driver.make({
          directory: join(root, "records"),
          environment: { PATH: process.env["PATH"] }
        }).connect({
          ...spec(root),
          agent: `acp:"${process.execPath}" "${sdkAgent}"`,
          options: {
            model: "big",
            permissionMode: "b",
            additionalDirectories: ["/tmp"],
            mcpServers: Redacted.make({
              stdio: { command: "/bin/true", args: ["-x"], env: { TOKEN: "secret-1" } },
              http: { type: "http", url: "http://127.0.0.1/", headers: { a: "secret-2" } },
              sse: { type: "sse", url: "http://127.0.0.1/" },
              mine: { command: "/bin/true", env: { KEY: "secret-3" } },
              remote: { type: "http", url: "http://127.0.0.1/", headers: { authorization: "secret-4" } },
              neither: { what: 1 }
            })
          }
        }),
        converse
      )
      const notice = yield* agent.next("system", (json) => json["subtype"] === "notification")
      expect(notice["text"]).toBe("sdk-agent cannot use these MCP servers: sse")
      yield* agent.send(user("p1", "everything"))
      const asked = yield* agent.next("control_request")
      yield* agent.send(answer(asked["request_id"], { behavior: "allow" }))
      expect((yield* agent.result)["result"]).toBe("two|out false 4 4|yes|-32602")
      const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }
      const text = {
        type: "document",
        title: "n",
        source: { type: "text", media_type: "text/plain", data: "x" }
      }
      const link = { type: "resource_link", uri: "file:///a", name: "a" }
      expect((yield* agent.ask("p2", [image, text, link]))["result"]).toBe("image,resource,resource_link")
      expect(row(agent.lines)).toMatchObject({ model: "big", permissionMode: "b" })
      expect(agent.lines.filter(({ _tag }) => _tag === "Bad")).toEqual([])
      expect(JSON.stringify(agent.lines)).not.toContain("secret-")
    })
  )
})

describe("the end of the agent and its next start", () => {
  const ended = (agent: { readonly connection: Connection }) => agent.connection.exit

  it.scopedLive("in mid-turn: the turn is reported, and not begun again", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const flags = `--load --resume --state ${join(root, "history")}`
      const first = yield* start(root, flags)
      yield* first.send(user("p1", "crash"))
      expect(yield* first.result).toMatchObject({ is_error: true, terminal_reason: "agent_exited" })
      expect(yield* ended(first)).toEqual({ _tag: "Code", code: 3 })
      const second = yield* start(root, flags, { resume: true, resumeInterrupted: true })
      expect(second.connection.resumed).toBe(true)
      expect(yield* second.ask("p1", "crash")).toMatchObject({ is_error: true, terminal_reason: "swallowed" })
      expect((yield* second.ask("p2", "go on"))["result"]).toBe("echo: go on")
    })
  )

  it.scopedLive("before it took the prompt: it is given again, because its history does not know it", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const flags = `--load --resume --state ${join(root, "history")}`
      const first = yield* start(root, flags)
      yield* first.ask("p0", "hello")
      yield* first.send(user("p1", "die"))
      yield* ended(first)
      yield* first.connection.lines.pipe(Stream.runDrain, Effect.race(ended(first)))
      expect(kinds(first.lines).filter((kind) => kind.startsWith("result"))).toHaveLength(1)
      // It dies of it again: that is what shows that it was given.
      const second = yield* start(root, flags, { resume: true, resumeInterrupted: true })
      yield* second.send(user("p1", "die"))
      expect(yield* ended(second)).toEqual({ _tag: "Code", code: 4 })
      // The history was replayed, and nothing of it written.
      expect(durable(second.lines).filter((line) => line.type === "assistant")).toEqual([])
    })
  )

  it.scopedLive("loading replays the history once, into nothing; resuming needs none", () =>
    Effect.gen(function* () {
      for (const ability of ["--load", "--resume"]) {
        const root = yield* directory
        const flags = `${ability} --state ${join(root, "history")}`
        yield* Effect.scoped(
          Effect.gen(function* () {
            const first = yield* start(root, flags)
            yield* first.ask("p1", "remember me")
          })
        )
        const second = yield* start(root, flags, { resume: true })
        expect(second.connection.resumed).toBe(true)
        yield* second.ask("p2", "and me")
        const texts = conversation(second.lines).items.flatMap((item) =>
          item.kind === "message" ? [item.text] : []
        )
        expect(texts).toEqual(["echo: and me"])
        expect(row(second.lines).permissionMode).toBe(ability === "--load" ? "plan" : "code")
      }
    })
  )

  it.scopedLive("a conversation that starts from another one is forked, where the agent can", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const first = yield* start(root, "--resume --fork")
      yield* first.ask("p1", "hello")
      const id = (n: number) => `0195d9f4-0000-4000-8000-00000000001${n}`
      const child = { agentSessionId: id(2), forkOf: spec(root).agentSessionId }
      const acpSession = (lines: ReadonlyArray<DriverLine>) =>
        durable(lines).find(({ json }) => json["subtype"] === "init")?.json["acp_session_id"]
      const second = yield* start(root, "--resume --fork", child)
      expect(second.connection.resumed).toBe(true)
      yield* second.ask("p2", "forked")
      expect(acpSession(second.lines)).toBe(`stub-session-fork-of-${String(acpSession(first.lines))}`)
      // Its next start goes on with the fork, and does not fork again.
      const third = yield* start(root, "--resume --fork", { ...child, resume: true })
      yield* third.ask("p3", "on")
      expect(acpSession(third.lines)).toBe(acpSession(second.lines))
      const cases = [
        { flags: "--resume", agentSessionId: id(3), forkOf: child.forkOf },
        { flags: "--resume --fork", agentSessionId: id(4), forkOf: id(9) }
      ]
      for (const { flags, ...more } of cases) {
        const other = yield* start(root, flags, more)
        expect(other.connection.resumed).toBe(false)
        const notice = yield* other.next("system", (json) => json["subtype"] === "notification")
        expect(notice["text"]).toContain("begins a new conversation")
      }
    })
  )

  it.scopedLive(
    "an agent that can do neither begins anew and says so; so does one that lost its session",
    () =>
      Effect.gen(function* () {
        for (const flags of ["", "--load"]) {
          const root = yield* directory
          yield* Effect.scoped(Effect.flatMap(start(root, flags), (agent) => agent.ask("p1", "x")))
          const second = yield* start(root, flags, { resume: true })
          expect(second.connection.resumed).toBe(false)
          const notice = yield* second.next("system", (json) => json["subtype"] === "notification")
          expect(notice["text"]).toContain("begins a new conversation")
          expect((yield* second.ask("p2", "y"))["result"]).toBe("echo: y")
        }
      })
  )

  it.scopedLive("closing ends the agent and what it runs in terminals", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const scope = yield* Scope.make()
      const agent = yield* Scope.extend(start(root), scope)
      const fifo = join(root, "held")
      execFileSync("mkfifo", [fifo])
      // Ends when nobody holds the pipe's other end any more: neither the shell nor what it left in the background.
      const held = createReadStream(fifo)
      const started = once(held, "data")
      const released = once(held, "end")
      yield* agent.send(user("p1", `run exec 3> ${fifo}; sleep 600 & echo up >&3; wait`))
      yield* Effect.promise(() => started)
      const pid = agent.connection.pid ?? 0
      yield* Scope.close(scope, Exit.void)
      expect(() => process.kill(pid, 0)).toThrow()
      yield* Effect.promise(() => released)
    })
  )
})

describe("an agent that cannot be started", () => {
  const fails = (agent: string, more: Partial<ConnectSpec> = {}) =>
    Effect.gen(function* () {
      const root = yield* directory
      const outcome = yield* Effect.either(
        driver(root).connect({
          ...spec(root),
          ...more,
          agent: agent.replace("STUB", `"${process.execPath}" "${stub}"`)
        })
      )
      if (Either.isRight(outcome)) return expect.unreachable()
      return outcome.left
    })

  it.scopedLive("says why and what to do", () =>
    Effect.gen(function* () {
      expect(yield* fails("acp:")).toMatchObject({ reason: "NotFound" })
      expect(yield* fails("acp:'unclosed")).toMatchObject({ reason: "NotFound" })
      expect(yield* fails("acp:/no/such/agent --acp")).toMatchObject({ reason: "NotFound" })
      expect(yield* fails("acp:STUB", { cwd: "/no/such/directory" })).toMatchObject({
        reason: "DirectoryMissing"
      })
      const usage = yield* fails("acp:STUB --usage")
      expect(usage).toMatchObject({ reason: "ExitedAtOnce" })
      expect(usage.message).toContain("exit code 2")
      expect(usage.message).toContain("usage: not-an-agent FILE")
      expect(yield* fails("acp:STUB --protocol 7")).toMatchObject({ reason: "WrongVersion" })
      const signedOut = yield* fails("acp:STUB --auth")
      expect(signedOut).toMatchObject({ reason: "SignedOut" })
      expect(signedOut.message).toContain("API key (set STUB_KEY)")
    })
  )
})
