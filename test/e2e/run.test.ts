/** `run`: the engine without a hub, as people and programs use it. The questions are asked in a real terminal. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Directory from "../support/Directory.ts"
import * as Program from "../support/Program.ts"
import * as Tmux from "./support/Tmux.ts"

const bundle = fileURLToPath(new URL("../../apps/bridge/dist/main.js", import.meta.url))

if (!Tmux.isInstalled) {
  process.stderr.write("\ntest/e2e/run.test.ts IN A TERMINAL DID NOT RUN: tmux is not installed\n\n")
}

const place = Directory.temporary("run")

const flags = (directory: string) => ["--agent", "scripted", "--state-dir", join(directory, "state")]

const run = (directory: string, args: ReadonlyArray<string>, stdin?: string) =>
  Program.run(["run", ...args], { cwd: directory, ...(stdin === undefined ? {} : { stdin }) })

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe("run, for programs and scripts", () => {
  it.scopedLive("prints the answer alone on standard output, and ends with the result's code", () =>
    Effect.gen(function* () {
      const directory = yield* place
      const hello = yield* run(directory, [...flags(directory), "hello"])
      expect(hello).toMatchObject({ code: 0, stdout: "echo: hello\n" })
      expect(hello.stderr).toContain("run --resume session_")

      const failed = yield* run(directory, [...flags(directory), "!fail it broke"])
      expect(failed).toMatchObject({ code: 1, stderr: expect.stringContaining("error: it broke") })

      const piped = yield* run(directory, [...flags(directory), "-"], "from a pipe\n")
      expect(piped).toMatchObject({ code: 0, stdout: "echo: from a pipe\n" })
      expect((yield* run(directory, [...flags(directory), "-"], " \n")).code).toBe(2)
      expect(yield* run(directory, [...flags(directory), "--", "--dir"])).toMatchObject({
        code: 0,
        stdout: "echo: --dir\n"
      })
      expect((yield* run(directory, [...flags(directory), "--no-such-flag", "hello"])).code).toBe(2)
      expect((yield* run(directory, [...flags(directory), "--dir", "nowhere", "hello"])).code).toBe(2)
    })
  )

  it.scopedLive("denies where nobody can be asked, says so, and allows what was allowed ahead", () =>
    Effect.gen(function* () {
      const directory = yield* place
      const kept = join(directory, "kept.txt")
      const denied = yield* run(directory, [...flags(directory), "!write kept.txt words"])
      expect(denied.code).toBe(0)
      expect(denied.stderr).toMatch(/^Write: kept\.txt$/m)
      expect(denied.stderr).toMatch(
        /^Write: denied, as nobody can be asked on standard input .*--allow-edits/m
      )
      expect(denied.stdout).toContain("denied: Denied: this command runs where nobody")
      expect(existsSync(kept)).toBe(false)

      const edits = yield* run(directory, [...flags(directory), "--allow-edits", "!write kept.txt words"])
      expect(edits.code).toBe(0)
      expect(readFileSync(kept, "utf8")).toBe("words")
      const bash = ["!bash echo was-run"]
      expect((yield* run(directory, [...flags(directory), "--allow-edits", ...bash])).stdout).toMatch(
        /^denied/
      )
      const all = yield* run(directory, [...flags(directory), "--dangerously-skip-permissions", ...bash])
      expect(all.stdout).toContain("done: was-run")
    })
  )

  it.scopedLive("with --json prints the agent's lines as they are, and the result as the last one", () =>
    Effect.gen(function* () {
      const directory = yield* place
      const ended = yield* run(directory, [...flags(directory), "--json", "!bash echo hi"])
      expect(ended).toMatchObject({ code: 0, stderr: "" })
      const lines = Program.jsonLines(ended)
      expect(lines).toHaveLength(ended.stdout.trimEnd().split("\n").length)
      expect(lines[0]).toMatchObject({ event: "started", agent: "scripted", directory })
      expect(lines.at(-1)).toMatchObject({
        event: "result",
        run_id: lines[0]?.["run_id"],
        status: "completed",
        result: expect.stringContaining("denied")
      })
      // In the order in which the agent said them: the question, its answer, then the text by pieces, then whole.
      const order = lines.flatMap((line) =>
        line["type"] === "stream_event" ? ["partial"] : [String(line["event"] ?? line["type"])]
      )
      const places = ["control_request", "approval_settled", "partial", "result"].map((name) =>
        order.indexOf(name)
      )
      expect(places).toEqual([...places].sort((a, b) => a - b))
      expect(places).not.toContain(-1)
      expect(order.lastIndexOf("assistant")).toBeGreaterThan(order.indexOf("partial"))

      const failed = yield* run(directory, [...flags(directory), "--json", "!fail it broke"])
      expect(failed.code).toBe(1)
      expect(Program.jsonLines(failed).at(-1)).toMatchObject({
        event: "result",
        status: "failed",
        error: "it broke"
      })
    })
  )

  it.scopedLive("is interrupted by a signal, in order, and by a second one at once", () =>
    Effect.gen(function* () {
      const directory = yield* place
      const writes = (line: Program.Line) => line["type"] === "stream_event"
      const slow = yield* Program.start(["run", ...flags(directory), "--json", "!slow 5000 20"], {
        cwd: directory
      })
      yield* slow.line(writes)
      yield* slow.kill("SIGINT")
      const ended = yield* slow.ended
      expect(ended.code).toBe(130)
      expect(Program.jsonLines(ended).at(-1)).toMatchObject({ event: "result", status: "interrupted" })

      // This one does not follow; the agent's process goes with the program's.
      const stubborn = yield* Program.start(["run", ...flags(directory), "--json", "!hang"], {
        cwd: directory
      })
      const isUp = (line: Program.Line) => line["type"] === "system" && line["subtype"] === "init"
      yield* stubborn.line(isUp)
      const agents = readdirSync(join(directory, "state", "agents")).map((name) =>
        Number(/-(\d+)\.json$/.exec(name)?.[1])
      )
      expect(agents).toHaveLength(1)
      expect(agents.every(isAlive)).toBe(true)
      yield* stubborn.kill("SIGINT")
      yield* stubborn.kill("SIGINT")
      expect((yield* stubborn.ended).code).toBe(130)
      yield* Effect.sync(() => agents.some(isAlive)).pipe(
        Effect.repeat({ schedule: Schedule.spaced("20 millis"), while: (lives) => lives }),
        Effect.timeout("20 seconds")
      )
    })
  )

  it.scopedLive("goes on from a run with its history, by its id or as the latest, in a run of its own", () =>
    Effect.gen(function* () {
      const directory = yield* place
      const state = ["--state-dir", join(directory, "state")]
      const first = yield* run(directory, [...flags(directory), "--json", "--allow-edits", "!usage 5000"])
      const { run_id: id, cost_usd: cost } = Program.jsonLines(first).at(-1) ?? {}

      const again = yield* run(directory, [...state, "--json", "--resume", String(id), "hello"])
      expect(again.code).toBe(0)
      const result = Program.jsonLines(again).at(-1)
      expect(result?.["run_id"]).not.toBe(id)
      // The conversation's running totals go on.
      expect(Number(result?.["cost_usd"])).toBeGreaterThan(Number(cost))
      // What was allowed ahead in the earlier run is asked again.
      const write = yield* run(directory, [...state, "--resume", "latest", "!write kept.txt words"])
      expect(write.stderr).toContain("Write: denied")
      expect(existsSync(join(directory, "kept.txt"))).toBe(false)

      expect(yield* run(directory, [...state, "--resume", "session_nowhere", "hello"])).toMatchObject({
        code: 4,
        stderr: expect.stringContaining('there is no run "session_nowhere"')
      })
      expect(yield* run(directory, [...flags(directory), "--resume", String(id), "hello"])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("goes on with its own agent (scripted)")
      })
    })
  )

  it.scopedLive("refuses an MCP configuration that is none, before it starts anything", () =>
    Effect.gen(function* () {
      const directory = yield* place
      writeFileSync(join(directory, "list.json"), "[]")
      for (const file of ["list.json", "missing.json"]) {
        const refused = yield* run(directory, [...flags(directory), "--mcp-config", file, "hello"])
        expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(file) })
        expect(refused.stderr).toContain("mcpServers")
      }
    })
  )
})

describe.skipIf(!Tmux.isInstalled)("run, in a real terminal", () => {
  it.scopedLive(
    "asks a person for permission, once for always, with a comment on no; Ctrl-C interrupts the turn",
    () =>
      Effect.gen(function* () {
        const directory = yield* place
        const command = (prompt: string) =>
          `'${process.execPath}' '${bundle}' run ${flags(directory).join(" ")} '${prompt}'; echo "left with $?"; exec cat`
        const start = (prompt: string) =>
          Tmux.start({ command: command(prompt), columns: 100, rows: 30, cwd: directory })

        const allowed = yield* start("!write kept.txt by a person")
        expect(yield* allowed.shows("Allow it? y: yes, a: always, n: no >")).toMatch(
          /Write asks for permission:\n {2}file_path: kept\.txt\n {2}content: by a person/
        )
        // Anything else is asked again.
        yield* allowed.type("maybe")
        yield* allowed.press("Enter")
        yield* allowed.shows(/no > maybe\n+Allow it\?/)
        yield* allowed.type("y")
        yield* allowed.press("Enter")
        yield* allowed.shows(/done: wrote .*kept\.txt[\s\S]*left with 0/)
        expect(readFileSync(join(directory, "kept.txt"), "utf8")).toBe("by a person")

        const denied = yield* start("!bash echo no")
        yield* denied.shows("Allow it?")
        yield* denied.type("n")
        yield* denied.press("Enter")
        yield* denied.shows("What should the agent know?")
        yield* denied.type("not now")
        yield* denied.press("Enter")
        yield* denied.shows(/denied: not now[\s\S]*left with 0/)

        const asked = yield* start("!ask Which? | Red | Blue")
        yield* asked.shows(/1 Red\n {2}2 Blue\nA number, or your own words >/)
        yield* asked.type("2")
        yield* asked.press("Enter")
        yield* asked.shows(/chosen: Blue[\s\S]*left with 0/)

        const slow = yield* start("!slow 5000 20")
        yield* slow.shows("word0 word1")
        yield* slow.press("C-c")
        yield* slow.shows(/interrupting the turn[\s\S]*the run was interrupted[\s\S]*left with 130/)

        // A question that is open is over with its turn.
        const open = yield* start("!bash echo open")
        yield* open.shows("Allow it?")
        yield* open.press("C-c")
        yield* open.shows(/left with 130/)
      }),
    180_000
  )
})
