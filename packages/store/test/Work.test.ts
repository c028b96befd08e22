import { NO_HEARTBEAT } from "@causeway/protocol/http/Environments"
import type { WorkId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as Bus from "../src/Bus.ts"
import * as Environments from "../src/Environments.ts"
import * as Item from "../src/Work/Item.ts"
import * as Work from "../src/Work.ts"
import * as fixtures from "./fixtures.ts"

/** One organisation, one environment, `count` sessions, none with work. */
const setup = (maxSessions: number, count: number) =>
  Effect.gen(function* () {
    const { id: organizationId } = yield* fixtures.organization("first")
    const environmentId = yield* fixtures.environment(organizationId, maxSessions)
    const sids = yield* Effect.forEach(Array.from({ length: count }), (_, i) =>
      fixtures.session(organizationId, environmentId, `s${i}`)
    )
    const queue = yield* Work.WorkQueue
    const poll = (workerId?: string, reclaimOlderThanMillis = 5_000) =>
      Effect.map(queue.poll({ environmentId, reclaimOlderThanMillis, workerId }), ({ offer }) => offer)
    const taken = (workerId?: string) =>
      Effect.flatMap(poll(workerId), (offer) =>
        offer === undefined
          ? Effect.dieMessage("nothing on offer")
          : Effect.map(queue.acknowledge({ environmentId, workId: offer.item.id, workerId }), (item) => ({
              offer,
              item
            }))
      )
    const beat = (workId: WorkId, expected?: string, ttlSeconds?: number, workerId?: string) =>
      queue.heartbeat({ environmentId, workId, expected, ttlSeconds, workerId })
    const stop = (workId: WorkId, force = true) => queue.stop({ environmentId, workId, force })
    return { organizationId, environmentId, sids, queue, poll, taken, beat, stop }
  })

const sid = (world: { readonly sids: ReadonlyArray<number> }, i: number) => world.sids[i] ?? -1

/** Queues work a millisecond apart, so that its order is certain. */
const inOrder = (sids: ReadonlyArray<number>) =>
  Effect.forEach(sids, (each) => Effect.zipRight(fixtures.enqueue(each), TestClock.adjust(1)))

const provide = <A, E>(effect: Effect.Effect<A, E, fixtures.All>) => Effect.provide(effect, fixtures.layer())

describe("ensure", () => {
  it.effect("queues one item a session with an environment, and none twice", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 2)
        const homeless = yield* fixtures.session(world.organizationId, undefined, "homeless")
        expect(yield* fixtures.enqueue(sid(world, 0), sid(world, 0), homeless)).toEqual([world.environmentId])
        expect(yield* fixtures.enqueue(sid(world, 0))).toEqual([])
        const { items } = yield* world.queue.list({ environmentId: world.environmentId, limit: 10 })
        expect(items.map(({ session, state }) => ({ session, state }))).toEqual([
          { session: "s0", state: "queued" }
        ])
      })
    )
  )

  it.effect("queues nothing for an archived session or environment", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 2)
        const sql = yield* SqlClient.SqlClient
        yield* sql`UPDATE sessions SET archived_at = 1 WHERE sid = ${sid(world, 0)}`
        expect(yield* fixtures.enqueue(sid(world, 0))).toEqual([])
        const environments = yield* Environments.Environments
        yield* environments.archive(world)
        expect(yield* fixtures.enqueue(sid(world, 1))).toEqual([])
      })
    )
  )

  it.effect("is undone with the transaction it runs in", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        const sql = yield* SqlClient.SqlClient
        const failed = yield* Effect.either(
          sql.withTransaction(Effect.zipRight(Work.ensure(world.sids, 0), Effect.fail("refused" as const)))
        )
        expect(failed).toEqual(Either.left("refused"))
        expect(yield* world.poll()).toBeUndefined()
      })
    )
  )
})

