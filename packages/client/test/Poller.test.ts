import { EnvironmentId, WorkId } from "@causeway/protocol/Ids"
import * as WorkSecret from "@causeway/protocol/WorkSecret"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type * as Client from "../src/Client.ts"
import * as Credentials from "../src/Credentials.ts"
import * as Poller from "../src/Poller.ts"
import * as Scripted from "./support/Scripted.ts"
import * as VirtualTime from "./support/VirtualTime.ts"

const environmentId = EnvironmentId.make("env_1")
const SECRET = "environment_secret_0123456789"
const INGRESS = "ingress_token_0123456789"
const secret = WorkSecret.encode({ sessionIngressToken: INGRESS, apiBaseUrl: "http://api.test" })

const item = (id: string, more: object = {}) => ({
  id,
  type: "work",
  environment_id: "env_1",
  state: "queued",
  data: { type: "session", id: "cse_abc" },
  secret,
  created_at: "2026-01-01T00:00:00Z",
  ...more
})

const polling = <A, E, R>(
  net: Scripted.Scripted,
  use: (poller: typeof Poller.Poller.Service) => Effect.Effect<A, E, R>,
  source?: Partial<Credentials.Source>,
  options?: Partial<Client.Options>
) =>
  Effect.gen(function* () {
    yield* (yield* Credentials.Credentials).setEnvironmentSecret(environmentId, Redacted.make(SECRET))
    return yield* use(yield* Poller.Poller)
  }).pipe(
    Effect.provide(
      Scripted.services(
        net,
        Credentials.layer({
          accessToken: Effect.succeed(Option.none()),
          organization: Effect.succeed(Option.none()),
          ...source
        }),
        options
      )
    )
  )

const isPoll = (asked: Scripted.Asked) => asked.path.endsWith("/work/poll")
const calls = (net: Scripted.Scripted) =>
  net.asked.flatMap((asked) =>
    isPoll(asked) ? [] : [asked.path.replace("/v1/environments/env_1/work/", "")]
  )

/** Answers polls one after another (the last for ever), and everything else by `other`. */
const hub = (
  polls: ReadonlyArray<Scripted.Reply | "broken" | "never">,
  other: (asked: Scripted.Asked) => Scripted.Reply | "broken" | "never" = () => ({ body: {} })
) => {
  const poll = Scripted.sequence(...polls)
  return Scripted.make((asked) => (isPoll(asked) ? poll(asked) : Scripted.sequence(other(asked))(asked)))
}

