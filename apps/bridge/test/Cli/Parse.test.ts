import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as LogLevel from "effect/LogLevel"
import * as Command from "../../src/Cli/Command.ts"
import * as Flag from "../../src/Cli/Flag.ts"
import * as Help from "../../src/Cli/Help.ts"
import { nearest } from "../../src/Cli/Nearest.ts"
import * as Parse from "../../src/Cli/Parse.ts"
import { commands, NAME } from "../../src/Commands/Commands.ts"
import type { Failure } from "../../src/Failure.ts"
import * as Flags from "../../src/Flags.ts"

const parse = (...argv: ReadonlyArray<string>) => Parse.parse(commands, Flags.globals, argv)

/** What a person is told. */
const refusal = (...argv: ReadonlyArray<string>): Failure => {
  const meaning = parse(...argv)
  if (Either.isRight(meaning)) throw new Error(`taken: ${JSON.stringify(argv)}`)
  expect(meaning.left.exitCode).toBe(2)
  expect(meaning.left.next).toMatch(/--help/)
  return meaning.left
}

const leaves = Command.walk(commands).flatMap(({ command, path }) =>
  command._tag === "Leaf" ? [{ leaf: command, path }] : []
)
const all = [...Flags.globals, ...leaves.flatMap(({ leaf }) => leaf.flags)]
const known = new Set(all.map(({ name }) => name))

/** A command line that every check but the one of the test lets through. */
const valid = (path: ReadonlyArray<string>, leaf: (typeof leaves)[number]["leaf"]) => [
  ...path,
  ...leaf.arguments.map(() => "word")
]

