/** 12: what is answered, and what is held of it, is bounded in bytes. */
import { request as httpRequest } from "node:http"
import type { Socket } from "node:net"
import { sessionBody } from "@causeway/protocol/Ids"
import * as Limits from "@causeway/protocol/Limits"
import * as Payload from "@causeway/protocol/Payload"
import { Log } from "@causeway/store/Log"
import * as Sessions from "@causeway/store/Session"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Hub from "../src/Hub.ts"
import { NodeServer } from "../src/Server.ts"
import * as Gateway from "./Gateway/harness.ts"
import { type Answer, call, layer, open, session } from "./harness.ts"

const MIB = 1024 * 1024
const EVENTS = 40
const FEW = 14
/** The largest answer: a page, the event that fills it, and what stands around. */
const LARGEST = Limits.PAGE_BYTES + MIB + 64 * 1024

/** A session with so many MiB of transcript, and an agent that takes snapshots. */
const large = (events: number) =>
  Effect.gen(function* () {
    const { access, id } = yield* session()
    const { organizationId } = yield* Hub.Hub
    const log = yield* Log
    for (let i = 0; i < events; i++) {
      yield* log.append({
        organizationId,
        session: sessionBody(id),
        source: "worker",
        payloads: [
          Payload.make({
            type: "assistant",
            uuid: `e${i}`,
            message: { role: "assistant", content: [{ type: "text", text: "w".repeat(MIB - 200) }] }
          }),
          Payload.make({
            type: "session_update",
            uuid: `s${i}`,
            file_snapshot: {
              tool_use_id: `t${i}`,
              path: "/f",
              sha256: "",
              bytes: 1,
              text: "s".repeat(MIB / 4)
            }
          })
        ]
      })
    }
    const { key } = yield* (yield* Sessions.Sessions).get({ organizationId, session: sessionBody(id) })
    return { access, id, key }
  })

describe("12: bytes", () => {
  suite(layer, { excludeTestServices: true })((it) => {
    it.scoped(
      "40 MiB read by several at once: no answer is larger than a page and an event, all of it arrives",
      () =>
        Effect.gen(function* () {
          const { access, id, key } = yield* large(EVENTS)
          const client = yield* Gateway.connected(yield* Gateway.target)
          const sizes: { [name: string]: number } = {}
          const saw = (name: string, bytes: number) => {
            sizes[name] = Math.max(sizes[name] ?? 0, bytes)
          }
          client.socket.on("message", (data: Buffer) => saw("frames", data.length))

          const teleport = Effect.gen(function* () {
            const uuids: Array<string> = []
            for (let cursor: string | null = ""; cursor !== null; ) {
              const path: string = `/v1/code/sessions/${id}/teleport-events?limit=1000&cursor=${cursor}`
              const page: Answer = yield* call({ method: "GET", path, token: access })
              expect(page.status).toBe(200)
              saw("teleport", page.text.length)
              uuids.push(...page.json.data.map((event: { event_id: string }) => event.event_id))
              cursor = page.json.next_cursor
            }
            return uuids
          })
          const paged = (method: string, of: (page: Gateway.Frame) => ReadonlyArray<unknown>, next: string) =>
            Effect.gen(function* () {
              let count = 0
              for (let after: number | null = 0; after !== null; ) {
                const page: Gateway.Frame = yield* Gateway.call(client, method, {
                  key,
                  afterSeq: after,
                  limit: 1000
                })
                count += of(page).length
                const events = of(page)
                after =
                  next === ""
                    ? page["complete"]
                      ? null
                      : (events.at(-1) as { seq: number }).seq
                    : page[next]
              }
              return count
            })
          const [transcript, lines, replayed] = yield* Effect.all(
            [
              teleport,
              paged("causeway.export", (page) => page["lines"], "nextAfterSeq"),
              paged("causeway.events.replay", (page) => page["events"], ""),
              teleport
            ],
            { concurrency: "unbounded" }
          )
          expect(transcript).toEqual(Array.from({ length: EVENTS }, (_, i) => `e${i}`))
          expect([lines, replayed]).toEqual([EVENTS + 1, 2 * EVENTS])
          const { messages, truncated } = yield* Gateway.call(client, "sessions.get", { key, limit: 10_000 })
          expect(truncated).toBe(true)
          expect(messages.at(-1).__openclaw.id).toBe(`e${EVENTS - 1}`)
          expect(messages.at(-1).__openclaw.seq).toBe(EVENTS)
          const history = yield* Gateway.call(client, "chat.history", { sessionKey: key, limit: 1000 })
          expect(history["messages"].length).toBe(EVENTS)
          yield* Gateway.call(client, "sessions.preview", {
            keys: [key],
            limit: 50
          })
          const hits = yield* Gateway.call(client, "causeway.search", { query: "w".repeat(512), limit: 100 })
          expect(hits["hits"]).toEqual([])
          const snapshots = yield* call({
            method: "GET",
            path: `/v1/sessions/${id}/snapshots`,
            token: access
          })
          expect([snapshots.status, snapshots.json.data.at(-1).tool_use_id]).toEqual([200, `t${EVENTS - 1}`])
          saw("snapshots", snapshots.text.length)
          expect(Object.entries(sizes).filter(([, bytes]) => bytes > LARGEST)).toEqual([])
        })
    )

    it.scoped("a reader of the whole log that stands still is waited for, with a page in hand", () =>
      Effect.gen(function* () {
        const { access, id } = yield* large(FEW)
        const { server } = yield* NodeServer
        const { port } = yield* Hub.Hub
        const sockets: Array<Socket> = []
        server.on("connection", (socket) => sockets.push(socket))
        const held = () => sockets.reduce((most, { writableLength }) => Math.max(most, writableLength), 0)
        const path = `/v1/session_ingress/session/${id}`
        const response = yield* Effect.acquireRelease(
          Effect.async<import("node:http").IncomingMessage>((resume) => {
            const headers = { authorization: `Bearer ${access}` }
            const request = httpRequest({ port, path, headers, agent: false }, (answer) => {
              answer.pause()
              resume(Effect.succeed(answer))
            })
            request.end()
          }),
          (answer) => Effect.sync(() => answer.destroy())
        )
        const stream = yield* open({ path: `/v1/code/sessions/${id}/events/stream`, token: access })
        let most = held()
        // Others are served meanwhile.
        for (let i = 0; i < FEW; i++) {
          yield* stream.next
          most = Math.max(most, held())
        }
        expect(response.statusCode).toBe(200)
        expect([most > 0, most <= LARGEST]).toEqual([true, true])
        const whole = yield* Effect.async<Buffer>((resume) => {
          const chunks: Array<Buffer> = []
          response.on("data", (chunk: Buffer) => {
            most = Math.max(most, held())
            chunks.push(chunk)
          })
          response.on("end", () => resume(Effect.succeed(Buffer.concat(chunks))))
          response.resume()
        })
        expect(most).toBeLessThanOrEqual(LARGEST)
        const { loglines } = JSON.parse(whole.toString("utf8"))
        expect(loglines.map(({ uuid }: { uuid: string }) => uuid)).toEqual(
          Array.from({ length: FEW }, (_, i) => `e${i}`)
        )
      })
    )
  })
})
