/** What git says of the directory that is attached: its branch and its remote. */
import * as Command from "@effect/platform/Command"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

export interface Checkout {
  readonly branch: Option.Option<string>
  /** Address of `origin`. */
  readonly remote: Option.Option<string>
}

/** How a git command ended. */
interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

const git = (
  dir: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<Said, never, CommandExecutor.CommandExecutor> =>
  Command.make("git", "-C", dir, ...args).pipe(
    Command.env({ GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" }),
    Command.start,
    Effect.flatMap((process) =>
      Effect.all(
        {
          code: process.exitCode,
          out: Stream.mkString(Stream.decodeText(process.stdout)),
          err: Stream.mkString(Stream.decodeText(process.stderr))
        },
        { concurrency: 3 }
      )
    ),
    Effect.scoped,
    Effect.catchAll((error) => Effect.succeed({ code: 127, out: "", err: error.message }))
  )

const said = (dir: string, ...args: ReadonlyArray<string>) =>
  Effect.map(git(dir, ...args), ({ code, out }) =>
    code === 0 && out.trim() !== "" ? Option.some(out.trim()) : Option.none()
  )

/** Branch and remote; nothing of both without git or outside a checkout. */
export const read = (dir: string): Effect.Effect<Checkout, never, CommandExecutor.CommandExecutor> =>
  Effect.all(
    { branch: said(dir, "branch", "--show-current"), remote: said(dir, "remote", "get-url", "origin") },
    { concurrency: 2 }
  )
