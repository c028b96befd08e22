import { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Teleport } from "../src/Teleport.ts"
import * as Scripted from "./support/Scripted.ts"

const sessionId = SessionId.make("session_abc")

const event = (n: number, payload: unknown = { type: "user", uuid: `u${n}`, n }) => ({
  event_id: `u${n}`,
  event_type: "user",
  is_compaction: n === 3,
  payload,
  created_at: "2026-01-01T00:00:00Z"
})

/** Pages of at most `most` events under opaque cursors; the last says so by `end`. */
const server = (
  events: ReadonlyArray<unknown>,
  options: { readonly most: number; readonly end?: "null" | "absent"; readonly goneFrom?: number }
) =>
  Scripted.make(({ query }) =>
    Effect.sync((): Scripted.Reply => {
      const from = query["cursor"] === undefined ? 0 : Number(query["cursor"].replace("c/+ =", ""))
      if (options.goneFrom !== undefined && from >= options.goneFrom) return { status: 404 }
      const size = Math.min(options.most, Number(query["limit"]))
      const next = from + size
      return {
        body: {
          data: events.slice(from, next),
          ...(next < events.length
            ? { next_cursor: `c/+ =${next}` }
            : options.end === "null"
              ? { next_cursor: null }
              : {})
        }
      }
    })
  )

const teleporting = <A, E>(
  net: Scripted.Scripted,
  use: (teleport: typeof Teleport.Service) => Effect.Effect<A, E>
) => Effect.flatMap(Teleport, use).pipe(Effect.provide(Scripted.services(net)))

const uuids = (entries: ReadonlyArray<{ readonly uuid: string | undefined }>) =>
  entries.map(({ uuid }) => uuid)

