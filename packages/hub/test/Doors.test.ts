/** The hub's doors as a page of another site, a name of another site, and a crowd find them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { request as httpRequest } from "node:http"
import { request as httpsRequest } from "node:https"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { OrganizationId } from "@causeway/protocol/Ids"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { WebSocket } from "ws"
import * as GatewayConfig from "../src/Gateway/Config.ts"
import { Connection, Connections } from "../src/Gateway/Connections.ts"
import * as Presence from "../src/Gateway/Presence.ts"
import * as Hub from "../src/Hub.ts"
import * as Gateway from "./Gateway/harness.ts"
import { call, token } from "./harness.ts"

const hub = (options: Partial<Hub.Options> = {}) =>
  Layer.fresh(Hub.layer({ filename: ":memory:", ...options }))

/** Status and error of an upgrade; 101 where a socket was given. */
const upgrade = (headers: { readonly [name: string]: string }, path = "/gateway") =>
  Effect.flatMap(Hub.Hub, ({ port }) =>
    Effect.async<{ readonly status: number; readonly text: string }>((resume) => {
      const request = httpRequest({
        host: "127.0.0.1",
        port,
        path,
        agent: false,
        headers: {
          connection: "Upgrade",
          upgrade: "websocket",
          "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
          "sec-websocket-version": "13",
          ...headers
        }
      })
      request.on("upgrade", (_, socket) => {
        socket.destroy()
        resume(Effect.succeed({ status: 101, text: "" }))
      })
      request.on("response", (response) => {
        let text = ""
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString()
        })
        response.on("end", () => resume(Effect.succeed({ status: response.statusCode ?? 0, text })))
      })
      request.end()
    })
  )

describe("a name that leads here", () => {
  const foreign = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:4750",
    "evil.example:4750",
    "host.corp.evil.example"
  ]
  const own = [
    "localhost:1",
    "LOCALHOST",
    "page.localhost",
    "127.0.0.1:9",
    "[::1]:4750",
    "10.1.2.3",
    "host.corp",
    "box.corp:99"
  ]

  it.scopedLive("is answered 421 with words where it is not the hub's, on HTTP and at the upgrade", () =>
    Effect.gen(function* () {
      const access = yield* token
      for (const host of foreign) {
        for (const path of ["/", "/health", "/v1/access_tokens"]) {
          const { json, status } = yield* call({ method: "GET", path, token: access, headers: { host } })
          expect({ host, status, tag: json._tag }).toEqual({ host, status: 421, tag: "MisdirectedRequest" })
          expect(json.error.message).toContain(`--allowed-host ${host}`)
        }
        expect((yield* upgrade({ host })).status).toBe(421)
      }
      for (const host of own) {
        const { status } = yield* call({ method: "GET", path: "/health", headers: { host } })
        expect({ host, status }).toEqual({ host, status: 200 })
        expect((yield* upgrade({ host })).status).toBe(101)
      }
    }).pipe(Effect.provide(hub({ publicUrl: "https://host.corp/tools", allowedHosts: ["box.corp"] })))
  )
})

describe("a page of another site", () => {
  const foreign = [
    "https://evil.example",
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "http://evil-localhost",
    "null",
    "file://",
    "nonsense"
  ]

  it.scopedLive("is refused at the upgrade, so that it takes no place of the user's", () =>
    Effect.gen(function* () {
      const at = yield* Gateway.target
      for (const origin of foreign) {
        const { status, text } = yield* upgrade({ origin })
        expect({ origin, status }).toEqual({ origin, status: 403 })
        expect(JSON.parse(text).error.details.code).toBe("CONTROL_UI_ORIGIN_NOT_ALLOWED")
      }
      // As many as lock an address out, all held by a page of another site.
      const idle = Array.from({ length: 40 }, () => Gateway.open(at, { origin: "https://evil.example" }))
      yield* Effect.all(idle, { concurrency: "unbounded" })
      const { port } = yield* Hub.Hub
      for (const origin of [`http://127.0.0.1:${port}`, "http://localhost:3000", "http://[::1]:3000"]) {
        expect({ origin, status: (yield* upgrade({ origin })).status }).toEqual({ origin, status: 101 })
      }
    }).pipe(Effect.provide(hub()))
  )
})

describe("TLS of the hub's own", () => {
  const fixture = (name: string) =>
    readFileSync(new URL(`Push/fixtures/push-service.${name}.pem`, import.meta.url), "utf8")
  const tls = { cert: fixture("cert"), key: fixture("key") }

  it.scopedLive("serves HTTP and the gateway, and this machine's own programs beside it", () =>
    Effect.gen(function* () {
      const { port, url } = yield* Hub.Hub
      const secure = yield* Effect.async<string>((resume) => {
        const options = { host: "localhost", port, path: "/health", ca: tls.cert, agent: false }
        httpsRequest(options, (response) => {
          response.on("data", (chunk: Buffer) => resume(Effect.succeed(chunk.toString())))
        }).end()
      })
      expect(JSON.parse(secure)).toEqual({ status: "ok" })
      const socket = new WebSocket(`wss://localhost:${port}/gateway`, { ca: tls.cert })
      yield* Effect.addFinalizer(() => Effect.sync(() => socket.terminate()))
      const challenge = yield* Effect.promise(
        () =>
          new Promise<string>((resolve) => socket.once("message", (data: Buffer) => resolve(data.toString())))
      )
      expect(challenge).toContain("connect.challenge")

      expect(new URL(url)).toMatchObject({ protocol: "http:", hostname: "127.0.0.1" })
      const own = yield* Effect.promise(() => fetch(`${url}/health`).then((answer) => answer.json()))
      expect(own).toEqual({ status: "ok" })
      // Whoever speaks plain HTTP to it is given nothing.
      const plain = yield* Effect.either(Effect.tryPromise(() => fetch(`http://127.0.0.1:${port}/health`)))
      expect(plain._tag).toBe("Left")
    }).pipe(Effect.provide(hub({ tls })))
  )

  it.scopedLive("says so where certificate and key do not fit", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Layer.build(hub({ tls: { ...tls, key: "nonsense" } })))
      expect(error.message).toMatch(/the certificate and its key do not fit/)
    })
  )
})