describe("work", () => {
  it.effect("is a stream of sessions with their secrets", () => {
    const net = hub([
      { body: "null" },
      { status: 200, body: "" },
      { body: item("work_1") },
      { body: item("work_2") },
      "never"
    ])
    return VirtualTime.run(
      polling(net, (poller) =>
        Effect.gen(function* () {
          const works = yield* poller
            .work(environmentId, { blockMs: 500 })
            .pipe(Stream.take(2), Stream.runCollect)
          const [first] = [...works]
          expect([...works].map(({ workId }) => workId)).toEqual(["work_1", "work_2"])
          expect(first?.sessionId).toBe("cse_abc")
          expect(first && Redacted.value(first.secret.sessionIngressToken)).toBe(INGRESS)
          expect(first?.secret.apiBaseUrl).toBe("http://api.test")
          expect(first?.item).not.toHaveProperty("secret")
          expect(net.asked[0]).toMatchObject({
            method: "GET",
            query: { block_ms: "500", reclaim_older_than_ms: "5000" },
            headers: {
              authorization: `Bearer ${SECRET}`,
              "anthropic-beta": "environments-2025-11-01",
              "anthropic-version": "2023-06-01"
            }
          })
          expect(net.asked[0]?.headers).not.toHaveProperty("x-organization-uuid")
        })
      )
    )
  })

  it.effect.prop(
    "is asked for at its pace while the clock on the wall is set back and forth",
    [
      FastCheck.array(FastCheck.integer({ min: -4_000_000, max: 4_000_000 }), { minLength: 3, maxLength: 20 })
    ],
    ([jumps]) => {
      const net = hub([{ body: "null" }])
      let looked = 0
      return VirtualTime.runJumping(
        polling(net, (poller) =>
          Effect.gen(function* () {
            const fiber = yield* Effect.fork(Stream.runDrain(poller.work(environmentId)))
            yield* Effect.sleep("2 minutes")
            // At least one in 3 s, whatever the clock says.
            expect(net.asked.length).toBeGreaterThanOrEqual(20)
            yield* Fiber.interrupt(fiber)
          })
        ),
        () => jumps[looked++ % jumps.length] ?? 0
      )
    },
    { fastCheck: { numRuns: 6 } }
  )

  it.effect("does not ask in a hot loop", () => {
    const net = hub([{ body: "null" }])
    return polling(net, (poller) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(Stream.runDrain(poller.work(environmentId)))
        yield* net.arrived(1)
        for (let n = 0; n < 30; n++) yield* TestClock.adjust("1 seconds")
        expect(net.asked.length).toBeGreaterThanOrEqual(10)
        expect(net.asked.length).toBeLessThanOrEqual(31)
        yield* Fiber.interrupt(fiber)
      })
    )
  })

  it.effect.each([
    [
      "an unknown version",
      { secret: Encoding.encodeBase64Url('{"version":7}') },
      "WorkSecretVersionUnsupported"
    ],
    ["no base64url", { secret: "$$$" }, "WorkSecretInvalid"],
    ["no secret", { secret: null }, "WorkSecretInvalid"],
    ["an unknown kind", { data: { type: "dance", id: "x" } }, "WorkKindUnsupported"],
    ["an id that would be a path", { data: { type: "session", id: "../../etc" } }, "IdInvalid"]
  ] as const)("%s is stopped and told, and polling goes on", ([, more, tag]) => {
    const net = hub([{ body: item("work_bad", more) }, { body: item("work_good") }, "never"])
    const told: Array<Poller.Unusable> = []
    return VirtualTime.run(
      polling(net, (poller) =>
        Effect.gen(function* () {
          const works = yield* poller
            .work(environmentId, { onUnusable: (_, error) => Effect.sync(() => void told.push(error)) })
            .pipe(Stream.take(1), Stream.runCollect)
          expect([...works].map(({ workId }) => workId)).toEqual(["work_good"])
          expect(calls(net)).toEqual(["work_bad/stop"])
          expect(net.asked.find(({ path }) => path.endsWith("/stop"))?.body).toEqual({ force: true })
          expect(told.map(({ _tag }) => _tag)).toEqual([tag])
          if (tag === "WorkSecretVersionUnsupported") expect(told[0]?.message).toContain("7")
        })
      )
    )
  })

  it.effect("a health check is answered and is no work", () => {
    const net = hub([
      { body: item("work_h", { data: { type: "healthcheck", id: "h" }, secret: null }) },
      { body: item("work_good") },
      "never"
    ])
    return VirtualTime.run(
      polling(net, (poller) =>
        Effect.gen(function* () {
          yield* poller.work(environmentId).pipe(Stream.take(1), Stream.runDrain)
          expect(calls(net)).toEqual(["work_h/ack", "work_h/stop"])
        })
      )
    )
  })

  it.effect("a hostile item id never reaches a path", () => {
    const net = hub([{ body: item("../../admin") }])
    return VirtualTime.run(
      polling(net, (poller) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(Stream.runDrain(poller.work(environmentId)))
          expect(error).toMatchObject({
            _tag: "PollGaveUp",
            lastError: { _tag: "InvalidResponse", path: "id" }
          })
          expect(net.asked.every(isPoll)).toBe(true)
        })
      )
    )
  })
})

