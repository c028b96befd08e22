/** What git says of a directory: branch and remote. Without git, or outside a checkout, nothing. */
import * as Command from "@effect/platform/Command"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

export interface Checkout {
  readonly branch: Option.Option<string>
  /** Address of `origin`. */
  readonly remote: Option.Option<string>
}

const git = (
  dir: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<Option.Option<string>, never, CommandExecutor.CommandExecutor> =>
  Command.make("git", "-C", dir, ...args).pipe(
    Command.env({ GIT_TERMINAL_PROMPT: "0" }),
    Command.string,
    Effect.map((text) => (text.trim() === "" ? Option.none() : Option.some(text.trim()))),
    Effect.catchAll((error) =>
      Effect.as(Effect.logDebug("git did not answer", error), Option.none<string>())
    )
  )

export const read = (dir: string) =>
  Effect.all(
    { branch: git(dir, "branch", "--show-current"), remote: git(dir, "remote", "get-url", "origin") },
    { concurrency: 2 }
  )
