/** Which agent a command drives. */
import { accessSync, constants, statSync } from "node:fs"
import { delimiter, join, resolve } from "node:path"
import * as Visible from "@causeway/protocol/Visible"
import * as AcpCommand from "@causeway/runner/Acp/Command"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { Failure } from "./Failure.ts"
import type { Output } from "./Output.ts"

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** The first file of this name on the path, as a shell would find it. */
export const onPath = (name: string): Effect.Effect<Option.Option<string>> =>
  Config.withDefault(Config.string("PATH"), "").pipe(
    Effect.orDie,
    Effect.map((path) =>
      Option.fromNullable(
        path
          .split(delimiter)
          .filter((directory) => directory !== "")
          .flatMap((directory) =>
            (process.platform === "win32" ? [".exe", ".cmd"] : [""]).map((ending) =>
              join(directory, name + ending)
            )
          )
          .find(isExecutable)
      )
    )
  )

/** An agent by its name, and whether the name was guessed. */
export interface Choice {
  readonly agent: string
  readonly guessed: boolean
  /** It is the scripted agent, and nobody asked for that: it stands in for one that is not installed. */
  readonly standsIn: boolean
}

/** An agent as a person names it. */
export const parse = (name: string): Either.Either<string, string> =>
  name === "claude" || name === "scripted" || /^acp:./.test(name)
    ? Either.right(name)
    : Either.left(`there is no agent called ${JSON.stringify(name)}; use claude, scripted or acp:COMMAND`)

/**
 * That an agent's program is there to be started: whoever named one that is missing hears it now, and not from a session
 * that says ready and answers nothing. `cwd`: where a relative path begins.
 */
export const installed = (agent: string, cwd: string): Effect.Effect<void, Failure> =>
  Effect.gen(function* () {
    if (agent === "scripted") return
    const command = agent.startsWith("acp:") ? AcpCommand.parse(agent.slice("acp:".length)) : undefined
    if (command !== undefined && Either.isLeft(command)) {
      return yield* Failure.usage(
        `the agent ${JSON.stringify(agent)} is ${command.left.message}`,
        "name one like acp:COMMAND, with its arguments"
      )
    }
    const program = command === undefined ? agent : command.right.program
    const found = program.includes("/")
      ? isExecutable(resolve(cwd, program))
      : Option.isSome(yield* onPath(program))
    if (found) return
    return yield* Failure.failed(
      program.includes("/")
        ? `the agent ${Visible.line(agent)} cannot be started: ${Visible.line(resolve(cwd, program))} is not an executable file`
        : `the agent ${Visible.line(agent)} cannot be started: ${Visible.line(program)} is not on the path (PATH)`,
      "install it, or name where it is in PATH; --agent scripted tries things out without it"
    )
  })

/**
 * The named one, else `claude` where it is on the path. Else the scripted agent stands in, where a person
 * is there to read that it does; what starts unattended (a service, cron, a script) is refused: it would answer people as if
 * it were the agent.
 */
export const choose = (named: Option.Option<string>, attended: boolean): Effect.Effect<Choice, Failure> =>
  Effect.gen(function* () {
    if (Option.isSome(named)) {
      return { agent: named.value, guessed: false, standsIn: false }
    }
    if (Option.isSome(yield* onPath("claude"))) return { agent: "claude", guessed: true, standsIn: false }
    if (attended) return { agent: "scripted", guessed: true, standsIn: true }
    return yield* Failure.failed(
      "no agent is installed here: claude is not on the path (PATH), and none was named",
      "set PATH for what starts it, or name an agent: --agent claude, acp:COMMAND, or scripted to try things out"
    )
  })

/** The directory that an agent is to work in; the current one where none is named. */
export const directory = (dir: Option.Option<string>): Effect.Effect<string, Failure> =>
  Effect.suspend(() => {
    const path = resolve(Option.getOrElse(dir, () => "."))
    const found = statSync(path, { throwIfNoEntry: false })
    if (found?.isDirectory()) return Effect.succeed(path)
    return Failure.usage(
      found === undefined ? `${path} does not exist` : `${path} is not a directory`,
      "name the directory that the agent shall work in with --dir"
    )
  })

/** Whether a person reads what is printed and may answer: none does of a service, of cron or of a script. */
export const attended = (output: typeof Output.Service): boolean =>
  Option.isSome(output.terminal) && process.stdin.isTTY === true

/** What people are told where no agent was found and none was named. */
export const STANDS_IN =
  "No agent is installed here (claude is not on the path): a scripted stand-in answers, which understands nothing. Install claude, or name an agent with --agent."
