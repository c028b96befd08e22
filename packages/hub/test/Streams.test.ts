import * as Bus from "@causeway/store/Bus"
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Hub from "../src/Hub.ts"
import { call, layer, open, put, session, take } from "./harness.ts"

const provide = <A, E>(effect: Effect.Effect<A, E, Hub.Hub | Bus.Bus | Scope.Scope>) =>
  Effect.provide(Effect.scoped(effect), layer)

const prompt = (uuid: string) => ({ type: "user", uuid, message: { role: "user", content: uuid } })
const assistant = (uuid: string) => ({ type: "assistant", uuid, message: { content: uuid } })

interface World {
  readonly id: string
  readonly access: string
  readonly ingress: string
  readonly epoch: number
}

const viewerPath = ({ id }: World) => `/v1/code/sessions/${id}/events/stream`
const workerPath = ({ id }: World) => `/v1/code/sessions/${id}/worker/events/stream`

const send = ({ id, access }: World, ...uuids: ReadonlyArray<string>) =>
  call({
    method: "POST",
    path: `/v1/code/sessions/${id}/events`,
    token: access,
    body: { events: uuids.map((uuid) => ({ payload: prompt(uuid) })) }
  })

const report = ({ id, ingress, epoch }: World, events: ReadonlyArray<object>) =>
  call({
    method: "POST",
    path: `/v1/code/sessions/${id}/worker/events`,
    token: ingress,
    body: { worker_epoch: epoch, events }
  })

const deliver = ({ id, ingress, epoch }: World, uuid: string, status: string) =>
  call({
    method: "POST",
    path: `/v1/code/sessions/${id}/worker/events/delivery`,
    token: ingress,
    body: { worker_epoch: epoch, updates: [{ event_id: uuid, status }] }
  })

describe("a viewer that does not know our own events", () => {
  const rename = ({ access, id }: World) =>
    call({ method: "PATCH", path: `/v1/sessions/${id}`, token: access, body: { title: "Another" } })

  it.scopedLive("is sent none of them, and goes on after them; one that asks is sent them", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        yield* send(world, "p1")
        expect((yield* rename(world)).status).toBe(200)
        yield* send(world, "p2")
        const plain = yield* open({ path: viewerPath(world), token: world.access })
        const types = (frames: ReadonlyArray<{ readonly data: { readonly event_type?: unknown } }>) =>
          frames.map(({ data }) => data.event_type)
        expect(types(yield* take(plain, 2))).toEqual(["user", "user"])
        const asking = yield* open({
          path: `${viewerPath(world)}?session_updates=true`,
          token: world.access
        })
        expect(types(yield* take(asking, 3))).toEqual(["user", "session_update", "user"])
      })
    )
  )
})