describe("pages", () => {
  it.effect.prop(
    "any page size gives the same transcript",
    {
      count: FastCheck.integer({ min: 0, max: 60 }),
      most: FastCheck.integer({ min: 1, max: 70 }),
      pageSize: FastCheck.integer({ min: 1, max: 70 }),
      nulls: FastCheck.array(FastCheck.integer({ min: 0, max: 60 })),
      end: FastCheck.constantFrom("null" as const, "absent" as const)
    },
    ({ count, end, most, nulls, pageSize }) => {
      const events = Array.from({ length: count }, (_, n) => (nulls.includes(n) ? event(n, null) : event(n)))
      const net = server(events, { most, end })
      return teleporting(net, (teleport) =>
        Effect.gen(function* () {
          const expected = events.flatMap(({ event_id, payload }) => (payload === null ? [] : [event_id]))
          const transcript = yield* teleport.transcript(sessionId, { pageSize })
          expect(uuids(transcript.entries)).toEqual(expected)
          expect(transcript.truncated).toBe(false)
          expect(transcript.pages).toBe(Math.max(1, Math.ceil(count / Math.min(most, pageSize))))
          const streamed = yield* Stream.runCollect(teleport.events(sessionId, { pageSize }))
          expect(uuids([...streamed])).toEqual(expected)
        })
      )
    },
    { fastCheck: { numRuns: 50 } }
  )

  it.effect("asks for 1000 with both headers, and echoes the cursor as it is", () => {
    const net = server([event(1), event(2)], { most: 1 })
    return teleporting(net, (teleport) =>
      Effect.gen(function* () {
        yield* teleport.transcript(sessionId)
        expect(net.asked[0]).toMatchObject({
          method: "GET",
          path: "/v1/code/sessions/session_abc/teleport-events",
          query: { limit: "1000" },
          headers: {
            authorization: `Bearer ${Scripted.ACCESS_TOKEN}`,
            "x-organization-uuid": Scripted.ORGANIZATION
          }
        })
        expect(net.asked[1]?.query).toEqual({ limit: "1000", cursor: "c/+ =1" })
      })
    )
  })

  it.effect("says what a page says of an entry, and keeps its text", () => {
    const net = Scripted.make(
      Scripted.sequence({
        body: '{"data":[{"event_id":"e","event_type":"user","is_compaction":true,"created_at":"t","payload":{"n":1.0}}]}'
      })
    )
    return teleporting(net, (teleport) =>
      Effect.gen(function* () {
        const { entries } = yield* teleport.transcript(sessionId)
        expect(entries).toEqual([
          {
            text: '{"n":1.0}',
            json: { n: 1 },
            uuid: undefined,
            eventId: Option.some("e"),
            createdAt: Option.some("t"),
            isCompaction: true
          }
        ])
      })
    )
  })

  it.effect("a stream that is not read to its end asks for no more pages", () => {
    const net = server(
      Array.from({ length: 10 }, (_, n) => event(n)),
      { most: 2 }
    )
    return teleporting(net, (teleport) =>
      Effect.gen(function* () {
        yield* Stream.runDrain(Stream.take(teleport.events(sessionId), 3))
        expect(net.asked).toHaveLength(2)
      })
    )
  })

  it.effect("100 pages are the most", () => {
    let n = 0
    const net = Scripted.make(() =>
      Effect.sync(() => ({ body: { data: [event(++n)], next_cursor: `c${n}` } }))
    )
    return teleporting(net, (teleport) =>
      Effect.gen(function* () {
        const transcript = yield* teleport.transcript(sessionId)
        expect(transcript).toMatchObject({ pages: 100, truncated: true })
        expect(transcript.entries).toHaveLength(100)
        expect(net.asked).toHaveLength(100)
      })
    )
  })

  it.effect.each([
    ["the same again", ["a", "a"], 2],
    ["an earlier one", ["a", "b", "c", "a"], 4]
  ] as const)("a cursor that does not advance (%s) is caught at once", ([, cursors, pages]) => {
    const net = Scripted.make(
      Scripted.sequence(...cursors.map((next_cursor, n) => ({ body: { data: [event(n)], next_cursor } })))
    )
    return teleporting(net, (teleport) =>
      Effect.gen(function* () {
        const transcript = yield* teleport.transcript(sessionId)
        expect(transcript).toMatchObject({ pages, truncated: true })
        expect(net.asked).toHaveLength(pages)
      })
    )
  })

  it.effect("a session that is deleted meanwhile ends with what was read", () => {
    const net = server([event(1), event(2), event(3)], { most: 1, goneFrom: 2 })
    return teleporting(net, (teleport) =>
      Effect.gen(function* () {
        const transcript = yield* teleport.transcript(sessionId)
        expect(uuids(transcript.entries)).toEqual(["u1", "u2"])
        expect(transcript.truncated).toBe(false)
      })
    )
  })

  it.effect("a page has 20 s", () => {
    const net = Scripted.make(Scripted.sequence("never"))
    return teleporting(net, (teleport) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(Effect.flip(teleport.transcript(sessionId)))
        yield* TestClock.adjust("20 seconds")
        expect((yield* Fiber.join(fiber))._tag).toBe("HubUnreachable")
      })
    )
  })

  it.effect.each([
    [401, {}, "SessionExpired"],
    [404, {}, "TranscriptNotFound"],
    [403, {}, "RequestFailed"],
    [500, {}, "RequestFailed"],
    [200, {}, "InvalidResponse"],
    [200, { data: {} }, "InvalidResponse"],
    [200, { data: [{ payload: 1 }] }, "InvalidResponse"]
  ] as const)("%i %o is %s", ([status, body, tag]) =>
    teleporting(Scripted.make(Scripted.sequence({ status, body })), (teleport) =>
      Effect.gen(function* () {
        const result = yield* Effect.either(teleport.transcript(sessionId))
        expect(Either.isLeft(result) && result.left._tag).toBe(tag)
      })
    )
  )
})

describe("the fallback", () => {
  it.effect("reads the ingress log with the access token", () => {
    const net = Scripted.make((asked) =>
      Effect.succeed(
        asked.path.includes("teleport")
          ? { status: 404 }
          : { body: { loglines: [{ type: "user", uuid: "a" }, { type: "summary" }] } }
      )
    )
    return teleporting(net, (teleport) =>
      Effect.gen(function* () {
        const transcript = yield* teleport.transcriptWithFallback(sessionId)
        expect(transcript.entries.map(({ isCompaction, uuid }) => [uuid, isCompaction])).toEqual([
          ["a", false],
          [undefined, true]
        ])
        expect(net.asked[1]?.path).toBe("/v1/session_ingress/session/session_abc")
      })
    )
  })

  it.effect("is not asked where there is a transcript", () => {
    const net = server([event(1)], { most: 10 })
    return teleporting(net, (teleport) =>
      Effect.gen(function* () {
        expect((yield* teleport.transcriptWithFallback(sessionId)).entries).toHaveLength(1)
        expect(net.asked).toHaveLength(1)
      })
    )
  })
})
