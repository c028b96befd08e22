import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as AgentProcess from "../../src/Process/AgentProcess.ts"
import * as ProcessRegistry from "../../src/Process/ProcessRegistry.ts"
import * as ProcessTable from "../../src/Process/ProcessTable.ts"
import * as Scripted from "../support/Scripted.ts"

const grace = { endOfInput: "200 millis", terminate: "200 millis" } as const

/** A process that runs JavaScript. */
const node = (script: string, more: Partial<AgentProcess.ProcessSpec> = {}) =>
  AgentProcess.spawn({
    agent: "test",
    command: process.execPath,
    args: ["-e", script],
    cwd: process.cwd(),
    env: {},
    grace,
    ...more
  })

const lines = (agent: AgentProcess.AgentProcess) =>
  Effect.map(Stream.runCollect(agent.lines), Chunk.toReadonlyArray)

const first = (agent: AgentProcess.AgentProcess) => Stream.runHead(agent.lines)

describe("AgentProcess", () => {
  it.scopedLive("gives the last lines of a process that ends at once, and how it ended", () =>
    Effect.gen(function* () {
      const agent = yield* node("console.log('one'); process.stdout.write('two'); process.exitCode = 7")
      expect(yield* lines(agent)).toEqual([
        { _tag: "Line", text: "one" },
        { _tag: "Line", text: "two" }
      ])
      expect(yield* agent.exit).toEqual({ _tag: "Code", code: 7 })
    })
  )

  it.scopedLive("tells a death by signal from an exit", () =>
    Effect.gen(function* () {
      const agent = yield* node("process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000)")
      expect(yield* agent.exit).toEqual({ _tag: "Signal", signal: "SIGKILL" })
    })
  )

  it.scopedLive("writes lines to stdin and ends it", () =>
    Effect.gen(function* () {
      const agent = yield* node("process.stdin.on('data', d => process.stdout.write(d))")
      yield* agent.write("grüße 🌍")
      yield* agent.write("x".repeat(1_000_000))
      yield* agent.endInput
      const said = yield* lines(agent)
      expect(said[0]).toEqual({ _tag: "Line", text: "grüße 🌍" })
      expect(said[1]).toEqual({ _tag: "Line", text: "x".repeat(1_000_000) })
      expect(yield* agent.exit).toEqual({ _tag: "Code", code: 0 })
      expect(yield* Effect.flip(agent.write("late"))).toMatchObject({ _tag: "ProcessGone" })
    })
  )

  it.scopedLive("is not held up by a stderr that nobody reads, and keeps its end", () =>
    Effect.gen(function* () {
      const agent = yield* node(
        "for (let i = 0; i < 3000; i++) require('fs').writeSync(2, 'e'.repeat(999) + '\\n'); require('fs').writeSync(2, 'last'); console.log('done')"
      )
      expect(yield* lines(agent)).toEqual([{ _tag: "Line", text: "done" }])
      yield* agent.exit
      const stderr = yield* agent.stderr
      expect(stderr).toHaveLength(AgentProcess.STDERR_TAIL_BYTES)
      expect(stderr.endsWith("last")).toBe(true)
    })
  )

  it.scopedLive("passes over a line of 20 MiB and goes on", () =>
    Effect.gen(function* () {
      const agent = yield* node(
        "process.stdout.write('a\\n'); process.stdout.write('x'.repeat(20 * 1024 * 1024) + '\\nb\\n')"
      )
      const said = yield* lines(agent)
      expect(said).toEqual([
        { _tag: "Line", text: "a" },
        { _tag: "TooLong", bytes: 20 * 1024 * 1024, start: "x".repeat(1024) },
        { _tag: "Line", text: "b" }
      ])
    })
  )

  it.scoped("is read to the end, however long after the end of the process", () =>
    Effect.gen(function* () {
      const agent = yield* node("process.stdout.write('x\\n'.repeat(20_000))")
      yield* agent.exit
      yield* TestClock.adjust("1 hour")
      const lines = yield* Stream.runCount(agent.lines)
      expect(lines).toBe(20_000)
    })
  )

  it.scopedLive("holds a process back whose lines nobody takes", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      const counter = join(directory, "written")
      // Writes 64 KiB at a time and notes each piece that the pipe has taken.
      const agent = yield* node(
        `const fs = require('fs'); let n = 0; fs.writeFileSync(${JSON.stringify(counter)}, '0'); const piece = 'x'.repeat(65535) + '\\n'
         const more = () => { if (n >= 400) return process.exit(0)
           fs.writeSync(1, piece); fs.writeFileSync(${JSON.stringify(counter)}, String(++n)); setImmediate(more) }
         more()`
      )
      const turns = (count: number) =>
        Effect.promise(() => new Promise((resolve) => setImmediate(resolve))).pipe(Effect.repeatN(count))
      let taken = 0
      let ahead = 0
      yield* agent.lines.pipe(
        Stream.chunks,
        Stream.runForEach((chunk) =>
          Effect.gen(function* () {
            taken += chunk.length
            // Time enough for a reader that does not wait for its consumer to take in much more.
            yield* turns(20)
            ahead = Math.max(ahead, Number(readFileSync(counter, "utf8")) - taken)
          })
        )
      )
      expect(taken).toBe(400)
      // Pipe, stream and reader hold a few pieces each; a reader that did not wait would be ahead by all 400.
      expect(ahead).toBeLessThan(40)
    })
  )

  it.scopedLive("ends a process that ignores the end of input and SIGTERM, with its children", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const agent = yield* node(
        `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)
         const { spawn } = require('child_process')
         const inGroup = spawn('sleep', ['1000'], { stdio: 'ignore' })
         const outside = spawn('sleep', ['1000'], { stdio: 'ignore', detached: true })
         console.log(JSON.stringify([inGroup.pid, outside.pid]))`,
        { env: { CAUSEWAY_RUN_ID: "0d0c5b3e-a-run", PATH: process.env["PATH"] ?? "" } }
      ).pipe(Scope.extend(scope))
      const line = yield* first(agent)
      const children: ReadonlyArray<number> = JSON.parse(
        line._tag === "Some" && line.value._tag === "Line" ? line.value.text : "[]"
      )
      expect(children).toHaveLength(2)
      yield* Scope.close(scope, Exit.void)
      for (const pid of [agent.pid, ...children]) {
        // The ones that are no children of this process are gone when their new parent has noticed.
        yield* ProcessTable.startOf(pid).pipe(
          Effect.repeat({ until: (started) => started === undefined }),
          Effect.timeout("5 seconds")
        )
      }
    })
  )

  it.scopedLive("says why a program cannot be started", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      const file = join(directory, "plain.txt")
      writeFileSync(file, "#!/bin/sh\n")
      chmodSync(file, 0o644)
      const reason = (more: Partial<AgentProcess.ProcessSpec>) =>
        Effect.map(Effect.flip(node("", more)), (error) => error.reason)
      expect(yield* reason({ command: "no-such-program-here" })).toBe("NotFound")
      expect(yield* reason({ command: join(directory, "nothing") })).toBe("NotFound")
      expect(yield* reason({ command: file })).toBe("NotExecutable")
      expect(yield* reason({ cwd: join(directory, "gone") })).toBe("DirectoryMissing")
      expect(yield* reason({ cwd: file })).toBe("DirectoryMissing")
    })
  )
})

