/**
 * Agents in a real sandbox. Where the system has none (no bubblewrap, no namespaces) that is said, and the tests of it do not run.
 */
import { execFileSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { AgentSessions } from "../src/Agent.ts"
import * as ProcessTable from "../src/Process/ProcessTable.ts"
import * as Sandbox from "../src/Sandbox.ts"
import * as Scripted from "./support/Scripted.ts"
import * as Talk from "./support/Talk.ts"

const plain: Sandbox.Sandbox = {
  program: "bwrap",
  hidden: [],
  writable: [],
  network: false,
  privateTmp: true
}

const probed = await Effect.runPromise(Effect.either(Sandbox.probe(plain, "/")))
const has = Either.isRight(probed)
if (!has) process.stderr.write(`The tests of the sandbox did not run: ${probed.left.message}\n`)

const stub = fileURLToPath(new URL("./fixtures/acp-agent.mjs", import.meta.url))

/** A machine: a state directory with a secret, a checkout to work in, and another directory. */
const machine = Effect.map(Scripted.directory, (directory) => {
  const root = realpathSync(directory)
  const [state, cwd, other] = [join(root, "state"), join(root, "work"), join(root, "other")]
  for (const each of [state, cwd, other]) mkdirSync(each)
  execFileSync("git", ["init", "-q", cwd])
  writeFileSync(join(state, "token"), "the secret")
  writeFileSync(join(other, "notes"), "of others")
  return { state, cwd, other }
})

/** The machine with an agent that works there unasked. */
const working = (agent: string, permissionMode?: string) =>
  Effect.gen(function* () {
    const { cwd, other, state } = yield* machine
    const scriptedAgentPath = yield* Effect.promise(Scripted.bundle)
    const session = yield* Effect.flatMap(AgentSessions, ({ open }) =>
      open(Talk.spec({ agent, cwd, options: { permissionMode } }))
    ).pipe(
      Effect.provide(
        Scripted.layer({
          scriptedAgentPath,
          scriptedDirectory: join(state, "scripted"),
          acpDirectory: join(state, "acp"),
          sandbox: { ...plain, hidden: [state], writable: [dirname(stub)] }
        })
      )
    )
    const talk = yield* Talk.listen(session)
    const say = (text: string) =>
      Effect.gen(function* () {
        const prompt = Talk.prompt(text)
        yield* session.input(prompt)
        return (yield* talk.result(prompt)).json
      })
    return { cwd, other, say, session, state }
  })

/** Tries all that must not be done, and leaves what came of it in the working directory. */
const tries = (state: string, other: string) =>
  [
    `cat '${state}/token'`,
    `touch '${other}/made'`,
    `echo x > '${other}/notes'`,
    "touch .git/hooks/post-checkout",
    "git config core.fsmonitor evil",
    "touch /usr/made",
    "ls /run/dbus",
    `kill -0 ${process.pid}`,
    "grep -q eth /proc/net/dev"
  ]
    .map((command, at) => `(${command}) > /dev/null 2>&1 && echo ${at} >> done`)
    .join("; ")

const GOOD = "touch made /tmp/made .git/made && echo good >> done; true"

describe("a sandbox", () => {
  it.effect("that cannot be had is refused in words", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(Sandbox.probe({ ...plain, program: "no-such-bwrap" }, "/"))
      expect(missing.message).toContain("no-such-bwrap is not installed")
      const refused = yield* Effect.flip(Sandbox.probe({ ...plain, program: "false" }, "/"))
      expect(refused.message).toContain("must let this user make namespaces")
    })
  )

  it.scoped(
    "takes no `.git` for a repository that an agent may have written, and hides what lies deeper",
    () =>
      Effect.gen(function* () {
        const { cwd, other, state } = yield* machine
        const tree = join(cwd, "tree")
        mkdirSync(tree)
        writeFileSync(join(tree, ".git"), `gitdir: ${other}\n`)
        expect(Sandbox.wrapping(plain, { cwd: tree })).not.toContain(other)
        const args = Sandbox.wrapping({ ...plain, hidden: [state], writable: [dirname(state)] }, { cwd })
        expect(args).toContain(join(cwd, ".git"))
        expect(args.lastIndexOf(state)).toBeGreaterThan(args.lastIndexOf(dirname(state)))
      })
  )
})

describe.runIf(has)("in a sandbox", () => {
  it.scopedLive(
    "an agent works in its directory, and reads, writes and reaches nothing that is not its own",
    () =>
      Effect.gen(function* () {
        const { cwd, other, say, state } = yield* working("scripted", "bypassPermissions")
        yield* say(`!bash ${tries(state, other)}; ${GOOD}`)
        expect(readFileSync(join(cwd, "done"), "utf8")).toBe("good\n")
      }),
    60_000
  )

  it.scopedLive(
    "an agent of the Agent Client Protocol is held to the same, with what it has its client do",
    () =>
      Effect.gen(function* () {
        const agent = `acp:"${process.execPath}" "${stub}"`
        const { cwd, other, say, state } = yield* working(agent)
        yield* say(`run ${tries(state, other)}; ${GOOD}`)
        expect(readFileSync(join(cwd, "done"), "utf8")).toBe("good\n")
        expect(JSON.stringify(yield* say(`edit ${cwd}/.git/hooks/post-checkout x`))).toContain(
          "git runs by it"
        )
      }),
    60_000
  )

  it.scopedLive(
    "all that an agent has started ends with it, what left its group and its session too",
    () =>
      Effect.gen(function* () {
        const mark = randomUUID()
        const running = ProcessTable.withVariable("SANDBOX_TEST_MARK", new Set([mark]))
        const { say, session } = yield* working("scripted", "bypassPermissions")
        const begin = say(
          `!bash export SANDBOX_TEST_MARK=${mark}; setsid sleep 1000 > /dev/null 2>&1 & echo begun`
        )
        yield* begin
        expect(yield* running).toHaveLength(1)
        const pid = Option.getOrThrow(yield* session.process)
        process.kill(ProcessTable.grandchild(pid) ?? 0, "SIGKILL")
        yield* running.pipe(
          Effect.repeat({ until: (pids) => pids.length === 0, schedule: Schedule.spaced("20 millis") }),
          Effect.timeout("10 seconds")
        )
        // The next process of it takes the conversation up.
        expect(JSON.stringify(yield* say("hello"))).toContain("echo: hello")
      }),
    60_000
  )
})
