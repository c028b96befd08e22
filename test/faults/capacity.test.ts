/** More sessions than places, the whole way with everything real: the idle ones make room, and nobody waits for ever. */
import { randomUUID } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { BridgeEvent } from "@causeway/bridge/BridgeEvent"
import * as Sessions from "@causeway/client/Sessions"
import * as Hub from "@causeway/hub/Hub"
import type { SessionId } from "@causeway/protocol/Ids"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as World from "./support/World.ts"

let scriptedAgentPath: string
beforeAll(async () => {
  scriptedAgentPath = await World.bundleAgent()
})

/**
 * The scripted agent behind a few lines that tell of its start: each writes down how many agents run at that moment, as the
 * operating system knows them, itself among them. More of them than before there are only when one starts, and the last of
 * those that run together sees all the others.
 */
const counted = (directory: string) =>
  Effect.sync(() => {
    const program = join(directory, "counted-agent.mjs")
    const counts = join(directory, "counts")
    writeFileSync(counts, "")
    writeFileSync(
      program,
      `import { appendFileSync, readdirSync, readFileSync } from "node:fs"
      const commandOf = (pid) => {
        try {
          return readFileSync("/proc/" + pid + "/cmdline", "utf8")
        } catch {
          return "" // It ended while it was looked at.
        }
      }
      const pids = readdirSync("/proc").filter((name) => /^\\d+$/.test(name))
      const agents = pids.filter((pid) => commandOf(pid).includes(${JSON.stringify(program)}))
      appendFileSync(${JSON.stringify(counts)}, agents.length + "\\n")
      await import(${JSON.stringify(scriptedAgentPath)})`
    )
    return {
      program,
      /** The most agents that ran at one moment. */
      most: () => Math.max(...readFileSync(counts, "utf8").trimEnd().split("\n").map(Number))
    }
  })

/** A hub and a bridge with so many places; `most`: the most agents that ran at one moment. */
const crowd = <A, E, R>(
  capacity: number,
  use: (world: {
    readonly environmentId: string
    readonly home: SessionId
    readonly events: ReadonlyArray<BridgeEvent>
    readonly most: () => number
  }) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const dir = yield* World.directory
    const stateDirectory = yield* World.directory
    const events: Array<BridgeEvent> = []
    const context = yield* Layer.build(World.hub({ file: join(stateDirectory, "hub.db") }))
    const { firstToken, url } = yield* Effect.provide(Hub.Hub, context)
    const to = { url, token: Option.getOrThrow(firstToken) }
    const { most, program } = yield* counted(yield* World.directory)
    yield* Effect.gen(function* () {
      const handle = yield* World.start({
        dir,
        baseUrl: url,
        events,
        more: { permissionMode: "bypassPermissions", maxSessions: capacity }
      })
      const environmentId = yield* handle.environmentId
      const home = yield* handle.sessionId
      return yield* use({ environmentId, home, events, most })
    }).pipe(
      Effect.scoped,
      Effect.provide(World.bridge({ stateDirectory, scriptedAgentPath: program })),
      Effect.provide(World.client(to))
    )
  })

const create = (environmentId: string) =>
  Effect.flatMap(Sessions.Sessions, (sessions) =>
    sessions.create({ environmentId: environmentId as never, title: "another", events: [] })
  )

/** Says something and waits for the answer. */
const talk = (sessionId: SessionId, text: string) =>
  Effect.gen(function* () {
    const uuid = randomUUID()
    yield* (yield* Sessions.Sessions).sendEvents(sessionId, [World.prompt(text, uuid)])
    const log = yield* World.until(
      sessionId,
      (payload) => payload["user_message_uuid"] === uuid && payload["type"] === "result"
    )
    return log.at(-1)?.payload["result"]
  })

describe.runIf(process.platform === "linux")("more sessions than places", () => {
  it.scopedLive(
    "200 sessions share 8 places: every message is answered, and never more than 8 agents run",
    () =>
      crowd(8, ({ environmentId, home, most }) =>
        Effect.gen(function* () {
          const others = yield* Effect.forEach(Array.from({ length: 199 }), () => create(environmentId), {
            concurrency: 8
          })
          const all = [home, ...others]
          const again = yield* Effect.replicateEffect(Random.nextIntBetween(0, all.length), 20)
          const order = yield* Random.shuffle([...all.keys(), ...again])
          const answers = yield* Effect.forEach(order, (at) => talk(all[at] ?? home, `of ${at}`), {
            concurrency: 16
          })
          expect(answers).toEqual([...order].map((at) => `echo: of ${at}`))
          expect(most()).toBeGreaterThan(2)
          expect(most()).toBeLessThanOrEqual(8)
        })
      ),
    300_000
  )

  it.scopedLive(
    "one that works in the background, or asks, keeps its place; who waits is told so, and is answered then",
    () =>
      crowd(2, ({ environmentId, events, home, most }) =>
        Effect.gen(function* () {
          const sessions = yield* Sessions.Sessions
          const asks = yield* create(environmentId)
          expect(yield* talk(home, "!background 9000")).toContain("runs in the background")
          yield* sessions.sendEvents(asks, [World.prompt("!ask Which? | A | B", randomUUID())])
          yield* World.until(asks, (payload) => payload["type"] === "control_request")
          const waits = yield* create(environmentId)
          const answer = yield* Effect.fork(talk(waits, "third"))
          yield* World.eventually(() => events.find(({ _tag }) => _tag === "AtCapacity"))
          const shown = yield* sessions.get(waits)
          expect(shown.raw["waiting_for"]).toMatch(
            /^The message waits for a place in its environment .*: (all 2 are busy|none of its 2)/
          )
          // The task ends: its session is the first that may sleep.
          expect(yield* Fiber.join(answer)).toBe("echo: third")
          expect(events.filter(({ _tag }) => _tag === "SessionAsleep")).toMatchObject([{ sessionId: home }])
          expect(yield* talk(home, "awake")).toBe("echo: awake")
          expect(most()).toBe(2)
        })
      ),
    180_000
  )
})
