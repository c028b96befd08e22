/** What git says of a directory, and the few things that are asked of it. */
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

/** Paths that were changed and not committed, as `git status` names them; untracked ones are in nobody's way. */
export const changes = (dir: string) =>
  Effect.map(git(dir, "status", "--porcelain", "--untracked-files=no"), ({ out }) =>
    out.split("\n").flatMap((line) => (line === "" ? [] : [line.slice(3)]))
  )

/** Gets what `origin` has; false where it cannot be reached. */
export const fetch = (dir: string) =>
  Effect.map(git(dir, "fetch", "--quiet", "origin"), ({ code }) => code === 0)

/** Whether a branch of this name is here or at `origin`. */
export const hasBranch = (dir: string, branch: string) =>
  Effect.all(
    [`refs/heads/${branch}`, `refs/remotes/origin/${branch}`].map((ref) =>
      git(dir, "show-ref", "--verify", "--quiet", ref)
    )
  ).pipe(Effect.map((found) => found.some(({ code }) => code === 0)))

/** Switches to a branch that is here or at `origin`. */
export const switchTo = (dir: string, branch: string) => git(dir, "switch", "--quiet", branch)
