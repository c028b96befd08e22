/** The proxies whose word of who asks, and how, the hub believes: `--trusted-proxy`, and `CAUSEWAY_TRUSTED_PROXY`. */
import * as Networks from "@causeway/hub/Networks"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { ExitCode, Failure } from "./Failure.ts"

/** Both together; the variable's are separated by commas or spaces. */
export const named = (flags: ReadonlyArray<string>): Effect.Effect<Networks.Networks, Failure> =>
  Effect.gen(function* () {
    const variable = yield* Config.string("CAUSEWAY_TRUSTED_PROXY").pipe(Config.withDefault(""), Effect.orDie)
    const entries = [...flags, variable].flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== "")
    return yield* Either.match(Networks.parse(entries), {
      onLeft: (why) => new Failure({ message: `--trusted-proxy: ${why}`, exitCode: ExitCode.usage }),
      onRight: Effect.succeed
    })
  })