describe("poll", () => {
  it.effect("moves the session to a new epoch at each offer", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const first = yield* world.poll()
        yield* TestClock.adjust(5_000)
        const second = yield* world.poll()
        expect(second?.item.id).toBe(first?.item.id)
        expect(second?.epoch).toBe((first?.epoch ?? 0) + 1)
        expect(second?.organizationId).toBe(world.organizationId)
        const sql = yield* SqlClient.SqlClient
        const rows = yield* sql`SELECT worker_epoch, token_epoch FROM sessions`
        expect(rows).toEqual([{ worker_epoch: second?.epoch, token_epoch: second?.epoch }])
      })
    )
  )

  it.effect("keeps an offer back until it is older than the poller's reclaim time", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { offer } = yield* world.queue.poll({
          environmentId: world.environmentId,
          reclaimOlderThanMillis: 5_000,
          workerId: undefined
        })
        expect(offer).toBeDefined()
        yield* TestClock.adjust(4_999)
        const kept = yield* world.queue.poll({
          environmentId: world.environmentId,
          reclaimOlderThanMillis: 5_000,
          workerId: undefined
        })
        expect(kept).toEqual({ offer: undefined, due: 5_000 })
        expect(yield* world.poll(undefined, 1_000)).toBeDefined()
      })
    )
  )

  it.effect("offers again when the lease expires, not before, and says when that will be", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { item } = yield* world.taken()
        yield* TestClock.adjust(89_999)
        const kept = yield* world.queue.poll({
          environmentId: world.environmentId,
          reclaimOlderThanMillis: 0,
          workerId: undefined
        })
        expect(kept).toEqual({ offer: undefined, due: 90_000 })
        yield* TestClock.adjust(1)
        const again = yield* world.poll()
        expect(again?.item).toMatchObject({ id: item.id, state: "queued", acknowledgedAt: undefined })
      })
    )
  )

  it.effect("gives polls of one moment different items", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(10, 5)
        yield* inOrder(world.sids)
        const offers = yield* Effect.all(
          Array.from({ length: 8 }, () => world.poll()),
          { concurrency: "unbounded" }
        )
        const ids = offers.flatMap((offer) => (offer === undefined ? [] : [offer.item.id]))
        expect(ids).toHaveLength(5)
        expect(new Set(ids).size).toBe(5)
      })
    )
  )

  it.effect("at capacity new work waits, and goes when room is made", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(2, 3)
        yield* inOrder(world.sids)
        const first = yield* world.taken()
        yield* world.taken()
        expect(yield* world.poll()).toBeUndefined()
        yield* world.stop(first.item.id)
        expect((yield* world.poll())?.item.session).toBe("s2")
      })
    )
  )

  it.effect("an offer counts against the capacity while it is kept back", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 2)
        yield* inOrder(world.sids)
        expect((yield* world.poll())?.item.session).toBe("s0")
        expect(yield* world.poll()).toBeUndefined()
        yield* TestClock.adjust(5_000)
        // In turn: the one that was offered in vain goes behind the other.
        expect((yield* world.poll())?.item.session).toBe("s1")
      })
    )
  )

  it.effect("stops the item of an archived session instead of offering it", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 2)
        yield* inOrder(world.sids)
        const sql = yield* SqlClient.SqlClient
        yield* sql`UPDATE sessions SET archived_at = 1 WHERE sid = ${sid(world, 0)}`
        expect((yield* world.poll())?.item.session).toBe("s1")
      })
    )
  )

  it.effect("notes that the environment was seen", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        const environments = yield* Environments.Environments
        const online = Effect.gen(function* () {
          const now = yield* Clock.currentTimeMillis
          return Environments.isOnline(yield* environments.get(world), now)
        })
        expect(yield* online).toBe(false)
        yield* world.poll()
        yield* TestClock.adjust(89_999)
        expect(yield* online).toBe(true)
        yield* TestClock.adjust(1)
        expect(yield* online).toBe(false)
      })
    )
  )

  it.effect("tells an archived environment from an unknown one", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        const environments = yield* Environments.Environments
        yield* environments.archive(world)
        expect(yield* Effect.flip(world.poll())).toMatchObject({ _tag: "EnvironmentArchived" })
        yield* environments.remove({
          ...world,
          environmentId: yield* fixtures.environment(world.organizationId, 1)
        })
      })
    )
  )
})

