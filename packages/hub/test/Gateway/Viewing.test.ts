import { randomUUID } from "node:crypto"
import type { Socket } from "node:net"
import { sessionBody } from "@causeway/protocol/Ids"
import { Bus } from "@causeway/store/Bus"
import { Log } from "@causeway/store/Log"
import { Organizations } from "@causeway/store/Organizations"
import * as Retention from "@causeway/store/Retention"
import { Sessions } from "@causeway/store/Session"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Hub from "../../src/Hub.ts"
import * as NodeServer from "../../src/Server.ts"
import { type Client, call, connected, type Frame, layer, refusal, said, target, worker } from "./harness.ts"

const event = (client: Client, name: string, fits?: (payload: Frame) => boolean) =>
  Effect.promise(() => client.event(name, fits))

const prompt = (uuid: string): Frame => ({
  type: "user",
  uuid,
  message: { role: "user", content: `prompt ${uuid}` }
})

const begun = (client: Client, params: Frame = {}) =>
  Effect.map(call(client, "causeway.sessions.begin", params), ({ session }) => ({
    id: session.id as string,
    key: { session: sessionBody(session.id as string) }
  }))

/** All frames of a watch so far. */
const framesOf = (client: Client, watch: string): ReadonlyArray<Frame> =>
  client
    .events("session.frames")
    .filter((frame) => frame["payload"].watch === watch)
    .flatMap((frame) => frame["payload"].frames as ReadonlyArray<Frame>)

const seqsOf = (frames: ReadonlyArray<Frame>): ReadonlyArray<number> =>
  frames.flatMap((frame) => frame["data"].sequence_num ?? [])

const range = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)

const ended = (client: Client, watch: string) =>
  event(client, "session.watch.ended", (payload) => payload["watch"] === watch)

const watched = (client: Client, params: Frame) =>
  Effect.map(call(client, "causeway.sessions.watch", params), (payload) => payload["watch"] as string)

/** A session of another organisation. */
const foreign = Effect.gen(function* () {
  const { id: organizationId } = yield* (yield* Organizations).create("others")
  const sessions = yield* Sessions
  const { session } = yield* sessions.create({
    organizationId,
    environmentId: undefined,
    source: undefined,
    context: "{}",
    permissionMode: undefined,
    tags: undefined,
    payloads: []
  })
  return session
})

