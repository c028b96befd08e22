/**
 * Two agents at work at the same time, without a hub: one asks for permission, the other one does not need any.
 *
 *     npx vite-node --config vitest.config.ts docs/examples/two-agents.ts [first agent] [second agent]
 *
 * Agents are `scripted` (the default: needs no account), `claude` or `acp:<command>`.
 */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { AgentSessions, Drivers, ProcessRegistry, Runner } from "@causeway/runner"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

const [first = "scripted", second = "scripted"] = process.argv.slice(2)
const state = mkdtempSync(join(tmpdir(), "two-agents-"))

const program = Effect.gen(function* () {
  const runner = yield* Runner.Runner

  // Everything that happens, from the first event; a person who allows whatever is asked.
  yield* runner.events().pipe(
    Stream.runForEach((event) =>
      Effect.gen(function* () {
        switch (event.type) {
          case "status_changed":
            return yield* Console.log(`${event.runId}: ${event.from ?? "new"} -> ${event.to}`)
          case "approval_requested":
            yield* Console.log(`${event.runId}: may I use ${event.toolName}?`)
            return yield* runner.answer(event.runId, event.toolUseId, { behavior: "allow" })
          case "entry":
            return yield* Console.log(`${event.runId}: ${event.source} ${String(event.payload["type"])}`)
          default:
            return
        }
      })
    ),
    Effect.forkScoped
  )

  const runs = yield* Effect.all(
    [
      runner.launch({ agent: first, directory: state, query: "!bash echo from the first" }),
      runner.launch({ agent: second, directory: state, query: "!say from the second" })
    ],
    { concurrency: 2 }
  )
  const results = yield* Effect.forEach(runs, ({ id }) => runner.ended(id), { concurrency: 2 })
  for (const { id, result, status } of results) yield* Console.log(`${id} ${status}: ${result}`)
})

const agents = AgentSessions.layer.pipe(
  Layer.provide(ProcessRegistry.layer(join(state, "agents"))),
  Layer.provide(
    Drivers.layer({
      environment: process.env,
      scriptedAgentPath: resolve(process.env["SCRIPTED_AGENT"] ?? "apps/bridge/dist/scripted-agent.js"),
      scriptedDirectory: join(state, "scripted"),
      acpDirectory: join(state, "acp")
    })
  )
)

program.pipe(
  Effect.scoped,
  Effect.provide(Runner.layer({ file: join(state, "runner.db") }).pipe(Layer.provide(agents))),
  NodeRuntime.runMain
)
