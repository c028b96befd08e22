import { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { Credentials, layer as credentialsLayer, type Source } from "../src/Credentials.ts"
import * as Entry from "../src/Entry.ts"
import { Ingress } from "../src/Ingress.ts"
import * as IngressModel from "./support/IngressModel.ts"
import * as Scripted from "./support/Scripted.ts"
import * as VirtualTime from "./support/VirtualTime.ts"

const sessionId = SessionId.make("session_abc")
const TOKEN = "ingress_secret_token_0123456789"
const URL_ = `${Scripted.BASE}/v1/session_ingress/session/session_abc`

const entry = (uuid: string) => Entry.make({ type: "user", uuid })

/** Runs with an ingress that has a token for the session. */
const withIngress = <A, E>(
  net: Scripted.Scripted,
  use: (ingress: typeof Ingress.Service) => Effect.Effect<A, E, Credentials>,
  options: Parameters<typeof Scripted.services>[2] = {},
  source?: Source
) =>
  Effect.gen(function* () {
    const credentials = yield* Credentials
    for (const id of ["session_abc", "session_b", "session_c"]) {
      yield* credentials.setIngressToken(SessionId.make(id), Redacted.make(TOKEN))
    }
    return yield* use(yield* Ingress)
  }).pipe(
    Effect.provide(
      Scripted.services(net, source === undefined ? Scripted.credentials : credentialsLayer(source), options)
    )
  )

const puts = (net: Scripted.Scripted) => net.asked.filter(({ method }) => method === "PUT")
const heads = (net: Scripted.Scripted) => puts(net).map(({ headers }) => headers["last-uuid"])

describe("append", () => {
  it.effect("sends the entry with the ingress token and the head that it knows", () => {
    const net = Scripted.make(Scripted.sequence({ status: 200, body: {} }))
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        yield* ingress.append(sessionId, entry("a"), URL_)
        yield* ingress.append(sessionId, entry("b"), URL_)
        expect(net.asked[0]).toMatchObject({
          method: "PUT",
          url: URL_,
          headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
          body: { type: "user", uuid: "a" }
        })
        expect(heads(net)).toEqual([undefined, "a"])
      })
    )
  })

  it.effect("sends the text as it is", () => {
    const net = Scripted.make(Scripted.sequence({ status: 201 }))
    const text = '{"uuid":"a", "n":1.0, "big":12345678901234567890, "u":"\\u0041"}'
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        yield* ingress.append(sessionId, { ...entry("a"), text }, URL_)
        expect(net.asked[0]?.text).toBe(text)
      })
    )
  })

  it.effect("a conflict that names the entry is success", () => {
    const net = Scripted.make(
      Scripted.sequence({ status: 409, headers: { "x-last-uuid": "a" } }, { status: 200 })
    )
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        yield* ingress.append(sessionId, entry("a"), URL_)
        yield* ingress.append(sessionId, entry("b"), URL_)
        expect(heads(net)).toEqual([undefined, "a"])
      })
    )
  })

  it.effect("a conflict that names another is adopted at once", () => {
    const net = Scripted.make(
      Scripted.sequence({ status: 409, headers: { "x-last-uuid": "z" } }, { status: 200 })
    )
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        yield* ingress.append(sessionId, entry("a"), URL_)
        expect(net.asked).toHaveLength(2)
        expect(heads(net)).toEqual([undefined, "z"])
      })
    )
  })

  it.effect("a conflict without a head looks the head up", () => {
    const net = Scripted.make(
      Scripted.sequence(
        { status: 409 },
        { body: { loglines: [{ uuid: "x" }, { uuid: "y" }, { type: "summary" }, { type: "tag" }] } },
        { status: 200 }
      )
    )
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        yield* ingress.append(sessionId, entry("a"), URL_)
        expect(net.asked.map(({ method }) => method)).toEqual(["PUT", "GET", "PUT"])
        expect(heads(net)).toEqual([undefined, "y"])
      })
    )
  })

  it.effect("a conflict without a head whose log holds the entry is success", () => {
    const net = Scripted.make(
      Scripted.sequence(
        { status: 409 },
        { body: { loglines: [{ uuid: "a" }, { uuid: "y" }] } },
        { status: 200 }
      )
    )
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        yield* ingress.append(sessionId, entry("a"), URL_)
        yield* ingress.append(sessionId, entry("b"), URL_)
        expect(heads(net)).toEqual([undefined, "y"])
      })
    )
  })

  it.effect.each([
    ["an empty log", { status: 404 }],
    ["a log without uuids", { body: { loglines: [{ type: "summary" }] } }]
  ] as const)("a conflict without a head over %s is ConcurrentModification", ([, log]) => {
    const net = Scripted.make(Scripted.sequence({ status: 409, body: { message: "somebody else" } }, log))
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(ingress.append(sessionId, entry("a"), URL_))
        expect(error).toMatchObject({ _tag: "ConcurrentModification", detail: "somebody else" })
      })
    )
  })

  it.effect("a batch of which a part is stored already sends the rest", () => {
    const net = Scripted.make(
      Scripted.sequence({ status: 409, headers: { "x-last-uuid": "b" } }, { status: 200 })
    )
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        yield* ingress.appendBatch(sessionId, ["a", "b", "c"].map(entry), URL_)
        expect(net.asked[1]?.body).toEqual([{ type: "user", uuid: "c" }])
        expect(heads(net)).toEqual([undefined, "b"])
      })
    )
  })

  it.effect("a conflict after a lost answer looks for the entry before it is sent again", () => {
    const net = Scripted.make(
      Scripted.sequence(
        "broken",
        { status: 409, headers: { "x-last-uuid": "z" } },
        { body: { loglines: [{ uuid: "a" }, { uuid: "z" }] } }
      )
    )
    return VirtualTime.run(
      withIngress(net, (ingress) =>
        Effect.gen(function* () {
          yield* ingress.append(sessionId, entry("a"), URL_)
          expect(net.asked.map(({ method }) => method)).toEqual(["PUT", "PUT", "GET"])
        })
      )
    )
  })

  it.effect("without a token asks nobody", () => {
    const net = Scripted.make(Scripted.sequence({}))
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(ingress.append(SessionId.make("session_none"), entry("a"), URL_))
        expect(error._tag).toBe("IngressTokenMissing")
        expect(net.asked).toHaveLength(0)
      })
    )
  })

  it.effect("401 is final where nobody has a newer token", () => {
    const net = Scripted.make(Scripted.sequence({ status: 401, body: { error: { message: "expired" } } }))
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(ingress.append(sessionId, entry("a"), URL_))
        expect(error).toMatchObject({ _tag: "IngressTokenRejected", detail: "expired" })
        expect(net.asked).toHaveLength(1)
      })
    )
  })

  it.effect("401 takes one newer token, and no second one", () => {
    const net = Scripted.make(Scripted.sequence({ status: 401 }))
    let refreshes = 0
    const source: Source = {
      accessToken: Effect.succeed(Option.none()),
      organization: Effect.succeed(Option.none()),
      refreshIngressToken: () => Effect.sync(() => Option.some(Redacted.make(`fresh-${++refreshes}`)))
    }
    return withIngress(
      net,
      (ingress) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(ingress.append(sessionId, entry("a"), URL_))
          expect(error._tag).toBe("IngressTokenRejected")
          expect(refreshes).toBe(1)
          expect(net.asked.map(({ headers }) => headers["authorization"])).toEqual([
            `Bearer ${TOKEN}`,
            "Bearer fresh-1"
          ])
        }),
      {},
      source
    )
  })

  it.effect.each([[400], [403], [404], [413], [429], [500], [503]] as const)(
    "%i is tried ten times, 0.5 s doubling to 8 s",
    ([status]) => {
      const net = Scripted.make(Scripted.sequence({ status, body: { message: "no" } }))
      return withIngress(net, (ingress) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(Effect.flip(ingress.append(sessionId, entry("a"), URL_)))
          yield* net.arrived(1)
          for (const [at, delay] of [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000].entries()) {
            yield* TestClock.adjust(delay - 1)
            expect(net.asked).toHaveLength(at + 1)
            yield* TestClock.adjust(1)
            expect(net.asked).toHaveLength(at + 2)
          }
          expect(yield* Fiber.join(fiber)).toMatchObject({
            _tag: "RetriesExhausted",
            attempts: 10,
            lastCause: { _tag: "RequestFailed", status, detail: "no" }
          })
          expect(new Set(heads(net))).toEqual(new Set([undefined]))
        })
      )
    }
  )

  it.effect("adopting a head counts as an attempt", () => {
    let n = 0
    const net = Scripted.make(() =>
      Effect.sync(() => ({ status: 409, headers: { "x-last-uuid": `other-${n++}` } }))
    )
    return VirtualTime.run(
      withIngress(net, (ingress) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(ingress.append(sessionId, entry("a"), URL_))
          expect(error).toMatchObject({
            _tag: "RetriesExhausted",
            lastCause: { _tag: "HeadMoved", head: "other-9" }
          })
          expect(puts(net)).toHaveLength(10)
        })
      )
    )
  })

  it.effect.each([
    ["seconds", "3", 3000],
    ["a date", "Thu, 01 Jan 1970 00:00:09 GMT", 9000],
    ["what is no time", "soon", 500],
    ["for ever", "1e300", 3_600_000],
    ["shorter than the backoff", "0", 500]
  ] as const)("Retry-After in %s", ([, header, wait]) => {
    const net = Scripted.make(
      Scripted.sequence({ status: 429, headers: { "retry-after": header } }, { status: 200 })
    )
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(ingress.append(sessionId, entry("a"), URL_))
        yield* net.arrived(1)
        yield* TestClock.adjust(wait - 1)
        expect(net.asked).toHaveLength(1)
        yield* TestClock.adjust(1)
        yield* Fiber.join(fiber)
        expect(net.asked).toHaveLength(2)
      })
    )
  })

  it.effect("an attempt that gets no answer is aborted and tried again", () => {
    const net = Scripted.make(Scripted.sequence("never", { status: 200 }))
    return withIngress(
      net,
      (ingress) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(ingress.append(sessionId, entry("a"), URL_))
          yield* net.arrived(1)
          yield* TestClock.adjust("5 seconds")
          expect(net.aborted).toHaveLength(1)
          yield* TestClock.adjust("500 millis")
          yield* Fiber.join(fiber)
        }),
      { ingress: { attemptTimeout: "5 seconds" } }
    )
  })
})

