/**
 * The session manager through the running program: what people decided ahead, going on from a session, stopping all, files
 * that agents read, directories, and how an agent is started. Source: spec 3.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Gateway from "../../packages/hub/test/Gateway/harness.ts"
import * as Program from "../support/Program.ts"

const machine = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-manager-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const start = (directory: string) =>
  Effect.gen(function* () {
    const state = join(directory, "state")
    const policy = { skip_permissions: true, mcp_servers: "any" }
    mkdirSync(state, { recursive: true, mode: 0o700 })
    writeFileSync(join(state, "policy.json"), JSON.stringify(policy), { mode: 0o600 })
    const program = yield* Program.start(
      ["up", "--agent", "scripted", "--json", "--port", "0", "--state-dir", state, "--dir", directory],
      { env: { PATH: process.env["PATH"] ?? "" } }
    )
    const ready = yield* program.line((line) => line["event"] === "ready")
    return { program, state, url: String(ready["gateway_url"]), ready }
  })

/** `up` with the scripted agent, and a client of its gateway. */
const up = Effect.gen(function* () {
  const directory = yield* machine
  const { program, ready, state, url } = yield* start(directory)
  const token = String(ready["token"])
  const client = yield* Gateway.connected({ url: `${url}/gateway`, token })
  return { client, directory, program, state, token, environmentId: String(ready["environment_id"]) }
})

const call = (client: Gateway.Client, method: string, params?: object) =>
  Effect.promise(() => client.call(method, params))

const begin = (client: Gateway.Client, environmentId: string, context: object = {}) =>
  Effect.map(call(client, "causeway.sessions.begin", { environmentId, context }), ({ session }) =>
    String(session.id)
  )

const show = (client: Gateway.Client, sessionId: string) =>
  Effect.map(call(client, "causeway.sessions.show", { sessionId }), ({ session }) => session)

/** Sends to a session, waits for the end of its turn, and answers with what the agent said. */
const ask = (state: string, session: string, text: string) =>
  Effect.map(Program.run(["send", session, text, "--wait", "--json", "--state-dir", state]), (ended) => {
    const answered = Program.jsonLines(ended).find((line) => line["event"] === "answered")
    if (answered === undefined) throw new Error(`nothing was answered: ${ended.stdout}${ended.stderr}`)
    return String(answered["text"])
  })

const send = (state: string, session: string, text: string) =>
  Program.run(["send", session, text, "--json", "--state-dir", state])

/** The first line of a session's log, from its beginning, that matches. */
const logged = (state: string, session: string, matches: (payload: Program.Line) => boolean) =>
  Effect.scoped(
    Effect.gen(function* () {
      const logs = yield* Program.start(["logs", session, "--follow", "--json", "--state-dir", state])
      const line = yield* logs.line(({ payload }) => matches((payload ?? {}) as Program.Line))
      return line["payload"] as Program.Line
    })
  )

/** What a command prints for programs. */
const causeway = (state: string, ...args: ReadonlyArray<string>) =>
  Effect.map(Program.run([...args, "--json", "--state-dir", state]), (ended) => {
    if (ended.code !== 0) throw new Error(`${args.join(" ")}: ${ended.stdout}${ended.stderr}`)
    return Program.jsonLines(ended)
  })

const isQuestion = ({ type }: Program.Line) => type === "control_request"

describe("what people decided ahead", () => {
  it.scopedLive(
    "accepts edits, asks for the rest, and settles what is open once everything is allowed",
    () =>
      Effect.gen(function* () {
        const { client, directory, environmentId, state } = yield* up
        const sessionId = yield* begin(client, environmentId)
        yield* causeway(state, "sessions", "settings", sessionId, "--auto-accept-edits", "on")
        yield* ask(state, sessionId, "!write made.txt by hand")
        expect(readFileSync(join(directory, "made.txt"), "utf8")).toBe("by hand")

        yield* send(state, sessionId, "!bash echo out")
        const question = yield* logged(
          state,
          sessionId,
          (payload) => isQuestion(payload) && JSON.stringify(payload).includes("echo out")
        )
        expect((yield* show(client, sessionId)).run_status).toBe("waiting_input")
        const [set] = yield* causeway(state, "sessions", "settings", sessionId, "--skip-permissions", "15m")
        expect(set).toMatchObject({
          settings: { skip_permissions: true, skip_permissions_until: expect.any(Number) }
        })
        const answer = yield* logged(
          state,
          sessionId,
          ({ type, decided_by: by }) => type === "control_response" && by === "skip_permissions"
        )
        expect(answer["response"]).toMatchObject({ request_id: question["request_id"] })
        yield* logged(
          state,
          sessionId,
          (payload) => payload["type"] === "result" && payload["result"] === "done: out"
        )
        const after = yield* show(client, sessionId)
        expect(after).toMatchObject({ run_status: "completed", pending_approvals: [] })
        expect(after.agent_settings).toMatchObject({ auto_accept_edits: true, skip_permissions: true })
      }),
    180_000
  )

  it.scopedLive(
    "holds over kill -9, and ends at its time, which is told",
    () =>
      Effect.gen(function* () {
        const { client, directory, environmentId, program, state, token } = yield* up
        const sessionId = yield* begin(client, environmentId)
        const bounded = yield* begin(client, environmentId)
        yield* ask(state, bounded, "hello")
        yield* call(client, "causeway.sessions.settings", { sessionId, settings: { skip_permissions: true } })
        yield* ask(state, sessionId, "!bash echo before")
        yield* call(client, "causeway.sessions.settings", {
          sessionId: bounded,
          settings: { skip_permissions: true, skip_permissions_for_ms: 2_000 }
        })
        yield* program.kill("SIGKILL")
        yield* program.ended

        const again = yield* start(directory)
        const next = yield* Gateway.connected({ url: `${again.url}/gateway`, token })
        expect(yield* ask(state, sessionId, "!bash echo after")).toBe("done: after")
        // Whoever holds the session tells of the end, also where its time passed while nobody did.
        yield* send(state, bounded, "!bash echo asked")
        yield* logged(state, bounded, ({ type, reason, skip_permissions: skips }) =>
          type === "session_update" ? reason === "expired" && skips === false : false
        )
        yield* logged(state, bounded, isQuestion)
        expect(yield* show(next, bounded)).toMatchObject({
          run_status: "waiting_input",
          agent_settings: { skip_permissions: false, skip_permissions_until: null }
        })
      }),
    180_000
  )
})

