/**
 * The published Claude Code CLI through the whole program: prompts, a permission answered from the terminal, an
 * interrupt, the transcript exported, and the session carried into another checkout where the CLI resumes it with its
 * history; and the session manager (spec 3): what is decided ahead, over kill -9 too, going on in a new session, files that
 * were read, MCP servers, stopping all. Opt-in: the CLI is nobody's dependency. Runs when both are set:
 *
 *     CAUSEWAY_TEST_CLAUDE        path of `claude`
 *     CAUSEWAY_TEST_MESSAGES_API  path of a module with `startFakeMessagesApi({ port }) → { url, requests, close }`
 */
import { execFile, execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Program from "../support/Program.ts"

const claude = process.env["CAUSEWAY_TEST_CLAUDE"]
const messagesApi = process.env["CAUSEWAY_TEST_MESSAGES_API"]
const wanted = claude !== undefined && messagesApi !== undefined && !messagesApi.startsWith("http")

if (!wanted) {
  process.stderr.write(
    "claude.real: DID NOT RUN: set CAUSEWAY_TEST_CLAUDE and CAUSEWAY_TEST_MESSAGES_API to carry the real Claude CLI\n"
  )
}

interface MessagesApi {
  readonly url: string
  readonly requests: ReadonlyArray<{
    readonly body?: {
      readonly tools?: ReadonlyArray<unknown>
      readonly messages?: unknown
      readonly system?: unknown
      readonly model?: string
    }
  }>
  readonly close: () => Promise<void>
}

const startApi = Effect.acquireRelease(
  Effect.promise(async () => {
    const module: { startFakeMessagesApi: (options: object) => Promise<MessagesApi> } = await import(
      /* @vite-ignore */ pathToFileURL(messagesApi ?? "").href
    )
    return module.startFakeMessagesApi({ port: 0 })
  }),
  (api) => Effect.promise(() => api.close())
)

/** A machine of its own with two checkouts of one repository. */
const machine = Effect.gen(function* () {
  const root = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-claude-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
  )
  const git = (cwd: string, ...args: ReadonlyArray<string>) =>
    execFileSync("git", ["-c", "user.email=t@example.com", "-c", "user.name=t", ...args], { cwd })
  for (const name of ["origin", "home", "tmp"]) mkdirSync(join(root, name))
  git(join(root, "origin"), "init", "-q", "-b", "main")
  writeFileSync(join(root, "origin", "notes.txt"), "the sea is blue\n")
  git(join(root, "origin"), "add", ".")
  git(join(root, "origin"), "commit", "-qm", "notes")
  for (const name of ["here", "there"]) git(root, "clone", "-q", "origin", name)
  return { root, here: join(root, "here"), there: join(root, "there"), state: join(root, "state") }
})

/** What the CLI is started in: a home of its own, and the model that the test answers for. */
const environment = (root: string, api: MessagesApi) => ({
  HOME: join(root, "home"),
  TMPDIR: join(root, "tmp"),
  CLAUDE_CONFIG_DIR: join(root, "home", ".claude"),
  ANTHROPIC_BASE_URL: api.url,
  ANTHROPIC_API_KEY: "dummy",
  DISABLE_AUTOUPDATER: "1",
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  // Started in a terminal of Claude Code itself.
  CLAUDECODE: "1",
  CLAUDE_CODE_CHILD_SESSION: "1",
  CLAUDE_CODE_SESSION_ID: "11111111-1111-4111-8111-111111111111",
  CLAUDE_CODE_SSE_PORT: "1",
  CLAUDE_CODE_ENTRYPOINT: "cli",
  PATH: `${dirname(claude ?? "")}${delimiter}${process.env["PATH"] ?? ""}`
})

/** An MCP server whose one tool tells the secret that the server was started with. */
const MCP_SERVER = `
const answer = (id, result) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, result }) + "\\n")
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line)
  if (method === "initialize") {
    answer(id, { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "notes", version: "1" } })
  } else if (method === "tools/list") {
    answer(id, { tools: [{ name: "tell", description: "Tells", inputSchema: { type: "object", properties: {} } }] })
  } else if (method === "tools/call") {
    answer(id, { content: [{ type: "text", text: "told " + process.env.KEY }] })
  } else if (id !== undefined) answer(id, {})
})
`

