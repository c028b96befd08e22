/** What git says of the directory that is attached: its branch and its remote. */
import * as Git from "@causeway/client/Git"
import * as Command from "@effect/platform/Command"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

export interface Checkout {
  readonly branch: Option.Option<string>
  /** Address of `origin`. */
  readonly remote: Option.Option<string>
}

/** What git answers; nothing where it fails, is not installed, or has nothing to say. */
const said = (
  dir: string,
  ...args: ReadonlyArray<string>
): Effect.Effect<Option.Option<string>, never, CommandExecutor.CommandExecutor> =>
  Git.command(dir, ...args).pipe(
    Effect.flatMap(Command.string),
    Effect.map((out) => Option.filter(Option.some(out.trim()), (text) => text !== "")),
    Effect.catchAll((error) =>
      Effect.as(
        Effect.logDebug("git did not answer").pipe(Effect.annotateLogs({ detail: error.message })),
        Option.none<string>()
      )
    )
  )

/** Branch and remote; nothing of both without git or outside a checkout. */
export const read = (dir: string): Effect.Effect<Checkout, never, CommandExecutor.CommandExecutor> =>
  Effect.all(
    { branch: said(dir, "branch", "--show-current"), remote: said(dir, "remote", "get-url", "origin") },
    { concurrency: 2 }
  )
