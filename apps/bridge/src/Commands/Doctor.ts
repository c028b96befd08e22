/** `doctor`: looks at what Causeway needs and says what is wrong and what to do. */
import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import * as Sessions from "@causeway/client/Sessions"
import * as Git from "@causeway/git/Git"
import * as Journal from "@causeway/runner/Journal"
import * as Database from "@causeway/store/Database"
import * as FileLock from "@causeway/store/FileLock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Agents from "../Agents.ts"
import * as Command from "../Cli/Command.ts"
import { Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import * as Sqlite from "../Sqlite.ts"
import * as StateDirectory from "../StateDirectory.ts"

interface Finding {
  readonly check: string
  readonly state: "ok" | "note" | "bad"
  readonly detail: string
  readonly next?: string | undefined
}

/** Worth saying, and no failure. */
class Note extends Data.TaggedError("Note")<{ readonly message: string; readonly next?: string }> {}

/** A check says what is well, or fails with what is not and what to do. */
const check = <R>(
  name: string,
  effect: Effect.Effect<string, Note | { readonly message: string; readonly next?: string | undefined }, R>
): Effect.Effect<Finding, never, R> =>
  Effect.match(effect, {
    onFailure: (error) => ({
      check: name,
      state: error instanceof Note ? "note" : "bad",
      detail: error.message,
      next: error.next
    }),
    onSuccess: (detail) => ({ check: name, state: "ok", detail })
  })

const node = Effect.suspend(() => {
  const { node } = process.versions
  return Number(node.split(".")[0]) >= 20
    ? Effect.succeed(node)
    : Failure.failed(node, "install Node 20 or later")
})

const directory = (path: string) =>
  Effect.gen(function* () {
    const { mode } = yield* Effect.try({
      try: () => statSync(path),
      catch: (cause) => Failure.failed(`${path} cannot be read: ${String(cause)}`)
    })
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      return yield* new Note({
        message: `${path} can be read by others`,
        next: `chmod 700 ${Git.quote(path)}`
      })
    }
    return Option.match(yield* StateDirectory.runningHub(path), {
      onNone: () => path,
      onSome: (holder) => `${path}, with the hub of ${FileLock.describe(holder)}`
    })
  })

const hub = (flags: Flags.Remote) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.Sessions
    yield* sessions.list({ limit: 1 })
    const { url } = yield* Remote.address(flags)
    return `${url} answers and accepts the token`
  }).pipe(Remote.withHub(flags))

const program = (name: string, why: string) =>
  check(
    name,
    Effect.catchTag(
      Effect.flatten(Agents.onPath(name)),
      "NoSuchElementException",
      () => new Note({ message: `not found on the path: ${why}` })
    )
  )

const tones = { ok: "good", note: "warn", bad: "bad" } as const

export const doctor = Command.make(
  "doctor",
  "Check this machine, the hub and the token",
  Flags.remote,
  (flags) =>
    Effect.gen(function* () {
      const output = yield* Output
      const stateDir = StateDirectory.open(flags.stateDir)
      const binding = yield* check("sqlite", Sqlite.loaded)
      const databases = yield* Effect.option(stateDir).pipe(
        Effect.map(
          Option.match({
            onNone: () => [],
            onSome: (path) =>
              [StateDirectory.databaseFile(path), join(path, Journal.JOURNAL_FILE)].filter(existsSync)
          })
        )
      )
      const findings = [
        yield* check("node", node),
        binding,
        yield* check("state directory", Effect.flatMap(stateDir, directory)),
        ...(yield* Effect.forEach(binding.state === "ok" ? databases : [], (file) =>
          check("database", Effect.as(Database.check(file), file))
        )),
        yield* check("hub", hub(flags)),
        yield* program("claude", "no agent but the scripted one, unless --agent names another"),
        yield* program("git", "teleport and worktrees need it")
      ]
      for (const finding of findings) {
        const { check, detail, next, state } = finding
        yield* output.tell({ ...finding }, `${state.padEnd(5)}${check}: ${detail}`, tones[state])
        if (next !== undefined) yield* output.line(`     ${next}`)
      }
      const failed = findings.filter(({ state }) => state === "bad")
      if (failed.length > 0) {
        return yield* Failure.failed(`${failed.length} of ${findings.length} checks failed`)
      }
    })
)