describe("failures", () => {
  it.effect.each([["broken"], [{ status: 500 }], [{ status: 429 }], [{ body: "<html>" }]] as const)(
    "of 15 minutes without a success give up: %o",
    ([reply]) => {
      const net = hub([reply])
      const seen: Array<number> = []
      return VirtualTime.run(
        polling(net, (poller) =>
          Effect.gen(function* () {
            const error = yield* Effect.flip(
              Stream.runDrain(
                poller.work(environmentId, {
                  onFailure: ({ attempt }) => Effect.sync(() => void seen.push(attempt))
                })
              )
            )
            if (error._tag !== "PollGaveUp") return expect.unreachable()
            expect(error.since).toBe(0)
            expect(error.attempts).toBe(net.asked.length)
            expect(seen).toEqual(Array.from({ length: error.attempts }, (_, n) => n + 1))
            expect(error.attempts).toBeGreaterThanOrEqual(19)
            expect(error.attempts).toBeLessThanOrEqual(26)
          })
        )
      )
    }
  )

  it.effect("end with a success: delay and clock start anew", () => {
    const failures = Array.from({ length: 15 }, () => "broken" as const)
    const net = hub([...failures, { body: "null" }, ...failures, { body: item("work_1") }, "never"])
    let recoveries = 0
    return VirtualTime.run(
      polling(net, (poller) =>
        Effect.gen(function* () {
          const works = yield* poller
            .work(environmentId, { onRecovery: Effect.sync(() => void recoveries++) })
            .pipe(Stream.take(1), Stream.runCollect)
          expect([...works]).toHaveLength(1)
          expect(recoveries).toBe(2)
        })
      )
    )
  })

  it.effect("an attempt that hangs is bounded and counts", () => {
    const net = hub(["never"])
    return VirtualTime.run(
      polling(net, (poller) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(Stream.runDrain(poller.work(environmentId, { blockMs: 25_000 })))
          expect(error).toMatchObject({
            _tag: "PollGaveUp",
            lastError: { _tag: "HubUnreachable", reason: "Timeout" }
          })
          expect(net.aborted).toHaveLength(net.asked.length)
        })
      )
    )
  })

  it.effect.each([
    [401, "EnvironmentUnauthorized"],
    [403, "EnvironmentUnauthorized"],
    [404, "EnvironmentGone"],
    [410, "EnvironmentGone"]
  ] as const)("%i is %s at once", ([status, tag]) => {
    const net = hub([{ status, body: { message: "why" } }])
    return polling(net, (poller) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Stream.runDrain(poller.work(environmentId)))
        expect(error).toMatchObject({ _tag: tag, detail: "why" })
        expect(net.asked).toHaveLength(1)
      })
    )
  })

  it.effect("a deregistered environment is gone, and nothing is sent", () => {
    const net = hub([{ body: "null" }])
    return polling(net, (poller) =>
      Effect.gen(function* () {
        yield* (yield* Credentials.Credentials).forgetEnvironmentSecret(environmentId)
        const error = yield* Effect.flip(Stream.runDrain(poller.work(environmentId)))
        expect(error).toMatchObject({
          _tag: "EnvironmentGone",
          environmentId,
          detail: "no secret for environment env_1: register it first"
        })
        expect(net.asked).toHaveLength(0)
      })
    )
  })

  it.effect("401 refreshes the secret once, then goes on or ends", () => {
    const net = Scripted.make((asked) =>
      Effect.succeed(
        asked.headers["authorization"] === "Bearer fresh" ? { body: item("work_1") } : { status: 401 }
      )
    )
    let refreshes = 0
    return polling(
      net,
      (poller) =>
        Effect.gen(function* () {
          yield* poller.work(environmentId).pipe(Stream.take(1), Stream.runDrain)
          expect(refreshes).toBe(1)
          expect(net.asked).toHaveLength(2)
        }),
      {
        refreshEnvironmentSecret: () =>
          Effect.sync(() => {
            refreshes++
            return Option.some(Redacted.make("fresh"))
          })
      }
    )
  })
})

// --- Leases ---

const workId = WorkId.make("work_1")
const work = { environmentId, workId }

const beat = (n: number, more: object = {}) => ({
  body: {
    type: "work_heartbeat",
    last_heartbeat: `t${n}`,
    lease_extended: true,
    state: "active",
    ttl_seconds: 90,
    ...more
  }
})

const leases = (beats: ReadonlyArray<Scripted.Reply | "broken" | "never">) => {
  const next = Scripted.sequence(...beats)
  return Scripted.make((asked) =>
    asked.path.endsWith("/heartbeat") ? next(asked) : Effect.succeed({ body: {} })
  )
}
const expected = (net: Scripted.Scripted) =>
  net.asked.flatMap(({ path, query }) =>
    path.endsWith("/heartbeat") ? [query["expected_last_heartbeat"]] : []
  )

describe("hold", () => {
  it.effect("echoes each heartbeat exactly, every 30 s", () => {
    const net = leases([beat(1), beat(2), beat(3), beat(4, { state: "stopping" })])
    return polling(net, (poller) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(poller.hold(work))
        yield* net.arrived(1)
        yield* TestClock.adjust("29999 millis")
        expect(net.asked).toHaveLength(1)
        yield* TestClock.adjust("1 millis")
        expect(net.asked).toHaveLength(2)
        yield* TestClock.adjust("30 seconds")
        yield* TestClock.adjust("30 seconds")
        expect(yield* Fiber.join(fiber)).toEqual({ _tag: "Stopping" })
        expect(expected(net)).toEqual(["NO_HEARTBEAT", "t1", "t2", "t3"])
        expect(net.asked[0]?.body).toEqual({
          expected_last_heartbeat: "NO_HEARTBEAT",
          desired_ttl_seconds: 90
        })
      })
    )
  })

  it.effect.each([
    ["412", { status: 412 }, "Moved"],
    ["404", { status: 404 }, "Gone"],
    ["409", { status: 409 }, "Refused"],
    ["not extended", beat(1, { lease_extended: false }), "Refused"]
  ] as const)("%s is a lost lease", ([, reply, reason]) =>
    polling(leases([reply]), (poller) =>
      Effect.gen(function* () {
        expect(yield* Effect.flip(poller.hold(work))).toMatchObject({ _tag: "LeaseLost", reason })
      })
    )
  )

  it.effect("a whole ttl without a success is a lost lease", () => {
    const net = leases([beat(1), "broken"])
    return VirtualTime.run(
      polling(net, (poller) =>
        Effect.gen(function* () {
          expect(yield* Effect.flip(poller.hold(work))).toMatchObject({ _tag: "LeaseLost", reason: "Silent" })
          expect(net.asked.length).toBeGreaterThan(5)
        })
      )
    )
  })

  const refused = (state: object) => ({
    status: 412,
    body: { type: "error", error: { type: "x", message: "moved", details: { current_state: state } } }
  })

  it.effect("a beat whose answer was lost is taken for ours, once", () => {
    const net = leases([
      beat(1),
      "broken",
      refused({ state: "active", last_heartbeat: "t2" }),
      beat(3),
      refused({ state: "active", last_heartbeat: "t4" })
    ])
    return VirtualTime.run(
      polling(net, (poller) =>
        Effect.gen(function* () {
          expect(yield* Effect.flip(poller.hold(work))).toMatchObject({ _tag: "LeaseLost", reason: "Moved" })
          expect(expected(net)).toEqual(["NO_HEARTBEAT", "t1", "t1", "t2", "t3"])
        })
      )
    )
  })
})