describe("no authentication at all", () => {
  const written = (text: string, withoutAuthentication: boolean) =>
    Effect.gen(function* () {
      const file = yield* Effect.acquireRelease(
        Effect.sync(() => join(mkdtempSync(join(tmpdir(), "causeway-doors-")), "gateway.json")),
        (path) => Effect.sync(() => rmSync(dirname(path), { recursive: true }))
      )
      writeFileSync(file, text)
      const context = yield* Layer.build(GatewayConfig.layerFile(file, { withoutAuthentication }))
      return (yield* Context.get(context, GatewayConfig.GatewayConfiguration).current).auth.mode
    }).pipe(Effect.scoped, Effect.provide(NodeContext.layer))

  it.scoped("is taken from the file only where the start has said so", () =>
    Effect.gen(function* () {
      const none = '{"gateway":{"auth":{"mode":"none"}}}'
      expect(yield* written(none, false)).toBe("token")
      expect(yield* written(none, true)).toBe("none")
      expect(yield* written('{"gateway":{"auth":{"password":"x"}}}', false)).toBe("password")
    })
  )

  it.scopedLive("lets in who is on this machine, and nobody through a proxy", () =>
    Effect.gen(function* () {
      const at = yield* Gateway.target
      const attempt = (headers: { readonly [name: string]: string }) =>
        Effect.flatMap(Gateway.open(at, headers), (client) =>
          Effect.map(
            Effect.promise(() => client.connect({ auth: undefined }, new Gateway.Device())),
            (answer) => answer["ok"]
          )
        )
      expect(yield* attempt({})).toBe(true)
      expect(yield* attempt({ "x-forwarded-for": "192.0.2.1" })).toBe(false)
    }).pipe(Effect.provide(Gateway.layer({ config: '{"gateway":{"auth":{"mode":"none"}}}' })))
  )
})

/** Bytes told to `count` connections that come and go at a rate, or all at once. */
const told = (count: number, everyMillis: number) =>
  Effect.gen(function* () {
    const connections = new Connections(Number.MAX_SAFE_INTEGER)
    const versions = { presence: 0, health: 0 }
    const presence = yield* Presence.make(connections, versions)
    const organizationId = OrganizationId.make("o")
    let bytes = 0
    const wire = {
      bufferedAmount: 0,
      send: (text: string) => {
        bytes += text.length
      },
      close: () => undefined
    }
    const of = (id: string, scopes: ReadonlyArray<string>) =>
      new Connection(
        {
          id,
          organizationId,
          tokenId: undefined,
          role: "operator",
          scopes,
          client: { id: "cli", version: "1", platform: "linux", mode: "cli", displayName: `machine ${id}` },
          deviceId: id,
          author: { kind: "client", id: "cli", name: "cli", role: "owner" },
          caps: [],
          remoteAddress: undefined,
          connectedAt: 0
        },
        wire,
        Number.MAX_SAFE_INTEGER
      )
    const step = Effect.zipRight(
      presence.changed(organizationId),
      TestClock.adjust(Duration.millis(everyMillis))
    )
    for (let i = 0; i < count; i++) {
      connections.add(of(`device ${i}`, ["operator.read"]))
      yield* step
    }
    for (let i = 0; i < count; i++) {
      connections.remove(`device ${i}`)
      yield* step
    }
    yield* TestClock.adjust("5 minutes")
    return bytes
  }).pipe(Effect.scoped)

describe("presence", () => {
  it.effect("of devices that come and go costs in proportion to their number, at a rate and at once", () =>
    Effect.gen(function* () {
      for (const everyMillis of [50, 0]) {
        const half = yield* told(500, everyMillis)
        const whole = yield* told(1000, everyMillis)
        expect(half).toBeGreaterThan(0)
        expect({ everyMillis, ratio: whole / half < 2.5 }).toEqual({ everyMillis, ratio: true })
      }
    })
  )

  it.scopedLive("is told to those who may read, at once and then together", () =>
    Effect.gen(function* () {
      const at = yield* Gateway.target
      const reader = yield* Gateway.connected(at, { scopes: ["operator.read"] })
      const other = yield* Gateway.connected(at, { scopes: ["operator.pairing"] })
      const first = yield* Effect.promise(() => reader.event("presence"))
      expect(first["presence"]).toHaveLength(first["total"])
      yield* Effect.promise(() => other.call("device.pair.list"))
      expect(other.events("presence")).toEqual([])
      const hello = other.frames.find((frame) => frame["ok"] === true)
      expect(hello?.["payload"].snapshot.presence).toEqual([])
    }).pipe(Effect.provide(Gateway.layer()))
  )
})