describe("sessions, as the Sessions API shows them", () => {
  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped("begun, shown by any spelling, renamed, archived once", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { session } = yield* call(client, "causeway.sessions.begin", {
          title: "First",
          permissionMode: "plan",
          context: { model: "m", agent: "scripted", worktree: true }
        })
        expect(session).toMatchObject({
          title: "First",
          status: "pending",
          permission_mode: "plan",
          model: "m",
          session_context: { model: "m", agent: "scripted", worktree: true },
          archived_at: null,
          pending_approvals: [],
          last_sequence_num: 1
        })
        expect(session.waiting_for).toContain("environment")
        const body = session.id.slice("session_".length)
        const uuid = [
          body.slice(0, 8),
          body.slice(8, 12),
          body.slice(12, 16),
          body.slice(16, 20),
          body.slice(20)
        ].join("-")
        for (const sessionId of [`session_${body}`, `cse_${body}`, body, uuid, uuid.toUpperCase()]) {
          expect((yield* call(client, "causeway.sessions.show", { sessionId })).session.id).toBe(session.id)
        }
        const renamed = yield* call(client, "causeway.sessions.rename", {
          sessionId: session.id,
          title: "Second"
        })
        expect(renamed.session).toMatchObject({ id: session.id, title: "Second", last_sequence_num: 2 })
        const archived = yield* call(client, "causeway.sessions.archive", { sessionId: session.id })
        expect(archived.session.archived_at).toEqual(expect.any(String))
        expect(yield* refusal(client, "causeway.sessions.archive", { sessionId: session.id })).toMatchObject({
          code: "CONFLICT",
          message: `session ${body} is archived`
        })
        expect(
          yield* refusal(client, "causeway.sessions.append", {
            sessionId: session.id,
            events: [prompt("late")]
          })
        ).toMatchObject({ code: "CONFLICT", message: `session ${body} is archived` })
      })
    )

    it.scoped("pages: each session once, newest first, also of what is archived and of an environment", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const made: Array<string> = []
        for (const n of range(1, 7)) made.push((yield* begun(client, { title: `page ${n}` })).id)
        yield* call(client, "causeway.sessions.archive", { sessionId: made[2] })
        const seen: Array<string> = []
        let cursor: string | null = null
        do {
          const page: Frame = yield* call(client, "causeway.sessions.page", {
            limit: 2,
            archived: "false",
            ...(cursor === null ? {} : { cursor })
          })
          expect(page["data"].length).toBeLessThanOrEqual(2)
          for (const each of page["data"]) seen.push(each.id)
          cursor = page["next_cursor"]
        } while (cursor !== null)
        const living = made.filter((_, i) => i !== 2)
        expect(seen.filter((id) => made.includes(id))).toEqual(living.toReversed())
        expect(new Set(seen).size).toBe(seen.length)
        const archived = yield* call(client, "causeway.sessions.page", { archived: "true" })
        expect(archived["data"].map((each: Frame) => each["id"])).toContain(made[2])
        expect(
          (yield* call(client, "causeway.sessions.page", { environmentId: "env_none" }))["data"]
        ).toEqual([])
        expect((yield* call(client, "causeway.sessions.page"))["data"].length).toBeGreaterThanOrEqual(7)
        expect(yield* refusal(client, "causeway.sessions.page", { cursor: "mine" })).toEqual({
          code: "INVALID_REQUEST",
          message: "at cursor: this hub did not give out this cursor",
          details: { path: "cursor" }
        })
      })
    )

    it.scoped("parameters that do not fit are refused, each with its place", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { id: sessionId } = yield* begun(client)
        const bad: ReadonlyArray<readonly [string, unknown, string]> = [
          ["causeway.sessions.page", { limit: 0 }, "at /limit: must be >= 1"],
          ["causeway.sessions.page", { limit: 201 }, "at /limit: must be <= 200"],
          ["causeway.sessions.page", { archived: "maybe" }, "at /archived"],
          ["causeway.sessions.show", {}, "must have required property 'sessionId'"],
          ["causeway.sessions.show", { sessionId, more: 1 }, "at root: unexpected property 'more'"],
          [
            "causeway.sessions.begin",
            { title: "x".repeat(513) },
            "at /title: must NOT have more than 512 characters"
          ],
          ["causeway.sessions.begin", { context: [] }, "at /context: must be object"],
          ["causeway.sessions.begin", { context: { model: 7 } }, "at context.model: Expected"],
          ["causeway.sessions.begin", { environmentId: "env_none" }, "no environment env_none"],
          ["causeway.sessions.rename", { sessionId }, "must have required property 'title'"],
          ["causeway.sessions.archive", { sessionId: 4 }, "at /sessionId: must be string"],
          ["causeway.sessions.append", { sessionId, events: {} }, "at /events: must be array"],
          [
            "causeway.sessions.append",
            { sessionId, events: [3] },
            "events.0: not an event payload: Expected"
          ],
          [
            "causeway.sessions.append",
            { sessionId, events: [prompt("a"), { uuid: "b" }] },
            "events.1: not an event payload: at type"
          ],
          [
            "causeway.sessions.append",
            { sessionId, events: [{ type: "user", uuid: "a b" }] },
            "events.0: not an event payload: at uuid"
          ],
          ["causeway.sessions.watch", { sessionId }, "must have required property 'afterSeq'"],
          ["causeway.sessions.watch", { sessionId, afterSeq: -1 }, "at /afterSeq: must be >= 0"],
          ["causeway.sessions.watch", { sessionId, afterSeq: 1.5 }, "at /afterSeq: must be integer"],
          ["causeway.sessions.unwatch", {}, "must have required property 'watch'"]
        ]
        for (const [method, params, words] of bad) {
          const error = yield* refusal(client, method, params)
          expect(error["code"], `${method} ${JSON.stringify(params)}`).toBe("INVALID_REQUEST")
          expect(error["message"], method).toContain(words)
        }
        // Of a refused list nothing was stored.
        expect((yield* call(client, "causeway.sessions.show", { sessionId })).session.last_sequence_num).toBe(
          0
        )
        expect(yield* call(client, "causeway.sessions.append", { sessionId, events: [] })).toMatchObject({
          events: []
        })
      })
    )

    it.scoped("an unknown session, and one of another organisation, is not found by any method", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const others = yield* foreign
        for (const sessionId of [
          `session_${others}`,
          "session_00000000000000000000000000000000",
          "../x",
          "' OR 1"
        ]) {
          const calls: ReadonlyArray<readonly [string, Frame]> = [
            ["causeway.sessions.show", { sessionId }],
            ["causeway.sessions.rename", { sessionId, title: "t" }],
            ["causeway.sessions.archive", { sessionId }],
            ["causeway.sessions.append", { sessionId, events: [prompt("x")] }],
            ["causeway.sessions.append", { sessionId, events: [] }],
            ["causeway.sessions.watch", { sessionId, afterSeq: 0 }]
          ]
          for (const [method, params] of calls) {
            expect((yield* refusal(client, method, params))["code"], method).toBe("SESSION_NOT_FOUND")
          }
        }
        const page = yield* call(client, "causeway.sessions.page", { limit: 200 })
        expect(page["data"].map((each: Frame) => each["id"])).not.toContain(`session_${others}`)
      })
    )

    it.scoped("reading needs read, changing needs write", () =>
      Effect.gen(function* () {
        const at = yield* target
        const admin = yield* connected(at)
        const { id: sessionId } = yield* begun(admin)
        const reader = yield* connected(at, { scopes: ["operator.read"] })
        yield* call(reader, "causeway.sessions.page")
        yield* call(reader, "causeway.sessions.show", { sessionId })
        const watch = yield* watched(reader, { sessionId, afterSeq: 0 })
        for (const [method, params] of [
          ["causeway.sessions.begin", {}],
          ["causeway.sessions.rename", { sessionId, title: "t" }],
          ["causeway.sessions.archive", { sessionId }],
          ["causeway.sessions.append", { sessionId, events: [prompt("no")] }]
        ] as const) {
          expect((yield* refusal(reader, method, params))["message"]).toBe("missing scope: operator.write")
        }
        yield* call(admin, "causeway.sessions.append", { sessionId, events: [prompt("yes")] })
        yield* event(reader, "session.frames", (payload) => payload["watch"] === watch)
        expect(seqsOf(framesOf(reader, watch))).toEqual([1])
        const pairing = yield* connected(at, { scopes: ["operator.pairing"] })
        for (const [method, params] of [
          ["causeway.sessions.page", {}],
          ["causeway.sessions.show", { sessionId }],
          ["causeway.sessions.watch", { sessionId, afterSeq: 0 }],
          ["causeway.sessions.unwatch", { watch }]
        ] as const) {
          expect((yield* refusal(pairing, method, params))["message"]).toBe("missing scope: operator.read")
        }
      })
    )

    // --- Append ---

    it.scoped(
      "appends once per uuid, keeps the text that arrived, and tells a conflict in HTTP's words",
      () =>
        Effect.gen(function* () {
          const client = yield* connected(yield* target)
          const { id: sessionId, key } = yield* begun(client)
          const odd =
            '{ "type":"user", "uuid":"odd",\n "message":{"content":"\\u0041", "n":1.50e1}, "big":12345678901234567890 }'
          client.raw(
            `{"type":"req","id":"verbatim","params":{"events":[1]},"method":"causeway.sessions.append","params":{"sessionId":"${sessionId}","events":[ ${odd} , {"type":"user","uuid":"two","message":{"content":"b"}}]}}`
          )
          const first = yield* Effect.promise(() => client.until((frame) => frame["id"] === "verbatim"))
          expect(first["payload"]).toMatchObject({
            events: [
              { uuid: "odd", sequence_num: 1, duplicate: false },
              { uuid: "two", sequence_num: 2, duplicate: false }
            ]
          })
          expect(first["payload"].waiting_for).toContain("environment")
          const log = yield* Log
          const { organizationId } = yield* Hub.Hub
          const [stored] = yield* log.read({ ...key, organizationId, after: 0, limit: 1 })
          expect(stored?.payload).toBe(odd)
          // A watch embeds that very text.
          const texts: Array<string> = []
          client.socket.on("message", (data: Buffer) => texts.push(data.toString()))
          const watch = yield* watched(client, { sessionId, afterSeq: 0, untilSeq: 2 })
          yield* ended(client, watch)
          expect(texts.find((text) => text.includes('"session.frames"'))).toContain(`"payload":${odd}}`)
          // Again: nothing new.
          expect(
            yield* call(client, "causeway.sessions.append", {
              sessionId,
              events: [prompt("odd"), prompt("three")]
            })
          ).toMatchObject({
            events: [
              { uuid: "odd", sequence_num: 1, duplicate: true },
              { uuid: "three", sequence_num: 3, duplicate: false }
            ]
          })
          const work = yield* worker(key.session)
          yield* work({
            type: "control_request",
            request_id: "q",
            request: { subtype: "can_use_tool", tool_name: "Bash", tool_use_id: "tool", input: {} }
          })
          const reply = (behavior: string): Frame => ({
            type: "control_response",
            uuid: randomUUID(),
            response: { subtype: "success", request_id: "q", response: { behavior } }
          })
          yield* call(client, "causeway.sessions.append", { sessionId, events: [reply("allow")] })
          const conflict = yield* refusal(client, "causeway.sessions.append", {
            sessionId,
            events: [reply("deny")]
          })
          expect(conflict).toMatchObject({ code: "CONFLICT", details: { request_id: "q" } })
          const { url } = yield* Hub.Hub
          const { token } = yield* target
          const response = yield* Effect.promise(async () => {
            const given = await fetch(`${url}/v1/sessions/${sessionId}/events`, {
              method: "POST",
              headers: {
                authorization: `Bearer ${token}`,
                "anthropic-beta": "ccr-byoc-2025-07-29",
                "content-type": "application/json"
              },
              body: JSON.stringify({ events: [{ type: "event", data: reply("deny") }] })
            })
            return { status: given.status, body: (await given.json()) as Frame }
          })
          expect(response.status).toBe(409)
          expect(conflict["message"]).toBe(response.body["error"].message)
        })
    )
  })

  suite(Hub.layer({ filename: ":memory:", port: 0, eventLimitBytes: 1000, bodyLimitBytes: 3000 }), {
    excludeTestServices: true
  })((it) => {
    it.scoped("an event, and a list of events, that is too large is refused", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { id: sessionId } = yield* begun(client)
        const large = (n: number): Frame => ({ type: "user", uuid: randomUUID(), text: "é".repeat(n) })
        expect(
          yield* refusal(client, "causeway.sessions.append", { sessionId, events: [large(10), large(500)] })
        ).toEqual({
          code: "INVALID_REQUEST",
          message: "events.1 exceeds 1000 bytes"
        })
        expect(
          yield* refusal(client, "causeway.sessions.append", {
            sessionId,
            events: range(1, 4).map(() => large(400))
          })
        ).toEqual({ code: "INVALID_REQUEST", message: "the events exceed 3000 bytes" })
        expect((yield* call(client, "causeway.sessions.show", { sessionId })).session.last_sequence_num).toBe(
          0
        )
      })
    )
  })
})

