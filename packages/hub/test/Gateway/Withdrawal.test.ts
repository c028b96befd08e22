/** What is queued and then aborted, steered away from or taken back never runs, and its sender is told. */
import { anySessionBody } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Hub from "../../src/Hub.ts"
import { type Client, call, connected, type Frame, init, layer, result, target, worker } from "./harness.ts"

const aborted = result("", {
  subtype: "error_during_execution",
  is_error: true,
  terminal_reason: "aborted_streaming"
})

/** The moment at which a message was taken back. */
const withdrawn = (client: Client, uuid: string) =>
  Effect.promise(() =>
    client.event("session.delivery", (p) => p["messageId"] === uuid && p["status"] === "withdrawn")
  )

/** A session whose agent works on A while B waits behind it. */
const queued = (client: Client, name: string) =>
  Effect.gen(function* () {
    yield* call(client, "sessions.subscribe")
    const made = yield* call(client, "sessions.create", { key: name })
    const key = String(made["key"])
    const work = yield* worker(made["sessionId"])
    const { organizationId } = yield* Hub.Hub
    const log = yield* Log
    const at = { session: anySessionBody(String(made["sessionId"])), organizationId }
    const states = Effect.map(call(client, "causeway.deliveries.list", { key }), ({ deliveries }) =>
      Object.fromEntries(
        (deliveries as ReadonlyArray<Frame>).map((each): readonly [string, string] => [
          each["messageId"],
          each["status"]
        ])
      )
    )
    const send = (text: string) =>
      Effect.gen(function* () {
        const { runId } = yield* call(client, "sessions.send", {
          key,
          message: text,
          idempotencyKey: crypto.randomUUID()
        })
        return String(runId)
      })
    const deliver = (uuid: string, status: "received" | "processing" | "processed") =>
      log.deliver({ ...at, workerEpoch: 0, updates: [{ uuid, status }] })
    const a = yield* send("A")
    yield* deliver(a, "processing")
    yield* work(init)
    const b = yield* send("B")
    /** What a worker that reads now is given. */
    const given = Effect.map(log.read({ ...at, after: 0, limit: 100, select: "worker" }), (events) =>
      events.map(({ type, uuid }) => (type === "user" ? uuid : type))
    )
    const controls = Effect.map(log.read({ ...at, after: 0, limit: 100 }), (events) =>
      events
        .filter(({ source, type }) => source === "client" && type === "control_request")
        .map(({ payload }): Frame => JSON.parse(payload).request)
    )
    return { a, b, controls, deliver, given, key, send, sessionId: made["sessionId"], states, work }
  })