describe("ProcessRegistry", () => {
  const sleeper = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')"

  it.scopedLive("ends what a killed host left behind, and nothing else", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      const scope = yield* Scope.make()
      const agent = yield* node(sleeper).pipe(
        Effect.provide(ProcessRegistry.layer(directory)),
        Scope.extend(scope)
      )
      const other = yield* node(sleeper)
      yield* first(agent)
      yield* first(other)
      const [name = ""] = readdirSync(directory)

      // This host lives: its processes are left alone.
      const reaped = Effect.provide(
        Effect.map(ProcessRegistry.ProcessRegistry, ({ reaped }) => reaped),
        Layer.fresh(ProcessRegistry.layer(directory))
      )
      expect(yield* reaped).toEqual([])
      expect(yield* ProcessTable.startOf(agent.pid)).toBeDefined()

      const record = JSON.parse(readFileSync(join(directory, name), "utf8"))
      // Of a host that is gone; one process by its true start, and one whose id has been given to another since.
      const gone = { pid: process.pid, started: "another time" }
      writeFileSync(join(directory, name), JSON.stringify({ ...record, host: gone }))
      writeFileSync(
        join(directory, "reused.json"),
        JSON.stringify({ pid: other.pid, started: "another time", runId: null, host: gone })
      )
      writeFileSync(join(directory, "torn.json"), '{"pid":')
      expect(yield* reaped).toEqual([{ pid: agent.pid, runId: null }])
      expect(yield* agent.exit).toEqual({ _tag: "Signal", signal: "SIGKILL" })
      expect(yield* ProcessTable.startOf(other.pid)).toBeDefined()
      expect(readdirSync(directory)).toEqual([])
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.scopedLive("forgets a process that has ended", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      yield* Effect.scoped(Effect.provide(node(""), ProcessRegistry.layer(directory)))
      expect(existsSync(directory)).toBe(true)
      expect(readdirSync(directory)).toEqual([])
    })
  )
})