describe("the viewer's stream", () => {
  it.scopedLive(
    "opens with a comment, replays, goes on live, and shows what is not stored without a number",
    () =>
      provide(
        Effect.gen(function* () {
          const world = yield* session()
          yield* send(world, "p1")
          const viewer = yield* open({ path: viewerPath(world), token: world.access })
          expect(viewer.status).toBe(200)
          yield* viewer.comment
          expect(yield* viewer.next).toMatchObject({
            event: "client_event",
            id: 1,
            data: {
              event_id: "p1",
              sequence_num: 1,
              event_type: "user",
              source: "client",
              payload: prompt("p1")
            }
          })
          yield* report(world, [
            { payload: { type: "stream_event", uuid: "s1", event: { text: "he" } }, ephemeral: true },
            { payload: assistant("a1") }
          ])
          const [first, second] = yield* take(viewer, 2)
          const frames = [first, second].sort((a, b) => (a?.id ?? 0) - (b?.id ?? 0))
          expect(frames[0]).toMatchObject({ id: undefined, data: { event_type: "stream_event" } })
          expect(frames[0]?.data.sequence_num).toBe(undefined)
          expect(frames[1]).toMatchObject({
            id: 2,
            data: { event_id: "a1", source: "worker", sequence_num: 2 }
          })
          // Its own posts are echoed.
          yield* send(world, "p2")
          expect(yield* viewer.next).toMatchObject({ id: 3, data: { event_id: "p2", source: "client" } })
        })
      )
  )

  it.scopedLive("tells of delivery, live and to those who come later", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const viewer = yield* open({ path: viewerPath(world), token: world.access })
        yield* send(world, "p1", "p2")
        yield* take(viewer, 2)
        yield* deliver(world, "p1", "received")
        expect(yield* viewer.next).toMatchObject({
          event: "delivery_update",
          id: undefined,
          data: { event_id: "p1", status: "DELIVERY_STATUS_RECEIVED" }
        })
        yield* deliver(world, "p1", "processed")
        expect((yield* viewer.next).data).toMatchObject({
          event_id: "p1",
          status: "DELIVERY_STATUS_PROCESSED"
        })
        const later = yield* open({ path: viewerPath(world), token: world.access })
        const frames = yield* take(later, 3)
        expect(frames.map(({ event, data }) => [event, data.event_id, data.status])).toEqual([
          ["client_event", "p1", undefined],
          ["delivery_update", "p1", "DELIVERY_STATUS_PROCESSED"],
          ["client_event", "p2", undefined]
        ])
        // One who had read both is told what changed since.
        yield* deliver(world, "p2", "processing")
        const back = yield* open({
          path: viewerPath(world),
          token: world.access,
          headers: { "last-event-id": "2" }
        })
        const told: Array<string> = []
        while (!told.includes("p2")) told.push((yield* back.next).data.event_id)
        expect(told.at(-1)).toBe("p2")
      })
    )
  )

  it.live("resumed from any point, by either way, gives each event exactly once and in order", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const uuids = Array.from({ length: 150 }, (_, i) => `e${i + 1}`)
        yield* put({ id: world.id, token: world.ingress, entry: uuids.map(assistant) })
        const points = FastCheck.sample(
          FastCheck.tuple(FastCheck.array(FastCheck.nat(150), { maxLength: 5 }), FastCheck.boolean()),
          { numRuns: 12, seed: 7 }
        )
        for (const [cuts, byHeader] of points) {
          const seen: Array<number> = []
          for (const until of [...cuts.sort((a, b) => a - b), 150]) {
            const from = seen.length
            yield* Effect.scoped(
              Effect.gen(function* () {
                const source = yield* open({
                  path: byHeader ? viewerPath(world) : `${viewerPath(world)}?from_sequence_num=${from}`,
                  token: world.access,
                  ...(byHeader && from > 0 ? { headers: { "last-event-id": String(from) } } : {})
                })
                for (const frame of yield* take(source, until - from)) seen.push(frame.id ?? 0)
              })
            )
          }
          expect(seen).toEqual(uuids.map((_, i) => i + 1))
        }
      })
    )
  )

  it.live("has no gap between what is replayed and what is live, while others write", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const count = 120
        const writing = Effect.forEach(
          Array.from({ length: count }, (_, i) => `p${i}`),
          (uuid) => send(world, uuid),
          { concurrency: 8, discard: true }
        )
        const reading = Effect.gen(function* () {
          const seen: Array<number> = []
          while (seen.length < count) {
            // A new connection every few events, while the log grows.
            yield* Effect.scoped(
              Effect.gen(function* () {
                const source = yield* open({
                  path: viewerPath(world),
                  token: world.access,
                  headers: { "last-event-id": String(seen.length) }
                })
                const some = Math.min(17, count - seen.length)
                for (const frame of yield* take(source, some)) seen.push(frame.id ?? 0)
              })
            )
          }
          return seen
        })
        const [, seen] = yield* Effect.all([writing, reading], { concurrency: "unbounded" })
        expect(seen).toEqual(Array.from({ length: count }, (_, i) => i + 1))
      })
    )
  )
})

