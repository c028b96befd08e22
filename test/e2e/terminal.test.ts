/**
 * The terminal view as people use it: the built program in a real tmux, against a real hub, bridge and agent. Needs tmux;
 * where it is missing nothing here runs, and the run says so.
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Directory from "../support/Directory.ts"
import * as Program from "../support/Program.ts"
import * as Ssh from "./support/Ssh.ts"
import * as Tmux from "./support/Tmux.ts"

const bundle = fileURLToPath(new URL("../../apps/bridge/dist/main.js", import.meta.url))

if (!Tmux.isInstalled) {
  process.stderr.write("\ntest/e2e/terminal.test.ts DID NOT RUN: tmux is not installed\n\n")
} else if (Ssh.missing !== undefined) {
  process.stderr.write(`\ntest/e2e/terminal.test.ts OVER SSH DID NOT RUN: ${Ssh.missing}\n\n`)
}

const place = Directory.temporary("terminal")

const up = (directory: string, port: string) =>
  Effect.gen(function* () {
    const program = yield* Program.start(
      ["up", "--agent", "scripted", "--json", "--port", port, "--state-dir", join(directory, "state")],
      { cwd: directory }
    )
    const ready = yield* program.line((line) => line["event"] === "ready")
    return { program, port: new URL(String(ready["url"])).port, session: String(ready["session_id"]) }
  })

const causeway = (directory: string, ...args: ReadonlyArray<string>) =>
  Program.run([...args, "--state-dir", join(directory, "state")])

/** `attach ARGS` in a terminal; how it ended stands below what it printed. */
const attach = (
  directory: string,
  args: ReadonlyArray<string>,
  env: { readonly [name: string]: string } = {}
) =>
  Tmux.start({
    command: `'${process.execPath}' '${bundle}' attach ${args.join(" ")} --state-dir state; echo "left with $?"; exec cat`,
    columns: 100,
    rows: 30,
    cwd: directory,
    env
  })

/** Types a message and sends it. */
const say = (terminal: Tmux.Terminal, words: string) =>
  Effect.zipRight(terminal.type(words), terminal.press("Enter"))

const count = (screen: string, words: string): number => screen.split(words).length - 1

