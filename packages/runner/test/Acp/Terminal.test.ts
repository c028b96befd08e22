import { execFileSync } from "node:child_process"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Terminal from "../../src/Acp/Terminal.ts"
import * as OutputTail from "../../src/Process/OutputTail.ts"

const root = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "acp-terminal-")))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)
const terminals = Effect.flatMap(root, (path) => Terminal.make(path, { PATH: process.env["PATH"] ?? "" }))

describe("the end of an output", () => {
  it.prop(
    "is a suffix of the text, within the limit, without torn characters; what it holds is bounded",
    [
      FastCheck.fullUnicodeString({ maxLength: 80 }),
      FastCheck.array(FastCheck.integer({ min: 1, max: 9 })),
      FastCheck.nat({ max: 60 })
    ],
    ([text, cuts, limit]) => {
      const bytes = Buffer.from(text, "utf8")
      const tail = OutputTail.make(limit)
      const whole = bytes.toString("utf8")
      let at = 0
      for (const cut of [...cuts, bytes.length]) {
        tail.push(bytes.subarray(at, at + cut))
        at = Math.min(bytes.length, at + cut)
        const { output, truncated } = tail.read()
        expect(Buffer.byteLength(output)).toBeLessThanOrEqual(limit)
        expect(whole.includes(output)).toBe(true)
        expect(tail.held()).toBeLessThanOrEqual(2 * limit + Math.max(cut, 0))
        if (at <= limit) expect(truncated).toBe(false)
        else expect(truncated).toBe(true)
      }
      tail.end()
      const { output } = tail.read()
      expect(whole.endsWith(output)).toBe(true)
      // No more is cut than one character's bytes.
      expect(Buffer.byteLength(output)).toBeGreaterThan(Math.min(limit, bytes.length) - 4)
    },
    { fastCheck: { numRuns: 2000 } }
  )

  it("shows a torn end only when nothing can complete it", () => {
    const tail = OutputTail.make(10)
    tail.push(Buffer.from("aü").subarray(0, 2))
    expect(tail.read().output).toBe("a")
    tail.end()
    expect(tail.read().output).toBe("a\uFFFD")
  })
})

describe("a terminal", () => {
  it.scopedLive("runs a program with arguments, or a line of the shell", () =>
    Effect.gen(function* () {
      const { create, output, release, waitForExit } = yield* terminals
      for (const [params, expected] of [
        [{ command: "printf", args: ["%s|", "a b", "$HOME"] }, "a b|$HOME|"],
        [{ command: "printf x; printf y >&2; exit 3" }, "xy"],
        [{ command: "printenv", args: ["ADDED"], env: [{ name: "ADDED", value: "v" }] }, "v\n"]
      ] as const) {
        const made = yield* create(params)
        const status = yield* waitForExit(made)
        const said = yield* output(made)
        expect([...said.output].sort()).toEqual([...expected].sort())
        expect(said).toMatchObject({ truncated: false, exitStatus: status })
        yield* release(made)
        const gone = yield* Effect.flip(output(made))
        expect(gone.code).toBe(-32002)
      }
    })
  )

  it.scopedLive("keeps the end of its output within the limit", () =>
    Effect.gen(function* () {
      const { create, output, waitForExit } = yield* terminals
      const made = yield* create({ command: "printf 'aaaaaaaüü'", outputByteLimit: 5 })
      yield* waitForExit(made)
      expect(yield* output(made)).toMatchObject({ output: "aüü", truncated: true })
      const none = yield* create({ command: "printf x", outputByteLimit: 0 })
      yield* waitForExit(none)
      expect(yield* output(none)).toMatchObject({ output: "", truncated: true })
    })
  )

  it.scopedLive("is killed with all that it started, and stays readable until it is released", () =>
    Effect.gen(function* () {
      const { create, kill, output, waitForExit } = yield* terminals
      const fifo = join(yield* root, "up")
      execFileSync("mkfifo", [fifo])
      const up = readFile(fifo)
      // The end of the output says that nobody holds it any more: the kill reached the child in the background too.
      const made = yield* create({
        command: `trap '' TERM; echo said; sleep 600 & echo > ${fifo}; wait; wait`
      })
      yield* Effect.promise(() => up)
      yield* kill(made)
      expect(yield* waitForExit(made)).toEqual({ exitCode: null, signal: "SIGKILL" })
      expect((yield* output(made)).output).toBe("said\n")
      yield* kill(made)
    })
  )

  it.scopedLive("works in the directory or below it, and nowhere else", () =>
    Effect.gen(function* () {
      const path = yield* root
      const { create, output, waitForExit } = yield* Terminal.make(path, { PATH: process.env["PATH"] ?? "" })
      const made = yield* create({ command: "pwd" })
      yield* waitForExit(made)
      expect((yield* output(made)).output).toBe(`${path}\n`)
      for (const cwd of ["/", "..", join(path, "..")]) {
        expect((yield* Effect.flip(create({ command: "pwd", cwd }))).message).toContain(
          "outside of the working directory"
        )
      }
      expect((yield* Effect.flip(create({ command: "pwd", cwd: "missing" }))).message).toContain(
        "is not a directory"
      )
      expect((yield* Effect.flip(create({ command: "/no/such/program" }))).message).toContain("cannot be run")
      expect((yield* Effect.flip(create({ command: "" }))).message).toContain("command must be text")
      expect((yield* Effect.flip(create({ command: "x", args: [1] }))).message).toContain("list of texts")
    })
  )

  it.scopedLive("one of too many is refused", () =>
    Effect.gen(function* () {
      const { create, release } = yield* terminals
      const made = yield* Effect.replicateEffect(
        create({ command: "sleep", args: ["600"] }),
        Terminal.TERMINALS_MAX
      )
      expect((yield* Effect.flip(create({ command: "true" }))).message).toContain("terminals already")
      for (const each of made.slice(0, 1)) yield* release(each)
      yield* create({ command: "true" })
    })
  )
})
