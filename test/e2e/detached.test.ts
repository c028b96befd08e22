/**
 * The terminal closes, or whoever read the output goes, while the program runs: real pseudo-terminals (`script`), closed by
 * killing what holds them, as a window that is closed or a connection that is lost does.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Program from "../support/Program.ts"

const hasScript = spawnSync("script", ["--version"]).stdout?.toString().includes("util-linux") ?? false
if (!hasScript) process.stderr.write("detached: terminals DID NOT RUN: there is no `script` of util-linux\n")

const main = fileURLToPath(new URL("../../apps/bridge/dist/main.js", import.meta.url))

const machine = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "causeway-detached-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
)

const quoted = (words: ReadonlyArray<string>) => words.map((word) => `'${word}'`).join(" ")

const causeway = (state: string, ...args: ReadonlyArray<string>) =>
  `${quoted([process.execPath, main, ...args, "--state-dir", state])}`

const up = (state: string) =>
  causeway(state, "up", "--agent", "scripted", "--port", "0", "--dir", tmpdir(), "--idle-stop", "0")

/** A process of a test that is not its child: ended at the end, if it has not by then. */
const ends = (pid: number) =>
  Effect.async<void>((resume) => {
    const child = spawn("tail", [`--pid=${pid}`, "-f", "/dev/null"])
    child.once("exit", () => resume(Effect.void))
    return Effect.sync(() => child.kill())
  })

const kill = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}

const hub = (state: string): { readonly pid: number } =>
  JSON.parse(readFileSync(join(state, "hub.json"), "utf8"))

/** A line of `sh`, in a terminal of its own or with its output in a pipe. */
const run = (line: string, terminal: boolean) =>
  Effect.gen(function* () {
    let output = ""
    const waiting: Array<{ readonly wanted: RegExp; readonly found: Deferred.Deferred<string> }> = []
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        terminal
          ? spawn("script", ["-qfec", `stty rows 24 cols 80; ${line}`, "/dev/null"], {
              env: { ...process.env, SHELL: "/bin/sh" }
            })
          : spawn("/bin/sh", ["-c", line], { detached: true })
      ),
      // In a terminal the program has a session of its own, and has been told by the end of that terminal.
      (child) => Effect.sync(() => kill(terminal ? (child.pid ?? 0) : -(child.pid ?? 0), "SIGKILL"))
    )
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text
      for (const { found, wanted } of waiting) {
        if (wanted.test(output)) Deferred.unsafeDone(found, Effect.succeed(output))
      }
    })
    return {
      shows: (wanted: RegExp) =>
        Effect.gen(function* () {
          const found = yield* Deferred.make<string>()
          waiting.push({ wanted, found })
          return wanted.test(output) ? output : yield* Deferred.await(found)
        }),
      /** Closes the terminal: nobody holds its other side any more. */
      close: Effect.async<void>((resume) => {
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
    }
  })

/** It answers, and a signal ends it in order. */
const livesAndEndsInOrder = (state: string, signal: NodeJS.Signals = "SIGTERM") =>
  Effect.gen(function* () {
    const { pid } = hub(state)
    const sent = yield* Program.run(["send", "latest", "hello", "--wait", "--state-dir", state])
    expect(sent.stdout).toBe("echo: hello\n")
    kill(pid, signal)
    yield* ends(pid)
    expect(existsSync(join(state, "hub.json"))).toBe(false)
  })

const withHub = (state: string) =>
  Effect.gen(function* () {
    const args = [
      "up",
      "--agent",
      "scripted",
      "--json",
      "--port",
      "0",
      "--state-dir",
      state,
      "--dir",
      tmpdir()
    ]
    const program = yield* Program.start(args)
    return yield* program.line((line) => line["event"] === "ready")
  })

