/** Runs the program: a signal ends it in order, a second SIGINT at once. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { ExitCode } from "./Failure.ts"

/**
 * The request to end, for commands that run until they are told to stop: they wait for it, shut down in order and are
 * done. Commands that never ask for it are interrupted, which is exit code 130.
 */
export class Shutdown extends Context.Tag("@causeway/app-bridge/Shutdown")<
  Shutdown,
  { readonly requested: Effect.Effect<NodeJS.Signals> }
>() {}

/** Runs `program`, whose value is the exit code. */
export const run = (program: Effect.Effect<number, never, Shutdown>): void => {
  const signalled = Deferred.unsafeMake<NodeJS.Signals>(FiberId.none)
  let awaited = false
  let interrupts = 0
  const stop = (signal: NodeJS.Signals) => {
    if (signal === "SIGINT") interrupts += 1
    if (interrupts > 1) process.exit(ExitCode.interrupted)
    if (awaited) Deferred.unsafeDone(signalled, Exit.succeed(signal))
    else cancel()
  }
  process.on("SIGINT", stop)
  process.on("SIGTERM", stop)
  // Whoever read our output has gone: there is nobody left to tell.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))

  const requested = Effect.suspend(() => {
    awaited = true
    return Deferred.await(signalled)
  })
  const cancel = Effect.runCallback(Effect.provideService(program, Shutdown, { requested }), {
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
