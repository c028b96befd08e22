import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"
export const teleport = Command.make("teleport", Flags.remote, () => Effect.void)
