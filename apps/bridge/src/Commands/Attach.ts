/** `attach [SESSION]`: a session on the whole screen of the terminal, to read, to steer and to answer. */

import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Program from "../Attach/Program.ts"
import * as Terminal from "../Attach/Terminal.ts"
import type * as View from "../Attach/View.tsx"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import { ExitCode, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import * as Session from "../Session.ts"

/** The view stands in a bundle beside the program's, so that no other command loads it. */
const loadView = Effect.tryPromise({
  try: (): Promise<typeof View> => import(new URL("./attach.js", import.meta.url).href),
  catch: (cause) =>
    new Failure({
      message: `the view cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      next: "is the program built? `npm run build`"
    })
})

const variable = (name: string) => Effect.orDie(Config.option(Config.string(name)))

const requireTerminal = Effect.gen(function* () {
  const output = yield* Output
  const term = Option.getOrUndefined(yield* variable("TERM"))
  if (!output.json && Terminal.isUsable(term)) return
  return yield* new Failure({
    message: output.json
      ? "attach draws on a terminal and prints no JSON"
      : "attach draws on a terminal, and this is none",
    next: "use logs --follow: `logs SESSION --follow` watches; `send`, `approve`, `deny` and `interrupt` steer",
    exitCode: ExitCode.usage
  })
})

export const attach = Command.make(
  "attach",
  "A session on the whole screen: read, steer, answer",
  {
    ...Flags.remote,
    session: Argument.optional(Session.argument)
  },
  ({ session, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const found = yield* Option.match(session, {
        onNone: () => Effect.succeedNone,
        onSome: (reference) => Effect.asSome(Session.find(reference, { _tag: "open" }))
      })
      // Set and not empty: https://no-color.org
      const noColour = yield* variable("NO_COLOR")
      const colour = Option.getOrElse(noColour, () => "") === ""
      const ended = yield* Program.run(yield* loadView, { colour, session: found })
      if (ended.failure !== null) return yield* ended.failure
      if (ended.sessionId === null) return
      yield* output.line(`detached from ${ended.sessionId}; the agent goes on`)
      yield* output.line(`  attach ${ended.sessionId} comes back`, "dim")
      if (!ended.confirmed) {
        yield* output.line(
          `the hub has not confirmed all that you said; logs ${ended.sessionId} shows what arrived`,
          "warn"
        )
      }
    }).pipe(Remote.withHub(flags), (attached) => Effect.zipRight(requireTerminal, attached))
)