describe.skipIf(!Tmux.isInstalled)("attach, in a real terminal", () => {
  it.scopedLive(
    "a person talks to the agent, answers it, stops it, and leaves it to go on",
    () =>
      Effect.gen(function* () {
        const directory = yield* place
        const { session } = yield* up(directory, "0")
        const terminal = yield* attach(directory, ["latest"])
        yield* terminal.shows(/connected\n/)

        yield* say(terminal, "hello")
        yield* terminal.shows(/> hello\n {2}answered\n\necho: hello\n-- done/)

        yield* terminal.paste("first line\nsecond line")
        yield* terminal.press("M-Enter")
        yield* say(terminal, "third line")
        yield* terminal.shows("echo: first line\nsecond line\nthird line\n")

        // Allowed.
        yield* say(terminal, "!write kept.txt by a person's leave")
        const asked = yield* terminal.shows("The agent wants to use Write")
        expect(asked).toContain("+ by a person's leave")
        expect(asked).toContain("a allow, A always, d deny")
        yield* terminal.type("a")
        // The path may be longer than the line.
        yield* terminal.shows(/done: wrote [\s\S]*kept/, "The agent wants")
        expect(yield* Effect.promise(() => readFile(join(directory, "kept.txt"), "utf8"))).toBe(
          "by a person's leave"
        )

        // Denied, with words.
        yield* say(terminal, "!bash echo no")
        yield* terminal.shows("The agent wants to use Bash")
        yield* terminal.type("d")
        yield* terminal.shows("deny:")
        yield* say(terminal, "not now")
        yield* terminal.shows("denied: not now")

        // A question, by number.
        yield* say(terminal, "!ask Which? | Red | Blue")
        yield* terminal.shows("2 Blue")
        yield* terminal.type("2")
        yield* terminal.shows("chosen: Blue")

        // Answered by somebody else while the panel is open.
        yield* say(terminal, "!bash echo elsewhere")
        yield* terminal.shows("The agent wants to use Bash")
        expect((yield* causeway(directory, "approve", session)).code).toBe(0)
        yield* terminal.shows("Bash was allowed by someone else", "The agent wants")

        // Stopped in the middle of a sentence.
        yield* say(terminal, "!slow 2000 20")
        yield* terminal.shows(/word0 word1/)
        yield* terminal.press("Escape")
        yield* terminal.shows("-- stopped")

        // Another size, smaller and larger.
        yield* terminal.resize(60, 16)
        const small = yield* terminal.shows(/^hello .*connected\n.*\n─{60}\n/)
        expect(small.split("\n").every((line) => line.length <= 60)).toBe(true)
        yield* terminal.resize(120, 40)
        yield* terminal.shows(/^hello .*connected\n.*\n─{120}\n/)

        yield* say(terminal, "!slow 40 50")
        yield* terminal.shows(/> !slow 40 50\n {2}taken by the agent\n+word0/)
        yield* terminal.press("C-d")
        const left = yield* terminal.shows("left with 0")
        expect(left).toContain(`detached from ${session}; the agent goes on`)
        // It did: the turn that was running has its end.
        const later = yield* attach(directory, [session])
        yield* later.shows(/word39\n-- done/)
        yield* later.press("C-c")
        yield* later.shows("Ctrl-C again detaches")
        yield* later.press("C-c")
        yield* later.shows("left with 0")
      }),
    300_000
  )

  it.scopedLive(
    "a hub that was killed comes back: what was typed meanwhile is sent once, and nothing is doubled",
    () =>
      Effect.gen(function* () {
        const directory = yield* place
        const first = yield* up(directory, "0")
        // Chosen from the list.
        const terminal = yield* attach(directory, [])
        yield* terminal.shows("Which session?")
        yield* terminal.shows(/> .*session_/)
        yield* terminal.press("Enter")
        yield* terminal.shows(/connected\n/)
        yield* say(terminal, "before")
        yield* terminal.shows("echo: before\n-- done")

        yield* first.program.kill("SIGKILL")
        yield* first.program.ended
        yield* terminal.shows(/reconnecting (?:in \d+ s|now)/)
        yield* terminal.shows("was idle")
        yield* say(terminal, "meanwhile")
        yield* terminal.shows("> meanwhile\n  sending")

        const second = yield* up(directory, first.port)
        expect(second.session).toBe(first.session)
        const screen = yield* terminal.shows(/echo: meanwhile\n-- done/)
        expect(screen).toMatch(/connected\n/)
        for (const words of ["> before\n", "echo: before\n", "> meanwhile\n", "echo: meanwhile\n"]) {
          expect(count(screen, words)).toBe(1)
        }
      }),
    300_000
  )

  it.scopedLive(
    "shows hostile output as text, a long transcript to its beginning, and no colour with NO_COLOR",
    () =>
      Effect.gen(function* () {
        const directory = yield* place
        const { session } = yield* up(directory, "0")
        const input = { command: "\u001b[31mred\u001b]0;title\u0007\u202e", file: "a\u009bb" }
        expect(
          (yield* causeway(directory, "send", session, `!tool Ev\u001bil ${JSON.stringify(input)}`, "--wait"))
            .code
        ).toBe(0)
        expect((yield* causeway(directory, "send", session, "!flood 1500", "--wait")).code).toBe(0)

        const terminal = yield* attach(directory, ["latest"], { NO_COLOR: "1" })
        yield* terminal.shows("flooded: 1500")
        expect(yield* terminal.screen({ styled: true })).not.toMatch(
          // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what is looked for
          /\u001b\[(?:[0-9;]*;)?(?:3[0-9]|9[0-7]|4[0-9]|10[0-7])(?:;[0-9;]*)?m/
        )
        yield* terminal.press("C-Home")
        const top = yield* terminal.shows(/Ctrl-End/, "reading")
        expect(top).toContain("\\u001b[31mred\\u001b]0;title\\u0007\\u202e")
        yield* terminal.press("C-End")
        yield* terminal.shows("flooded: 1500", "Ctrl-End")
        yield* terminal.press("C-d")
        yield* terminal.shows("left with 0")
      }),
    300_000
  )

  it.scopedLive(
    "says what is wrong instead of drawing: no terminal, no such session",
    () =>
      Effect.gen(function* () {
        const directory = yield* place
        yield* up(directory, "0")
        const piped = yield* causeway(directory, "attach", "latest")
        expect(piped.code).toBe(2)
        expect(piped.stderr).toContain("use logs --follow")
        const terminal = yield* attach(directory, ["session_00000000000000000000000000000000"])
        yield* terminal.shows("left with 4")
      }),
    180_000
  )
})

/** Runs a line for `sh` in a terminal; how it ended stands below what it printed. */
const terminalOf = (directory: string, command: string) =>
  Tmux.start({
    command: `${command}; echo "left with $?"; exec cat`,
    columns: 100,
    rows: 30,
    cwd: directory
  })

describe.skipIf(!Tmux.isInstalled)("logs --follow, in a real terminal", () => {
  it.scopedLive(
    "shows what happens as it happens, as text, until it is ended",
    () =>
      Effect.gen(function* () {
        const directory = yield* place
        const { session } = yield* up(directory, "0")
        const terminal = yield* terminalOf(
          directory,
          `'${process.execPath}' '${bundle}' logs latest --follow --state-dir state`
        )
        yield* causeway(directory, "send", session, "one", "--wait")
        yield* terminal.shows("echo: one")
        yield* terminal.resize(60, 16)
        yield* causeway(directory, "send", session, "!say \u001b[31mred\u202e", "--wait")
        yield* terminal.shows("\\u001b[31mred\\u202e")
        yield* terminal.press("C-c")
        yield* terminal.shows("left with 130")
      }),
    180_000
  )
})

describe.skipIf(!Tmux.isInstalled || Ssh.missing !== undefined)("over ssh", () => {
  it.scopedLive(
    "attach and logs --follow: typed into, resized, left, cut off and taken up again",
    () =>
      Effect.gen(function* () {
        const directory = yield* place
        const { session } = yield* up(directory, "0")
        const there = yield* Ssh.start(directory)
        const program = (args: string) =>
          there(`cd '${directory}' && '${process.execPath}' '${bundle}' ${args} --state-dir state`)

        const terminal = yield* terminalOf(directory, program("attach latest"))
        yield* terminal.shows(/connected\n/)
        const followed = yield* terminalOf(directory, program("logs latest --follow"))
        yield* say(terminal, "hello from afar")
        yield* terminal.shows(/> hello from afar\n {2}answered\n\necho: hello from afar\n-- done/)
        yield* followed.shows("echo: hello from afar")

        yield* say(terminal, "!bash echo allowed-from-afar")
        yield* terminal.shows("The agent wants to use Bash")
        yield* terminal.type("a")
        yield* terminal.shows("done: allowed-from-afar")

        yield* terminal.resize(60, 16)
        const small = yield* terminal.shows(/^.*connected\n.*\n─{60}\n/)
        expect(small.split("\n").every((line) => line.length <= 60)).toBe(true)
        yield* terminal.resize(120, 40)
        yield* terminal.shows(/connected\n.*\n─{120}\n/)

        // The connection is cut in the middle of a turn; the agent goes on, and another terminal shows its end.
        yield* say(terminal, "!slow 30 50")
        yield* terminal.shows(/word0/)
        yield* terminal.press("Enter")
        yield* terminal.type("~.")
        yield* terminal.shows("left with 255")
        const later = yield* terminalOf(directory, program(`attach ${session}`))
        yield* later.shows(/word29\s*\n-- done/)
        yield* later.press("C-d")
        yield* later.shows("left with 0")
        yield* followed.press("C-c")
        yield* followed.shows(/left with \d+/)
      }),
    180_000
  )
})
