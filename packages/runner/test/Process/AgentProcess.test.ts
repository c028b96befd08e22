import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as AgentProcess from "../../src/Process/AgentProcess.ts"
import * as ProcessRegistry from "../../src/Process/ProcessRegistry.ts"
import * as ProcessTable from "../../src/Process/ProcessTable.ts"
import * as KilledHost from "../support/KilledHost.ts"
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

const turn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

/** Waits until somebody waits for the clock: what went before was done by the system, in its own time. */
const untilSleeping = Effect.zipRight(turn, TestClock.sleeps()).pipe(
  Effect.repeat({ until: (sleeps) => Chunk.size(sleeps) > 0 })
)

/** Runs an effect, and passes time whenever it waits for that. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    yield* Effect.zipRight(turn, TestClock.adjust("100 millis")).pipe(
      Effect.zipRight(Fiber.poll(fiber)),
      Effect.repeat({ until: Option.isSome })
    )
    return yield* Fiber.join(fiber)
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

  it.scoped("says why a program cannot be started, when it has been tried again for a while", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      const file = join(directory, "plain.txt")
      writeFileSync(file, "#!/bin/sh\n")
      chmodSync(file, 0o644)
      const reason = (more: Partial<AgentProcess.ProcessSpec>) =>
        Effect.map(passing(Effect.flip(node("", more))), (error) => error.reason)
      expect(yield* reason({ command: "no-such-program-here" })).toBe("NotFound")
      expect(yield* reason({ command: join(directory, "nothing") })).toBe("NotFound")
      expect(yield* reason({ command: file })).toBe("NotExecutable")
      expect(yield* reason({ cwd: join(directory, "gone") })).toBe("DirectoryMissing")
      expect(yield* reason({ cwd: file })).toBe("DirectoryMissing")
    })
  )
})

describe("a program that is just being replaced", () => {
  const replaced: ReadonlyArray<readonly [string, (file: string) => Effect.Effect<Effect.Effect<void>>]> = [
    ["it is not there for a moment (ENOENT)", () => Effect.succeed(Effect.void)],
    [
      "it may not be executed yet (EACCES)",
      (file) =>
        Effect.sync(() => {
          writeFileSync(file, program)
          chmodSync(file, 0o600)
          return Effect.sync(() => rmSync(file))
        })
    ],
    [
      "it is still being written to (ETXTBSY)",
      (file) =>
        Effect.sync(() => {
          copyFileSync(process.execPath, file)
          chmodSync(file, 0o755)
          const handle = openSync(file, "r+")
          return Effect.sync(() => {
            closeSync(handle)
            rmSync(file)
          })
        })
    ]
  ]
  const program = "#!/bin/sh\necho started\n"

  it.scoped.each(replaced)("%s: the agent starts as soon as it can", ([, spoil]) =>
    Effect.gen(function* () {
      const file = join(yield* Scripted.directory, "agent")
      const mend = yield* spoil(file)
      const starting = yield* Effect.fork(node("", { command: file, env: { PATH: "/usr/bin:/bin" } }))
      // It has been refused, and waits.
      yield* untilSleeping
      yield* mend
      writeFileSync(file, program)
      chmodSync(file, 0o755)
      const agent = yield* passing(Fiber.join(starting))
      expect(yield* lines(agent)).toEqual([{ _tag: "Line", text: "started" }])
    })
  )

  it.scopedLive("a start that waits can be given up", () =>
    Effect.gen(function* () {
      const starting = yield* Effect.fork(node("", { command: "/nowhere/agent" }))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(starting).pipe(Effect.timeout("5 seconds"))
    })
  )
})

/** A process with no room for one more open file: it asks for an agent, then again while room comes. */
const crowded = `
  import { closeSync, openSync } from "node:fs"
  import * as Effect from "effect/Effect"
  import * as AgentProcess from "${KilledHost.source("Process/AgentProcess.ts")}"
  const agent = Effect.scoped(Effect.map(AgentProcess.spawn({
    agent: "test", command: process.execPath, args: ["-e", ""], cwd: "/", env: {} }), ({ pid }) => pid > 0))
  const open = []
  const fill = () => { try { for (;;) open.push(openSync("/dev/null", "r")) } catch {} }
  fill()
  const refused = await Effect.runPromise(Effect.flip(agent))
  fill()
  const starting = Effect.runPromise(agent)
  setImmediate(() => { for (const each of open) closeSync(each) })
  console.log(JSON.stringify([refused.reason, refused.message, await starting]))`

describe("a process that may open no more files (ulimit -n)", () => {
  it.scopedLive("lives, says what to do, and starts the agent once there is room", () =>
    Effect.gen(function* () {
      const root = yield* Scripted.directory
      const [reason, message, started] = (yield* KilledHost.run(root, crowded, [], "ulimit -n 64")) as [
        string,
        string,
        boolean
      ]
      expect(reason).toBe("Unknown")
      expect(message).toContain("too many files are open (EMFILE); allow more (ulimit -n")
      expect(started).toBe(true)
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

  it.scopedLive("whose directory is gone, or whose disk is full, keeps no agent from running or ending", () =>
    Effect.gen(function* () {
      const root = yield* Scripted.directory
      for (const spoil of [
        (directory: string) => rmSync(directory, { recursive: true }),
        (directory: string) => {
          rmSync(directory, { recursive: true })
          writeFileSync(directory, "")
        }
      ]) {
        const directory = join(root, "agents")
        const scope = yield* Scope.make()
        const registry = yield* Layer.build(Layer.fresh(ProcessRegistry.layer(directory)))
        spoil(directory)
        const agent = yield* node(sleeper).pipe(Effect.provide(registry), Scope.extend(scope))
        expect(yield* first(agent)).toMatchObject({ _tag: "Some" })
        yield* Scope.close(scope, Exit.void)
        expect(yield* agent.exit).toEqual({ _tag: "Signal", signal: "SIGKILL" })
        rmSync(directory, { recursive: true })
      }
    })
  )

  it.scopedLive("does not start over a directory that cannot be used, and says which", () =>
    Effect.gen(function* () {
      const directory = join(yield* Scripted.directory, "agents")
      writeFileSync(directory, "")
      const failed = yield* Effect.flip(Layer.build(ProcessRegistry.layer(directory)))
      expect(failed.message).toContain(directory)
      expect(failed.message).toContain("--state-dir")
    })
  )

  it.scopedLive("keeps the record of another host that it cannot read", () =>
    Effect.gen(function* () {
      const directory = yield* Scripted.directory
      mkdirSync(join(directory, "unreadable.json"))
      yield* Layer.build(ProcessRegistry.layer(directory))
      expect(readdirSync(directory)).toEqual(["unreadable.json"])
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