describe("acknowledge", () => {
  it.effect("is idempotent for the poller that got the offer", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { item } = yield* world.taken("a")
        expect(item.state).toBe("starting")
        const key = { environmentId: world.environmentId, workId: item.id }
        expect(yield* world.queue.acknowledge({ ...key, workerId: "a" })).toEqual(item)
        expect(yield* Effect.flip(world.queue.acknowledge({ ...key, workerId: "b" }))).toMatchObject({
          _tag: "WorkRefused"
        })
      })
    )
  )

  it.effect("refuses what is not on offer, stopped, or unknown", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { items } = yield* world.queue.list({ environmentId: world.environmentId, limit: 1 })
        const key = { environmentId: world.environmentId, workId: items[0]?.id ?? ("none" as WorkId) }
        const ack = world.queue.acknowledge({ ...key, workerId: undefined })
        expect(yield* Effect.flip(ack)).toMatchObject({ _tag: "WorkRefused", state: "queued" })
        yield* world.stop(key.workId)
        expect(yield* Effect.flip(ack)).toMatchObject({ _tag: "WorkRefused", state: "stopped" })
        const other = yield* fixtures.environment(world.organizationId, 1)
        expect(
          yield* Effect.flip(world.queue.acknowledge({ ...key, environmentId: other, workerId: undefined }))
        ).toMatchObject({ _tag: "WorkUnknown" })
      })
    )
  )

  it.effect("a late one does not exceed the capacity", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 2)
        yield* inOrder(world.sids)
        const late = yield* world.poll()
        yield* TestClock.adjust(5_000)
        yield* world.taken()
        const refused = yield* Effect.flip(
          world.queue.acknowledge({
            environmentId: world.environmentId,
            workId: late?.item.id ?? ("none" as WorkId),
            workerId: undefined
          })
        )
        expect(refused).toMatchObject({ _tag: "WorkRefused", state: "queued" })
      })
    )
  )
})

describe("heartbeat", () => {
  it.effect("guards with the last heartbeat, echoed exactly", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { item } = yield* world.taken()
        const first = yield* world.beat(item.id, NO_HEARTBEAT)
        expect(first).toEqual({ lastHeartbeat: "1970-01-01T00:00:00.001Z", state: "active", ttlSeconds: 90 })
        const moved = yield* Effect.flip(world.beat(item.id, NO_HEARTBEAT))
        expect(moved).toMatchObject({
          _tag: "LeaseMoved",
          state: "active",
          lastHeartbeat: first.lastHeartbeat
        })
        // In the same millisecond, and yet told apart.
        const second = yield* world.beat(item.id, first.lastHeartbeat)
        expect(second.lastHeartbeat).not.toBe(first.lastHeartbeat)
        expect(yield* Effect.flip(world.beat(item.id, first.lastHeartbeat))).toMatchObject({
          _tag: "LeaseMoved"
        })
        // Without a guard it is not compared.
        expect((yield* world.beat(item.id)).state).toBe("active")
      })
    )
  )

  it.effect("clamps the lease that is asked for to 10–600 s", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { item } = yield* world.taken()
        expect((yield* world.beat(item.id, undefined, 1)).ttlSeconds).toBe(10)
        expect((yield* world.beat(item.id, undefined, 100_000)).ttlSeconds).toBe(600)
        expect((yield* world.beat(item.id, undefined, 30.9)).ttlSeconds).toBe(30)
        yield* TestClock.adjust(30_000)
        expect(yield* world.poll()).toBeDefined()
      })
    )
  )

  it.effect("is refused while queued and once stopped", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const offer = yield* world.poll()
        const workId = offer?.item.id ?? ("none" as WorkId)
        expect(yield* Effect.flip(world.beat(workId))).toMatchObject({ _tag: "WorkRefused", state: "queued" })
        yield* world.stop(workId)
        expect(yield* Effect.flip(world.beat(workId))).toMatchObject({
          _tag: "WorkRefused",
          state: "stopped"
        })
      })
    )
  )

  it.effect("a late one renews the lease while nobody else has the item or its place", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 2)
        yield* inOrder(world.sids)
        const { item } = yield* world.taken("a")
        const { lastHeartbeat } = yield* world.beat(item.id, NO_HEARTBEAT, undefined, "a")
        yield* TestClock.adjust(90_000)
        const late = yield* world.beat(item.id, lastHeartbeat, undefined, "a")
        yield* TestClock.adjust(90_000)
        // Both are available; the older one first, then no room.
        const again = yield* world.taken("b")
        expect(again.item.id).not.toBe(item.id)
        expect(yield* Effect.flip(world.beat(item.id, late.lastHeartbeat, undefined, "a"))).toMatchObject({
          _tag: "LeaseMoved"
        })
      })
    )
  )

  it.effect("one of a poller that lost the item before its first heartbeat does not take it back", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { item } = yield* world.taken("a")
        yield* TestClock.adjust(90_000)
        yield* world.taken("b")
        expect(yield* Effect.flip(world.beat(item.id, NO_HEARTBEAT, undefined, "a"))).toMatchObject({
          _tag: "LeaseMoved"
        })
        expect((yield* world.beat(item.id, NO_HEARTBEAT, undefined, "b")).state).toBe("active")
      })
    )
  )
})