describe("batches", () => {
  it.effect("are one request, known by their last uuid", () => {
    const net = Scripted.make(
      Scripted.sequence({ status: 409, headers: { "x-last-uuid": "c" } }, { status: 200 })
    )
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        yield* ingress.appendBatch(sessionId, [entry("a"), entry("b"), entry("c")], URL_)
        yield* ingress.appendBatch(sessionId, [], URL_)
        yield* ingress.append(sessionId, entry("d"), URL_)
        expect(net.asked[0]?.body).toEqual(["a", "b", "c"].map((uuid) => ({ type: "user", uuid })))
        expect(heads(net)).toEqual([undefined, "c"])
      })
    )
  })
})

describe("fetch", () => {
  const log = { loglines: [{ type: "user", uuid: "a" }, { type: "summary" }] }

  it.effect("reads the entries and takes the head", () => {
    const net = Scripted.make((asked) =>
      Effect.succeed(asked.method === "GET" ? { body: log } : { status: 200 })
    )
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        const entries = yield* ingress.fetch(sessionId, URL_)
        expect(entries.map(({ json, uuid }) => [json["type"], uuid])).toEqual([
          ["user", "a"],
          ["summary", undefined]
        ])
        yield* ingress.append(sessionId, entry("b"), URL_)
        expect(heads(net)).toEqual(["a"])
        expect(net.asked[0]?.query).toEqual({})
      })
    )
  })

  it.effect("asks for what follows the last compaction", () => {
    const net = Scripted.make(Scripted.sequence({ body: log }))
    return withIngress(
      net,
      (ingress) =>
        Effect.gen(function* () {
          yield* ingress.fetch(sessionId, URL_)
          yield* ingress.fetch(sessionId, URL_, { afterLastCompact: false })
          yield* ingress.fetch(sessionId, `${URL_}?x=1`)
          expect(net.asked.map(({ query }) => query)).toEqual([
            { after_last_compact: "true" },
            {},
            { x: "1", after_last_compact: "true" }
          ])
        }),
      { ingress: { afterLastCompact: true } }
    )
  })

  it.effect("keeps the text of entries", () => {
    const net = Scripted.make(Scripted.sequence({ body: '{"loglines":[ {"uuid":"a","n":1.0} ]}' }))
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        expect((yield* ingress.fetch(sessionId, URL_)).map(({ text }) => text)).toEqual([
          '{"uuid":"a","n":1.0}'
        ])
      })
    )
  })

  it.effect.each([
    [404, {}, "empty"],
    [401, {}, "SessionExpired"],
    [403, {}, "RequestFailed"],
    [500, {}, "RequestFailed"],
    [200, { lines: [] }, "InvalidResponse"],
    [200, { loglines: ["x"] }, "InvalidResponse"]
  ] as const)("%i %o is %s", ([status, body, outcome]) => {
    const net = Scripted.make(Scripted.sequence({ status, body }))
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        for (const reading of [ingress.fetch(sessionId, URL_), ingress.fetchWithAccessToken(sessionId)]) {
          const result = yield* Effect.either<
            ReadonlyArray<Entry.Entry>,
            { _tag: string; message: string },
            never
          >(reading)
          expect(Either.isRight(result) ? "empty" : result.left._tag).toBe(outcome)
          if (Either.isLeft(result) && outcome === "SessionExpired") {
            expect(result.left.message).toContain("sign in again")
          }
        }
      })
    )
  })

  it.effect("with the access token names the organisation", () => {
    const net = Scripted.make(Scripted.sequence({ body: log }))
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        yield* ingress.fetchWithAccessToken(sessionId)
        expect(net.asked[0]).toMatchObject({
          url: URL_,
          headers: {
            authorization: `Bearer ${Scripted.ACCESS_TOKEN}`,
            "x-organization-uuid": Scripted.ORGANIZATION
          }
        })
      })
    )
  })

  it.effect("gives up after 20 s", () => {
    const net = Scripted.make(Scripted.sequence("never"))
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(Effect.flip(ingress.fetch(sessionId, URL_)))
        yield* TestClock.adjust("20 seconds")
        expect((yield* Fiber.join(fiber))._tag).toBe("HubUnreachable")
      })
    )
  })
})

