/** The services over real sockets: what a scripted client cannot show. */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Client from "../src/Client.ts"
import { CodeSession } from "../src/CodeSession.ts"
import * as Credentials from "../src/Credentials.ts"
import * as Entry from "../src/Entry.ts"
import * as Ingress from "../src/Ingress.ts"
import { Sessions } from "../src/Sessions.ts"

const sessionId = SessionId.make("session_abc")
const environmentId = EnvironmentId.make("env_1")

/** A server on a port of its own for the life of the scope; answers its address. */
const listen = (handler: Http.RequestListener) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<Http.Server>((resume) => {
        const server = Http.createServer(handler)
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  )

const clients: ReadonlyArray<readonly [string, Layer.Layer<HttpClient.HttpClient>]> = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layer]
]

const services = (baseUrl: string, http: Layer.Layer<HttpClient.HttpClient>) =>
  Client.layer({ baseUrl }).pipe(
    Layer.provideMerge(
      Credentials.layerStatic({ accessToken: Redacted.make("access") }, { organization: "token" })
    ),
    Layer.provide(http)
  )

const read = (request: Http.IncomingMessage): Promise<string> =>
  new Promise((resolve) => {
    let text = ""
    request.setEncoding("utf8")
    request.on("data", (chunk: string) => {
      text += chunk
    })
    request.on("end", () => resolve(text))
  })

describe.each(clients)("over %s", (_, http) => {
  it.scopedLive("appends, reads back, and recovers from a connection that was cut", () =>
    Effect.gen(function* () {
      const log: Array<{ readonly uuid: string }> = []
      let cuts = 1
      const base = yield* listen((request, response) => {
        void read(request).then((text) => {
          if (request.method === "GET") {
            response.setHeader("content-type", "application/json").end(JSON.stringify({ loglines: log }))
            return
          }
          const head = log.at(-1)?.uuid
          if (request.headers["last-uuid"] !== head) {
            response.writeHead(409, head === undefined ? {} : { "x-last-uuid": head }).end()
            return
          }
          log.push(JSON.parse(text))
          // Stored, but the answer never comes.
          if (cuts-- > 0) request.socket.destroy()
          else response.writeHead(201, { "content-type": "application/json" }).end("{}")
        })
      })
      yield* Effect.gen(function* () {
        yield* (yield* Credentials.Credentials).setIngressToken(sessionId, Redacted.make("t"))
        const ingress = yield* Ingress.Ingress
        const url = Ingress.url(base, sessionId)
        for (const uuid of ["a", "b", "c"])
          yield* ingress.append(sessionId, Entry.make({ type: "user", uuid }), url)
        expect((yield* ingress.fetch(sessionId, url)).map(({ uuid }) => uuid)).toEqual(["a", "b", "c"])
      }).pipe(Effect.provide(services(base, http)))
    })
  )

  it.scopedLive("an interrupted call closes its connection", () =>
    Effect.gen(function* () {
      const came = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const base = yield* listen((request) => {
        Deferred.unsafeDone(came, Effect.void)
        request.socket.on("close", () => Deferred.unsafeDone(closed, Effect.void))
      })
      yield* Effect.gen(function* () {
        const sessions = yield* Sessions
        const fiber = yield* Effect.fork(sessions.create({ environmentId, events: [] }))
        yield* Deferred.await(came)
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(closed)
      }).pipe(Effect.provide(services(base, http)))
    })
  )

  it.scopedLive(
    "a stream is read over a connection that is cut inside a character, and closed when left",
    () =>
      Effect.gen(function* () {
        const closed = yield* Deferred.make<void>()
        let connections = 0
        const frame = (seq: number) =>
          Buffer.from(
            `id: ${seq}\nevent: client_event\ndata: ${JSON.stringify({
              event_id: `e${seq}`,
              sequence_num: seq,
              event_type: "user",
              source: "client",
              created_at: "t",
              payload: { type: "user", text: "é😀" }
            })}\n\n`
          )
        const base = yield* listen((request, response) => {
          response.writeHead(200, { "content-type": "text/event-stream" })
          connections++
          if (connections === 1) {
            const bytes = Buffer.concat([frame(1), frame(2)])
            // Inside the second frame's "é".
            const middle = bytes.lastIndexOf(Buffer.from("é")) + 1
            response.write(bytes.subarray(0, middle), () => setImmediate(() => request.socket.destroy()))
          } else {
            expect(request.headers["last-event-id"]).toBe("1")
            response.write(Buffer.concat([frame(2), frame(3)]))
            request.socket.on("close", () => Deferred.unsafeDone(closed, Effect.void))
          }
        })
        yield* Effect.gen(function* () {
          yield* (yield* Credentials.Credentials).setIngressToken(sessionId, Redacted.make("t"))
          const worker = yield* CodeSession
          const events = yield* worker.stream({ sessionId }, 0).pipe(Stream.take(3), Stream.runCollect)
          expect([...events].map((event) => [event.sequence_num, event.payload["text"]])).toEqual([
            [1, "é😀"],
            [2, "é😀"],
            [3, "é😀"]
          ])
          yield* Deferred.await(closed)
        }).pipe(Effect.provide(services(base, http)))
      })
  )

  it.scopedLive("a hub that is not there is HubUnreachable", () =>
    Effect.gen(function* () {
      const base = yield* Effect.scoped(listen(() => {}))
      const error = yield* Effect.gen(function* () {
        return yield* Effect.flip((yield* Sessions).get(sessionId))
      }).pipe(Effect.provide(services(base, http)))
      expect(error).toMatchObject({ _tag: "HubUnreachable", reason: "Transport", code: "ECONNREFUSED" })
    })
  )
})