describe("stop", () => {
  it.effect("of an active item without force asks its worker first", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { item } = yield* world.taken()
        const first = yield* world.beat(item.id, NO_HEARTBEAT)
        expect((yield* world.stop(item.id, false)).state).toBe("stopping")
        // The guard is not compared any more: the worker has to learn of it.
        expect(yield* world.beat(item.id, "anything")).toMatchObject({ state: "stopping" })
        expect(first.state).toBe("active")
        const ended = yield* world.stop(item.id, false)
        expect(ended).toMatchObject({ state: "stopped", stoppedAt: 0, stopRequestedAt: 0 })
        expect(yield* Effect.flip(world.stop(item.id, true))).toMatchObject({ _tag: "WorkRefused" })
      })
    )
  )

  it.effect("of an active item ends when its worker does not come back", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { item } = yield* world.taken()
        yield* world.beat(item.id, NO_HEARTBEAT)
        yield* world.stop(item.id, false)
        yield* TestClock.adjust(90_000)
        expect(yield* world.poll()).toBeUndefined()
        expect((yield* world.queue.get({ environmentId: world.environmentId, workId: item.id })).state).toBe(
          "stopped"
        )
      })
    )
  )

  it.effect("with force, or where no worker listens, ends at once", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(2, 2)
        yield* inOrder(world.sids)
        const a = yield* world.taken()
        expect((yield* world.stop(a.item.id, false)).state).toBe("stopped")
        const b = yield* world.taken()
        yield* world.beat(b.item.id, NO_HEARTBEAT)
        expect((yield* world.stop(b.item.id, true)).state).toBe("stopped")
      })
    )
  )

  it.effect("a message that came after the offer and reached no worker gets a new item, once", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.message(sid(world, 0), 1)
        yield* fixtures.enqueue(sid(world, 0))
        yield* TestClock.adjust(10)
        const first = yield* world.taken()
        yield* TestClock.adjust(10)
        yield* fixtures.message(sid(world, 0), 2)
        yield* world.stop(first.item.id)
        yield* TestClock.adjust(10)
        const second = yield* world.taken()
        expect(second.item.id).not.toBe(first.item.id)
        yield* world.stop(second.item.id)
        expect(yield* world.poll()).toBeUndefined()
      })
    )
  )

  it.effect("a message that a worker confirmed gets none", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const first = yield* world.taken()
        yield* fixtures.message(sid(world, 0), 1, "received")
        yield* world.stop(first.item.id)
        expect(yield* world.poll()).toBeUndefined()
      })
    )
  )

  it.effect("wakes those who wait for room", () =>
    provide(
      Effect.scoped(
        Effect.gen(function* () {
          const world = yield* setup(1, 1)
          yield* fixtures.enqueue(sid(world, 0))
          const { item } = yield* world.taken()
          const bus = yield* Bus.Bus
          const subscription = yield* bus.subscribe(`environment:${world.environmentId}`)
          const woken = yield* Effect.fork(subscription.take)
          yield* world.stop(item.id)
          expect((yield* Fiber.join(woken)).changed).toBe(true)
        })
      )
    )
  )
})

