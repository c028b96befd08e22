import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Mailbox from "effect/Mailbox"
import * as JsonRpc from "../../src/Acp/JsonRpc.ts"
import type { Line } from "../../src/Process/LineSplitter.ts"

const line = (json: unknown): Line => ({
  _tag: "Line",
  text: typeof json === "string" ? json : JSON.stringify(json)
})

/** A peer whose other side is the test: what it wrote, what came in, and a way to say something. */
const harness = Effect.gen(function* () {
  const incoming = yield* Mailbox.make<Line>()
  const written: Array<{ readonly [key: string]: unknown }> = []
  const log: Array<string> = []
  const peer = JsonRpc.make({
    lines: Mailbox.toStream(incoming),
    write: (text) => Effect.sync(() => void written.push(JSON.parse(text)))
  })
  const note = (text: string) => Effect.sync(() => void log.push(text))
  const reading = yield* Effect.forkScoped(
    peer.run({
      onNotification: (method) => note(`notification ${method}`),
      onRequest: (id, method) => note(`request ${String(id)} ${method}`),
      onBad: (issue) => note(`bad ${issue}`)
    })
  )
  return {
    peer,
    written,
    log,
    note,
    say: (...json: ReadonlyArray<unknown>) => incoming.offerAll(json.map(line)),
    sayRaw: (each: Line) => incoming.offer(each),
    leave: Effect.zipRight(incoming.end, Fiber.join(reading))
  }
})

const json = FastCheck.jsonValue({ maxDepth: 2 })
const idLike = FastCheck.oneof(FastCheck.integer(), FastCheck.string(), FastCheck.constant(null), json)

describe("a line", () => {
  it.prop(
    "is some message, whatever it holds",
    [
      FastCheck.oneof(
        FastCheck.string(),
        json.map((each) => JSON.stringify(each))
      )
    ],
    ([text]) => {
      expect(["Request", "Notification", "Reply", "Bad", "Blank"]).toContain(
        JsonRpc.read({ _tag: "Line", text })._tag
      )
    }
  )

  it.prop(
    "that has the protocol's mark is read by its members alone",
    [
      FastCheck.record(
        {
          id: idLike,
          method: FastCheck.oneof(FastCheck.string(), json),
          params: json,
          result: json,
          error: json
        },
        { requiredKeys: [] }
      )
    ],
    ([members]) => {
      const read = JsonRpc.read(line({ jsonrpc: "2.0", ...members }))
      if (read._tag === "Request") expect(members).toMatchObject({ id: read.id, method: read.method })
      if (read._tag === "Notification") expect("id" in members).toBe(false)
      if (read._tag === "Reply") expect(typeof members.method === "string").toBe(false)
      expect(JsonRpc.read(line({ ...members, jsonrpc: "1.0" }))._tag).toBe("Bad")
    }
  )

  it("that is too long is reported with its size and start", () => {
    expect(JsonRpc.read({ _tag: "TooLong", bytes: 20_000_000, start: "{..." })).toEqual({
      _tag: "Bad",
      issue: "a line of 20000000 bytes is longer than the limit",
      excerpt: "{..."
    })
  })
})

describe("a peer", () => {
  it.scoped("does what a reply causes before anything that came after it", () =>
    Effect.gen(function* () {
      const { log, leave, note, peer, say, written } = yield* harness
      yield* peer.call("session/prompt", { a: 1 }, (reply) =>
        note(`reply ${JSON.stringify(Either.getOrNull(reply))}`)
      )
      expect(written).toEqual([{ jsonrpc: "2.0", id: 0, method: "session/prompt", params: { a: 1 } }])
      yield* say(
        { jsonrpc: "2.0", method: "before", params: {} },
        { jsonrpc: "2.0", id: 0, result: { stopReason: "end_turn" } },
        { jsonrpc: "2.0", method: "after", params: {} }
      )
      yield* leave
      expect(log).toEqual(["notification before", 'reply {"stopReason":"end_turn"}', "notification after"])
    })
  )

  it.scoped("goes on after junk, replies to nobody, and lines that are too long", () =>
    Effect.gen(function* () {
      const { log, leave, say, sayRaw } = yield* harness
      yield* say(
        "no json",
        "",
        "[]",
        { jsonrpc: "2.0", id: 7, result: 1 },
        { jsonrpc: "2.0", id: 1, method: "fs/x" }
      )
      yield* sayRaw({ _tag: "TooLong", bytes: 11, start: "x" })
      yield* say({ jsonrpc: "2.0", method: "still" })
      yield* leave
      expect(log).toEqual([
        "bad not JSON",
        "bad not a JSON-RPC 2.0 message",
        "request 1 fs/x",
        "bad a line of 11 bytes is longer than the limit",
        "notification still"
      ])
    })
  )

  it.scoped("answers every open request when the other side is gone, and those that come later", () =>
    Effect.gen(function* () {
      const { leave, peer, say } = yield* harness
      const first = yield* Effect.fork(Effect.either(peer.request("a", {})))
      const second = yield* Effect.fork(Effect.either(peer.request("b", {})))
      yield* Effect.yieldNow()
      yield* say({ jsonrpc: "2.0", id: 1, error: { code: -32002, message: "gone", data: { uri: "x" } } })
      yield* leave
      expect(Either.flip(yield* Fiber.join(second))).toMatchObject({
        right: { _tag: "RpcError", code: -32002 }
      })
      expect(Either.flip(yield* Fiber.join(first))).toMatchObject({ right: { _tag: "ProcessGone" } })
      expect(Either.flip(yield* Effect.either(peer.request("c", {})))).toMatchObject({
        right: { _tag: "ProcessGone" }
      })
    })
  )

  it.effect.prop(
    "joins each reply to its request, in whatever order they come",
    [FastCheck.uniqueArray(FastCheck.integer({ min: 0, max: 19 }), { maxLength: 20 })],
    ([order]) =>
      Effect.scoped(
        Effect.gen(function* () {
          const { leave, peer, say } = yield* harness
          const got: Array<readonly [number, unknown]> = []
          for (let i = 0; i < 20; i++) {
            yield* peer.call("m", i, (reply) =>
              Effect.sync(() => void (Either.isRight(reply) && got.push([i, reply.right])))
            )
          }
          yield* say(...order.map((id) => ({ jsonrpc: "2.0", id, result: `for ${id}` })))
          yield* leave
          expect(got).toEqual(order.map((id) => [id, `for ${id}`]))
        })
      )
  )
})