suite(layer(), { excludeTestServices: true })((it) => {
  describe("Send A, queue B", () => {
    for (const method of ["sessions.abort", "chat.abort"]) {
      it.scoped(`${method}: B is withdrawn, no worker is given it any more, and its sender is told`, () =>
        Effect.gen(function* () {
          const client = yield* connected(yield* target)
          const { a, b, controls, given, key, states } = yield* queued(client, `q ${method}`)
          const answer = yield* call(client, method, method === "chat.abort" ? { sessionKey: key } : { key })
          if (method === "chat.abort") expect(answer).toEqual({ ok: true, aborted: true, runIds: [a, b] })
          expect(yield* controls).toEqual([{ subtype: "interrupt", cancel_queued: true }])
          expect(yield* given).toEqual([a, "control_request"])
          expect(yield* states).toEqual({ [a]: "processing", [b]: "withdrawn" })
          const told = yield* Effect.promise(() =>
            client.event("session.delivery", (p) => p["messageId"] === b && p["status"] === "withdrawn")
          )
          expect(told["sessionKey"]).toBe(key)
          yield* Effect.promise(() =>
            client.event("chat", (p) => p["runId"] === b && p["state"] === "aborted")
          )
        })
      )
    }

    it.scoped("steer with C: B is withdrawn, and C comes after the interrupt", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { a, b, given, key, states, work } = yield* queued(client, "steered away")
        const c = crypto.randomUUID()
        const steering = client.call("sessions.steer", { key, message: "C", idempotencyKey: c })
        yield* withdrawn(client, b)
        yield* work(aborted)
        expect(yield* Effect.promise(() => steering)).toMatchObject({ interruptedActiveRun: true })
        expect(yield* given).toEqual([a, "control_request", c])
        expect((yield* states)[b]).toBe("withdrawn")
      })
    )

    for (const method of ["sessions.reset", "sessions.delete"]) {
      it.scoped(`${method}: B is withdrawn before its log is put away`, () =>
        Effect.gen(function* () {
          const client = yield* connected(yield* target)
          const { b, given, key, work } = yield* queued(client, `away ${method}`)
          const doing = client.call(method, { key })
          yield* withdrawn(client, b)
          yield* work(aborted)
          yield* Effect.promise(() => doing)
          expect(yield* given).not.toContain(b)
        })
      )
    }

    it.scoped("abort of B alone: it is withdrawn, and A's turn is not interrupted", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { a, b, controls, key, states } = yield* queued(client, "b alone")
        expect(yield* call(client, "sessions.abort", { key, runId: b })).toEqual({
          ok: true,
          abortedRunId: b,
          status: "aborted"
        })
        expect(yield* controls).toEqual([{ subtype: "cancel_async_message", message_uuid: b }])
        expect(yield* states).toEqual({ [a]: "processing", [b]: "withdrawn" })
      })
    )

    it.scoped("abort of A alone leaves B where it is", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { a, b, controls, key, states } = yield* queued(client, "a alone")
        yield* call(client, "sessions.abort", { key, runId: a })
        expect(yield* controls).toEqual([{ subtype: "interrupt" }])
        expect(yield* states).toEqual({ [a]: "processing", [b]: "accepted" })
      })
    )

    it.scoped(
      "nobody works and nobody is there: what waits is withdrawn, and the session is idle again",
      () =>
        Effect.gen(function* () {
          const client = yield* connected(yield* target)
          const { key } = yield* call(client, "sessions.create", { key: "nobody there" })
          const run = yield* call(client, "sessions.send", { key, message: "x", idempotencyKey: "x" })
          expect(yield* call(client, "sessions.abort", { key })).toMatchObject({ abortedRunId: run["runId"] })
          const { sessions } = yield* call(client, "sessions.list", {})
          expect(sessions.find((row: Frame) => row["key"] === key)).toMatchObject({ hasActiveRun: false })
          // The next one is not held up by it.
          expect(
            yield* call(client, "sessions.steer", { key, message: "y", idempotencyKey: "y" })
          ).toMatchObject({
            status: "started"
          })
        })
    )
  })

  describe("causeway.messages.withdraw", () => {
    const withdraw = (client: Client, key: string, uuid: string) =>
      call(client, "causeway.messages.withdraw", { key, uuid })

    it.scoped("takes back what waits, by the session's key or its id", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { a, b, key, send, sessionId, states } = yield* queued(client, "take back")
        expect(yield* withdraw(client, key, b)).toEqual({
          ok: true,
          key,
          uuid: b,
          withdrawn: true,
          status: "withdrawn"
        })
        expect(yield* withdraw(client, key, b)).toMatchObject({ withdrawn: true })
        const c = yield* send("C")
        expect(yield* withdraw(client, `session_${sessionId.replaceAll("-", "")}`, c)).toMatchObject({
          withdrawn: true
        })
        expect(yield* states).toEqual({ [a]: "processing", [b]: "withdrawn", [c]: "withdrawn" })
      })
    )

    it.scoped("says that it is too late where the agent has begun, or had begun when it was asked", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { a, b, deliver, key, work } = yield* queued(client, "too late")
        expect(yield* withdraw(client, key, a)).toMatchObject({ withdrawn: false, status: "processing" })
        yield* deliver(b, "received")
        const asking = client.call("causeway.messages.withdraw", { key, uuid: b })
        yield* withdrawn(client, b)
        yield* deliver(b, "processing")
        expect(yield* Effect.promise(() => asking)).toMatchObject({ withdrawn: false, status: "processing" })
        yield* work(result("b"))
        yield* deliver(b, "processed")
        expect(yield* withdraw(client, key, b)).toMatchObject({ withdrawn: false, status: "processed" })
      })
    )

    it.scoped("waits for the agent that has it to let go of it", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { b, controls, deliver, key, work } = yield* queued(client, "let go")
        yield* deliver(b, "received")
        const asking = client.call("causeway.messages.withdraw", { key, uuid: b })
        yield* withdrawn(client, b)
        expect(yield* controls).toEqual([{ subtype: "cancel_async_message", message_uuid: b }])
        const { events } = yield* call(client, "causeway.events.replay", { key, afterSeq: 0 })
        const request = events.find((event: Frame) => event["payload"].type === "control_request")
        yield* work({
          type: "control_response",
          response: {
            subtype: "success",
            request_id: request.payload.request_id,
            response: { cancelled: true }
          }
        })
        yield* deliver(b, "processed")
        expect(yield* Effect.promise(() => asking)).toMatchObject({ withdrawn: true, status: "withdrawn" })
      })
    )

    it.scoped("refuses what is no message of the session, in words", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { key } = yield* queued(client, "no such")
        const refused = yield* Effect.promise(() =>
          client.refusal("causeway.messages.withdraw", { key, uuid: crypto.randomUUID() })
        )
        expect(refused).toMatchObject({ code: "INVALID_REQUEST" })
        expect(refused["message"]).toContain("no such message")
      })
    )
  })
})
