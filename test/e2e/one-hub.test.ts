/** There is one hub on a state directory and on a database, whoever starts what and when. */
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Directory from "../support/Directory.ts"
import * as Program from "../support/Program.ts"

/** A state directory, and directories to work in. */
const machine = Effect.map(Directory.temporary("one"), (root) => ({
  state: join(root, "state"),
  other: join(root, "other-state"),
  directory: (name: string) => {
    const path = join(root, name)
    mkdirSync(path, { recursive: true })
    return path
  }
}))

const up = (state: string, cwd: string, ...more: ReadonlyArray<string>) =>
  Program.start(["up", "--agent", "scripted", "--json", "--port", "0", "--state-dir", state, ...more], {
    cwd
  })

const ready = (program: Program.Program) => program.line((line) => line["event"] === "ready")

const ask = (state: string, session: unknown) =>
  Program.run(["send", String(session), "hello", "--wait", "--json", "--state-dir", state])

const answered = (ended: Program.Ended) => Program.jsonLines(ended).at(-1)

const stop = (program: Program.Program) => Effect.zipRight(program.kill("SIGTERM"), program.ended)

describe("one hub on a state directory", () => {
  it.scopedLive(
    "a start in another directory attaches it to the hub that runs, and its end leaves that one to be found",
    () =>
      Effect.gen(function* () {
        const { state, directory } = yield* machine
        const first = yield* up(state, directory("a"))
        const one = yield* ready(first)
        const second = yield* up(state, directory("b"))
        const two = yield* ready(second)
        expect(two["url"]).toBe(one["url"])
        expect(two["session_id"]).not.toBe(one["session_id"])
        for (const session of [one["session_id"], two["session_id"]]) {
          expect(answered(yield* ask(state, session))).toMatchObject({
            event: "answered",
            text: "echo: hello"
          })
        }

        const end = yield* stop(second)
        expect(end.code).toBe(0)
        const record: unknown = JSON.parse(readFileSync(join(state, "hub.json"), "utf8"))
        expect(record).toMatchObject({ pid: first.pid, url: one["url"], directory: directory("a") })
        expect(answered(yield* ask(state, one["session_id"]))).toMatchObject({ event: "answered" })
        yield* stop(first)
        expect(existsSync(join(state, "hub.json"))).toBe(false)
      })
  )

  it.scopedLive("of starts at the same moment one is the hub, and every directory is attached to it", () =>
    Effect.gen(function* () {
      const { state, directory } = yield* machine
      const programs = yield* Effect.forEach(["a", "b", "c", "d"], (name) => up(state, directory(name)), {
        concurrency: "unbounded"
      })
      const lines = yield* Effect.forEach(programs, ready, { concurrency: "unbounded" })
      expect(new Set(lines.map((line) => line["url"])).size).toBe(1)
      expect(new Set(lines.map((line) => line["session_id"])).size).toBe(4)
      for (const line of lines) {
        expect(answered(yield* ask(state, line["session_id"]))).toMatchObject({ event: "answered" })
      }
    })
  )

  it.scopedLive("a start while the hub ends waits for that, and is the next hub", () =>
    Effect.gen(function* () {
      const { state, directory } = yield* machine
      const first = yield* up(state, directory("a"))
      yield* ready(first)
      yield* first.kill("SIGTERM")
      const next = yield* Effect.forEach(["a", "b"], (name) => up(state, directory(name)), {
        concurrency: "unbounded"
      })
      const lines = yield* Effect.forEach(next, ready, { concurrency: "unbounded" })
      expect((yield* first.ended).code).toBe(0)
      for (const line of lines) {
        expect(answered(yield* ask(state, line["session_id"]))).toMatchObject({ event: "answered" })
      }
    })
  )

  it.scopedLive("a second hub says who runs where and what to do, and changes nothing", () =>
    Effect.gen(function* () {
      const { state, directory } = yield* machine
      const first = yield* up(state, directory("a"))
      const { url } = yield* ready(first)
      const before = readFileSync(join(state, "hub.json"), "utf8")
      const second = yield* Program.run(["hub", "--port", "0", "--state-dir", state])
      expect(second.code).toBe(1)
      expect(second.stderr).toContain(`process ${first.pid}`)
      expect(second.stderr).toContain(directory("a"))
      expect(second.stderr).toContain(String(url))
      expect(second.stderr).toMatch(/since \d{4}-/)
      expect(second.stderr).toContain("--state-dir")
      expect(readFileSync(join(state, "hub.json"), "utf8")).toBe(before)
    })
  )

  it.scopedLive("its database is not served from another state directory either", () =>
    Effect.gen(function* () {
      const { state, other, directory } = yield* machine
      const first = yield* up(state, directory("a"))
      const { url } = yield* ready(first)
      const second = yield* Program.run([
        "hub",
        "--port",
        "0",
        "--state-dir",
        other,
        "--database-url",
        `sqlite:${state}/hub.db`
      ])
      expect(second.code).toBe(1)
      expect(second.stderr).toContain(`process ${first.pid}, at ${String(url)}`)
      expect(existsSync(join(other, "hub.json"))).toBe(false)
    })
  )

  it.scopedLive("what a hub leaves behind that was killed is taken over at once", () =>
    Effect.gen(function* () {
      const { state, directory } = yield* machine
      for (let start = 0; start < 3; start++) {
        const program = yield* up(state, directory("a"))
        const { url, session_id: session } = yield* ready(program)
        expect(JSON.parse(readFileSync(join(state, "hub.json"), "utf8"))).toMatchObject({
          pid: program.pid,
          url
        })
        expect(answered(yield* ask(state, session))).toMatchObject({ event: "answered" })
        yield* program.kill("SIGKILL")
        yield* program.ended
        const alone = yield* Program.run(["sessions", "list", "--state-dir", state])
        expect(alone.code).toBe(1)
        expect(alone.stderr).toContain(`no hub is running for the state directory ${state}`)
      }
    })
  )

  it.scopedLive("a port that is taken names the way to what has it", () =>
    Effect.gen(function* () {
      const { state, other, directory } = yield* machine
      const first = yield* up(state, directory("a"))
      const url = String((yield* ready(first))["url"])
      const second = yield* Program.run(
        ["up", "--agent", "scripted", "--port", new URL(url).port, "--state-dir", other],
        { cwd: directory("b") }
      )
      expect(second.code).toBe(1)
      expect(second.stderr).toContain(`connect --hub ${url}`)
      expect(existsSync(join(other, "hub.json"))).toBe(false)
    })
  )

  it.scopedLive("the same directory a second time is told where it runs", () =>
    Effect.gen(function* () {
      const { state, directory } = yield* machine
      const first = yield* up(state, directory("a"))
      yield* ready(first)
      const second = yield* Program.run(["up", "--agent", "scripted", "--state-dir", state], {
        cwd: directory("a")
      })
      expect(second.code).toBe(1)
      expect(second.stderr).toContain(`process ${first.pid}`)
      expect(second.stderr).toContain("devices code")
    })
  )
})