describe("requeue", () => {
  it.effect("takes the work back from whoever holds it, without an epoch of its own", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { item, offer } = yield* world.taken("dead")
        const { lastHeartbeat } = yield* world.beat(item.id, NO_HEARTBEAT)
        const again = { ...world, session: "s0" }
        expect(yield* world.queue.requeue(again)).toBe(item.id)
        const sql = yield* SqlClient.SqlClient
        expect(yield* sql`SELECT token_epoch FROM sessions`).toEqual([{ token_epoch: offer.epoch }])
        expect(yield* Effect.flip(world.beat(item.id, lastHeartbeat))).toMatchObject({ _tag: "WorkRefused" })
        expect((yield* world.taken("alive")).offer.epoch).toBe((offer.epoch ?? 0) + 1)
      })
    )
  )

  it.effect("makes the item where there is none, and refuses what cannot be", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 2)
        yield* world.queue.requeue({ ...world, session: "s0" })
        expect((yield* world.poll())?.item.session).toBe("s0")
        const stranger = yield* fixtures.organization("second")
        const sql = yield* SqlClient.SqlClient
        yield* sql`UPDATE sessions SET archived_at = 1 WHERE body = 's1'`
        const failure = (options: Partial<Parameters<typeof world.queue.requeue>[0]>) =>
          Effect.map(
            Effect.flip(world.queue.requeue({ ...world, session: "s0", ...options })),
            (error) => error._tag
          )
        expect(yield* failure({ organizationId: stranger.id })).toBe("EnvironmentUnknown")
        expect(yield* failure({ session: "none" })).toBe("SessionUnknown")
        expect(yield* failure({ session: "s1" })).toBe("SessionArchived")
        const other = yield* fixtures.environment(world.organizationId, 1)
        expect(yield* failure({ environmentId: other })).toBe("SessionElsewhere")
        const environments = yield* Environments.Environments
        yield* environments.archive(world)
        expect(yield* failure({})).toBe("EnvironmentArchived")
        // Its own environment is gone: it may move.
        yield* world.queue.requeue({ ...world, environmentId: other, session: "s0" })
        expect(yield* sql`SELECT environment_id FROM sessions WHERE body = 's0'`).toEqual([
          { environment_id: other }
        ])
      })
    )
  )
})

describe("waitingFor", () => {
  it.effect("names what stands in the way", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 3)
        const waiting = (of: number) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => Work.waitingFor([of], now)).pipe(
            Effect.map((reasons) => reasons.get(of) ?? null)
          )
        const homeless = yield* fixtures.session(world.organizationId, undefined, "homeless")
        expect(yield* waiting(homeless)).toContain("no environment")
        expect(yield* waiting(sid(world, 0))).toBeNull()
        yield* inOrder(world.sids)
        expect(yield* waiting(sid(world, 0))).toContain("has not come online")
        yield* world.taken()
        expect(yield* waiting(sid(world, 0))).toBeNull()
        expect(yield* waiting(sid(world, 1))).toMatch(
          /^The message waits for a place in its environment .*: all 1 are busy, .*\.$/
        )
        yield* TestClock.adjust(90_000)
        expect(yield* waiting(sid(world, 1))).toContain("offline (last seen 1970-01-01T00:00:00.003Z)")
        const environments = yield* Environments.Environments
        yield* environments.archive(world)
        expect(yield* waiting(sid(world, 1))).toContain("removed")
      })
    )
  )
})

describe("idle sessions", () => {
  it.effect("hold no place where the poller puts them to sleep, and their place where it does not", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 3)
        const sql = yield* SqlClient.SqlClient
        const status = (of: number, to: string) =>
          sql`UPDATE sessions SET status = ${to}, worker_status = ${to} WHERE sid = ${sid(world, of)}`
        const offered = (makesRoom: boolean) =>
          Effect.map(
            world.queue.poll({
              environmentId: world.environmentId,
              reclaimOlderThanMillis: 5_000,
              workerId: undefined,
              makesRoom
            }),
            ({ offer }) => offer?.item
          )
        yield* inOrder(world.sids)
        yield* world.taken()
        yield* status(0, "idle")
        expect(yield* offered(false)).toBeUndefined()
        yield* status(0, "running")
        expect(yield* offered(true)).toBeUndefined()
        const waiting = Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Effect.map(Work.waitingFor([sid(world, 1)], now), (reasons) => reasons.get(sid(world, 1)) ?? null)
        )
        expect(yield* waiting).toContain("all 1 are busy")
        yield* status(0, "idle")
        const second = yield* offered(true)
        expect(second?.session).toBe("s1")
        expect(yield* waiting).toBeNull()
        // Kept back, it holds the place; not taken, who waits for it is told.
        expect(yield* offered(true)).toBeUndefined()
        yield* TestClock.adjust(2_000)
        expect(yield* waiting).toContain("none of its 1 can be given up now")
        if (second === undefined) return
        const taken = yield* world.queue.acknowledge({
          environmentId: world.environmentId,
          workId: second.id,
          workerId: undefined
        })
        expect(taken.state).toBe("starting")
        yield* status(1, "requires_action")
        expect(yield* offered(true)).toBeUndefined()
      })
    )
  )
})

