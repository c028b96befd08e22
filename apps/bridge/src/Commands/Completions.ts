/** `completions SHELL`: prints the script by which a shell completes this program's command lines. */
import * as Effect from "effect/Effect"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Completions from "../Cli/Completions.ts"
import { Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"

/** `root` is asked for when it is run: this command is one of those that it completes. */
export const completions = <R>(program: string, root: () => Command.Command<R>) =>
  Command.make(
    "completions",
    "Print a script that completes commands in your shell",
    { shell: Argument.text("SHELL", "bash, zsh or fish") },
    ({ shell }) =>
      Effect.gen(function* () {
        const known = Completions.SHELLS.find((each) => each === shell)
        if (known === undefined) {
          return yield* Failure.usage(
            `there are completions for ${Completions.SHELLS.join(", ")}, not for ${JSON.stringify(shell)}`,
            `in ~/.bashrc, for example: eval "$(${program} completions bash)"`
          )
        }
        const output = yield* Output
        yield* output.output(`${Completions.render(known, program, Flags.globals, root())}\n`)
      })
  )
