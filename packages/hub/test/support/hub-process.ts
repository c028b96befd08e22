/** The hub as a process of its own, for tests and benchmarks: prints where it listens and the first token, and stops with its standard input. */

import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as Hub from "../../src/Hub.ts"

const announce = Layer.effectDiscard(
  Effect.map(Hub.Hub, (hub) => {
    // Only the first start makes one.
    const token = Option.getOrNull(Option.map(hub.firstToken, Redacted.value))
    process.stdout.write(`${JSON.stringify({ port: hub.port, token })}\n`)
  })
)

/** Asked by anything on standard input, it says how much processor time it took since it was asked before. */
const stopped = Effect.async<void>((resume) => {
  let from = process.cpuUsage()
  process.stdin.on("data", () => {
    const { user, system } = process.cpuUsage(from)
    process.stdout.write(`${JSON.stringify({ cpu: user + system })}\n`)
    from = process.cpuUsage()
  })
  process.stdin.on("end", () => resume(Effect.void))
})

const fiber = Runtime.runFork(Runtime.defaultRuntime)(
  Effect.raceFirst(
    Layer.launch(announce.pipe(Layer.provide(Hub.layer({ filename: process.argv[2] ?? ":memory:" })))),
    stopped
  ).pipe(Logger.withMinimumLogLevel(LogLevel.Warning), Effect.tapErrorCause(Effect.logError))
)
fiber.addObserver((exit) => process.exit(Exit.isSuccess(exit) ? 0 : 1))