describe("list, stats and metadata", () => {
  it.effect.prop(
    "pages of any size give every item once, the newest first",
    [FastCheck.integer({ min: 0, max: 12 }), FastCheck.integer({ min: 1, max: 13 })],
    ([count, limit]) =>
      provide(
        Effect.gen(function* () {
          const world = yield* setup(1, count)
          for (const each of world.sids) {
            yield* fixtures.enqueue(each)
            if (each % 2 === 0) yield* TestClock.adjust(1)
          }
          const seen: Array<string | undefined> = []
          let cursor: string | undefined
          do {
            const page = yield* world.queue.list({ environmentId: world.environmentId, limit, cursor })
            expect(page.items.length).toBeLessThanOrEqual(limit)
            seen.push(...page.items.map((item) => item.session))
            cursor = page.next
          } while (cursor !== undefined)
          expect([...seen].sort()).toEqual(world.sids.map((_, i) => `s${i}`).sort())
        })
      ),
    { fastCheck: { numRuns: 20 } }
  )

  it.effect("a cursor that was not made here is refused", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 0)
        for (const cursor of ["", "!", "bm90IGE", "MTIzOg"]) {
          const page = world.queue.list({ environmentId: world.environmentId, limit: 1, cursor })
          expect(yield* Effect.flip(page)).toMatchObject({ _tag: "CursorInvalid" })
        }
      })
    )
  )

  it.effect("counts what waits, what is offered, and who polls", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(5, 3)
        yield* TestClock.adjust(1_000)
        yield* inOrder(world.sids)
        yield* world.taken("a")
        yield* world.poll("b")
        yield* world.poll()
        expect(yield* world.queue.stats(world.environmentId)).toEqual({
          depth: 0,
          pending: 2,
          oldestQueuedAt: 1_001,
          workersPolling: 2
        })
        yield* TestClock.adjust(30_000)
        expect((yield* world.queue.stats(world.environmentId)).workersPolling).toBe(0)
      })
    )
  )

  it.effect("merges metadata; null removes", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(1, 1)
        yield* fixtures.enqueue(sid(world, 0))
        const { item } = yield* world.taken()
        const key = { environmentId: world.environmentId, workId: item.id }
        yield* world.queue.updateMetadata({ ...key, patch: { a: "1", b: "2" } })
        const { metadata } = yield* world.queue.updateMetadata({ ...key, patch: { a: null, c: `"'` } })
        expect(JSON.parse(metadata)).toEqual({ b: "2", c: `"'` })
      })
    )
  )
})

// --- Any order of events ---

type Step =
  | { readonly do: "enqueue"; readonly session: number }
  | { readonly do: "poll"; readonly pollers: number; readonly reclaim: number }
  | { readonly do: "ack"; readonly offer: number }
  | { readonly do: "beat"; readonly holder: number; readonly ttl: number }
  | { readonly do: "stop"; readonly session: number; readonly force: boolean }
  | { readonly do: "reconnect"; readonly session: number }
  | { readonly do: "archive"; readonly session: number }
  | { readonly do: "pass"; readonly millis: number }

const SESSIONS = 4

