/** A bridge as a process of its own: `bridge-process OPTIONS` (JSON). Prints its events, one line of JSON each. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { BridgeOptions } from "./Processes.ts"
import * as World from "./World.ts"

const options: BridgeOptions = JSON.parse(process.argv[2] ?? "{}")

const print = (line: object) =>
  Effect.sync(() => void process.stdout.write(`${JSON.stringify({ ...line, at: Date.now() })}\n`))

Effect.gen(function* () {
  const handle = yield* World.start({
    dir: options.dir,
    baseUrl: options.url,
    more: { perpetual: options.perpetual, maxSessions: options.maxSessions, onEvent: print }
  })
  yield* print({
    _tag: "Started",
    sessionId: yield* handle.sessionId,
    environmentId: yield* handle.environmentId
  })
  return yield* handle.failed
}).pipe(
  Effect.scoped,
  Effect.provide(World.bridge(options)),
  Effect.provide(World.client({ url: options.url, token: Redacted.make(options.token) })),
  NodeRuntime.runMain
)
