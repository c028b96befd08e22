import { EventUuid, SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { CodeSession, type Connection } from "../src/CodeSession.ts"
import * as Credentials from "../src/Credentials.ts"
import { type Frame, Viewer } from "../src/Viewer.ts"
import * as Scripted from "./support/Scripted.ts"
import * as VirtualTime from "./support/VirtualTime.ts"

const sessionId = SessionId.make("session_abc")
const TOKEN = "worker_jwt_0123456789"
const target = { sessionId, apiBaseUrl: "http://api.test/" }

const working = <A, E, R>(
  net: Scripted.Scripted,
  use: (worker: typeof CodeSession.Service) => Effect.Effect<A, E, R>,
  source?: Partial<Credentials.Source>
) =>
  Effect.gen(function* () {
    yield* (yield* Credentials.Credentials).setIngressToken(sessionId, Redacted.make(TOKEN))
    return yield* use(yield* CodeSession)
  }).pipe(
    Effect.provide(
      Scripted.services(
        net,
        source === undefined
          ? Scripted.credentials
          : Credentials.layer({
              accessToken: Effect.succeed(Option.none()),
              organization: Effect.succeed(Option.none()),
              ...source
            })
      )
    )
  )

describe("calls", () => {
  it.effect("of a worker have the infrastructure spelling, its base address and its token", () => {
    const net = Scripted.make(
      Scripted.sequence(
        { body: { worker_epoch: "3" } },
        { body: {} },
        { body: {} },
        { body: {} },
        { body: { heartbeat_interval_seconds: 5 } },
        { body: { heartbeat_interval_seconds: 40 } },
        { body: {} }
      )
    )
    return working(net, (worker) =>
      Effect.gen(function* () {
        expect(yield* worker.register(target)).toBe(3)
        yield* worker.putWorker(target, {
          epoch: 3,
          status: "idle",
          externalMetadata: { pending_action: null }
        })
        yield* worker.postEvents(target, 3, [
          { text: '{"type":"assistant","n":1.0}' },
          { text: '{"type":"stream_event"}', ephemeral: true }
        ])
        yield* worker.postDelivery(target, 3, [{ eventId: EventUuid.make("e"), status: "received" }])
        expect(Duration.toSeconds(yield* worker.heartbeat(target, 3))).toBe(10)
        expect(Duration.toSeconds(yield* worker.heartbeat(target, 3))).toBe(40)
        expect(Duration.toSeconds(yield* worker.heartbeat(target, 3))).toBe(20)
        yield* worker.postEvents(target, 3, [{ text: "{}" }], { resend: true })
        yield* worker.postEvents(target, 3, [])
        expect(
          net.asked.map(({ method, url }) => [
            method,
            url.replace("http://api.test/v1/code/sessions/cse_abc", "")
          ])
        ).toEqual([
          ["POST", "/worker/register"],
          ["PUT", "/worker"],
          ["POST", "/worker/events"],
          ["POST", "/worker/events/delivery"],
          ["POST", "/worker/heartbeat"],
          ["POST", "/worker/heartbeat"],
          ["POST", "/worker/heartbeat"],
          ["POST", "/worker/events"]
        ])
        expect(new Set(net.asked.map(({ headers }) => headers["authorization"]))).toEqual(
          new Set([`Bearer ${TOKEN}`])
        )
        expect(net.asked[1]?.body).toEqual({
          worker_epoch: 3,
          worker_status: "idle",
          external_metadata: { pending_action: null }
        })
        expect(net.asked[2]?.text).toBe(
          '{"worker_epoch":3,"events":[{"payload":{"type":"assistant","n":1.0}},{"payload":{"type":"stream_event"},"ephemeral":true}]}'
        )
        expect(net.asked[2]?.headers["x-ccr-upload-attempt"]).toBe("first")
        expect(net.asked[7]?.headers["x-ccr-upload-attempt"]).toBe("resend")
      })
    )
  })

  it.effect.each([
    [401, "IngressTokenRejected"],
    [403, "IngressTokenRejected"],
    [404, "SessionNotFound"],
    [409, "WorkerSuperseded"],
    [400, "RequestFailed"],
    [410, "RequestFailed"],
    [503, "RequestFailed"]
  ] as const)("%i is %s", ([status, tag]) =>
    working(Scripted.make(Scripted.sequence({ status })), (worker) =>
      Effect.gen(function* () {
        expect((yield* Effect.flip(worker.heartbeat(target, 1)))._tag).toBe(tag)
      })
    )
  )

  it.effect("refreshToken stores the fresh token", () => {
    const net = Scripted.make(
      Scripted.sequence({ body: { worker_epoch: 3, worker_jwt: "fresh", expires_in: 14_400 } }, { body: {} })
    )
    return working(net, (worker) =>
      Effect.gen(function* () {
        expect(Duration.toHours(yield* worker.refreshToken(target))).toBe(4)
        yield* worker.heartbeat(target, 3)
        expect(net.asked.map(({ headers }) => headers["authorization"])).toEqual([
          `Bearer ${TOKEN}`,
          "Bearer fresh"
        ])
      })
    )
  })

  it.effect("create and credentials go with the access token", () => {
    const net = Scripted.make(
      Scripted.sequence(
        { status: 201, body: { session: { id: "cse_new" } } },
        { body: { worker_jwt: "jwt", api_base_url: "http://a", expires_in: 60, worker_epoch: "12" } },
        { status: 201, body: {} }
      )
    )
    return working(net, (worker) =>
      Effect.gen(function* () {
        const id = yield* worker.create({ title: "t" })
        expect(id).toBe("cse_new")
        const grant = yield* worker.credentials(id)
        expect(grant).toMatchObject({ apiBaseUrl: "http://a", epoch: 12 })
        expect(Redacted.value(yield* (yield* Credentials.Credentials).ingressToken(id))).toBe("jwt")
        expect(net.asked.map(({ body, path }) => [path, body])).toEqual([
          ["/v1/code/sessions", { title: "t", bridge: {} }],
          ["/v1/code/sessions/cse_new/bridge", {}]
        ])
        // Exactly 200 counts.
        expect((yield* Effect.flip(worker.credentials(id)))._tag).toBe("RequestFailed")
      })
    )
  })
})

// --- Streams ---

const event = (seq: number) =>
  `event: client_event\nid: ${seq}\ndata: ${JSON.stringify({
    event_id: `e${seq}`,
    sequence_num: seq,
    event_type: "user",
    source: "client",
    created_at: "2026-01-01T00:00:00Z",
    payload: { type: "user", uuid: `e${seq}` }
  })}\n\n`

/** A body that sends and then ends, breaks, or stays open. */
const body = (text: string, end: "ends" | "breaks" | "stays"): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) => {
      controller.enqueue(new TextEncoder().encode(text))
      if (end === "ends") controller.close()
      if (end === "breaks") controller.error(new Error("reset"))
    }
  })

