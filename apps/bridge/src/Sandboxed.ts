/** The sandbox of a command's agents: what a flag or the machine's policy asks for, tried before anything starts. */
import { realpathSync } from "node:fs"
import { resolve } from "node:path"
import type * as MachinePolicy from "@causeway/bridge/MachinePolicy"
import * as Confinement from "@causeway/runner/Confinement"
import * as Sandbox from "@causeway/runner/Sandbox"
import * as Effect from "effect/Effect"
import { Failure } from "./Failure.ts"

/** `secrets`: further files that no agent is to read. None where neither flag nor policy wants one. */
export const of = (options: {
  readonly asked: boolean
  readonly machine: MachinePolicy.Machine
  readonly stateDir: string
  readonly dir: string
  readonly secrets: ReadonlyArray<string>
}): Effect.Effect<Sandbox.Sandbox | undefined, Failure> =>
  Effect.gen(function* () {
    const { asked, dir, machine, secrets, stateDir } = options
    const { hidden, required, ...others } = machine.sandbox
    if (!asked && required) {
      return yield* Failure.refused(
        "not allowed on this machine: agents without a sandbox (policy.json)",
        "start it with --sandbox"
      )
    }
    if (!asked) return undefined
    // Files of the working directory are shown to people as an agent names them, by a program outside of its sandbox.
    if (Confinement.contains(realpathSync(dir), realpathSync(stateDir))) {
      return yield* Failure.usage(
        `the state directory ${stateDir} lies in the directory that the agent works in, and cannot be hidden from it`,
        "name another with --state-dir, or work further down with --dir"
      )
    }
    const sandbox = {
      ...others,
      program: "bwrap",
      hidden: [stateDir, ...secrets.map((path) => resolve(path)), ...hidden]
    }
    yield* Sandbox.probe(sandbox, dir).pipe(
      Effect.mapError(({ message }) =>
        Failure.failed(message, "leave --sandbox out to start them as this user's own programs")
      )
    )
    return sandbox
  })
