/** A state directory that cannot be used ends in one sentence with the next step, whatever is wrong with it. */
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Directory from "../support/Directory.ts"
import * as Program from "../support/Program.ts"

const machine = Directory.temporary("unusable")

/** What starts, and what only looks. */
const starts = (root: string) => [
  ["up", "--agent", "scripted", "--port", "0", "--dir", root],
  ["hub", "--port", "0"],
  ["token", "list"]
]

/** One sentence and one step, on standard error; exit code 1. */
const expectWords = (ended: Program.Ended, what: string, words: RegExp) => {
  expect(ended.stderr, what).toMatch(words)
  expect(ended.stderr, what).toMatch(/^error: /m)
  expect(ended.stderr, what).not.toMatch(/defect|^ +at |undefined|\[object/m)
  const lines = ended.stderr
    .split("\n")
    .filter((line) => line !== "" && !/^(agent|environment|session) /.test(line))
  expect(lines.length, `${what}: ${ended.stderr}`).toBeLessThanOrEqual(2)
  expect(ended.code, what).toBe(1)
}

describe("a state directory that cannot be used", () => {
  it.scopedLive("because something else is in its place, or no directory can be made", () =>
    Effect.gen(function* () {
      const root = yield* machine
      const file = join(root, "file")
      writeFileSync(file, "mine")
      for (const state of [file, join(file, "below"), "/proc/nowhere/state", "/dev/null/x"]) {
        for (const args of [...starts(root), ["sessions", "list"], ["doctor"]]) {
          const ended = yield* Program.run([...args, "--state-dir", state])
          if (args[0] === "doctor") expect(ended.stdout).toMatch(/bad +state directory: .*cannot be used/)
          else expectWords(ended, `${args[0]} on ${state}`, /cannot be used.*\n {2}.*--state-dir/)
        }
      }
      expect(readFileSync(file, "utf8")).toBe("mine")
    })
  )

  it.scopedLive("18: is closed to others where it is ours, and refused where it holds other things", () =>
    Effect.gen(function* () {
      const root = yield* machine
      const [empty, ours, shared] = [join(root, "empty"), join(root, "ours"), join(root, "shared")]
      for (const path of [empty, ours, shared]) mkdirSync(path)
      writeFileSync(join(ours, "gateway.json"), "{}")
      writeFileSync(join(shared, "diary"), "mine")
      for (const path of [empty, ours, shared]) chmodSync(path, 0o755)
      for (const path of [empty, ours]) {
        yield* Program.run(["token", "list", "--state-dir", path])
        expect(statSync(path).mode & 0o777).toBe(0o700)
      }
      const refused = yield* Program.run(["token", "list", "--state-dir", shared])
      expectWords(refused, "shared", /others can look into it, and it holds other things: chmod 700 it/)
      expect(statSync(shared).mode & 0o777).toBe(0o755)
    })
  )

  it.scopedLive(
    "because a database in it is a directory, damaged, another program's or a newer version's",
    () =>
      Effect.gen(function* () {
        const root = yield* machine
        const good = join(root, "good")
        const made = yield* Program.start([
          "up",
          "--agent",
          "scripted",
          "--json",
          "--port",
          "0",
          "--dir",
          root,
          "--state-dir",
          good
        ])
        yield* made.line((line) => line["event"] === "ready")
        yield* made.kill("SIGTERM")
        yield* made.ended
        const bad: ReadonlyArray<readonly [string, RegExp, (file: string) => void]> = [
          ["a directory", /director/, (file) => mkdirSync(file)],
          ["damaged", /damaged|not a database/, (file) => writeFileSync(file, "x".repeat(5000))],
          [
            "another program's",
            /another program/,
            (file) => new Sqlite(file).exec("CREATE TABLE theirs (a)").close()
          ],
          [
            "newer",
            /upgrade Causeway/,
            (file) => {
              cpSync(join(good, file.endsWith("hub.db") ? "hub.db" : "journal.db"), file)
              const database = new Sqlite(file)
              if (file.endsWith("hub.db")) database.exec("INSERT INTO schema_version VALUES (1000, 0)")
              else database.pragma("user_version = 1000")
              database.close()
            }
          ]
        ]
        for (const [what, words, make] of bad) {
          for (const name of ["hub.db", "journal.db"]) {
            const state = join(root, `${what}-${name}`)
            mkdirSync(state)
            make(join(state, name))
            for (const args of starts(root)) {
              // The journal is the bridge's alone.
              if (name === "journal.db" && args[0] !== "up") continue
              const ended = yield* Program.run([...args, "--state-dir", state])
              expectWords(ended, `${args[0]} on ${name}, ${what}`, words)
            }
            if (what === "another program's") {
              const database = new Sqlite(join(state, name), { readonly: true })
              expect(database.prepare("SELECT name FROM sqlite_master").pluck().all()).toEqual(["theirs"])
              database.close()
            }
          }
        }
      })
  )

  it.scopedLive("because another file in it is a directory", () =>
    Effect.gen(function* () {
      const root = yield* machine
      for (const name of ["hub.lock", "hub.json", "token", "hub.db.lock", "hub.db.lock.json"]) {
        const state = join(root, `dir-${name}`)
        mkdirSync(join(state, name, "in it"), { recursive: true })
        const ended = yield* Program.run([
          "up",
          "--agent",
          "scripted",
          "--port",
          "0",
          "--dir",
          root,
          "--state-dir",
          state
        ])
        expectWords(ended, name, new RegExp(name.replaceAll(".", "\\.")))
        expect(existsSync(join(state, name, "in it"))).toBe(true)
      }
    })
  )
})
