/** The hub, alone, for the benchmark: prints where it listens and the token, and stops with its standard input. */
import * as Hub from "@causeway/hub/Hub"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"

const announce = Layer.effectDiscard(
  Effect.map(Hub.Hub, (hub) => {
    const token = Redacted.value(Option.getOrThrow(hub.firstToken))
    process.stdout.write(`${JSON.stringify({ port: hub.port, token })}\n`)
  })
)

const stopped = Effect.async<void>((resume) => {
  process.stdin.on("end", () => resume(Effect.void))
  process.stdin.resume()
})

Runtime.runFork(Runtime.defaultRuntime)(
  Effect.raceFirst(
    Layer.launch(announce.pipe(Layer.provide(Hub.layer({ filename: process.argv[2] ?? ":memory:" })))),
    stopped
  ).pipe(Logger.withMinimumLogLevel(LogLevel.Warning), Effect.tapErrorCause(Effect.logError))
)
