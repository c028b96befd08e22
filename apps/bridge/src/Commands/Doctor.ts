/** `doctor`: looks at what Causeway needs and says what is wrong and what to do. */
import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import * as Sessions from "@causeway/client/Sessions"
import * as Git from "@causeway/git/Git"
import * as Visible from "@causeway/protocol/Visible"
import * as Journal from "@causeway/runner/Journal"
import * as Database from "@causeway/store/Database"
import * as FileLock from "@causeway/store/FileLock"
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

const node: Effect.Effect<Finding> = Effect.sync(() => {
  const major = Number(process.versions.node.split(".")[0])
  return major >= 20
    ? { check: "node", state: "ok", detail: process.versions.node }
    : { check: "node", state: "bad", detail: process.versions.node, next: "install Node 20 or later" }
})

/** What a check that failed found. */
const bad = (
  check: string,
  failure: { readonly message: string; readonly next?: string | undefined }
): Finding => ({
  check,
  state: "bad",
  detail: failure.message,
  next: failure.next
})

const sqlite: Effect.Effect<Finding> = Effect.match(Sqlite.loaded, {
  onFailure: (failure) => bad("sqlite", failure),
  onSuccess: (version): Finding => ({ check: "sqlite", state: "ok", detail: version })
})

const directory = (flags: Remote.Flags): Effect.Effect<Finding> =>
  Effect.gen(function* () {
    const path = yield* StateDirectory.open(flags.stateDir)
    const found = yield* Effect.try({
      try: () => statSync(path),
      catch: (cause) => new Failure({ message: `${path} cannot be looked at: ${String(cause)}` })
    })
    if (process.platform !== "win32" && (found.mode & 0o077) !== 0) {
      const finding: Finding = {
        check: "state directory",
        state: "note",
        detail: `${path} can be read by others`,
        next: `chmod 700 ${Git.quote(path)}`
      }
      return finding
    }
    const running = yield* StateDirectory.runningHub(path)
    const finding: Finding = {
      check: "state directory",
      state: "ok",
      detail: Option.match(running, {
        onNone: () => path,
        onSome: (holder) => `${path}, with the hub of ${FileLock.describe(holder)}`
      })
    }
    return finding
  }).pipe(Effect.catchAll((failure) => Effect.succeed(bad("state directory", failure))))

/** The databases that are there. */
const databases = (flags: Remote.Flags): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const path = yield* StateDirectory.open(flags.stateDir)
    const files = [StateDirectory.databaseFile(path), join(path, Journal.JOURNAL_FILE)]
    return yield* Effect.forEach(files.filter(existsSync), (file) =>
      Effect.match(Database.check(file), {
        onFailure: (error) => bad("database", error),
        onSuccess: (): Finding => ({ check: "database", state: "ok", detail: file })
      })
    )
  }).pipe(Effect.orElseSucceed(() => []))

const hub = (flags: Remote.Flags): Effect.Effect<Finding> =>
  Effect.flatMap(Remote.address(flags), (to) =>
    Effect.flatMap(Sessions.Sessions, (sessions) => sessions.list({ limit: 1 })).pipe(
      Effect.provide(Remote.services(to)),
      Effect.mapError(Remote.failure),
      Effect.as<Finding>({ check: "hub", state: "ok", detail: `${to.url} answers and accepts the token` })
    )
  ).pipe(Effect.catchAll((failure) => Effect.succeed(bad("hub", failure))))

const program = (name: string, why: string): Effect.Effect<Finding> =>
  Agents.onPath(name).pipe(
    Effect.map(
      Option.match({
        onNone: (): Finding => ({ check: name, state: "note", detail: `not found on the path: ${why}` }),
        onSome: (path): Finding => ({ check: name, state: "ok", detail: path })
      })
    )
  )

export const doctor = Command.make(
  "doctor",
  "Check this machine, the hub and the token",
  Flags.remote,
  (flags) =>
    Effect.gen(function* () {
      const output = yield* Output
      const binding = yield* sqlite
      const findings = [
        yield* node,
        binding,
        yield* directory(flags),
        ...(binding.state === "ok" ? yield* databases(flags) : []),
        yield* hub(flags),
        yield* program("claude", "no agent but the scripted one, unless --agent names another"),
        yield* program("git", "teleport and worktrees need it")
      ]
      for (const finding of findings) {
        yield* output.value({ ...finding })
        yield* output.line(
          Visible.text(`${finding.state.padEnd(5)}${finding.check}: ${finding.detail}`),
          finding.state === "ok" ? "good" : finding.state === "note" ? "warn" : "bad"
        )
        if (finding.next !== undefined) yield* output.line(Visible.text(`     ${finding.next}`))
      }
      const failed = findings.filter((finding) => finding.state === "bad")
      if (failed.length > 0)
        return yield* new Failure({ message: `${failed.length} of ${findings.length} checks failed` })
    })
)