const step: FastCheck.Arbitrary<Step> = FastCheck.oneof(
  {
    weight: 3,
    arbitrary: FastCheck.record({
      do: FastCheck.constant("enqueue" as const),
      session: FastCheck.nat(SESSIONS - 1)
    })
  },
  {
    weight: 6,
    arbitrary: FastCheck.record({
      do: FastCheck.constant("poll" as const),
      pollers: FastCheck.integer({ min: 1, max: 3 }),
      reclaim: FastCheck.constantFrom(0, 1_000, 5_000)
    })
  },
  {
    weight: 6,
    arbitrary: FastCheck.record({ do: FastCheck.constant("ack" as const), offer: FastCheck.nat(5) })
  },
  {
    weight: 4,
    arbitrary: FastCheck.record({
      do: FastCheck.constant("beat" as const),
      holder: FastCheck.nat(5),
      ttl: FastCheck.constantFrom(10, 90, 600)
    })
  },
  {
    weight: 2,
    arbitrary: FastCheck.record({
      do: FastCheck.constant("stop" as const),
      session: FastCheck.nat(SESSIONS - 1),
      force: FastCheck.boolean()
    })
  },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      do: FastCheck.constant("reconnect" as const),
      session: FastCheck.nat(SESSIONS - 1)
    })
  },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      do: FastCheck.constant("archive" as const),
      session: FastCheck.nat(SESSIONS - 1)
    })
  },
  {
    weight: 4,
    arbitrary: FastCheck.record({
      do: FastCheck.constant("pass" as const),
      millis: FastCheck.constantFrom(1, 999, 5_000, 9_999, 10_000, 60_000, 89_999, 90_000, 600_000)
    })
  }
)

/** A worker that acknowledged an item and, as far as it knows, holds it until `until`. */
interface Holder {
  readonly worker: string
  readonly session: string
  readonly workId: WorkId
  last: string
  until: number
}

