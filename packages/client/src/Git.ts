/** Git as it is called here: in a directory that is named, whatever repository the environment points to. */
import * as ChildEnvironment from "@causeway/protocol/ChildEnvironment"
import * as Command from "@effect/platform/Command"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** The environment that this process was started in; git's is made of it. */
export class HostEnvironment extends Context.Reference<HostEnvironment>()(
  "@causeway/client/HostEnvironment",
  { defaultValue: (): ChildEnvironment.Variables => process.env }
) {}

/** `git -C directory ARGS`. */
export const command = (directory: string, ...args: ReadonlyArray<string>): Effect.Effect<Command.Command> =>
  Effect.map(HostEnvironment, (host) =>
    Command.env(Command.make("git", "-C", directory, ...args), ChildEnvironment.forGit(host), {
      extendEnv: false
    })
  )
