/**
 * Runs the program: a signal ends it in order, a second SIGINT at once.
 *
 * A terminal that closes (SIGHUP, and then errors of every write to it) ends what was printing to it, in order. What
 * serves others goes on without its terminal, as under `nohup`, until a signal tells it to stop.
 *
 * An error that nobody took (an event of some emitter without a listener, a promise that nobody awaits) ends the program in
 * order and is told; where it says that the system was short of something for a moment, what serves others goes on.
 */
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
  {
    readonly requested: Effect.Effect<NodeJS.Signals>
    /** From here on the program does not depend on its terminal or on whoever reads its output. */
    readonly detach: Effect.Effect<void>
  }
>() {}

/** The system had no room, or the other side has gone: whoever asked was told, and the next one may be served. */
const PASSING: ReadonlySet<unknown> = new Set([
  "EMFILE",
  "ENFILE",
  "EAGAIN",
  "ENOMEM",
  "ENOBUFS",
  "EPIPE",
  "EIO",
  "ECONNRESET",
  "ECONNABORTED"
])

const codeOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "code" in error ? error.code : undefined

/** Runs `program`, whose value is the exit code. */
export const run = (program: Effect.Effect<number, never, Shutdown>): void => {
  const signalled = Deferred.unsafeMake<NodeJS.Signals>(FiberId.none)
  let awaited = false
  let detached = false
  let interrupts = 0
  /** What interruption means: nobody reads the output any more, and that is no failure. */
  let unread = false
  const stop = (signal: NodeJS.Signals) => {
    if (signal === "SIGINT") interrupts += 1
    if (interrupts > 1) process.exit(ExitCode.interrupted)
    if (awaited) Deferred.unsafeDone(signalled, Exit.succeed(signal))
    else cancel()
  }
  process.on("SIGINT", stop)
  process.on("SIGTERM", stop)
  process.on("SIGHUP", () => {
    // Output that goes to a file or a pipe is there still: the terminal was no more than where it was started.
    if (!detached && process.stdout.isTTY) cancel()
  })
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (detached) return
    // Whoever read our output has gone: there is nobody left to tell.
    unread = error.code === "EPIPE"
    cancel()
  })
  // Progress and logs that nobody sees; what they tell of goes on.
  process.stderr.on("error", () => undefined)

  /** Set by an error that nobody took: then the exit code says so. */
  let fault = false
  const onFault = (error: unknown): void => {
    const passes = detached && PASSING.has(codeOf(error))
    const what = passes ? "an unhandled error; continuing" : "an unexpected error, please report it"
    process.stderr.write(`causeway: ${what}\n${error instanceof Error ? error.stack : String(error)}\n`)
    if (passes) return
    // The second one in the middle of the end: there is no order left to keep.
    if (fault) process.exit(ExitCode.failed)
    fault = true
    if (awaited) Deferred.unsafeDone(signalled, Exit.succeed("SIGTERM"))
    else cancel()
  }
  process.on("uncaughtException", onFault)
  process.on("unhandledRejection", onFault)

  const requested = Effect.suspend(() => {
    awaited = true
    return Deferred.await(signalled)
  })
  const detach = Effect.sync(() => {
    detached = true
  })
  const cancel = Effect.runCallback(Effect.provideService(program, Shutdown, { requested, detach }), {
    onExit: (exit) => {
      process.exitCode = Exit.match(exit, {
        onSuccess: (code) => (fault ? ExitCode.failed : code),
        onFailure: (cause) => {
          if (fault) return ExitCode.failed
          if (Cause.isInterruptedOnly(cause)) return unread ? 0 : ExitCode.interrupted
          process.stderr.write(`causeway: an unexpected error, please report it\n${Cause.pretty(cause)}\n`)
          return ExitCode.failed
        }
      })
      process.exit()
    }
  })
}
