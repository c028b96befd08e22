import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Devices from "@causeway/store/Devices"
import * as Organizations from "@causeway/store/Organizations"
import * as PushSubscriptions from "@causeway/store/PushSubscriptions"
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as TestClock from "effect/TestClock"
import * as Hub from "../../src/Hub.ts"
import * as Push from "../../src/Push/Push.ts"
import * as Sender from "../../src/Push/Sender.ts"

/** What was tried: each attempt waits for the test to say what becomes of it. */
interface Attempt {
  readonly endpoint: string
  readonly payload: { readonly body: string }
  readonly outcome: Deferred.Deferred<void, Sender.PushFailure>
}

class Attempts extends Context.Tag("test/Attempts")<Attempts, Queue.Queue<Attempt>>() {}
class Forgotten extends Context.Tag("test/Forgotten")<Forgotten, Queue.Queue<string>>() {}

const sender = Layer.effect(
  Sender.PushSender,
  Effect.map(Attempts, (attempts) => ({
    refusal: () => undefined,
    send: (message: Sender.PushMessage) =>
      Effect.gen(function* () {
        const outcome = yield* Deferred.make<void, Sender.PushFailure>()
        yield* Queue.offer(attempts, {
          endpoint: message.subscription.endpoint,
          payload: JSON.parse(message.payload),
          outcome
        })
        yield* Deferred.await(outcome)
      })
  }))
)

/** The store's, which tells what it forgets. */
const subscriptions = Layer.effect(
  PushSubscriptions.PushSubscriptions,
  Effect.gen(function* () {
    const forgotten = yield* Forgotten
    const real = yield* PushSubscriptions.make
    return {
      ...real,
      forget: (endpoint: string) => Effect.zipLeft(real.forget(endpoint), Queue.offer(forgotten, endpoint))
    }
  })
)

const layer = Push.layer().pipe(
  Layer.provideMerge(Layer.merge(sender, subscriptions)),
  Layer.provideMerge(Devices.layer),
  Layer.provideMerge(
    Layer.mergeAll(
      Hub.layerStore({ filename: ":memory:" }),
      Layer.effect(Attempts, Queue.unbounded<Attempt>()),
      Layer.effect(Forgotten, Queue.unbounded<string>())
    )
  )
)

const subscribed = (...endpoints: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { id } = yield* (yield* Organizations.Organizations).create("org")
    yield* (yield* Devices.Devices).approve(
      {
        organizationId: id,
        deviceId: "device",
        publicKey: "key",
        displayName: undefined,
        platform: "web",
        deviceFamily: "",
        clientId: "openclaw-control-ui",
        clientMode: "ui"
      },
      "operator",
      ["operator.read"]
    )
    const push = yield* Push.Push
    for (const endpoint of endpoints) {
      yield* push.subscribe({ organizationId: id, deviceId: "device", endpoint, p256dh: "p", auth: "a" })
    }
    return id
  })

const notify = (organizationId: OrganizationId, tag: string, body = "") =>
  Effect.flatMap(Push.Push, (push) =>
    push.notify(organizationId, { title: "", body, tag, url: "", ttlSeconds: 1, urgency: "normal" })
  )

const next = Effect.flatMap(Attempts, Queue.take)
const count = Effect.flatMap(Attempts, Queue.size)
const a = "https://push.example/a"

const unavailable = (retryAfterMillis?: number) =>
  new Sender.PushUnavailable({ detail: "status 503", retryAfterMillis })

