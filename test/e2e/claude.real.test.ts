/**
 * The published Claude Code CLI through the whole program: prompts, a permission answered from the terminal, an
 * interrupt, the transcript exported, and the session carried into another checkout where the CLI resumes it with its
 * history. Opt-in: the CLI is nobody's dependency. Runs when both are set:
 *
 *     CAUSEWAY_TEST_CLAUDE        path of `claude`
 *     CAUSEWAY_TEST_MESSAGES_API  path of a module with `startFakeMessagesApi({ port }) → { url, requests, close }`
 */
import { execFile, execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
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
    readonly body?: { readonly tools?: ReadonlyArray<unknown>; readonly messages?: unknown }
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

describe("the real Claude Code CLI", () => {
  it.scopedLive.skipIf(!wanted)("is driven from the terminal and carried to another checkout", () =>
    Effect.gen(function* () {
      const { root, here, there, state } = yield* machine
      const api = yield* startApi
      const env = {
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
      }
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
})