describe("a watch", () => {
  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped("catches up, goes on live, tells deliveries and what is not stored", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { id: sessionId, key } = yield* begun(client)
        const { organizationId } = yield* Hub.Hub
        const log = yield* Log
        yield* call(client, "causeway.sessions.append", { sessionId, events: [prompt("p1"), prompt("p2")] })
        const { watch, lastSeq } = yield* call(client, "causeway.sessions.watch", { sessionId, afterSeq: 1 })
        expect(lastSeq).toBe(2)
        const has = (fits: (frame: Frame) => boolean) =>
          event(
            client,
            "session.frames",
            (payload) => payload["watch"] === watch && payload["frames"].some(fits)
          )
        yield* has((frame) => frame["data"].event_id === "p2")
        const deliver = (uuid: string, status: "received" | "processed") =>
          log.deliver({ ...key, organizationId, workerEpoch: 1, updates: [{ uuid, status }] })
        yield* deliver("p1", "received")
        yield* has((frame) => frame["event"] === "delivery_update" && frame["data"].event_id === "p1")
        ;(yield* Bus).ephemeral(key.session, {
          uuid: "part",
          type: "stream_event",
          createdAt: 0,
          payload: '{"type":"stream_event","n":1.0}'
        })
        yield* has((frame) => frame["data"].ephemeral === true)
        yield* (yield* worker(key.session))({ ...said("hello"), uuid: "a1" })
        yield* has((frame) => frame["data"].event_id === "a1")
        expect(framesOf(client, watch)).toEqual([
          {
            event: "client_event",
            data: {
              event_id: "p2",
              sequence_num: 2,
              event_type: "user",
              source: "client",
              created_at: expect.any(String),
              author: expect.any(Object),
              payload: prompt("p2")
            }
          },
          {
            event: "delivery_update",
            data: { event_id: "p1", status: "DELIVERY_STATUS_RECEIVED", timestamp: expect.any(String) }
          },
          {
            event: "client_event",
            data: {
              event_id: "part",
              event_type: "stream_event",
              source: "worker",
              created_at: "1970-01-01T00:00:00.000Z",
              ephemeral: true,
              payload: { type: "stream_event", n: 1 }
            }
          },
          {
            event: "client_event",
            data: expect.objectContaining({ event_id: "a1", sequence_num: 3, source: "worker" })
          }
        ])
      })
    )

    it.scoped("until an event: to it and no further, also when it comes later or lies behind", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { id: sessionId, key } = yield* begun(client)
        const work = yield* worker(key.session)
        yield* work(...range(1, 200).map((n) => said(`${n}`)))
        const until = (afterSeq: number, untilSeq: number) =>
          watched(client, { sessionId, afterSeq, untilSeq })
        for (const [after, to] of [
          [0, 200],
          [10, 11],
          [130, 170],
          [5, 5],
          [7, 3],
          [0, 0]
        ] as const) {
          const watch = yield* until(after, to)
          expect(yield* ended(client, watch)).toEqual({ watch, reason: "until" })
          expect(seqsOf(framesOf(client, watch))).toEqual(range(after + 1, to))
        }
        const later = yield* until(199, 202)
        yield* event(client, "session.frames", (payload) => payload["watch"] === later)
        yield* work(said("201"), said("202"), said("203"))
        expect(yield* ended(client, later)).toEqual({ watch: later, reason: "until" })
        expect(seqsOf(framesOf(client, later))).toEqual([200, 201, 202])
      })
    )

    it.scoped("ends with the last event of an archived session, and where the session is removed", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { id: sessionId, key } = yield* begun(client)
        const live = yield* watched(client, { sessionId, afterSeq: 0 })
        yield* call(client, "causeway.sessions.append", { sessionId, events: [prompt("only")] })
        yield* call(client, "causeway.sessions.archive", { sessionId })
        expect(yield* ended(client, live)).toEqual({ watch: live, reason: "archived" })
        const after = yield* watched(client, { sessionId, afterSeq: 0 })
        expect(yield* ended(client, after)).toEqual({ watch: after, reason: "archived" })
        for (const watch of [live, after]) {
          const frames = framesOf(client, watch)
          expect(seqsOf(frames)).toEqual([1, 2])
          expect(frames.at(-1)?.["data"].payload).toMatchObject({ type: "session_update", archived: true })
        }
        const other = yield* begun(client, { title: "goes" })
        const gone = yield* watched(client, { sessionId: other.id, afterSeq: 0 })
        yield* event(client, "session.frames", (payload) => payload["watch"] === gone)
        const retention = yield* Effect.provide(Retention.Retention, Retention.layer)
        const sessions = yield* Sessions
        const { organizationId } = yield* Hub.Hub
        const record = yield* sessions.find({
          organizationId,
          sessions: [other.key.session],
          archived: "all"
        })
        yield* retention.remove(record === undefined ? [] : [record.sid])
        expect(yield* ended(client, gone)).toMatchObject({ watch: gone, reason: "gone" })
        expect(key.session).not.toBe(other.key.session)
      })
    )

    it.scoped("says so where the beginning of the log was cut off", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { key, sessionId } = yield* call(client, "sessions.create", { key: "cut" })
        const work = yield* worker(sessionId)
        yield* work(...range(1, 9).map((n) => said(`${n}`)))
        yield* call(client, "sessions.compact", { key, maxLines: 4 })
        const { lastSeq, watch } = yield* call(client, "causeway.sessions.watch", { sessionId, afterSeq: 0 })
        yield* event(
          client,
          "session.frames",
          (payload) => payload["watch"] === watch && seqsOf(payload["frames"]).includes(lastSeq)
        )
        const frames = framesOf(client, watch)
        expect(frames[0]).toEqual({ event: "catch_up_truncated", data: {} })
        const seqs = seqsOf(frames)
        expect(seqs[0]).toBeGreaterThan(1)
        expect(seqs).toEqual(range(seqs[0] ?? 0, lastSeq))
        expect(frames.filter((frame) => frame["event"] === "catch_up_truncated")).toHaveLength(1)
      })
    )

    it.scoped("unwatch ends it, and gives its place to another; sixteen is the most", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        const { id: sessionId } = yield* begun(client)
        const { id: other } = yield* begun(client)
        const first = yield* watched(client, { sessionId, afterSeq: 0 })
        for (const _ of range(2, 16)) yield* watched(client, { sessionId: other, afterSeq: 0 })
        expect(yield* refusal(client, "causeway.sessions.watch", { sessionId, afterSeq: 0 })).toEqual({
          code: "INVALID_REQUEST",
          message: "a connection watches at most 16 sessions at once; causeway.sessions.unwatch one"
        })
        expect(yield* call(client, "causeway.sessions.unwatch", { watch: first })).toEqual({})
        expect(yield* call(client, "causeway.sessions.unwatch", { watch: first })).toEqual({})
        expect(yield* call(client, "causeway.sessions.unwatch", { watch: "never" })).toEqual({})
        const second = yield* watched(client, { sessionId, afterSeq: 0 })
        yield* call(client, "causeway.sessions.append", { sessionId, events: [prompt("p")] })
        yield* event(client, "session.frames", (payload) => payload["watch"] === second)
        expect(framesOf(client, first)).toEqual([])
        // One that ended by itself gives its place back too.
        yield* call(client, "causeway.sessions.archive", { sessionId })
        yield* ended(client, second)
        yield* watched(client, { sessionId: other, afterSeq: 0 })
      })
    )
  })
})