describe("the worker's stream", () => {
  it.scopedLive("carries people's messages alone, after the position that is asked for", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session({ title: "not for the worker" })
        yield* send(world, "p1", "p2")
        yield* put({ id: world.id, token: world.ingress, entry: assistant("a1") })
        yield* send(world, "p3")
        const all = yield* open({ path: `${workerPath(world)}?from_sequence_num=0`, token: world.ingress })
        expect((yield* take(all, 3)).map(({ id, data }) => [id, data.event_id])).toEqual([
          [2, "p1"],
          [3, "p2"],
          [5, "p3"]
        ])
        yield* deliver(world, "p1", "processed")
        // Without a position: what no worker has processed.
        const fresh = yield* open({ path: workerPath(world), token: world.ingress })
        expect((yield* take(fresh, 2)).map(({ data }) => data.event_id)).toEqual(["p2", "p3"])
        // Asked for by position it comes again.
        const again = yield* open({
          path: workerPath(world),
          token: world.ingress,
          headers: { "last-event-id": "1" }
        })
        expect((yield* again.next).data.event_id).toBe("p1")
        yield* send(world, "p4")
        for (const source of [all, fresh]) expect((yield* source.next).data.event_id).toBe("p4")
      })
    )
  )

  it.scopedLive("ends with the session's archiving, whether it is open or comes back, and never before", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const path = `${workerPath(world)}?from_sequence_num=0`
        const open1 = yield* open({ path, token: world.ingress })
        yield* send(world, "p1")
        expect((yield* open1.next).data.event_id).toBe("p1")
        yield* call({
          method: "POST",
          path: `/v1/sessions/${world.id}/archive`,
          token: world.access,
          body: {}
        })
        const end = (yield* open1.next).data
        expect([end.sequence_num, end.payload]).toMatchObject([2, { type: "session_update", archived: true }])
        const late = yield* open({ path, token: world.ingress })
        expect((yield* take(late, 2)).map(({ data }) => data.event_type)).toEqual(["user", "session_update"])
      })
    )
  )

  it.scopedLive("shows the worker as connected while it is open", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const status = Effect.map(
          call({ method: "GET", path: `/v1/sessions/${world.id}`, token: world.access }),
          ({ json }) => json.connection_status
        )
        expect(yield* status).toBe("disconnected")
        const scope = yield* Scope.make()
        const source = yield* Scope.extend(open({ path: workerPath(world), token: world.ingress }), scope)
        yield* source.comment
        expect(yield* status).toBe("connected")
        const changes = yield* (yield* Bus.Bus).subscribe(`session:${world.id.replace("session_", "")}`)
        yield* Scope.close(scope, Exit.void)
        yield* changes.take
        expect(yield* status).toBe("disconnected")
      })
    )
  )

  it.scopedLive("ends when a newer token is given out, and the old one does not come back", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const old = yield* open({ path: workerPath(world), token: world.ingress })
        yield* old.comment
        yield* call({
          method: "POST",
          path: `/v1/code/sessions/${world.id}/bridge`,
          token: world.access,
          body: {}
        })
        expect(yield* Effect.flip(old.next)).toMatchObject({ _tag: "StreamEnded" })
        const back = yield* open({ path: workerPath(world), token: world.ingress })
        expect(back.status).toBe(409)
      })
    )
  )
})

describe("shutdown", () => {
  it.live("is bounded while streams, polls and idle connections are open", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(
          Hub.layer({ filename: ":memory:", shutdown: Duration.seconds(1) }),
          scope
        )
        yield* Effect.gen(function* () {
          const world = yield* session()
          const viewer = yield* open({ path: viewerPath(world), token: world.access })
          const worker = yield* open({ path: workerPath(world), token: world.ingress })
          yield* viewer.comment
          yield* worker.comment
          const [took] = yield* Effect.timed(Scope.close(scope, Exit.void)).pipe(Effect.timeout("10 seconds"))
          // Not a measurement: streams that hold the server would hold it for ever.
          expect(Duration.toSeconds(took)).toBeLessThan(10)
          expect(yield* Effect.flip(viewer.next)).toMatchObject({ _tag: "StreamEnded" })
          expect(yield* Effect.flip(worker.next)).toMatchObject({ _tag: "StreamEnded" })
        }).pipe(Effect.provide(context))
      })
    )
  )
})

describe("a stream that the hub is asked to end", () => {
  it.scopedLive("ends a moment after it has brought something, whatever is read that way once", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        yield* send(world, "p1", "p2")
        for (const [path, token] of [
          [viewerPath(world), world.access],
          [workerPath(world), world.ingress]
        ] as const) {
          const all = yield* call({ method: "GET", path: `${path}?block_ms=25000`, token })
          expect(all.status).toBe(200)
          expect([...all.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id)).toEqual(["1", "2"])
          const rest = yield* call({
            method: "GET",
            path: `${path}?block_ms=25000&from_sequence_num=1`,
            token
          })
          expect([...rest.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id)).toEqual(["2"])
          // Nothing came: a comment, and the end.
          const none = yield* call({ method: "GET", path: `${path}?block_ms=1&from_sequence_num=2`, token })
          expect(none.text).toBe(":\n\n")
          const wrong = yield* call({ method: "GET", path: `${path}?block_ms=soon`, token })
          expect([wrong.status, wrong.json.type]).toEqual([400, "error"])
        }
      })
    )
  )

  it.scopedLive("leaves a worker that asks again and again connected in between", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const state = Effect.map(
          call({ method: "GET", path: `/v1/code/sessions/${world.id}/worker`, token: world.ingress }),
          ({ json }) => json.connection_status
        )
        yield* call({ method: "GET", path: `${workerPath(world)}?block_ms=1`, token: world.ingress })
        expect(yield* state).toBe("connected")
      })
    )
  )

  it.scopedLive("waits for what comes", () =>
    provide(
      Effect.gen(function* () {
        const world = yield* session()
        const asked = yield* Effect.fork(
          call({ method: "GET", path: `${workerPath(world)}?block_ms=25000`, token: world.ingress })
        )
        yield* send(world, "p1")
        const { text } = yield* Fiber.join(asked)
        expect([...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id)).toEqual(["1"])
      })
    )
  )
})