describe("what is kept", () => {
  const ok = () =>
    Scripted.make((asked) => Effect.succeed(asked.method === "GET" ? { status: 404 } : { status: 200 }))

  it.effect("clear forgets a head, clearAll all of them", () => {
    const net = ok()
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        const other = SessionId.make("cse_b")
        yield* ingress.append(sessionId, entry("a"), URL_)
        yield* ingress.append(other, entry("b"), URL_)
        expect(yield* ingress.known).toBe(2)
        yield* ingress.clear(SessionId.make("cse_abc"))
        expect(yield* ingress.known).toBe(1)
        yield* ingress.append(sessionId, entry("c"), URL_)
        yield* ingress.clearAll
        expect(yield* ingress.known).toBe(0)
        yield* ingress.append(other, entry("d"), URL_)
        expect(heads(net)).toEqual([undefined, undefined, undefined, undefined])
      })
    )
  })

  it.effect("does not grow with sessions that ended", () => {
    const net = ok()
    return Effect.gen(function* () {
      const ingress = yield* Ingress
      const credentials = yield* Credentials
      for (let n = 0; n < 50; n++) {
        const id = SessionId.make(`session_${n}`)
        yield* credentials.setIngressToken(id, Redacted.make(TOKEN))
        yield* ingress.append(id, entry("a"), URL_)
        yield* credentials.forgetIngressToken(id)
      }
      expect(yield* ingress.known).toBeLessThanOrEqual(5)
    }).pipe(Effect.provide(Scripted.services(net, Scripted.credentials, { ingress: { idleHeads: 5 } })))
  })

  it.effect("clear keeps one request in flight", () => {
    const model = IngressModel.make([], [])
    const net = Scripted.make(model.handle)
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        const first = yield* Effect.fork(ingress.append(sessionId, entry("a"), URL_))
        yield* net.arrived(1)
        yield* ingress.clear(sessionId)
        yield* ingress.append(sessionId, entry("b"), URL_)
        yield* Fiber.join(first)
        expect(model.mostInFlight()).toBe(1)
        expect(model.log.map(({ uuid }) => uuid)).toEqual(["a", "b"])
        expect(yield* ingress.known).toBe(0)
      })
    )
  })

  it.effect("sessions do not wait for each other", () => {
    const net = Scripted.make((asked) =>
      asked.path.endsWith("_abc") ? Effect.never : Effect.succeed({ status: 200 })
    )
    return withIngress(net, (ingress) =>
      Effect.gen(function* () {
        const stuck = yield* Effect.fork(ingress.append(sessionId, entry("a"), URL_))
        yield* net.arrived(1)
        yield* ingress.append(SessionId.make("session_b"), entry("b"), URL_.replace("_abc", "_b"))
        expect(stuck.unsafePoll()).toBeNull()
        yield* Fiber.interrupt(stuck)
      })
    )
  })
})

