import { randomUUID } from "node:crypto"
import { OrganizationId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { Log } from "@causeway/store/Log"
import { Organizations } from "@causeway/store/Organizations"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import * as Config from "../../src/Gateway/Config.ts"
import * as Connections from "../../src/Gateway/Connections.ts"
import * as Idempotency from "../../src/Gateway/Idempotency.ts"
import * as Notifier from "../../src/Gateway/Notifier.ts"
import * as Runs from "../../src/Gateway/Runs.ts"
import * as SessionCommands from "../../src/Gateway/SessionCommands.ts"
import * as Hub from "../../src/Hub.ts"
import { type Frame, init, result } from "./harness.ts"

const layer = Notifier.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(Connections.layer(), Idempotency.layer, Runs.layer, Config.layerOf(Config.defaults))
  ),
  Layer.provideMerge(Hub.layerStore({ filename: ":memory:" }))
)

const admin = new Connections.Connection(
  {
    id: "c",
    organizationId: OrganizationId.make("o"),
    tokenId: undefined,
    role: "operator",
    scopes: ["operator.admin"],
    client: { id: "cli", version: "1", platform: "linux", mode: "cli" },
    deviceId: undefined,
    author: { kind: "client", id: "cli", name: "cli", role: "owner" },
    caps: [],
    remoteAddress: undefined,
    connectedAt: 0
  },
  { bufferedAmount: 0, send: () => {}, close: () => {} },
  1
)

const running = Effect.gen(function* () {
  const log = yield* Log
  const organization = yield* (yield* Organizations).create("o")
  const record = yield* SessionCommands.create(organization.id, { key: "agent:main:x" })
  const work = (line: Frame) =>
    log.append({
      session: record.session,
      organizationId: organization.id,
      source: "worker",
      payloads: [Payload.make({ uuid: randomUUID(), ...line, type: String(line["type"]) })]
    })
  const sent = yield* SessionCommands.send(record, { message: "x", runId: "r" }, admin)
  yield* sent.release
  yield* work(init)
  return { record, work }
})

/** Lets the clock run until the effect is done; answers how far it went. */
const whileClockRuns = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const elapsed = yield* Ref.make(0)
    const exit = yield* Effect.race(
      Effect.exit(effect),
      Effect.forever(
        Effect.zipRight(
          TestClock.adjust("50 millis"),
          Ref.update(elapsed, (ms) => ms + 50)
        )
      )
    )
    return { exit, elapsed: yield* Ref.get(elapsed) }
  })

describe("interrupting a run", () => {
  it.scoped("an agent that does not end its turn is waited for 15 s, then the caller is told", () =>
    Effect.gen(function* () {
      const { record } = yield* running
      const { elapsed, exit } = yield* whileClockRuns(SessionCommands.interrupt(record, admin))
      expect(exit).toMatchObject(
        Exit.fail({
          code: "UNAVAILABLE",
          message: "Session agent:main:x is still active; try again in a moment."
        })
      )
      expect(elapsed).toBeGreaterThanOrEqual(14_900)
      expect(elapsed).toBeLessThan(16_000)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("an agent that ends its turn is not waited for any longer", () =>
    Effect.gen(function* () {
      const { record, work } = yield* running
      yield* work(
        result("", {
          subtype: "error_during_execution",
          is_error: true,
          terminal_reason: "aborted_streaming"
        })
      )
      const { elapsed, exit } = yield* whileClockRuns(SessionCommands.interrupt(record, admin))
      expect(exit).toEqual(Exit.succeed(true))
      expect(elapsed).toBeLessThan(1000)
    }).pipe(Effect.provide(layer))
  )

  it.effect("the wait is every 100 ms for 15 s", () =>
    Effect.gen(function* () {
      const looks = yield* Ref.make(0)
      const { elapsed } = yield* whileClockRuns(
        Effect.schedule(
          Ref.update(looks, (n) => n + 1),
          SessionCommands.interruptWait
        )
      )
      expect(yield* Ref.get(looks)).toBe(150)
      expect(elapsed).toBeLessThanOrEqual(15_200)
    })
  )
})
