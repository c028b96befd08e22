/** `sessions.compact` answers within its bound, and what was not done leaves nothing behind that runs later. */
import { randomUUID } from "node:crypto"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { Log } from "@causeway/store/Log"
import { Organizations } from "@causeway/store/Organizations"
import * as Retention from "@causeway/store/Retention"
import { Sessions } from "@causeway/store/Session"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import * as Config from "../../src/Gateway/Config.ts"
import * as Connections from "../../src/Gateway/Connections.ts"
import * as Idempotency from "../../src/Gateway/Idempotency.ts"
import * as Compaction from "../../src/Gateway/Methods/Compaction.ts"
import * as Notifier from "../../src/Gateway/Notifier.ts"
import * as Patching from "../../src/Gateway/Patching.ts"
import * as Runs from "../../src/Gateway/Runs.ts"
import * as SessionCommands from "../../src/Gateway/SessionCommands.ts"
import * as Hub from "../../src/Hub.ts"
import { type Frame, init, result } from "./harness.ts"

const layer = Patching.layer.pipe(
  Layer.provideMerge(Notifier.layer),
  Layer.provideMerge(
    Layer.mergeAll(
      Connections.layer(),
      Idempotency.layer,
      Runs.layer,
      Retention.layer,
      Config.layerOf(Config.defaults)
    )
  ),
  Layer.provideMerge(Hub.layerStore({ filename: ":memory:" }))
)

const admin = (organizationId: OrganizationId) =>
  new Connections.Connection(
    {
      id: "c",
      organizationId,
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

/** A session that has had a turn, and its registered worker, which is gone unless somebody says otherwise. */
const worked = Effect.gen(function* () {
  const log = yield* Log
  const store = yield* Sessions
  const { id: organizationId } = yield* (yield* Organizations).create("o")
  const record = yield* SessionCommands.create(organizationId, { key: "agent:main:x" })
  const key = { session: record.session, organizationId }
  const connection = admin(organizationId)
  const sent = yield* SessionCommands.send(record, { message: "x", runId: randomUUID() }, connection)
  yield* sent.release
  const workerEpoch = yield* store.nextEpoch(key, { token: false })
  yield* log.append({
    ...key,
    source: "worker",
    payloads: [init, result("done")].map((line: Frame) =>
      Payload.make({ uuid: randomUUID(), ...line, type: String(line["type"]) })
    )
  })
  const [prompt] = yield* log.read({ ...key, after: 0, limit: 1 })
  yield* log.deliver({ ...key, workerEpoch, updates: [{ uuid: prompt?.uuid ?? "", status: "processed" }] })
  const compact = Compaction.methods.find(({ name }) => name === "sessions.compact")
  if (compact === undefined) return yield* Effect.dieMessage("no such method")
  const elapsed = yield* Ref.make(0)
  return {
    connect: store.updateWorker({ ...key, workerEpoch }, { connectionStatus: "connected" }),
    seen: store.seen({ ...key, workerEpoch }),
    deliver: (uuid: string) => log.deliver({ ...key, workerEpoch, updates: [{ uuid, status: "received" }] }),
    messages: Effect.map(log.read({ ...key, after: 0, limit: 100 }), (events) =>
      events.filter(({ type }) => type === "user")
    ),
    given: log.read({ ...key, after: 0, limit: 100, select: "unprocessed" }),
    /** How it ends, and after how many milliseconds. */
    compact: Effect.gen(function* () {
      const ended = yield* Effect.race(
        Effect.either(
          compact.handle(
            { key: record.key },
            {
              connection,
              organizationId,
              requestId: "r",
              params: () => "{}",
              watches: {
                reserve: () => false,
                start: () => Effect.void,
                stop: () => Effect.succeed(false),
                startList: Effect.void,
                stopList: Effect.void
              }
            }
          )
        ),
        Effect.forever(
          Effect.zipRight(
            Effect.zipRight(
              TestClock.adjust("500 millis"),
              Ref.update(elapsed, (ms) => ms + 500)
            ),
            // The log's writer waits for a turn of the event loop.
            Effect.async<void>((resume) => {
              setImmediate(() => resume(Effect.void))
            })
          )
        )
      )
      return { ended, elapsed: yield* Ref.get(elapsed) }
    })
  }
})

describe("sessions.compact", () => {
  it.scoped("of a session whose worker is not there is refused at once, and leaves no message behind", () =>
    Effect.gen(function* () {
      const session = yield* worked
      const { elapsed, ended } = yield* session.compact
      expect(ended).toMatchObject({ left: { code: "UNAVAILABLE" } })
      expect(JSON.stringify(ended)).toMatch(/waits for .*worker.*Nothing was asked of it/)
      expect(elapsed).toBeLessThan(1000)
      expect(yield* session.messages).toHaveLength(1)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("of a worker that is shown as there and takes nothing: withdrawn after 15 s, never to run", () =>
    Effect.gen(function* () {
      const session = yield* worked
      yield* session.connect
      const { elapsed, ended } = yield* session.compact
      expect(ended).toMatchObject({ left: { code: "UNAVAILABLE" } })
      expect(JSON.stringify(ended)).toContain("withdrawn and will not run")
      expect(elapsed).toBeLessThan(16_000)
      expect((yield* session.messages).map(({ delivery }) => delivery)).toEqual(["processed", "withdrawn"])
      expect((yield* session.given).filter(({ type }) => type === "user")).toEqual([])
    }).pipe(Effect.provide(layer))
  )

  it.scoped("of an agent that hangs on it ends after 5 min, and the agent is told to stop", () =>
    Effect.gen(function* () {
      const session = yield* worked
      yield* session.connect
      yield* Effect.forkScoped(
        Effect.gen(function* () {
          const [, asked] = yield* session.messages
          if (asked === undefined) return yield* Effect.sleep("100 millis")
          yield* session.deliver(asked.uuid)
        }).pipe(Effect.repeatN(20))
      )
      const { elapsed, ended } = yield* session.compact
      expect(ended).toMatchObject({ right: { payload: { ok: false, compacted: false } } })
      expect(elapsed).toBeGreaterThanOrEqual(299_000)
      expect(elapsed).toBeLessThan(320_000)
      // The request stands no more, and what has it is stopped.
      expect((yield* session.messages).map(({ delivery }) => delivery)).toEqual(["processed", "withdrawn"])
      expect((yield* session.given).map(({ payload }) => JSON.parse(payload).request?.subtype)).toContain(
        "interrupt"
      )
    }).pipe(Effect.provide(layer))
  )
})
