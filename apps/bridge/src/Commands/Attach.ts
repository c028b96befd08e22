/** `attach [SESSION]`: a session on the whole screen of the terminal, to read, to steer and to answer. */

import * as Effect from "effect/Effect"
import * as Program from "../Attach/Program.ts"
import * as Terminal from "../Attach/Terminal.ts"
import type * as View from "../Attach/View.tsx"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import { Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { isColoured, Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import * as Session from "../Session.ts"

/** The view stands in a bundle beside the program's, so that no other command loads it. */
const loadView = Effect.tryPromise({
  try: (): Promise<typeof View> => import(new URL("./attach.js", import.meta.url).href),
  catch: (cause) =>
    Failure.failed(
      `the view cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      "is the program built? `npm run build`"
    )
})

const notHere = (message: string) =>
  Failure.usage(
    message,
    "use logs --follow: `logs SESSION --follow` watches; `send`, `approve`, `deny` and `interrupt` steer"
  )

export const attach = Command.make(
  "attach",
  "Show a session on the whole screen: read, steer, answer",
  { ...Flags.remote, session: Argument.optional(Session.argument) },
  ({ session, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      if (output.json) return yield* notHere("attach draws on a terminal and prints no JSON")
      if (!Terminal.isUsable(process.env["TERM"])) {
        return yield* notHere("attach draws on a terminal, and this is none")
      }
      const ended = yield* Effect.gen(function* () {
        const found = yield* Effect.transposeMapOption(session, (reference) =>
          Session.find(reference, "open")
        )
        return yield* Program.run(yield* loadView, { colour: isColoured(process.stdout), session: found })
      }).pipe(Remote.withHub(flags))
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
    })
)