it.effect.prop(
  "under any order of events no item has two live leases, the capacity holds, and no item is lost",
  [FastCheck.array(step, { maxLength: 50, size: "max" }), FastCheck.integer({ min: 1, max: 3 })],
  ([steps, capacity]) =>
    provide(
      Effect.gen(function* () {
        const world = yield* setup(capacity, SESSIONS)
        const sql = yield* SqlClient.SqlClient
        const { environmentId, queue } = world
        const wanted = new Set<string>()
        const archived = new Set<string>()
        /** Sessions whose work was asked to stop, and has not yet. */
        const asked = new Set<string>()
        const offers: Array<{ readonly worker: string; readonly workId: WorkId; readonly session: string }> =
          []
        const newest = new Map<WorkId, string>()
        const epochs = new Map<string, number>()
        let holders: Array<Holder> = []
        let pollers = 0

        const release = (session: string) => {
          holders = holders.filter((holder) => holder.session !== session)
        }

        const noteOffer = (worker: string, offer: Work.Offer, now: number) => {
          const session = offer.item.session ?? ""
          expect(wanted.has(session)).toBe(true)
          expect(holders.filter((holder) => holder.session === session && holder.until > now)).toEqual([])
          expect(offer.epoch ?? 0).toBeGreaterThan(epochs.get(session) ?? 0)
          epochs.set(session, offer.epoch ?? 0)
          newest.set(offer.item.id, worker)
          offers.push({ worker, workId: offer.item.id, session })
          release(session)
        }

        for (const each of steps) {
          const now = yield* Clock.currentTimeMillis
          switch (each.do) {
            case "enqueue": {
              yield* fixtures.enqueue(sid(world, each.session))
              if (!archived.has(`s${each.session}`)) wanted.add(`s${each.session}`)
              break
            }
            case "poll": {
              const names = Array.from({ length: each.pollers }, () => `w${pollers++}`)
              const results = yield* Effect.all(
                names.map((name) => world.poll(name, each.reclaim)),
                { concurrency: "unbounded" }
              )
              // With no reclaim time an item may be offered again within the same moment.
              const ids = results.flatMap((offer) => (offer === undefined ? [] : [offer.item.id]))
              if (each.reclaim > 0) expect(new Set(ids).size).toBe(ids.length)
              results.forEach((offer, i) => {
                if (offer !== undefined) noteOffer(names[i] ?? "", offer, now)
              })
              if (each.reclaim > 0 && ids.length > 0) {
                const rows = yield* sql<{ readonly used: number }>`SELECT count(*) AS used FROM work
                  WHERE (state = 'queued' AND offered_at > ${now - each.reclaim})
                    OR (state NOT IN ('stopped', 'queued') AND lease_expires_at > ${now})`
                expect(rows[0]?.used ?? 0).toBeLessThanOrEqual(capacity)
              }
              break
            }
            case "ack": {
              const offer = offers.at(-1 - each.offer)
              if (offer === undefined) break
              const acked = yield* Effect.either(
                queue.acknowledge({ environmentId, workId: offer.workId, workerId: offer.worker })
              )
              if (Either.isLeft(acked)) break
              expect(newest.get(offer.workId)).toBe(offer.worker)
              if (holders.some((holder) => holder.worker === offer.worker)) break
              holders.push({ ...offer, last: NO_HEARTBEAT, until: acked.right.leaseExpiresAt ?? 0 })
              break
            }
            case "beat": {
              const holder = holders.at(-1 - each.holder)
              if (holder === undefined) break
              const { worker: workerId, workId, last: expected } = holder
              const beat = yield* Effect.either(
                queue.heartbeat({ environmentId, workId, expected, ttlSeconds: each.ttl, workerId })
              )
              if (Either.isLeft(beat)) {
                // A live lease is lost only when somebody ended it, and then it is not among the holders.
                expect(holder.until).toBeLessThanOrEqual(now)
                holders = holders.filter((other) => other !== holder)
              } else {
                expect(newest.get(workId)).toBe(workerId)
                holder.last = beat.right.lastHeartbeat
                holder.until = now + each.ttl * 1000
              }
              break
            }
            case "stop": {
              const session = `s${each.session}`
              const rows = yield* sql<{ readonly id: string }>`SELECT id FROM work
                WHERE sid = ${sid(world, each.session)} AND state <> 'stopped'`
              const workId = rows[0]?.id
              expect(workId !== undefined).toBe(wanted.has(session))
              if (workId === undefined) break
              const item = yield* world.stop(workId as WorkId, each.force)
              if (item.state === "stopped") {
                asked.delete(session)
                wanted.delete(session)
                release(session)
              } else {
                expect(item.state).toBe("stopping")
                expect(each.force).toBe(false)
                asked.add(session)
              }
              break
            }
            case "reconnect": {
              const session = `s${each.session}`
              const result = yield* Effect.either(queue.requeue({ ...world, session }))
              expect(Either.isRight(result)).toBe(!archived.has(session))
              if (Either.isRight(result)) {
                wanted.add(session)
                release(session)
                newest.delete(result.right)
                asked.delete(session)
              }
              break
            }
            case "archive": {
              const session = `s${each.session}`
              yield* sql.withTransaction(
                Effect.gen(function* () {
                  yield* sql`UPDATE sessions SET archived_at = ${now} WHERE body = ${session}`
                  yield* sql.unsafe(Item.STOP_OF_SESSION, [now, sid(world, each.session)])
                })
              )
              archived.add(session)
              wanted.delete(session)
              release(session)
              break
            }
            case "pass":
              yield* TestClock.adjust(each.millis)
          }
          const after = yield* Clock.currentTimeMillis
          const open = yield* sql<{
            readonly body: string
            readonly state: string
            readonly lease: number | null
          }>`SELECT s.body, w.state, w.lease_expires_at AS lease FROM work w
            JOIN sessions s ON s.sid = w.sid WHERE w.state <> 'stopped'`
          const unfinished = new Set(open.map((row) => row.body))
          expect(unfinished.size).toBe(open.length)
          const held = open.filter((row) => row.state !== "queued" && (row.lease ?? 0) > after)
          expect(held.length).toBeLessThanOrEqual(capacity)
          // A stop that was asked for ends with the lease, at the latest when somebody polls.
          for (const session of [...wanted]) {
            if (unfinished.has(session)) continue
            expect(asked.has(session)).toBe(true)
            wanted.delete(session)
          }
        }

        // Every worker dies: what is unfinished, and nobody asked to stop, is offered to those who come.
        yield* TestClock.adjust(600_000)
        const left = new Set(
          (yield* sql<{ readonly body: string }>`SELECT s.body FROM work w JOIN sessions s ON s.sid = w.sid
            WHERE w.state NOT IN ('stopped', 'stopping')`).map((row) => row.body)
        )
        expect([...wanted].filter((session) => !asked.has(session) && !left.has(session))).toEqual([])
        for (let offer = yield* world.poll("heir"); offer !== undefined; offer = yield* world.poll("heir")) {
          expect(left.delete(offer.item.session ?? "")).toBe(true)
          yield* world.stop(offer.item.id)
        }
        expect([...left]).toEqual([])
      })
    ),
  { fastCheck: { numRuns: 40 }, timeout: 120_000 }
)