/** A body that sends what the test says. */
const controlled = () => {
  let write: (text: string) => void = () => {}
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      write = (text) => controller.enqueue(new TextEncoder().encode(text))
    }
  })
  return { body, write: (text: string) => write(text) }
}

describe("stream", () => {
  it.effect.prop(
    "gives every event after `from` once, in order, whatever the connections do",
    {
      count: FastCheck.integer({ min: 1, max: 25 }),
      from: FastCheck.integer({ min: 0, max: 5 }),
      lives: FastCheck.array(
        FastCheck.record({
          sends: FastCheck.integer({ min: 0, max: 6 }),
          repeats: FastCheck.integer({ min: 0, max: 3 }),
          end: FastCheck.constantFrom(
            "ends" as const,
            "breaks" as const,
            "refused" as const,
            "busy" as const
          ),
          noise: FastCheck.constantFrom(
            "",
            ": alive\n\n",
            "event: strange\ndata: {}\n\n",
            "event: client_event\ndata: not json\n\n"
          )
        }),
        { maxLength: 8 }
      )
    },
    ({ count, from, lives }) => {
      let life = 0
      const net = Scripted.make((asked) =>
        Effect.suspend((): Effect.Effect<Scripted.Reply, Scripted.Broken> => {
          const at = Number(asked.headers["last-event-id"] ?? 0)
          expect(asked.query["from_sequence_num"]).toBe(at === 0 ? undefined : String(at))
          const now = lives[life++]
          const sends = (first: number, last: number) =>
            Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => event(first + n)).join("")
          if (now === undefined) {
            return Effect.succeed({ body: body(sends(at + 1, count + from), "stays") })
          }
          if (now.end === "refused") return Effect.fail(new Scripted.Broken("ECONNREFUSED"))
          if (now.end === "busy") return Effect.succeed({ status: 503 })
          const first = Math.max(1, at + 1 - now.repeats)
          const text = now.noise + sends(first, Math.min(at + now.sends, count + from))
          return Effect.succeed({ body: body(text, now.end) })
        })
      )
      return VirtualTime.run(
        working(net, (worker) =>
          Effect.gen(function* () {
            const events = yield* worker.stream(target, from).pipe(Stream.take(count), Stream.runCollect)
            expect([...events].map(({ sequence_num }) => sequence_num)).toEqual(
              Array.from({ length: count }, (_, n) => from + n + 1)
            )
            expect([...events][0]?.payloadText).toBe(`{"type":"user","uuid":"e${from + 1}"}`)
          })
        )
      )
    },
    { fastCheck: { numRuns: 60 } }
  )

  it.effect("45 s without a byte is a loss; a comment is life", () => {
    const alive = controlled()
    const net = Scripted.make(
      Scripted.sequence({ body: alive.body }, { body: body(event(2), "stays") }, "never")
    )
    const seen: Array<Connection["_tag"]> = []
    return working(net, (worker) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(
          Stream.runDrain(
            worker.stream(target, 0, { onConnection: ({ _tag }) => Effect.sync(() => void seen.push(_tag)) })
          )
        )
        yield* net.arrived(1)
        alive.write(event(1))
        yield* TestClock.adjust("15 seconds")
        alive.write(": alive\n\n")
        yield* TestClock.adjust("44 seconds")
        expect(net.asked).toHaveLength(1)
        yield* TestClock.adjust("1 seconds")
        expect(seen).toEqual(["Connected", "Disconnected"])
        expect(net.aborted).toHaveLength(1)
        yield* TestClock.adjust("1 seconds")
        expect(net.asked).toHaveLength(2)
        expect(net.asked[1]?.headers["last-event-id"]).toBe("1")
        expect(seen).toEqual(["Connected", "Disconnected", "Connected"])
        yield* Fiber.interrupt(fiber)
      })
    )
  })

  it.effect(
    "a stream that is held back is asked for piece by piece, and used again when it comes through",
    () => {
      const streams: Array<ReturnType<typeof controlled>> = []
      let next = 1
      const net = Scripted.make((asked) => {
        if (asked.query["block_ms"] !== undefined) {
          expect(asked.headers["last-event-id"]).toBe(next === 1 ? undefined : String(next - 1))
          return Effect.delay(
            Effect.sync(() => ({ body: body(`:\n\n${event(next++)}`, "ends") })),
            "2 seconds"
          )
        }
        const stream = controlled()
        streams.push(stream)
        return Effect.succeed({ body: stream.body })
      })
      const seen: Array<string> = []
      const got: Array<number> = []
      return working(net, (worker) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(
            worker
              .stream(target, 0, {
                onConnection: (connection) =>
                  Effect.sync(() => {
                    if (connection._tag === "Connected")
                      seen.push(connection.polling ? "polling" : "streaming")
                    else seen.push("lost")
                  })
              })
              .pipe(Stream.runForEach(({ sequence_num }) => Effect.sync(() => void got.push(sequence_num))))
          )
          yield* net.arrived(1)
          // 200, and then not a byte: that is no connection.
          yield* TestClock.adjust("9 seconds")
          expect([seen, got]).toEqual([[], []])
          yield* TestClock.adjust("1 seconds")
          expect(seen).toEqual(["lost"])
          yield* TestClock.adjust("2 seconds")
          expect([seen, got]).toEqual([["lost", "polling"], [1]])
          yield* TestClock.adjust("1 minute")
          expect(seen).toEqual(["lost", "polling"])
          expect(got).toEqual(got.map((_, at) => at + 1))
          expect(got.length).toBeGreaterThan(3)
          // A first byte alone shows nothing: whoever buffers may let the head through.
          for (const opened = streams.length; streams.length === opened; ) {
            yield* TestClock.adjust("1 seconds")
          }
          const last = streams.at(-1)
          last?.write(":\n\n")
          yield* TestClock.adjust("1 seconds")
          expect(seen).toEqual(["lost", "polling"])
          yield* TestClock.adjust("15 seconds")
          last?.write(":\n\n")
          yield* TestClock.adjust("1 seconds")
          expect(seen).toEqual(["lost", "polling", "streaming"])
          yield* TestClock.adjust("10 seconds")
          const asked = net.asked.length
          const before = got.length
          last?.write(event(before + 1))
          yield* TestClock.adjust("10 seconds")
          expect(net.asked).toHaveLength(asked)
          expect(got).toHaveLength(before + 1)
          expect(got).toEqual(got.map((_, at) => at + 1))
          yield* Fiber.interrupt(fiber)
        })
      )
    }
  )

  it.effect("bytes that come in time keep a connection", () => {
    const live = controlled()
    const net = Scripted.make(Scripted.sequence({ body: live.body }))
    return working(net, (worker) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(Stream.runDrain(worker.stream(target, 0)))
        yield* net.arrived(1)
        live.write(": alive\n\n")
        for (let n = 0; n < 10; n++) {
          yield* TestClock.adjust("40 seconds")
          live.write(": alive\n\n")
          yield* TestClock.adjust(0)
        }
        expect(net.asked).toHaveLength(1)
        yield* Fiber.interrupt(fiber)
        expect(net.aborted).toHaveLength(1)
      })
    )
  })

  it.effect.each([
    [401, "IngressTokenRejected"],
    [403, "IngressTokenRejected"],
    [404, "SessionNotFound"]
  ] as const)("%i ends it as %s", ([status, tag]) =>
    working(Scripted.make(Scripted.sequence({ status })), (worker) =>
      Effect.gen(function* () {
        expect((yield* Effect.flip(Stream.runDrain(worker.stream(target, 0))))._tag).toBe(tag)
      })
    )
  )

  it.effect("401 refreshes the token once and goes on", () => {
    const net = Scripted.make((asked) =>
      Effect.succeed(
        asked.headers["authorization"] === "Bearer fresh"
          ? { body: body(event(1), "stays") }
          : { status: 401 }
      )
    )
    return working(
      net,
      (worker) =>
        Effect.gen(function* () {
          const events = yield* worker.stream(target, 0).pipe(Stream.take(1), Stream.runCollect)
          expect([...events]).toHaveLength(1)
        }),
      { refreshIngressToken: () => Effect.succeed(Option.some(Redacted.make("fresh"))) }
    )
  })

  it.effect("a reader that leaves ends the connection", () => {
    const net = Scripted.make(Scripted.sequence({ body: body(event(1), "stays") }))
    return working(net, (worker) =>
      Effect.gen(function* () {
        yield* worker.stream(target, 0).pipe(Stream.take(1), Stream.runDrain)
        expect(net.aborted).toHaveLength(1)
      })
    )
  })
})