describe("run", () => {
  it.effect("acknowledges, works, stops", () => {
    const net = leases([beat(1)])
    return polling(net, (poller) =>
      Effect.gen(function* () {
        expect(yield* poller.run(work, Effect.succeed(7))).toEqual(Option.some(7))
        expect(calls(net).filter((path) => !path.endsWith("heartbeat"))).toEqual([
          "work_1/ack",
          "work_1/stop"
        ])
      })
    )
  })

  it.effect.prop(
    "a lost lease interrupts the work and never calls stop; every other end does",
    { how: FastCheck.constantFrom("lost", "stopping", "fails", "dies", "interrupted") },
    ({ how }) => {
      const net = leases([
        beat(1),
        how === "lost" ? { status: 412 } : how === "stopping" ? beat(2, { state: "stopping" }) : beat(2)
      ])
      return polling(net, (poller) =>
        Effect.gen(function* () {
          const interrupted = yield* Deferred.make<void>()
          const end = how === "fails" ? Effect.fail("no") : how === "dies" ? Effect.die("bug") : Effect.never
          const fiber = yield* poller
            .run(
              work,
              Effect.delay(end, "40 seconds").pipe(
                Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
              )
            )
            .pipe(Effect.exit, Effect.fork)
          yield* net.arrived(2)
          yield* TestClock.adjust("30 seconds")
          yield* TestClock.adjust("10 seconds")
          if (how === "interrupted") yield* Fiber.interrupt(fiber)
          yield* Fiber.await(fiber)
          expect(calls(net).includes("work_1/stop")).toBe(how !== "lost")
          if (how === "lost" || how === "stopping" || how === "interrupted")
            yield* Deferred.await(interrupted)
        })
      )
    },
    { fastCheck: { numRuns: 15 } }
  )

  it.effect("an item that another has taken is a conflict", () => {
    const net = Scripted.make(Scripted.sequence({ status: 409 }))
    return polling(net, (poller) =>
      Effect.gen(function* () {
        expect((yield* Effect.flip(poller.run(work, Effect.never)))._tag).toBe("WorkConflict")
        expect(net.asked).toHaveLength(1)
      })
    )
  })
})

describe("a worker", () => {
  /** The names under which one client polls, acknowledges, beats and stops. */
  const named = (options?: Partial<Client.Options>) => {
    const net = Scripted.make((asked) =>
      Scripted.sequence(isPoll(asked) ? { body: item("work_1") } : beat(1))(asked)
    )
    return polling(
      net,
      (poller) =>
        Effect.gen(function* () {
          yield* Stream.runDrain(Stream.take(poller.work(environmentId), 1))
          yield* poller.run(work, net.arrived(3))
          expect(net.asked.map(({ path }) => path.split("/").at(-1))).toEqual([
            "poll",
            "ack",
            "heartbeat",
            "stop"
          ])
          return net.asked.map(({ headers }) => headers["anthropic-worker-id"])
        }),
      undefined,
      options
    )
  }

  it.effect("names itself in every call of its work, by what it was told", () =>
    Effect.gen(function* () {
      expect(yield* named({ workerId: "w1" })).toEqual(["w1", "w1", "w1", "w1"])
    })
  )

  it.effect("has one name where it was told none, and no other worker has it", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Effect.all([named(), named()])
      expect(new Set(one).size).toBe(1)
      expect(one[0]).toMatch(/^[0-9a-f-]{36}$/)
      expect(other[0]).not.toBe(one[0])
    })
  )
})
