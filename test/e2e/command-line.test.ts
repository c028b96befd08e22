/** What the command line says is true: its lists, its choice of a session, its help, its checks, its ready. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Directory from "../support/Directory.ts"
import * as Program from "../support/Program.ts"
import { call } from "./support/Call.ts"

const machine = Effect.map(Directory.temporary("command"), (root) => ({
  root,
  state: join(root, "state"),
  directory: (name: string) => {
    const path = join(root, name)
    mkdirSync(path, { recursive: true })
    return path
  }
}))

const up = (state: string, cwd: string, ...more: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const program = yield* Program.start(
      ["up", "--agent", "scripted", "--json", "--port", "0", "--state-dir", state, ...more],
      { cwd }
    )
    const ready = yield* program.line((line) => line["event"] === "ready")
    return {
      program,
      session: String(ready["session_id"]),
      hub: { url: String(ready["url"]), token: String(ready["token"]) },
      environmentId: String(ready["environment_id"])
    }
  })

const causeway = (state: string, ...args: ReadonlyArray<string>) =>
  Program.run([...args, "--state-dir", state])

/** Lines for people, of which there may be none. */
const linesOf = (text: string) => text.split("\n").filter((line) => line !== "")

describe("the command line", () => {
  it.scopedLive("approves and denies in the session that waits, and not in the newest one", () =>
    Effect.gen(function* () {
      const { state, directory } = yield* machine
      const first = yield* up(state, directory("a"))
      const second = yield* up(state, directory("b"))
      const watch = yield* Program.start([
        "send",
        first.session,
        "!bash echo done-here",
        "--wait",
        "--json",
        "--state-dir",
        state
      ])
      yield* watch.line((line) => line["event"] === "approval_requested")
      // The other one is used after that: it is the newest.
      expect((yield* causeway(state, "send", second.session, "hello", "--wait")).stdout).toBe("echo: hello\n")
      expect((yield* causeway(state, "sessions", "show", "latest")).stdout).toContain(second.session)

      const approved = yield* causeway(state, "approve", "latest")
      expect(approved).toMatchObject({ code: 0, stdout: expect.stringContaining("allowed Bash") })
      expect(approved.stderr).toContain(`latest is ${first.session}`)
      expect((yield* watch.line((line) => line["event"] === "answered"))["text"]).toContain("done-here")

      const nobody = yield* causeway(state, "deny", "latest")
      expect(nobody).toMatchObject({
        code: 4,
        stderr: expect.stringContaining("no session is waiting for an approval")
      })
    })
  )

  it.scopedLive("lists every session, or says that there are more", () =>
    Effect.gen(function* () {
      const { state, directory } = yield* machine
      const { hub, environmentId } = yield* up(state, directory("a"), "--capacity", "1")
      // Each call opens a socket of its own, and only so many may be signing in at once.
      const made = yield* Effect.forEach(
        Array.from({ length: 120 }),
        () => Effect.promise(() => call(hub, "sessions.begin", { environmentId })),
        { concurrency: 8 }
      )
      const some = made.slice(0, 3).map((each) => String((each["session"] as Program.Line)["id"]))
      yield* Effect.promise(() =>
        Promise.all(some.map((sessionId) => call(hub, "sessions.archive", { sessionId })))
      )
      const listed = yield* causeway(state, "sessions", "list")
      expect(linesOf(listed.stdout)).toHaveLength(118)
      expect(listed.stderr).toContain("--all shows them")
      const all = yield* causeway(state, "sessions", "list", "--all", "--json")
      expect(Program.jsonLines(all)).toHaveLength(121)
      const limited = yield* causeway(state, "sessions", "list", "--limit", "7")
      expect(linesOf(limited.stdout)).toHaveLength(7)
      expect(limited.stderr).toContain("more are not shown: --limit was 7")
    })
  )

  it.scopedLive("makes tokens that end when it was said, and lists until when", () =>
    Effect.gen(function* () {
      const { state, directory } = yield* machine
      yield* up(state, directory("a"))
      expect((yield* causeway(state, "token", "create", "--days", "-3")).code).toBe(2)
      const made = Program.jsonLines(yield* causeway(state, "token", "create", "--days", "3", "--json"))[0]
      const expires = String(made?.["expires_at"])
      expect(Date.parse(expires)).toBeGreaterThan(Date.now() + 2 * 86_400_000)
      const listed = yield* causeway(state, "token", "list")
      expect(linesOf(listed.stdout)).toHaveLength(2)
      expect(listed.stdout).toContain(`good until ${expires}`)
      expect(listed.stdout).toContain("good until revoked")
    })
  )

  it.live("prints help without colour into a pipe, and with it where it is asked for", () =>
    Effect.gen(function* () {
      for (const args of [["--help"], ["up", "--help"], ["sessions", "--help"], ["help", "send"]]) {
        const { code, stdout, stderr } = yield* Program.run(args, { env: { NO_COLOR: "" } })
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
        expect(stdout).not.toContain("\u001b")
        expect(linesOf(stdout).length).toBeLessThanOrEqual(24)
      }
      const forced = yield* Program.run(["--help"], { env: { NO_COLOR: "", FORCE_COLOR: "1" } })
      expect(forced.stdout).toContain("\u001b[1m")
      const neither = yield* Program.run(["--help"], { env: { NO_COLOR: "1", FORCE_COLOR: "1" } })
      expect(neither.stdout).not.toContain("\u001b")
    })
  )

  it.scopedLive(
    "logs what was asked for, wherever the flag stands, and refuses a level that there is not",
    () =>
      Effect.gen(function* () {
        const { state } = yield* machine
        for (const args of [
          ["--log-level", "debug", "token", "list"],
          ["token", "list", "--log-level", "debug"],
          ["token", "--log-level=debug", "list"]
        ]) {
          expect((yield* causeway(state, ...args)).stderr).toMatch(/level=DEBUG.*command/)
        }
        expect((yield* causeway(state, "token", "list")).stderr).not.toContain("level=")
        const variable = yield* Program.run(["token", "list", "--state-dir", state], {
          env: { CAUSEWAY_LOG_LEVEL: "loud" }
        })
        expect(variable).toMatchObject({
          code: 2,
          stderr: expect.stringContaining("CAUSEWAY_LOG_LEVEL is one of")
        })
      })
  )

  it.scopedLive("starts no agent that is not there, and never says ready", () =>
    Effect.gen(function* () {
      const { state, directory, root } = yield* machine
      const empty = directory("path")
      writeFileSync(join(root, "text"), "no program")
      for (const [agent, words] of [
        ["claude", /claude is not on the path/],
        ["acp:nowhere --acp", /nowhere is not on the path/],
        ["acp:./text", /text is not an executable file/],
        ["acp:'open", /never closed/]
      ] as const) {
        for (const flags of [
          ["--agent", agent],
          ["--agent", "scripted", "--offer", agent]
        ]) {
          const ended = yield* Program.run(
            ["up", ...flags, "--json", "--port", "0", "--dir", root, "--state-dir", state],
            { env: { PATH: empty } }
          )
          expect(ended.stdout).not.toContain('"ready"')
          expect(Program.jsonLines(ended).at(-1)).toMatchObject({
            event: "error",
            message: expect.stringMatching(words)
          })
          expect(ended.code).not.toBe(0)
        }
      }
    })
  )

  it.scopedLive("says in doctor, and wherever it needs it, that the SQLite binding cannot be loaded", () =>
    Effect.gen(function* () {
      const { state, root } = yield* machine
      const without = join(root, "without.cjs")
      writeFileSync(
        without,
        `process.dlopen = () => { throw Object.assign(new Error("The module 'better_sqlite3.node'\\nwas compiled against a different Node.js version using\\nNODE_MODULE_VERSION 115."), { code: "ERR_DLOPEN_FAILED" }) }\n`
      )
      const env = { NODE_OPTIONS: `--require=${without}` }
      const doctor = yield* Program.run(["doctor", "--state-dir", state], { env })
      expect(doctor.stdout).toMatch(/bad +sqlite: .*cannot be loaded/)
      expect(doctor.stdout).toContain("npm rebuild better-sqlite3")
      expect(doctor.code).toBe(1)
      for (const args of [
        ["up", "--agent", "scripted", "--port", "0", "--dir", root],
        ["hub", "--port", "0"],
        ["token", "list"]
      ]) {
        const ended = yield* Program.run([...args, "--state-dir", state], { env })
        expect(ended.stderr, args.join(" ")).toContain("npm rebuild better-sqlite3")
        expect(linesOf(ended.stderr).length).toBeLessThanOrEqual(3)
        expect(ended.stderr).not.toMatch(/defect|^ {4}at /m)
        expect(ended.code).toBe(1)
      }
      expect((yield* Program.run(["doctor", "--state-dir", state])).stdout).toMatch(/ok +sqlite: /)
    })
  )
})
