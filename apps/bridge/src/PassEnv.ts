/** Which variables agents get although their kind is left out: `--pass-env`, and `CAUSEWAY_PASS_ENV`. */
import * as ChildEnvironment from "@causeway/protocol/ChildEnvironment"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { ExitCode, Failure } from "./Failure.ts"

/** Both together; each is a name, or the beginning of names with a `*` at its end. */
export const names = (flags: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, Failure> =>
  Effect.gen(function* () {
    const variable = yield* Config.string("CAUSEWAY_PASS_ENV").pipe(Config.withDefault(""), Effect.orDie)
    const listed = variable
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "")
    return yield* Effect.forEach([...flags, ...listed], (name) => {
      const issue = ChildEnvironment.whyNotPassed(name)
      return issue === undefined
        ? Effect.succeed(name)
        : new Failure({
            message: `${JSON.stringify(name)} cannot be passed on to agents: ${issue}`,
            next: "name variables with --pass-env NAME, or in CAUSEWAY_PASS_ENV separated by commas",
            exitCode: ExitCode.usage
          })
    })
  })
