import { EnvironmentId } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import * as Bootstrap from "@causeway/store/Bootstrap"
import * as Bus from "@causeway/store/Bus"
import * as Environments from "@causeway/store/Environments"
import * as Sessions from "@causeway/store/Session"
import * as Work from "@causeway/store/Work"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Auth from "../../src/Auth/Auth.ts"
import * as Hub from "../../src/Hub.ts"
import * as Operations from "../../src/Work/Operations.ts"

const layer = Layer.provideMerge(Auth.layer, Hub.layerStore({ filename: ":memory:" }))

/** A hub's operations over a bus that tells when somebody listens. */
const setup = Effect.gen(function* () {
  const { organizationId } = yield* (yield* Bootstrap.Bootstrap).ensure
  const environments = yield* Environments.Environments
  const { environment, secret } = yield* environments.register({
    organizationId,
    machineName: "m",
    directory: "/d",
    branch: undefined,
    gitRepoUrl: undefined,
    maxSessions: 1,
    metadata: undefined,
    reuseEnvironmentId: undefined
  })
  const bus = yield* Bus.Bus
  const listening = yield* Deferred.make<void>()
  const operations = yield* Effect.provideService(
    Operations.make,
    Bus.Bus,
    Bus.Bus.of({
      ...bus,
      subscribe: (topic) => Effect.tap(bus.subscribe(topic), () => Deferred.succeed(listening, undefined))
    })
  )
  const auth = yield* Auth.Auth
  const poll = (block_ms: number | undefined) =>
    operations.poll({
      environmentId: environment.id,
      query: block_ms === undefined ? {} : { block_ms },
      workerId: undefined,
      apiBaseUrl: "http://hub",
      authorize: auth.environment(environment.id, secret)
    })
  const session = Effect.flatMap(Sessions.Sessions, (sessions) =>
    sessions.create({
      organizationId,
      environmentId: environment.id,
      source: undefined,
      context: "{}",
      permissionMode: undefined,
      tags: undefined,
      payloads: []
    })
  )
  return { organizationId, environmentId: environment.id, listening, operations, poll, session }
})

describe("a long poll", () => {
  it.effect("is woken by new work, without time passing", () =>
    Effect.gen(function* () {
      const world = yield* setup
      const waiting = yield* Effect.fork(world.poll(25_000))
      yield* Deferred.await(world.listening)
      yield* world.session
      expect(yield* Fiber.join(waiting)).toMatchObject({ state: "queued", data: { type: "session" } })
    }).pipe(Effect.provide(layer))
  )

  it.effect("ends with null when its time is over", () =>
    Effect.gen(function* () {
      const world = yield* setup
      const waiting = yield* Effect.fork(world.poll(25_000))
      yield* Deferred.await(world.listening)
      yield* TestClock.adjust("25 seconds")
      expect(yield* Fiber.join(waiting)).toBeNull()
      expect(yield* world.poll(undefined)).toBeNull()
    }).pipe(Effect.provide(layer))
  )

  it.effect("is woken by the clock when an offer that nobody acknowledged is due", () =>
    Effect.gen(function* () {
      const world = yield* setup
      yield* world.session
      const first = yield* world.poll(undefined)
      const waiting = yield* Effect.fork(world.poll(25_000))
      yield* Deferred.await(world.listening)
      yield* TestClock.adjust("5 seconds")
      expect((yield* Fiber.join(waiting))?.id).toBe(first?.id)
    }).pipe(Effect.provide(layer))
  )

  it.effect("is woken when room is made", () =>
    Effect.gen(function* () {
      const world = yield* setup
      yield* world.session
      const first = yield* world.poll(undefined)
      const item = { environmentId: world.environmentId, workId: first?.id ?? ("none" as never) }
      yield* world.operations.acknowledge({ ...item, workerId: undefined })
      const second = yield* world.session
      const waiting = yield* Effect.fork(world.poll(25_000))
      yield* Deferred.await(world.listening)
      yield* world.operations.stop({ ...item, force: true })
      expect((yield* Fiber.join(waiting))?.data.id).toBe(`cse_${second.session}`)
    }).pipe(Effect.provide(layer))
  )

  it.effect("ends when the secret rotates, and when the environment is archived", () =>
    Effect.gen(function* () {
      const world = yield* setup
      const environments = yield* Environments.Environments
      const waiting = yield* Effect.fork(Effect.flip(world.poll(25_000)))
      yield* Deferred.await(world.listening)
      yield* environments.register({
        organizationId: world.organizationId,
        machineName: "m",
        directory: "/d",
        branch: undefined,
        gitRepoUrl: undefined,
        maxSessions: undefined,
        metadata: undefined,
        reuseEnvironmentId: world.environmentId
      })
      expect(yield* Fiber.join(waiting)).toBeInstanceOf(WireError.Unauthenticated)
      yield* environments.archive(world)
      const gone = world.operations.poll({
        environmentId: world.environmentId,
        query: {},
        workerId: undefined,
        apiBaseUrl: "",
        authorize: Effect.void
      })
      expect(yield* Effect.flip(gone)).toBeInstanceOf(WireError.Gone)
      const unknown = world.operations.stats(EnvironmentId.make("env_none"))
      expect(yield* unknown).toMatchObject({ depth: 0, pending: 0 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("that is given up leaves nothing behind: its item is offered again", () =>
    Effect.gen(function* () {
      const world = yield* setup
      const waiting = yield* Effect.fork(world.poll(25_000))
      yield* Deferred.await(world.listening)
      yield* Fiber.interrupt(waiting)
      yield* world.session
      expect(yield* world.poll(undefined)).not.toBeNull()
      const queue = yield* Work.WorkQueue
      expect((yield* queue.stats(world.environmentId)).pending).toBe(1)
    }).pipe(Effect.provide(layer))
  )
})