describe("a command line", () => {
  it("has flags that take a value wherever they stand, or never", () => {
    for (const flag of all) {
      const same = all.filter(({ name }) => name === flag.name)
      expect(new Set(same.map(({ value }) => value === undefined)).size, flag.name).toBe(1)
    }
  })

  it("may have its flags anywhere, before the command as well", () => {
    const lines = [
      ["--json", "sessions", "list", "--limit", "3", "--state-dir", "/x"],
      ["sessions", "--state-dir=/x", "list", "--limit=3", "--json"],
      ["--limit", "3", "--state-dir", "/x", "sessions", "--json", "list"],
      ["--log-level", "debug", "sessions", "list"],
      ["sessions", "list", "--log-level", "debug"]
    ]
    for (const line of lines)
      expect(parse(...line)).toMatchObject({ right: { _tag: "Run", name: "sessions list" } })
    FastCheck.assert(
      FastCheck.property(
        FastCheck.shuffledSubarray(
          [
            ["send"],
            ["latest"],
            ["--wait"],
            ["--state-dir", "/x"],
            ["--log-level=debug"],
            ["--hub", "h"],
            ["a text"]
          ],
          { minLength: 7 }
        ),
        (parts) => {
          const flags = parts.filter(([first = ""]) => first.startsWith("--"))
          const words = [["send"], ["latest"], ["a text"]]
          // The words in their order, the flags where they fell.
          const line = parts.flatMap((part) => (flags.includes(part) ? part : (words.shift() ?? [])))
          const meaning = parse(...line)
          expect(meaning).toMatchObject({ right: { _tag: "Run", name: "send" } })
          if (Either.isRight(meaning) && meaning.right._tag === "Run") {
            expect(meaning.right.global(Flags.logLevel)).toMatchObject({ right: LogLevel.Debug })
          }
        }
      )
    )
  })

  it("with an unknown flag is told of that flag, never of the word beside it", () => {
    for (const { leaf, path } of leaves) {
      const line = valid(path, leaf)
      for (let at = 0; at <= line.length; at++) {
        const { message } = refusal(...line.slice(0, at), "--nonsense", "4751", ...line.slice(at))
        expect(message).toBe("there is no flag --nonsense")
      }
    }
    FastCheck.assert(
      FastCheck.property(
        FastCheck.stringMatching(/^[a-z][a-z-]{1,20}$/).filter((name) => !known.has(name)),
        (name) => {
          expect(refusal("up", `--${name}`, "4751").message).toBe(`there is no flag --${name}`)
        }
      )
    )
    expect(refusal("up", "--prot", "4751").next).toContain("--port")
    expect(refusal("up", "--permision-mode", "plan").next).toContain("--permission-mode")
    expect(refusal("up", "-x").message).toBe("there is no flag -x")
    expect(refusal("send", "latest", "-5 degrees").message).toContain("-5")
  })

  it("with another command's flag is told who takes it", () => {
    expect(refusal("up", "--days", "3")).toMatchObject({
      message: "--days is no flag of `up`",
      next: expect.stringContaining("`token create`")
    })
  })

  it("with an unknown command is told which was probably meant", () => {
    expect(refusal("sesions", "list").next).toContain("`sessions`")
    expect(refusal("sessions", "lst").next).toContain("`sessions list`")
    expect(refusal("nonsense").message).toContain('"nonsense"')
    expect(refusal("sessions").message).toContain("list, show")
  })

  it("with a word too many or too few is told which", () => {
    for (const { leaf, path } of leaves) {
      const line = valid(path, leaf)
      if (path.length > 0) expect(refusal(...line, "and more").message).toContain('"and more"')
      const needed = leaf.arguments.filter(({ optional }) => !optional)
      needed.forEach(({ name }, at) => {
        expect(refusal(...path, ...needed.slice(0, at).map(() => "word")).message).toBe(`${name} is missing`)
      })
    }
  })

  it("with a flag that lacks its value, or has one too many, is told so", () => {
    for (const { leaf, path } of leaves) {
      for (const flag of leaf.flags) {
        const line = [...valid(path, leaf), `--${flag.name}`]
        if (flag.value === undefined) {
          expect(refusal(...line.slice(0, -1), `--${flag.name}=yes`).message).toContain("takes no value")
          continue
        }
        expect(refusal(...line).message).toContain(`--${flag.name} needs a value`)
        expect(refusal(...line, "--json").message).toContain(`--${flag.name} needs a value`)
        expect(refusal(...line, "").message).toContain(`--${flag.name}`)
      }
    }
  })

  it("takes numbers in their range, and refuses every other in words", () => {
    const ranges = [
      ["up", "port", 0, 65_535],
      ["up", "capacity", 1, 10_000],
      ["up", "idle-stop", 0, 525_600],
      ["token create", "days", 0, 36_500],
      ["devices code", "ttl", 1, 1_440],
      ["sessions list", "limit", 1, 1_000_000],
      ["directories", "limit", 1, 100],
      ["run prompt", "max-turns", 1, 1_000_000]
    ] as const
    // None is forgotten.
    const numeric = all.filter(
      (flag) => Either.isLeft(flag.read(["word"], "it")) && Either.isRight(flag.read(["1"], "it"))
    )
    expect(new Set(numeric.map(({ name }) => name))).toEqual(new Set(ranges.map(([, name]) => name)))
    for (const [command, name, least, most] of ranges) {
      const line = command.split(" ")
      for (const good of [least, most]) {
        expect(Either.isRight(parse(...line, `--${name}`, String(good)))).toBe(true)
      }
      const fractions = name === "idle-stop" ? [] : ["1.5", "1."]
      for (const bad of [
        String(least - 1),
        String(most + 1),
        "-3",
        "NaN",
        "Infinity",
        "1e9",
        "0x10",
        "9".repeat(40),
        "1,5",
        "ten",
        " ",
        ...fractions
      ]) {
        expect(refusal(...line, `--${name}`, bad).message).toMatch(
          new RegExp(`^--${name} takes a (whole )?number from ${least} to ${most}, not `)
        )
      }
    }
    FastCheck.assert(
      FastCheck.property(FastCheck.string(), (text) => {
        const read = Flag.integer("n", "N", [-5, 5], "").read([text], "--n")
        if (Either.isRight(read)) expect(read.right).toMatchObject({ value: Number(text) })
        else expect(read.left).toContain("from -5 to 5")
      })
    )
  })

  it("takes times with their unit, within what the command allows", () => {
    for (const [line, flag, good, bad] of [
      ["sessions stop", "within", ["0s", "500ms", "60s", "1m"], ["61s", "2m", "10", "1.5s", "-1s", "soon"]],
      [
        "sessions settings latest",
        "skip-permissions",
        ["15m", "1h", "30d", "on", "off"],
        ["0s", "31d", "15", "yes"]
      ]
    ] as const) {
      for (const time of good) {
        expect(parse(...line.split(" "), `--${flag}=${time}`), time).toMatchObject({ right: { _tag: "Run" } })
      }
      for (const time of bad) {
        expect(refusal(...line.split(" "), `--${flag}=${time}`).message).toMatch(
          new RegExp(`^--${flag}: .*, not |^--${flag}: .*; not `)
        )
      }
    }
  })

  it("takes behind -- everything as words, and a value that begins with a dash behind =", () => {
    expect(parse("send", "latest", "--", "--help")).toMatchObject({ right: { _tag: "Run" } })
    expect(parse("up", "--title=-x")).toMatchObject({ right: { _tag: "Run" } })
    expect(parse("send", "latest", "-")).toMatchObject({ right: { _tag: "Run" } })
  })

  it("of nothing is up; of a question is the answer, whatever else is wrong", () => {
    expect(parse()).toMatchObject({ right: { _tag: "Run", name: "up" } })
    expect(parse("--port", "0")).toMatchObject({ right: { _tag: "Run", name: "up" } })
    expect(parse("send", "--help")).toMatchObject({ right: { _tag: "Help", path: ["send"] } })
    expect(parse("help", "sessions", "list")).toMatchObject({
      right: { _tag: "Help", path: ["sessions", "list"] }
    })
    expect(parse("-h")).toMatchObject({ right: { _tag: "Help", path: [] } })
    expect(parse("--version")).toMatchObject({ right: { _tag: "Version" } })
  })
})

describe("the help of every command", () => {
  it("is a screen at most, and names all that it takes", () => {
    for (const { command, path } of Command.walk(commands)) {
      const lines = Help.render(NAME, Flags.globals, command, path, (text) => text)
      const text = lines.join("\n")
      expect(lines.length, text).toBeLessThanOrEqual(Help.SCREEN.rows)
      for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(Help.SCREEN.columns)
      if (command._tag === "Group") {
        for (const { name } of command.commands) expect(text).toContain(`  ${name} `)
      } else {
        for (const { name } of command.flags) expect(text).toContain(`--${name}`)
        for (const { name } of command.arguments) expect(text).toContain(name)
      }
      expect(text).not.toContain("\u001b")
    }
  })
})

describe("the nearest name", () => {
  it("is one with a slip in it, and none where nothing is near", () => {
    const names = ["port", "host", "permission-mode", "state-dir"]
    expect(nearest("prot", names)).toBe("port")
    expect(nearest("permision-mode", names)).toBe("permission-mode")
    expect(nearest("state", names)).toBe("state-dir")
    expect(nearest("nonsense", names)).toBeUndefined()
  })
})
