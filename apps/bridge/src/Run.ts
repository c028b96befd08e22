/** Runs the program: signals end it in order, a second SIGINT at once. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { ExitCode } from "./Failure.ts"

/**
 * Runs `program` until it ends or a signal ends it. Its value is the exit code; interrupted by a signal it is 130, unless
 * it handles the interruption as its orderly end.
 */
export const run = (program: Effect.Effect<number>): void => {
  let signals = 0
  const stop = (signal: NodeJS.Signals) => {
    signals += signal === "SIGINT" ? 1 : 0
    if (signals > 1) process.exit(ExitCode.interrupted)
    cancel()
  }
  process.on("SIGINT", stop)
  process.on("SIGTERM", stop)
  // Whoever read our output has gone: there is nobody left to tell.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))
  const cancel = Effect.runCallback(program, {
    onExit: (exit) => {
      process.exitCode = Exit.match(exit, {
        onSuccess: (code) => code,
        onFailure: (cause) => {
          if (Cause.isInterruptedOnly(cause)) return ExitCode.interrupted
          process.stderr.write(`causeway: a defect, please report it\n${Cause.pretty(cause)}\n`)
          return ExitCode.failed
        }
      })
      process.exit()
    }
  })
}