describe("the real Claude Code CLI", () => {
  it.scopedLive.skipIf(!wanted)("is driven from the terminal and carried to another checkout", () =>
    Effect.gen(function* () {
      const { root, here, there, state } = yield* machine
      const api = yield* startApi
      const env = environment(root, api)
      const causeway = (...args: ReadonlyArray<string>) =>
        Program.run([...args, "--state-dir", state], { cwd: there, env })
      const up = yield* Program.start(["up", "--json", "--port", "0", "--state-dir", state], {
        cwd: here,
        env
      })
      const session = String((yield* up.line((line) => line["event"] === "ready"))["session_id"])
      const send = (text: string) =>
        Program.start(["send", session, text, "--wait", "--json", "--state-dir", state], { env })
      const answerOf = (program: Program.Program) =>
        Effect.map(
          program.line((line) => line["event"] === "answered"),
          (line) => String(line["text"])
        )

      expect(yield* Effect.flatMap(send(`!read ${join(here, "notes.txt")}`), answerOf)).toContain(
        "the sea is blue"
      )

      const command = yield* send("!bash echo made > made.txt && cat made.txt")
      yield* command.line((line) => line["event"] === "approval_requested")
      expect((yield* causeway("approve", session)).code).toBe(0)
      expect(yield* answerOf(command)).toBe("done: made")

      const long = yield* send("!slow 200 100")
      yield* long.line((line) => line["status"] === "DELIVERY_STATUS_PROCESSING")
      expect((yield* causeway("interrupt", session)).code).toBe(0)
      expect((yield* long.ended).code).toBe(1)

      expect(yield* Effect.flatMap(send("a second turn"), answerOf)).toBe("echo: a second turn")

      const exported = Program.jsonLines(yield* causeway("sessions", "export", session))
      const text = JSON.stringify(exported)
      for (const said of ["!bash echo made", "done: made", "echo: a second turn"]) {
        expect(text.split(said)).toHaveLength(2)
      }

      const carried = Program.jsonLines(yield* causeway("teleport", session, "--json"))[0]
      expect(carried).toMatchObject({ event: "teleported", entries: exported.length })
      // Not the synchronous form: the model it asks is served by this process.
      yield* Effect.async<void, Error>((resume) => {
        const child = execFile(
          claude ?? "",
          ["--resume", String(carried?.["agent_session_id"]), "-p", "what came before?"],
          { cwd: there, env },
          (error) => resume(error === null ? Effect.void : Effect.fail(error))
        )
        child.stdin?.end()
      })
      const asked = api.requests.filter(({ body }) => (body?.tools ?? []).length > 0).at(-1)
      const history = JSON.stringify(asked?.body?.messages)
      for (const said of ["the sea is blue", "done: made", "a second turn", "what came before?"]) {
        expect(history).toContain(said)
      }
      yield* up.kill("SIGTERM")
      expect((yield* up.ended).code).toBe(0)
    })
  )

  it.scopedLive.skipIf(!wanted)("does all of the session manager through the running program", () =>
    Effect.gen(function* () {
      const { root, here, state } = yield* machine
      const api = yield* startApi
      const env = environment(root, api)
      const start = Effect.gen(function* () {
        const program = yield* Program.start(["up", "--json", "--port", "0", "--state-dir", state], {
          cwd: here,
          env
        })
        return { program, ready: yield* program.line((line) => line["event"] === "ready") }
      })
      const causeway = (...args: ReadonlyArray<string>) =>
        Effect.map(Program.run([...args, "--json", "--state-dir", state], { cwd: here, env }), (ended) => {
          if (ended.code !== 0) throw new Error(`${args.join(" ")}: ${ended.stdout}${ended.stderr}`)
          return Program.jsonLines(ended)
        })
      const show = (session: string) => Effect.map(causeway("sessions", "show", session), ([row = {}]) => row)
      const send = (session: string, text: string) =>
        Program.start(["send", session, text, "--wait", "--json", "--state-dir", state], { env })
      const ask = (session: string, text: string) =>
        Effect.map(
          Effect.flatMap(send(session, text), ({ line }) => line(({ event }) => event === "answered")),
          ({ text }) => String(text)
        )
      /** Waits for a line of the log. */
      const logged = (session: string, matches: (payload: Program.Line) => boolean) =>
        Effect.flatMap(Program.start(["logs", session, "--follow", "--json", "--state-dir", state]), (logs) =>
          Effect.map(
            logs.line(({ payload }) => matches((payload ?? {}) as Program.Line)),
            ({ payload }) => payload as Program.Line
          )
        )
      const lastAsked = () => api.requests.filter(({ body }) => (body?.tools ?? []).length > 0).at(-1)?.body

      // The owner of the machine allows it.
      mkdirSync(state, { mode: 0o700 })
      writeFileSync(join(state, "policy.json"), '{"skip_permissions":true,"mcp_servers":"any"}', {
        mode: 0o600
      })
      const first = yield* start
      const { environment_id: environmentId, token, url } = first.ready
      writeFileSync(join(root, "notes.cjs"), MCP_SERVER)
      const server = { command: process.execPath, args: [join(root, "notes.cjs")], env: { KEY: "k3y" } }
      const created = yield* Effect.promise(() =>
        fetch(`${String(url)}/v1/sessions`, {
          method: "POST",
          headers: { authorization: `Bearer ${String(token)}`, "anthropic-beta": "ccr-byoc-2025-07-29" },
          body: JSON.stringify({
            environment_id: environmentId,
            session_context: {
              options: { append_system_prompt: "MARK ONE", mcp_servers: { notes: server } }
            }
          })
        }).then((response) => response.json() as Promise<Program.Line>)
      )
      const parent = String(created["id"])
      expect(JSON.stringify(created)).not.toContain("k3y")

      // Edits are accepted, other things asked for.
      yield* causeway("sessions", "settings", parent, "--auto-accept-edits", "on")
      expect(yield* ask(parent, `!write ${join(here, "made.txt")} by hand`)).toMatch(/^done: /)
      expect(readFileSync(join(here, "made.txt"), "utf8")).toContain("by hand")
      expect(JSON.stringify(lastAsked()?.system)).toContain("MARK ONE")

      // A file as the agent read it.
      yield* ask(parent, `!read ${join(here, "notes.txt")}`)
      const [kept] = yield* causeway("sessions", "snapshots", parent)
      expect(kept).toMatchObject({ path: expect.stringMatching(/notes\.txt$/), truncated: false })
      const [file] = yield* causeway("sessions", "snapshots", parent, String(kept?.["tool_use_id"]))
      expect(file).toMatchObject({ text: "the sea is blue\n" })

      // Everything is allowed for an hour: the MCP server has its secret, and kill -9 ends nothing.
      const [set] = yield* causeway("sessions", "settings", parent, "--skip-permissions", "1h")
      expect(yield* ask(parent, "!tool mcp__notes__tell {}")).toContain("told k3y")
      yield* first.program.kill("SIGKILL")
      yield* first.program.ended
      yield* start
      expect((yield* show(parent))["agent_settings"]).toEqual(set?.["settings"])
      expect(yield* ask(parent, "!bash echo after > after.txt && cat after.txt")).toBe("done: after")
      expect(JSON.stringify(yield* show(parent))).not.toContain("k3y")

      // Going on interrupts the turn first; options that are named are other ones, the rest is inherited.
      const long = yield* send(parent, "!slow 300 100")
      yield* long.line((line) => line["status"] === "DELIVERY_STATUS_PROCESSING")
      const flags = ["--append-system-prompt", "MARK TWO", "--model", "fake-model-2", "--title", "goes on"]
      const [made] = yield* causeway("sessions", "continue", parent, "what came before?", ...flags)
      const child = String(made?.["session_id"])
      yield* logged(child, ({ type }) => type === "result")
      expect((yield* long.ended).code).toBe(1)
      const asked = lastAsked()
      expect(asked?.model).toBe("fake-model-2")
      const system = JSON.stringify(asked?.system)
      expect([system.includes("MARK ONE"), system.includes("MARK TWO")]).toEqual([false, true])
      const history = JSON.stringify(asked?.messages)
      for (const said of ["by hand", "told k3y", "done: after", "what came before?"]) {
        expect(history).toContain(said)
      }
      expect(yield* show(parent)).toMatchObject({ run_status: "interrupted", continued_in: [child] })
      expect(yield* show(child)).toMatchObject({
        run_status: "completed",
        continued_from: parent,
        title: "goes on",
        agent_settings: set?.["settings"]
      })
      expect(yield* ask(child, "!tool mcp__notes__tell {}")).toContain("told k3y")
      // The old one stays as it was, and can be gone on with itself.
      expect(yield* ask(parent, "still here")).toBe("echo: still here")
      const leaves = (yield* causeway("sessions", "list", "--leaves")).map(({ id }) => id)
      expect([leaves.includes(parent), leaves.includes(child)]).toEqual([false, true])
      expect(yield* causeway("directories")).toMatchObject([{ path: here }])

      // The skipping ends at its time, which is told; then a person is asked again.
      yield* causeway("sessions", "settings", child, "--skip-permissions", "1s")
      yield* logged(child, ({ reason, skip_permissions: skips }) => reason === "expired" && skips === false)
      const question = yield* send(child, "!bash echo asked > asked.txt && cat asked.txt")
      yield* question.line((line) => line["event"] === "approval_requested")

      // All are stopped within a bound: one that waits for a person, and one that hangs.
      const hanging = yield* send(parent, "!hang")
      yield* hanging.line((line) => line["status"] === "DELIVERY_STATUS_PROCESSING")
      const [stopped] = yield* causeway("sessions", "stop", "--all", "--within", "20s")
      expect(new Set(stopped?.["stopped"] as ReadonlyArray<string>)).toEqual(new Set([parent, child]))
      expect(stopped?.["running"]).toEqual([])
    })
  )
})
