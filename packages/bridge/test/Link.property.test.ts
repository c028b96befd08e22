/**
 * Whatever fails and whenever the bridge's process dies: every line of the agent is in the log once, in its order, and
 * every message of a person takes effect in the agent once, in its order.
 */
import { join } from "node:path"
import { EnvironmentId, EventUuid, SessionId, WorkId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Engine from "@causeway/runner/Engine"
import * as Journal from "@causeway/runner/Journal"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Link from "../src/Link.ts"
import * as Crash from "./support/Crash.ts"
import * as ModelAgent from "./support/ModelAgent.ts"
import * as ModelHub from "./support/ModelHub.ts"
import { until } from "./support/Time.ts"

const sessionId = SessionId.make("session_model")

const attachment: Link.Attachment = {
  environmentId: EnvironmentId.make("env_1"),
  workId: WorkId.make("work_1"),
  token: Redacted.make("token"),
  apiBaseUrl: undefined
}

const faults = FastCheck.array(FastCheck.constantFrom<ModelHub.Fault>("ok", "ok", "lost", "failed"), {
  maxLength: 12
})

/** One process of the bridge: what is said to it, what fails, and when it dies. */
const lives = FastCheck.array(
  FastCheck.record({
    messages: FastCheck.nat(3),
    faults,
    repeat: FastCheck.nat(3),
    at: FastCheck.integer({ min: 1, max: 30 }),
    when: FastCheck.constantFrom("before" as const, "after" as const)
  }),
  { maxLength: 5 }
)

/** A process: journal, link, host and agent; runs until `done`. */
const live = (
  directory: string,
  hub: ModelHub.ModelHub,
  agent: ModelAgent.ModelAgent,
  plan: Crash.CrashPlan,
  done: () => boolean
) =>
  Effect.gen(function* () {
    const { journal, died } = yield* Crash.crashing(
      yield* Journal.Journal,
      directory,
      plan,
      Effect.sync(() => {
        hub.life++
        agent.life++
      })
    )
    let dead = false
    yield* Effect.forkScoped(
      Effect.zipRight(
        Deferred.await(died),
        Effect.sync(() => {
          dead = true
        })
      )
    )
    const running = Effect.gen(function* () {
      const record = yield* journal.enter({
        sessionId,
        environmentId: attachment.environmentId,
        directory: "/project",
        home: true,
        agentSessionId: `agent of process ${hub.life}`,
        agent: "model",
        cwd: "/project"
      })
      const link = yield* Link.make({
        record,
        sessionIngressUrl: "http://hub",
        onEvent: () => Effect.void,
        onConnection: () => Effect.void
      })
      const serve = yield* Engine.make()
      yield* Effect.forkScoped(serve(link))
      return yield* link.attach(attachment, Effect.never)
    })
    const fiber = yield* running.pipe(
      Effect.scoped,
      Effect.provideService(Journal.Journal, journal),
      Effect.provide(hub.layer()),
      Effect.provide(agent.layer()),
      Effect.fork
    )
    yield* until(() => dead || done())
    // Whatever the dead process still does goes to files that nobody reads, and to a hub that does not hear it.
    hub.life++
    agent.life++
    const ending = yield* Effect.fork(Fiber.interrupt(fiber))
    let ended = false
    yield* Effect.fork(
      Effect.zipRight(
        Fiber.await(ending),
        Effect.sync(() => {
          ended = true
        })
      )
    )
    yield* until(() => ended)
    return dead
  }).pipe(Effect.scoped, Effect.provide(Journal.layer({ stateDirectory: directory })))

describe("Link and Engine", () => {
  it.scoped.prop(
    "every line once and in order, every message once and in order",
    [lives],
    ([plan]) =>
      Effect.gen(function* () {
        const root = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
        const hub = yield* ModelHub.make(sessionId)
        const agent = ModelAgent.make()
        const said: Array<string> = []
        let directory = join(root, "0")
        const all = [...plan, { messages: 2, faults: [], repeat: 3, at: -1, when: "before" as const }]
        for (const [i, { at, faults, messages, repeat, when }] of all.entries()) {
          for (let n = 0; n < messages; n++) {
            const uuid = `m${said.length}`
            said.push(uuid)
            yield* hub.say(Payload.make({ type: "user", uuid }))
          }
          hub.faults.splice(0, hub.faults.length, ...faults)
          hub.repeat = repeat
          const to = join(root, String(i + 1))
          const died = yield* live(directory, hub, agent, { at, when, to }, () =>
            said.every(
              (uuid) => hub.log.includes(`result-${uuid}`) && hub.deliveries.get(uuid) === "processed"
            )
          )
          if (died) directory = to
        }
        expect(hub.log).toEqual(said.flatMap(ModelAgent.linesOf))
        expect(agent.effects).toEqual(said)
        expect(agent.twice).toEqual([])
        expect(new Set(agent.opened.map(({ agentSessionId }) => agentSessionId)).size).toBeLessThanOrEqual(
          // A process that dies before its first write leaves no session behind.
          1 + plan.filter(({ at }) => at === 1).length
        )
        expect([...hub.deliveries.keys()].map((uuid) => EventUuid.make(uuid)).sort()).toEqual(
          [...said].sort()
        )
      }).pipe(Effect.provide(NodeContext.layer)),
    { fastCheck: { numRuns: 40 }, timeout: 120_000 }
  )
})