describe("viewer", () => {
  it.effect("sees events, partial text, deliveries and what is unknown", () => {
    const ephemeral = `event: client_event\ndata: {"event_type":"stream_event","payload":{"type":"stream_event"}}\n\n`
    const delivery = `event: delivery_update\ndata: {"event_id":"e1","status":"DELIVERY_STATUS_RECEIVED","timestamp":"t"}\n\n`
    const text = `${event(1)}${ephemeral}${delivery}event: catch_up_truncated\ndata: {}\n\nevent: later\ndata: x\n\n`
    const net = Scripted.make(Scripted.sequence({ body: body(text, "stays") }))
    return Effect.gen(function* () {
      const viewer = yield* Viewer
      const frames = yield* viewer.watch(sessionId, 0).pipe(Stream.take(5), Stream.runCollect)
      expect([...frames].map(({ _tag }: Frame) => _tag)).toEqual([
        "Event",
        "Ephemeral",
        "Delivery",
        "CatchUpTruncated",
        "Unknown"
      ])
      expect(net.asked[0]).toMatchObject({
        path: "/v1/code/sessions/session_abc/events/stream",
        headers: { authorization: `Bearer ${Scripted.ACCESS_TOKEN}`, accept: "text/event-stream" }
      })
    }).pipe(Effect.provide(Scripted.services(net)))
  })

  it.effect("sends payloads", () => {
    const net = Scripted.make(
      Scripted.sequence({ body: {} }, { status: 409 }, { status: 404 }, { status: 401 })
    )
    return Effect.gen(function* () {
      const viewer = yield* Viewer
      yield* viewer.send(sessionId, [{ type: "user" }])
      expect(net.asked[0]).toMatchObject({
        method: "POST",
        path: "/v1/code/sessions/session_abc/events",
        body: { session_id: "session_abc", events: [{ payload: { type: "user" } }] }
      })
      for (const tag of ["SessionConflict", "SessionNotFound", "Unauthorized"]) {
        expect((yield* Effect.flip(viewer.send(sessionId, [])))._tag).toBe(tag)
      }
    }).pipe(Effect.provide(Scripted.services(net)))
  })
})
