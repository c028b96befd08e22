import { execFileSync } from "node:child_process"
import { expect, it } from "@effect/vitest"
import * as Completions from "../../src/Cli/Completions.ts"
import { commands, NAME } from "../../src/Commands/Commands.ts"
import * as Flags from "../../src/Flags.ts"

const script = Completions.render("bash", NAME, Flags.globals, commands)

/** What bash offers for the last of these words. */
const offered = (...words: ReadonlyArray<string>): ReadonlyArray<string> =>
  execFileSync(
    "bash",
    [
      "-c",
      `${script}\nCOMP_WORDS=(${NAME} "$@"); COMP_CWORD=$#; _${NAME}; printf '%s\\n' "\${COMPREPLY[@]}"`,
      "bash",
      ...words
    ],
    { encoding: "utf8" }
  )
    .split("\n")
    .filter((word) => word !== "")

it("offers commands, what stands below them, and the flags that each takes", () => {
  expect(offered("se")).toEqual(["send", "sessions"])
  expect(offered("sessions", "li")).toEqual(["list"])
  expect(offered("--json", "sessions", "list", "--lim")).toEqual(["--limit"])
  expect(offered("teleport", "session_x", "--any")).toEqual(["--any-repository"])
  expect(offered("--po")).toEqual(["--port"])
  expect(offered("send", "--any")).toEqual([])
  expect(offered("sessions", "s")).toEqual(["show", "settings", "stop", "snapshots"])
  expect(offered("sessions", "continue", "session_x", "on", "--append")).toEqual(["--append-system-prompt"])
})

it("is a script that its shell reads", () => {
  execFileSync("bash", ["-n"], { input: Completions.render("bash", NAME, Flags.globals, commands) })
  for (const shell of Completions.SHELLS) {
    expect(Completions.render(shell, NAME, Flags.globals, commands)).toContain(NAME)
  }
})