describe("a push", () => {
  it.scoped("is tried five times, further and further apart", () =>
    Effect.gen(function* () {
      yield* notify(yield* subscribed(a), "tag")
      for (const seconds of [2, 4, 8, 16]) {
        yield* Deferred.fail((yield* next).outcome, unavailable())
        yield* TestClock.adjust(seconds * 1000 - 1)
        expect(yield* count).toBe(0)
        yield* TestClock.adjust(seconds * 200 + 1)
      }
      yield* Deferred.fail((yield* next).outcome, unavailable())
      yield* TestClock.adjust("1 hour")
      expect(yield* count).toBe(0)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("waits as long as the push service asks, up to 10 min", () =>
    Effect.gen(function* () {
      yield* notify(yield* subscribed(a), "tag")
      yield* Deferred.fail((yield* next).outcome, unavailable(60_000))
      yield* TestClock.adjust(59_999)
      expect(yield* count).toBe(0)
      yield* TestClock.adjust(1)
      yield* Deferred.fail((yield* next).outcome, unavailable(86_400_000))
      yield* TestClock.adjust(599_999)
      expect(yield* count).toBe(0)
      yield* TestClock.adjust(1)
      yield* Deferred.succeed((yield* next).outcome, undefined)
      yield* TestClock.adjust("1 hour")
      expect(yield* count).toBe(0)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("that is refused is not tried again; a browser that is gone is forgotten", () =>
    Effect.gen(function* () {
      const id = yield* subscribed(a, "https://push.example/b")
      yield* notify(id, "tag")
      const [first, second] = [yield* next, yield* next]
      yield* Deferred.fail(first.outcome, new Sender.PushRefused({ status: 400, detail: "status 400" }))
      yield* Deferred.fail(second.outcome, new Sender.PushGone({ status: 410 }))
      expect(yield* Queue.take(yield* Forgotten)).toBe(second.endpoint)
      yield* TestClock.adjust("1 hour")
      expect(yield* count).toBe(0)
      yield* notify(id, "tag")
      expect((yield* next).endpoint).toBe(first.endpoint)
      expect(yield* count).toBe(0)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("that fails is told with its reason to the browser that asks, until one succeeds", () =>
    Effect.gen(function* () {
      const organizationId = yield* subscribed(a)
      const push = yield* Push.Push
      const subscriber = { organizationId, deviceId: "device", endpoint: a }
      expect(yield* push.status(subscriber)).toEqual({ subscribed: true, last: Option.none() })
      const tried = yield* Effect.fork(push.test(subscriber))
      yield* Deferred.fail(
        (yield* next).outcome,
        new Sender.PushRefused({ status: 403, detail: "status 403" })
      )
      const refused = yield* Fiber.join(tried)
      expect(Option.getOrThrow(refused.last).failure).toContain("--push-contact")
      const again = yield* Effect.fork(push.test(subscriber))
      yield* Deferred.succeed((yield* next).outcome, undefined)
      expect(Option.getOrThrow((yield* Fiber.join(again)).last).failure).toBeUndefined()
      // Another device's browser is nobody's to ask about or to push to.
      expect(yield* push.test({ ...subscriber, deviceId: "other" })).toMatchObject({ subscribed: false })
      expect(yield* count).toBe(0)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("is not sent to Apple by a hub without a real address, and says so", () =>
    Effect.gen(function* () {
      const endpoint = "https://web.push.apple.com/abc"
      const organizationId = yield* subscribed(endpoint)
      const push = yield* Push.Push
      const status = yield* push.test({ organizationId, deviceId: "device", endpoint })
      expect(Option.getOrThrow(status.last).failure).toContain("Apple")
      expect(yield* count).toBe(0)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("gives way to a newer one of its tag, wherever it stands", () =>
    Effect.gen(function* () {
      const id = yield* subscribed(a)
      yield* notify(id, "tag", "older")
      yield* Deferred.fail((yield* next).outcome, unavailable())
      yield* notify(id, "tag", "newer")
      yield* notify(id, "other", "another")
      const bodies = [(yield* next).payload.body, (yield* next).payload.body]
      expect(bodies.sort()).toEqual(["another", "newer"])
      yield* TestClock.adjust("1 hour")
      expect(yield* count).toBe(0)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("is not begun where too many are under way; nobody waits for it", () =>
    Effect.gen(function* () {
      const id = yield* subscribed(a)
      for (let i = 0; i < Push.UNDER_WAY_MAX + 50; i++) yield* notify(id, `tag ${i}`)
      const begun: Array<Attempt> = []
      for (let i = 0; i < Push.UNDER_WAY_MAX; i++) begun.push(yield* next)
      expect(yield* count).toBe(0)
      // One of a tag that is under way takes that one's place.
      yield* notify(id, "tag 0", "newer")
      expect((yield* next).payload.body).toBe("newer")
      expect(begun).toHaveLength(Push.UNDER_WAY_MAX)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("is wanted since somebody subscribed, and by nobody else", () =>
    Effect.gen(function* () {
      const push = yield* Push.Push
      expect(push.isWanted()).toBe(false)
      yield* TestClock.adjust(5)
      const id = yield* subscribed(a)
      yield* TestClock.adjust(5)
      yield* push.subscribe({ organizationId: id, deviceId: "device", endpoint: a, p256dh: "p", auth: "a" })
      expect(push.wantedSince(id)).toBe(5)
      yield* push.unsubscribe("device", a)
      yield* notify(id, "tag")
      expect(push.wantedSince(id)).toBeUndefined()
      expect(yield* count).toBe(0)
      expect(
        yield* Effect.flip(
          push.subscribe({ organizationId: id, deviceId: "nobody", endpoint: a, p256dh: "p", auth: "a" })
        )
      ).toMatchObject({ reason: "DeviceUnknown" })
    }).pipe(Effect.provide(layer))
  )
})