// --- Against the model ---

const fault: FastCheck.Arbitrary<IngressModel.Fault> = FastCheck.constantFrom(
  "none",
  "lost",
  "answer-lost",
  "failed",
  "failed-late",
  "delayed",
  "no-header",
  "overtaken",
  "busy"
)
const readFault = FastCheck.constantFrom("none" as const, "lost" as const, "failed" as const)

const position = (model: IngressModel.Model, uuid: string) =>
  model.log.flatMap((stored, at) => (stored.uuid === uuid ? [at] : []))

describe("against a server that fails in every way", () => {
  it.effect.prop(
    "each entry is stored once, in the order of the calls, and the answer agrees",
    {
      faults: FastCheck.array(fault, { maxLength: 40 }),
      readFaults: FastCheck.array(readFault, { maxLength: 5 }),
      sizes: FastCheck.array(FastCheck.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 6 }),
      concurrently: FastCheck.boolean()
    },
    ({ concurrently, faults, readFaults, sizes }) => {
      const model = IngressModel.make(faults, readFaults)
      const net = Scripted.make(model.handle)
      const batches = sizes.map((size, at) => Array.from({ length: size }, (_, n) => entry(`e${at}.${n}`)))
      return VirtualTime.run(
        withIngress(net, (ingress) =>
          Effect.gen(function* () {
            const results = yield* Effect.forEach(
              batches,
              (batch) =>
                Effect.either(
                  batch.length === 1 && batch[0] !== undefined
                    ? ingress.append(sessionId, batch[0], URL_)
                    : ingress.appendBatch(sessionId, batch, URL_)
                ),
              { concurrency: concurrently ? "unbounded" : 1 }
            )
            let before = -1
            for (const [at, batch] of batches.entries()) {
              const result = results[at]
              for (const { uuid } of batch) {
                const stored = position(model, uuid)
                // At most once whatever happened; once where the client says so; never where it says that.
                expect(stored.length).toBeLessThanOrEqual(1)
                if (result !== undefined && Either.isRight(result)) expect(stored).toHaveLength(1)
                else if (result?.left._tag === "ConcurrentModification") expect(stored).toHaveLength(0)
                else expect(result?.left._tag).toBe("RetriesExhausted")
                for (const at of stored) {
                  expect(at).toBeGreaterThan(before)
                  before = at
                }
              }
            }
            expect(model.mostInFlight()).toBeLessThanOrEqual(1)
          })
        )
      )
    },
    { fastCheck: { numRuns: 60 } }
  )

  it.effect.prop(
    "two writers of one log lose and double nothing",
    { faults: FastCheck.array(fault, { maxLength: 20 }), count: FastCheck.integer({ min: 1, max: 5 }) },
    ({ count, faults }) => {
      const model = IngressModel.make(faults, [])
      const net = Scripted.make(model.handle)
      const writer = (name: string) =>
        withIngress(net, (ingress) =>
          Effect.forEach(
            Array.from({ length: count }, (_, n) => `${name}${n}`),
            (uuid) =>
              Effect.map(Effect.either(ingress.append(sessionId, entry(uuid), URL_)), (result) => ({
                uuid,
                result
              }))
          )
        )
      return VirtualTime.run(
        Effect.gen(function* () {
          const written = yield* Effect.all([writer("a"), writer("b")], { concurrency: 2 })
          for (const results of written) {
            const places = results.map(({ result, uuid }) => {
              const stored = position(model, uuid)
              expect(stored.length).toBeLessThanOrEqual(1)
              if (Either.isRight(result)) expect(stored).toHaveLength(1)
              return stored
            })
            expect(places.flat()).toEqual([...places.flat()].sort((x, y) => x - y))
          }
        })
      )
    },
    { fastCheck: { numRuns: 50 } }
  )

  it.effect.prop(
    "what failed and is appended again with more is stored once",
    { faults: FastCheck.array(fault, { minLength: 8, maxLength: 30 }) },
    ({ faults }) => {
      const model = IngressModel.make(faults, [])
      const net = Scripted.make(model.handle)
      return VirtualTime.run(
        withIngress(net, (ingress) =>
          Effect.gen(function* () {
            const first = yield* Effect.either(ingress.appendBatch(sessionId, [entry("a"), entry("b")], URL_))
            if (Either.isRight(first)) return
            const more = ["a", "b", "c"].map(entry)
            const second = yield* Effect.either(ingress.appendBatch(sessionId, more, URL_))
            for (const { uuid } of more) {
              expect(position(model, uuid).length).toBeLessThanOrEqual(1)
              if (Either.isRight(second)) expect(position(model, uuid)).toHaveLength(1)
            }
          })
        )
      )
    },
    { fastCheck: { numRuns: 60 } }
  )

  it.effect.prop(
    "an interrupted append that is called again stores its entry once",
    { faults: FastCheck.array(fault, { maxLength: 12 }), after: FastCheck.integer({ min: 1, max: 6 }) },
    ({ after, faults }) => {
      const model = IngressModel.make(faults, [])
      const net = Scripted.make(model.handle)
      return VirtualTime.run(
        withIngress(net, (ingress) =>
          Effect.gen(function* () {
            const first = yield* Effect.fork(Effect.either(ingress.append(sessionId, entry("a"), URL_)))
            const waiting = yield* Effect.fork(Effect.either(ingress.append(sessionId, entry("b"), URL_)))
            yield* Effect.race(net.arrived(after), Fiber.await(first))
            yield* Fiber.interrupt(first)
            yield* Fiber.interrupt(waiting)
            const done = yield* Fiber.await(first)
            // Who was told that it is stored does not append it again.
            if (Exit.isSuccess(done) && Either.isRight(done.value)) return
            const again = yield* Effect.either(ingress.append(sessionId, entry("a"), URL_))
            expect(position(model, "a").length).toBeLessThanOrEqual(1)
            expect(position(model, "b").length).toBeLessThanOrEqual(1)
            if (Either.isRight(again)) expect(position(model, "a")).toHaveLength(1)
            expect(model.mostInFlight()).toBeLessThanOrEqual(1)
          })
        )
      )
    },
    { fastCheck: { numRuns: 60 } }
  )
})