describe.runIf(hasScript)("a terminal that closes", () => {
  it.scopedLive("leaves `up` running, which a signal ends in order later", () =>
    Effect.gen(function* () {
      const state = yield* machine
      const terminal = yield* run(`exec ${up(state)}`, true)
      yield* terminal.shows(/session session_/)
      yield* terminal.close
      yield* livesAndEndsInOrder(state)
    })
  )

  it.scopedLive("leaves `nohup up` running", () =>
    Effect.gen(function* () {
      const state = yield* machine
      const terminal = yield* run(
        `nohup ${up(state)} > '${state}/out' 2>&1 & tail -f --retry '${state}/out'`,
        true
      )
      yield* terminal.shows(/session session_/)
      yield* terminal.close
      yield* livesAndEndsInOrder(state, "SIGINT")
    })
  )

  it.scopedLive("leaves `hub` and `connect` running, each ended in order by its signal", () =>
    Effect.gen(function* () {
      const state = yield* machine
      const one = yield* run(`exec ${causeway(state, "hub", "--port", "0")}`, true)
      yield* one.shows(/access token is in/)
      const connect = causeway(state, "connect", "--agent", "scripted", "--dir", tmpdir())
      const two = yield* run(`echo pid=$$.; exec ${connect}`, true)
      const shown = yield* two.shows(/as session session_\w+/)
      const pid = Number(/pid=(\d+)\./.exec(shown)?.[1])
      yield* one.close
      yield* two.close
      const sent = yield* Program.run(["send", "latest", "hello", "--wait", "--state-dir", state])
      expect(sent.stdout).toBe("echo: hello\n")
      kill(pid, "SIGTERM")
      yield* ends(pid)
      const list = yield* Program.run(["sessions", "list", "--json", "--state-dir", state])
      expect(Program.jsonLines(list).filter((line) => line["archived_at"] === null)).toEqual([])
      const server = hub(state).pid
      kill(server, "SIGTERM")
      yield* ends(server)
      expect(existsSync(join(state, "hub.json"))).toBe(false)
    })
  )

  it.scopedLive("ends what printed to it: `logs --follow`, `attach`, `send --wait`", () =>
    Effect.gen(function* () {
      const state = yield* machine
      yield* withHub(state)
      yield* Program.run(["send", "latest", "hello", "--wait", "--state-dir", state])
      const commands = [
        causeway(state, "logs", "latest", "--follow"),
        causeway(state, "attach", "latest"),
        // Waits for an approval that nobody gives.
        causeway(state, "send", "latest", "!bash true", "--wait")
      ]
      for (const command of commands) {
        const terminal = yield* run(`echo pid=$$.; exec ${command}`, true)
        const pid = Number(/pid=(\d+)\./.exec(yield* terminal.shows(/hello|approve/))?.[1])
        yield* terminal.close
        yield* ends(pid)
      }
    })
  )

  it.scopedLive("leaves `nohup logs --follow` into a file running", () =>
    Effect.gen(function* () {
      const state = yield* machine
      yield* withHub(state)
      const file = join(state, "followed")
      const follow = causeway(state, "logs", "latest", "--follow")
      const terminal = yield* run(`trap "" HUP; { echo pid=$$.; exec ${follow}; } > '${file}' 2>&1`, true)
      const reader = yield* run(`touch '${file}'; tail -n +1 -f '${file}'`, false)
      yield* Program.run(["send", "latest", "first", "--wait", "--state-dir", state])
      const pid = Number(/pid=(\d+)\./.exec(yield* reader.shows(/echo: first/))?.[1])
      yield* terminal.close
      yield* Program.run(["send", "latest", "second", "--wait", "--state-dir", state])
      yield* reader.shows(/echo: second/)
      kill(pid, "SIGTERM")
      yield* ends(pid)
    })
  )
})

describe("a reader of the output that goes", () => {
  it.scopedLive("leaves `up` running, also where it goes in the middle of the start", () =>
    Effect.gen(function* () {
      for (const lines of [1, 3]) {
        const state = yield* machine
        const piped = yield* run(`{ ${up(state)} 2>&1; } | head -n ${lines}; echo gone`, false)
        // The pipeline ends with the program: whoever waits for it learns nothing before.
        yield* Effect.raceFirst(piped.shows(/gone/), untilReady(state))
        yield* livesAndEndsInOrder(state)
      }
    })
  )

  it.scopedLive("ends `logs --follow` without a word", () =>
    Effect.gen(function* () {
      const state = yield* machine
      yield* withHub(state)
      yield* Program.run(["send", "latest", "hello", "--wait", "--state-dir", state])
      const piped = yield* run(
        `{ ${causeway(state, "logs", "latest", "--follow")}; echo code=$? >&2; } 2> '${state}/err' | { head -n 1; echo closed; }; cat '${state}/err'`,
        false
      )
      yield* piped.shows(/closed/)
      yield* Program.run(["send", "latest", "again", "--wait", "--state-dir", state])
      expect(yield* piped.shows(/code=\d+/)).toContain("code=0")
    })
  )
})

class NotYet extends Data.TaggedError("NotYet")<{ readonly message: string }> {}

/** The hub of a state directory listens and its session is there. */
const untilReady = (state: string) =>
  Effect.gen(function* () {
    if (!existsSync(join(state, "hub.json"))) return yield* new NotYet({ message: "the hub does not listen" })
    const shown = yield* Program.run(["sessions", "list", "--json", "--state-dir", state])
    if (shown.code === 0 && Program.jsonLines(shown).length > 0) return
    return yield* new NotYet({ message: `its session is not there: ${shown.stderr}` })
  }).pipe(Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo("60 seconds"))))
