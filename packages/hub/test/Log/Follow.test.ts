import * as Payload from "@causeway/protocol/Payload"
import * as Bus from "@causeway/store/Bus"
import * as Database from "@causeway/store/Database"
import * as Log from "@causeway/store/Log"
import * as Organizations from "@causeway/store/Organizations"
import * as Sessions from "@causeway/store/Session"
import { describe, expect, it, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Follow from "../../src/Log/Follow.ts"

const layer = Layer.mergeAll(Log.layer, Sessions.layer, Organizations.layer).pipe(
  Layer.provideMerge(Layer.merge(Database.layerSqlite({ filename: ":memory:" }), Bus.layer))
)

const session = Effect.gen(function* () {
  const { id: organizationId } = yield* (yield* Organizations.Organizations).create("one")
  const made = yield* (yield* Sessions.Sessions).create({
    organizationId,
    environmentId: undefined,
    source: undefined,
    context: "{}",
    permissionMode: undefined,
    tags: undefined,
    payloads: []
  })
  return { organizationId, session: made.session }
})

const types = ["user", "assistant", "result", "control_request"] as const
const statuses = ["received", "processing", "processed"] as const

/** What happens to a session, and how the reader of it fares. */
const step = FastCheck.oneof(
  FastCheck.record({
    _tag: FastCheck.constant("append" as const),
    source: FastCheck.constantFrom("client" as const, "worker" as const),
    types: FastCheck.array(FastCheck.constantFrom(...types), { minLength: 1, maxLength: 6 })
  }),
  FastCheck.record({
    _tag: FastCheck.constant("deliver" as const),
    of: FastCheck.nat(50),
    status: FastCheck.constantFrom(...statuses)
  }),
  // A wake that stands for nothing.
  FastCheck.constant({ _tag: "wake" as const }),
  FastCheck.record({ _tag: FastCheck.constant("pause" as const), turns: FastCheck.nat(20) }),
  // The reader goes away, and comes back to where it stood.
  FastCheck.constant({ _tag: "restart" as const })
)

const filters: { readonly [name: string]: Pick<Follow.Reader<never>, "select" | "types" | "deliveries"> } = {
  viewer: { deliveries: true },
  worker: { select: "worker" },
  pushes: { types: ["result", "control_request"] }
}

const isWanted: { readonly [name: string]: (event: Log.StoredEvent) => boolean } = {
  viewer: () => true,
  worker: ({ source, type }) => source === "client" && (type === "user" || type === "control_request"),
  pushes: ({ type }) => type === "result" || type === "control_request"
}

describe("following a session", () => {
  suite(layer, { excludeTestServices: true })((it) => {
    it.effect.prop(
      "each reader has each of its events once and in order, and no change before its event, whatever wakes are lost or doubled",
      [
        FastCheck.constantFrom("viewer", "worker", "pushes"),
        FastCheck.array(step, { minLength: 5, maxLength: 40, size: "max" }),
        FastCheck.record({
          limit: FastCheck.integer({ min: 1, max: 7 }),
          slow: FastCheck.nat(5),
          /** Which wakes are lost. */
          lost: FastCheck.infiniteStream(FastCheck.boolean()),
          until: FastCheck.option(FastCheck.integer({ min: 1, max: 30 }), { nil: undefined })
        })
      ],
      ([name, steps, { limit, lost, slow, until }]) =>
        Effect.gen(function* () {
          const log = yield* Log.Log
          const bus = yield* Bus.Bus
          const key = yield* session
          const seen: Array<Log.StoredEvent> = []
          const changes: Array<Log.DeliveryChange> = []
          const problems: Array<string> = []
          let finished = false
          const follower = Effect.gen(function* () {
            const wakes = yield* bus.subscribe(`session:${key.session}`)
            return yield* Follow.follow<"finished" | "until", never>(log, {
              key,
              ...filters[name],
              limit,
              until,
              from: { seq: seen.at(-1)?.seq ?? 0, delivery: changes.at(-1)?.no ?? 0 },
              wakes: {
                take: Effect.map(wakes.take, (signal) => ({
                  ...signal,
                  changed: signal.changed && (finished || lost.next().value !== true)
                }))
              },
              look: Effect.sync(() => {
                const last = finished
                return {
                  caughtUp: ({ seq }: Follow.Cursor) =>
                    Effect.succeed(
                      seq >= (until ?? Number.MAX_SAFE_INTEGER) ? "until" : last ? "finished" : undefined
                    )
                }
              }),
              sink: ({ after, deliveries, events }) =>
                Effect.gen(function* () {
                  if (events.length + deliveries.length === 0 || events.length > limit) problems.push("page")
                  if (after.seq < (seen.at(-1)?.seq ?? 0)) problems.push("cursor went back")
                  for (let turn = 0; turn < slow; turn++) yield* Effect.yieldNow()
                  // Taken as one, as a reader does that remembers where it stands.
                  seen.push(...events)
                  changes.push(...deliveries)
                  for (const { no, seq } of deliveries) {
                    if (!seen.some((event) => event.seq === seq))
                      problems.push(`change ${no} before event ${seq}`)
                  }
                })
            })
          }).pipe(Effect.scoped)

          let fiber = yield* Effect.fork(follower)
          const sent: Array<string> = []
          for (const each of steps) {
            switch (each._tag) {
              case "append": {
                const payloads = each.types.map((type) => {
                  const uuid = `e${sent.length}-${Math.random()}`
                  if (each.source === "client") sent.push(uuid)
                  return Payload.make({ type, uuid, message: { content: "x" } })
                })
                yield* log.append({ ...key, source: each.source, payloads })
                break
              }
              case "deliver": {
                const uuid = sent[each.of % Math.max(1, sent.length)] ?? "none"
                yield* log.deliver({ ...key, workerEpoch: 0, updates: [{ uuid, status: each.status }] })
                break
              }
              case "wake":
                bus.changed(`session:${key.session}`)
                break
              case "pause":
                for (let turn = 0; turn < each.turns; turn++) yield* Effect.yieldNow()
                break
              case "restart":
                yield* Fiber.interrupt(fiber)
                fiber = yield* Effect.fork(follower)
            }
          }
          finished = true
          bus.changed(`session:${key.session}`)
          const answer = yield* Fiber.join(fiber)
          expect(problems).toEqual([])

          const all = yield* log.read({ ...key, after: 0, limit: 1000 })
          const isOver = (answer === "until") === (until !== undefined && (seen.at(-1)?.seq ?? 0) >= until)
          if (name === "viewer") expect(isOver).toBe(true)
          const wanted = all.filter(
            (event) => isWanted[name]?.(event) === true && event.seq <= (until ?? event.seq)
          )
          expect(seen.map(({ uuid }) => uuid)).toEqual(wanted.map(({ uuid }) => uuid))
          const numbers = changes.map(({ no }) => no)
          expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
          if (name === "viewer" && until === undefined) {
            const latest = yield* log.deliveries({ ...key, after: 0, limit: 1000 })
            expect(numbers).toEqual(expect.arrayContaining(latest.map(({ no }) => no)))
          }
        }),
      { fastCheck: { numRuns: 150 } }
    )

    it.effect("a reader that stops at an event is told of no change of a later one", () =>
      Effect.gen(function* () {
        const log = yield* Log.Log
        const key = yield* session
        const payloads = ["first", "second"].map((name) =>
          Payload.make({ type: "user", uuid: `${name}-${key.session}`, message: { content: name } })
        )
        yield* log.append({ ...key, source: "client", payloads })
        yield* log.deliver({
          ...key,
          workerEpoch: 0,
          updates: [{ uuid: `second-${key.session}`, status: "received" }]
        })
        const pages: Array<Follow.Page> = []
        const sink = (page: Follow.Page) => Effect.sync(() => void pages.push(page))
        const reader = { key, deliveries: true, until: 1, limit: 2, sink }
        expect(yield* Follow.catchUp(log, reader, { seq: 0, delivery: 0 })).toEqual({ seq: 1, delivery: 0 })
        expect(pages.map(({ deliveries, events }) => [events.length, deliveries.length])).toEqual([[1, 0]])
      })
    )
  })

  it.scopedLive("every session that something happens to is told of, also after one that fails", () =>
    Effect.gen(function* () {
      const bus = yield* Bus.make
      const told: Array<string> = []
      const rounds = yield* Queue.unbounded<void>()
      yield* Follow.everySession(bus, {
        name: "test",
        onSession: (session) =>
          session === "bad" ? Effect.die("it cannot be read") : Effect.sync(() => told.push(session)),
        onRound: Queue.offer(rounds, undefined)
      })
      bus.changed("session:bad")
      bus.changed("environment:one")
      bus.changed("session:a")
      yield* Queue.take(rounds)
      expect(told).toEqual(["a"])
      bus.changed("session:b")
      yield* Queue.take(rounds)
      expect(told).toEqual(["a", "b"])
      expect(yield* Queue.size(rounds)).toBe(0)
    })
  )
})
