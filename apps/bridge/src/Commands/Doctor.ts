/** `doctor`: looks at what Causeway needs and says what is wrong and what to do. */
import { stat } from "node:fs/promises"
import * as Sessions from "@causeway/client/Sessions"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Agents from "../Agents.ts"
import * as Command from "../Cli/Command.ts"
import { Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
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

const directory = (flags: Remote.Flags): Effect.Effect<Finding> =>
  StateDirectory.open(flags.stateDir).pipe(
    Effect.flatMap((path) =>
      Effect.promise(() => stat(path)).pipe(
        Effect.map(
          (found): Finding =>
            process.platform !== "win32" && (found.mode & 0o077) !== 0
              ? {
                  check: "state directory",
                  state: "note",
                  detail: `${path} can be read by others`,
                  next: `chmod 700 ${path}`
                }
              : { check: "state directory", state: "ok", detail: path }
        )
      )
    ),
    Effect.catchAll((failure) =>
      Effect.succeed<Finding>({
        check: "state directory",
        state: "bad",
        detail: failure.message,
        next: failure.next
      })
    )
  )

const hub = (flags: Remote.Flags): Effect.Effect<Finding> =>
  Effect.flatMap(Remote.address(flags), (to) =>
    Effect.flatMap(Sessions.Sessions, (sessions) => sessions.list({ limit: 1 })).pipe(
      Effect.provide(Remote.services(to)),
      Effect.mapError(Remote.failure),
      Effect.as<Finding>({ check: "hub", state: "ok", detail: `${to.url} answers and accepts the token` })
    )
  ).pipe(
    Effect.catchAll((failure) =>
      Effect.succeed<Finding>({ check: "hub", state: "bad", detail: failure.message, next: failure.next })
    )
  )

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
      const findings = yield* Effect.all([
        node,
        directory(flags),
        hub(flags),
        program("claude", "the scripted agent is used unless --agent names another"),
        program("git", "teleport needs it")
      ])
      for (const finding of findings) {
        yield* output.value({ ...finding })
        yield* output.line(
          `${finding.state.padEnd(5)}${finding.check}: ${finding.detail}`,
          finding.state === "ok" ? "good" : finding.state === "note" ? "warn" : "bad"
        )
        if (finding.next !== undefined) yield* output.line(`     ${finding.next}`)
      }
      const bad = findings.filter((finding) => finding.state === "bad")
      if (bad.length > 0)
        return yield* new Failure({ message: `${bad.length} of ${findings.length} checks failed` })
    })
)