// --- Any interleaving ---

const commands = FastCheck.array(
  FastCheck.oneof(
    {
      weight: 3,
      arbitrary: FastCheck.record({
        kind: FastCheck.constant("append" as const),
        n: FastCheck.integer({ min: 1, max: 90 })
      })
    },
    {
      weight: 2,
      arbitrary: FastCheck.record({
        kind: FastCheck.constant("work" as const),
        n: FastCheck.integer({ min: 1, max: 90 })
      })
    },
    {
      weight: 4,
      arbitrary: FastCheck.record({
        kind: FastCheck.constant("deliver" as const),
        which: FastCheck.array(FastCheck.nat(200), { minLength: 1, maxLength: 80 }),
        status: FastCheck.constantFrom("received" as const, "processing" as const, "processed" as const)
      })
    },
    { weight: 1, arbitrary: FastCheck.record({ kind: FastCheck.constant("ephemeral" as const) }) },
    {
      weight: 3,
      arbitrary: FastCheck.record({
        kind: FastCheck.constant("watch" as const),
        after: FastCheck.nat(250),
        length: FastCheck.option(FastCheck.nat(150))
      })
    }
  ),
  { minLength: 1, maxLength: 25 }
)

const ranks: { readonly [status: string]: number } = { received: 1, processing: 2, processed: 3 }
const rank = (status: string): number =>
  ranks[status.replace("DELIVERY_STATUS_", "").toLowerCase()] ?? Number.NaN