describe("going on from a session", () => {
  it.scopedLive(
    "takes over its conversation and merges its options one by one; the old one stays as it is",
    () =>
      Effect.gen(function* () {
        const { client, environmentId, state } = yield* up
        const options = { max_turns: 9, append_system_prompt: "short", disallowed_tools: ["WebFetch"] }
        const parent = yield* begin(client, environmentId, { options })
        yield* ask(state, parent, "the first word")
        yield* call(client, "causeway.sessions.settings", {
          sessionId: parent,
          settings: { auto_accept_edits: true }
        })
        const flags = ["--title", "goes on", "--append-system-prompt", "long"]
        const [made] = yield* causeway(state, "sessions", "continue", parent, "!recall", ...flags)
        expect(made).toMatchObject({ event: "continued", parent_session_id: parent })
        const child = yield* show(client, String(made?.["session_id"]))
        expect(child).toMatchObject({
          title: "goes on",
          agent_settings: { auto_accept_edits: true },
          session_context: { options: { append_system_prompt: "long", disallowed_tools: ["WebFetch"] } }
        })
        expect(child.session_context.options).not.toHaveProperty("max_turns")
        const said = yield* logged(state, child.id, ({ type }) => type === "result")
        expect(String(said["result"])).toMatch(/^recalls: the first word \| echo: the first word/)
        expect(yield* ask(state, parent, "!say as it was")).toBe("as it was")

        expect([child.continued_from, (yield* show(client, parent)).continued_in]).toEqual([
          parent,
          [child.id]
        ])
        const leaves = (yield* causeway(state, "sessions", "list", "--leaves")).map(({ id }) => id)
        expect(leaves).toContain(child.id)
        expect(leaves).not.toContain(parent)
      }),
    180_000
  )

  it.scopedLive(
    "interrupts the turn that is going on first",
    () =>
      Effect.gen(function* () {
        const { client, environmentId, state } = yield* up
        const parent = yield* begin(client, environmentId)
        yield* send(state, parent, "!hang")
        yield* logged(state, parent, ({ type, subtype }) => type === "system" && subtype === "init")
        const { session: child } = yield* call(client, "causeway.sessions.continue", {
          sessionId: parent,
          message: "!say on"
        })
        yield* logged(state, child.id, ({ type, result }) => type === "result" && result === "on")
        expect((yield* show(client, parent)).run_status).toBe("interrupted")
        expect(yield* show(client, child.id)).toMatchObject({ run_status: "completed" })
      }),
    180_000
  )
})

describe("all sessions", () => {
  it.scopedLive(
    "are stopped within a bound, and their directories are known",
    () =>
      Effect.gen(function* () {
        const { client, directory, environmentId, state } = yield* up
        const first = yield* begin(client, environmentId)
        const second = yield* begin(client, environmentId)
        for (const each of [first, second]) {
          yield* send(state, each, "!hang")
          yield* logged(state, each, ({ type, subtype }) => type === "system" && subtype === "init")
        }
        expect(yield* causeway(state, "sessions", "stop", first)).toMatchObject([
          { stopped: [first], running: [] }
        ])
        expect((yield* show(client, second)).run_status).toBe("running")
        expect(yield* causeway(state, "sessions", "stop", "--all", "--within", "30s")).toMatchObject([
          { stopped: [second], running: [] }
        ])
        for (const each of [first, second]) {
          expect((yield* show(client, each)).run_status).toBe("interrupted")
        }
        expect(yield* call(client, "causeway.sessions.stopAll", {})).toEqual({ running: [], stopped: [] })
        const used = yield* causeway(state, "directories")
        expect(used).toMatchObject([{ path: directory, environment_id: environmentId }])
        expect(Number(used[0]?.["usage_count"])).toBeGreaterThanOrEqual(2)
      }),
    180_000
  )
})

describe("an agent", () => {
  it.scopedLive(
    "is started with the MCP servers and options that its session asks for; files that it reads are kept",
    () =>
      Effect.gen(function* () {
        const { client, directory, environmentId, state } = yield* up
        writeFileSync(join(directory, "in.txt"), "inside\n")
        const sessionId = yield* begin(client, environmentId, {
          options: { mcp_servers: { notes: { command: "notes-server", env: { KEY: "secret" } } } }
        })
        yield* ask(state, sessionId, "!read in.txt")
        const init = yield* logged(
          state,
          sessionId,
          ({ type, subtype }) => type === "system" && subtype === "init"
        )
        expect(init["mcp_servers"]).toMatchObject([{ name: "notes" }])
        const [kept] = yield* causeway(state, "sessions", "snapshots", sessionId)
        expect(kept).toMatchObject({ path: "in.txt", bytes: 7, truncated: false })
        const read = String(kept?.["tool_use_id"])
        const printed = yield* Program.run(["sessions", "snapshots", sessionId, read, "--state-dir", state])
        expect(printed.stdout).toBe("inside\n")
      }),
    180_000
  )
})
