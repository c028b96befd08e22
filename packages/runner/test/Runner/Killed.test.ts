/** A host that is killed with runs in different states, and the next one on the same record. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Sessions from "../../src/AgentSessions.ts"
import * as Drivers from "../../src/Drivers.ts"
import * as ProcessRegistry from "../../src/Process/ProcessRegistry.ts"
import * as ProcessTable from "../../src/Process/ProcessTable.ts"
import * as Runner from "../../src/Runner.ts"
import * as KilledHost from "../support/KilledHost.ts"
import * as Scripted from "../support/Scripted.ts"

const scriptedAgentPath = await Scripted.bundle()

const queries = [
  "!slow 40 10",
  "!slow 60 10",
  "!hang",
  "!bash echo one",
  "!bash echo two",
  "!ask Which? | A | B",
  "!say quick",
  "!slow 1000 50"
]

const layerOf = (root: string) =>
  Runner.layer({ file: join(root, "runner.db") }).pipe(
    Layer.provide(Sessions.layer),
    Layer.provide(ProcessRegistry.layer(join(root, "agents"))),
    Layer.provide(
      Drivers.layer({
        environment: process.env,
        scriptedAgentPath,
        scriptedDirectory: join(root, "scripted")
      })
    )
  )

/** Launches all, interrupts the last as the very last thing, and waits to be killed. */
const hostScript = `
  import * as Effect from "effect/Effect"
  import * as Layer from "effect/Layer"
  import * as Stream from "effect/Stream"
  import * as Sessions from "${KilledHost.source("AgentSessions.ts")}"
  import * as Drivers from "${KilledHost.source("Drivers.ts")}"
  import * as ProcessRegistry from "${KilledHost.source("Process/ProcessRegistry.ts")}"
  import * as Runner from "${KilledHost.source("Runner.ts")}"
  import { join } from "node:path"
  const [root, scriptedAgentPath, queries] = process.argv.slice(2)
  const layer = Runner.layer({ file: join(root, "runner.db") }).pipe(
    Layer.provide(Sessions.layer),
    Layer.provide(ProcessRegistry.layer(join(root, "agents"))),
    Layer.provide(Drivers.layer({ environment: process.env, scriptedAgentPath, scriptedDirectory: join(root, "scripted") }))
  )
  Effect.runFork(Effect.gen(function* () {
    const runner = yield* Runner.Runner
    const runs = yield* Effect.forEach(JSON.parse(queries), (query) =>
      runner.launch({ agent: "scripted", directory: join(root, "code"), query }))
    yield* runner.events().pipe(
      Stream.filter((event) => event.type === "approval_requested"), Stream.take(3), Stream.runDrain)
    yield* runner.interrupt(runs.at(-1).id)
    console.log(JSON.stringify(runs.map(({ id }) => id)))
    yield* Effect.never
  }).pipe(Effect.scoped, Effect.provide(layer)))`

describe("a host that is killed", () => {
  it.scopedLive(
    "with eight runs in different states leaves none behind and none stuck",
    () =>
      Effect.gen(function* () {
        const root = yield* Scripted.directory
        mkdirSync(join(root, "code"))
        const said = yield* KilledHost.run(root, hostScript, [
          root,
          scriptedAgentPath,
          JSON.stringify(queries)
        ])
        const ids = (said as ReadonlyArray<string>).map((id) => SessionId.make(id))

        const runner = yield* Effect.map(Layer.build(layerOf(root)), Context.get(Runner.Runner))
        const statuses = (yield* runner.list).map(({ id, status }) => [id, status] as const)
        expect(new Set(statuses.map(([id]) => id))).toEqual(new Set(ids))
        // The interrupted one is settled before anything else is done, or was before the host was killed.
        expect((yield* runner.info(ids[7] ?? SessionId.make("none"))).status).toBe("interrupted")

        const [first, second, hanging, one, two, asking, quick] = ids as [SessionId, ...Array<SessionId>]
        const answers = new Map([
          [one, {}],
          [two, {}],
          [asking, { updatedInput: { answers: { "Which?": "B" } } }]
        ])
        for (const [id, more] of answers) {
          if (id === undefined) continue
          const [approval] = (yield* runner.info(id)).pendingApprovals
          yield* runner.answer(id, approval?.toolUseId ?? "", { behavior: "allow", ...more })
        }
        if (hanging !== undefined) yield* runner.interrupt(hanging)
        const results: Array<readonly [string, string | null]> = []
        for (const id of [first, second, hanging, one, two, asking, quick]) {
          const run = yield* runner.ended(id ?? SessionId.make("none"))
          results.push([run.status, run.result])
          const log = Chunk.toReadonlyArray(yield* Stream.runCollect(runner.log(run.id)))
          const answered = log.filter(({ payload }) => payload.type === "result").length
          // One that is interrupted before its agent is back has none to give a result.
          if (run.status === "interrupted") expect(answered).toBeLessThanOrEqual(1)
          else expect(answered).toBe(1)
        }
        expect(results.slice(2)).toEqual([
          ["interrupted", null],
          ["completed", "done: one"],
          ["completed", "done: two"],
          ["completed", "chosen: B"],
          ["completed", "quick"]
        ])
        expect(results.slice(0, 2).map(([status]) => status)).toEqual(["completed", "completed"])

        // No agent of either host is left.
        yield* ProcessTable.withVariable("CAUSEWAY_SESSION_ID", new Set(ids)).pipe(
          Effect.repeat({ until: (left) => left.length === 0, schedule: Schedule.spaced("50 millis") }),
          Effect.timeout("10 seconds")
        )
      }),
    120_000
  )
})