describe("any interleaving of writers, deliveries and watches", () => {
  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped.prop(
      "shows each watch the log after its position: no gap, no repetition, every state in its place",
      { all: commands, concurrency: FastCheck.constantFrom(1, 3, 8) },
      ({ all, concurrency }) =>
        Effect.gen(function* () {
          const client = yield* connected(yield* target)
          const { id: sessionId, key } = yield* begun(client)
          const { organizationId } = yield* Hub.Hub
          const log = yield* Log
          const bus = yield* Bus
          const work = yield* worker(key.session)
          const prompts: Array<string> = []
          const watches: Array<{
            readonly watch: string
            readonly after: number
            readonly until: number | undefined
          }> = []
          let living = 0
          yield* Effect.forEach(
            all,
            (command) =>
              Effect.gen(function* () {
                switch (command.kind) {
                  case "append": {
                    const uuids = range(1, command.n).map(() => randomUUID())
                    yield* call(client, "causeway.sessions.append", { sessionId, events: uuids.map(prompt) })
                    prompts.push(...uuids)
                    return
                  }
                  case "work":
                    yield* work(...range(1, command.n).map((n) => said(`${n}`)))
                    return
                  case "deliver": {
                    const updates = command.which.flatMap((at) => {
                      const uuid = prompts[at]
                      return uuid === undefined ? [] : { uuid, status: command.status }
                    })
                    yield* log.deliver({ ...key, organizationId, workerEpoch: 1, updates })
                    return
                  }
                  case "ephemeral":
                    bus.ephemeral(key.session, {
                      uuid: "e",
                      type: "stream_event",
                      createdAt: 0,
                      payload: "{}"
                    })
                    return
                  case "watch": {
                    // More than may be at once are another test's.
                    if (living === 16) return
                    living += 1
                    const until = command.length === null ? undefined : command.after + command.length
                    const watch = yield* watched(client, {
                      sessionId,
                      afterSeq: command.after,
                      ...(until === undefined ? {} : { untilSeq: until })
                    })
                    watches.push({ watch, after: command.after, until })
                  }
                }
              }),
            { concurrency, discard: true }
          )
          // What changes from here on, every watch is told of, wherever it began.
          const open = (yield* log.read({ ...key, organizationId, after: 0, limit: 10_000 })).filter(
            (each) => each.type === "user" && each.delivery !== "processed"
          )
          yield* log.deliver({
            ...key,
            organizationId,
            workerEpoch: 1,
            updates: open.map(({ uuid }) => ({ uuid, status: "processed" as const }))
          })
          yield* call(client, "causeway.sessions.archive", { sessionId })
          const stored = yield* log.read({ ...key, organizationId, after: 0, limit: 10_000 })
          const bySeq = new Map(stored.map((each) => [each.seq, each]))
          const byUuid = new Map(stored.map((each) => [each.uuid, each]))
          const last = stored.length
          for (const { after, until, watch } of watches) {
            const end = yield* ended(client, watch)
            expect(end["reason"]).toBe(
              until !== undefined && until <= Math.max(last, after) ? "until" : "archived"
            )
            const frames = framesOf(client, watch)
            expect(seqsOf(frames)).toEqual(range(after + 1, Math.min(last, until ?? last)))
            const told = new Map<string, number>()
            let at = after
            for (const { data, event: name } of frames) {
              if (data.ephemeral === true) continue
              if (name === "client_event") {
                at = data.sequence_num
                const event = bySeq.get(at)
                expect(data).toEqual({
                  event_id: event?.uuid,
                  sequence_num: event?.seq,
                  event_type: event?.type,
                  source: event?.source,
                  created_at: new Date(event?.createdAt ?? 0).toISOString(),
                  // Of a person's, who sent it.
                  ...(event?.source === "client" ? { author: expect.any(Object) } : {}),
                  payload: JSON.parse(event?.payload ?? "null")
                })
                continue
              }
              // A state follows its event, and never goes back.
              expect(byUuid.get(data.event_id)?.seq).toBeLessThanOrEqual(at)
              expect(rank(data.status)).toBeGreaterThanOrEqual(told.get(data.event_id) ?? 0)
              told.set(data.event_id, rank(data.status))
            }
            if (end["reason"] !== "archived") continue
            for (const { uuid } of open) expect(told.get(uuid)).toBe(ranks["processed"])
            for (const { delivery, seq, uuid } of stored) {
              if (seq > after && delivery !== undefined) expect(told.get(uuid)).toBe(ranks[delivery])
            }
          }
        }),
      { fastCheck: { numRuns: 20 }, timeout: 60_000 }
    )
  })
})

// --- A client that does not read ---

describe("a watcher that does not read", () => {
  suite(layer({ maxBufferedBytes: 1024 * 1024 }), { excludeTestServices: true })((it) => {
    it.scoped(
      "stays connected through 20,000 events, costs the hub no more than one batch, and gets everything later",
      () =>
        Effect.gen(function* () {
          const sockets: Array<Socket> = []
          const { server } = yield* NodeServer.NodeServer
          const keep = (socket: Socket) => sockets.push(socket)
          const at = yield* target
          const admin = yield* connected(at)
          server.on("connection", keep)
          const client = yield* connected(at)
          server.off("connection", keep)
          const [socket] = sockets
          if (socket === undefined) throw new Error("the connection was not seen")
          const { id: sessionId, key } = yield* begun(admin)
          const watch = yield* watched(client, { sessionId, afterSeq: 0 })
          client.socket.pause()
          const work = yield* worker(key.session)
          const text = "x".repeat(2000)
          let most = 0
          for (let i = 0; i < 20_000; i += 500) {
            yield* work(...range(1, 500).map((n) => ({ type: "assistant", n: i + n, text })))
            most = Math.max(most, socket.writableLength)
          }
          // Requests of the client that does not read are answered, and do not make it a slow one.
          client.raw({
            type: "req",
            id: "meanwhile",
            method: "causeway.sessions.show",
            params: { sessionId }
          })
          yield* call(admin, "causeway.sessions.show", { sessionId })
          most = Math.max(most, socket.writableLength)
          expect(most).toBeGreaterThan(0)
          expect(most).toBeLessThan(512 * 1024)
          expect(client.closed).toBe(undefined)
          client.socket.resume()
          yield* event(
            client,
            "session.frames",
            (payload) => payload["watch"] === watch && seqsOf(payload["frames"]).includes(20_000)
          )
          expect(seqsOf(framesOf(client, watch))).toEqual(range(1, 20_000))
          expect(client.frames.some((frame) => frame["id"] === "meanwhile" && frame["ok"] === true)).toBe(
            true
          )
          expect(client.closed).toBe(undefined)
        }),
      60_000
    )
  })
})
