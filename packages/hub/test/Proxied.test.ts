/** A hub behind proxies, over real sockets: what they change of a request, and what it was told. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Hub from "../src/Hub.ts"
import * as Networks from "../src/Networks.ts"
import * as Gateway from "./Gateway/harness.ts"
import { call, session, token } from "./harness.ts"

const behind = (options: Partial<Hub.Options> = {}) =>
  Layer.fresh(Hub.layer({ filename: ":memory:", ...options }))
const loopback = Either.getOrThrow(Networks.parse(["127.0.0.1"]))
const BASE = "https://host.corp/tools/causeway"

/** What a worker is told of where the hub is. */
const toldTo = (headers: { readonly [name: string]: string }, prefix = "") =>
  Effect.gen(function* () {
    const access = yield* token
    const { id } = yield* session()
    const path = `${prefix}/v1/code/sessions/${id}/bridge`
    return (yield* call({ method: "POST", path, token: access, headers, body: {} })).json.api_base_url
  })

/** How a page of this origin fares that comes with a new device and the access token. */
const pageOf = (origin: string, options: { readonly path?: string; readonly headers?: Gateway.Frame } = {}) =>
  Effect.gen(function* () {
    const at = yield* Gateway.target
    const url = `${at.url}${options.path ?? "/gateway"}`
    const client = yield* Gateway.open({ ...at, url }, { origin, ...options.headers })
    const asked = { client: { id: "openclaw-control-ui", version: "1", platform: "web", mode: "ui" } }
    const answer = yield* Effect.tryPromise(() => client.connect(asked, new Gateway.Device()))
    return answer["ok"] === true ? "in" : String(answer["error"].details.code)
  }).pipe(Effect.catchAll(() => Effect.succeed(REFUSED)))
const REFUSED = "no socket"

describe("the page under --public-url", () => {
  it.scopedLive("is let in although a proxy has rewritten Host", () =>
    Effect.gen(function* () {
      // Whoever comes by the public address is not beside the hub: a person has to let them in.
      expect(yield* pageOf("https://host.corp", { headers: { host: "127.0.0.1:4750" } })).toBe(
        "PAIRING_REQUIRED"
      )
      expect(yield* pageOf("https://host.corp", { headers: { host: "backend" } })).toBe("PAIRING_REQUIRED")
      for (const other of ["http://host.corp", "https://host.corp:8443", "https://evil.example", "null"]) {
        expect({ other, page: yield* pageOf(other) }).toEqual({ other, page: REFUSED })
      }
    }).pipe(Effect.provide(behind({ publicUrl: BASE, allowedHosts: ["backend"] })))
  )

  it.scopedLive("a hub that was told nothing refuses it, and serves its own page", () =>
    Effect.gen(function* () {
      const { port } = yield* Hub.Hub
      expect(yield* pageOf("https://host.corp")).toBe(REFUSED)
      expect(yield* pageOf("https://host.corp", { headers: { host: "host.corp" } })).toBe("PAIRING_REQUIRED")
      // Some write the port that the scheme has anyway.
      expect(yield* pageOf("https://host.corp", { headers: { host: "host.corp:443" } })).toBe(
        "PAIRING_REQUIRED"
      )
      expect(yield* pageOf(`http://127.0.0.1:${port}`)).toBe("in")
    }).pipe(Effect.provide(behind({ allowedHosts: ["host.corp"] })))
  )

  it.scopedLive("a host that a proxy tells of counts where that proxy is trusted", () => {
    const headers = { host: "backend", "x-forwarded-host": "host.corp", "x-forwarded-for": "203.0.113.5" }
    const page = pageOf("https://host.corp", { headers })
    return Effect.gen(function* () {
      expect(yield* page.pipe(Effect.provide(behind()))).toBe(REFUSED)
      expect(yield* page.pipe(Effect.provide(behind({ trustedProxies: loopback })))).toBe("PAIRING_REQUIRED")
    })
  })
})

describe("workers are told", () => {
  const proxied = { "x-forwarded-proto": "https,http", "x-forwarded-host": "host.corp" }

  it.scopedLive("the public address, whatever a proxy says", () =>
    Effect.gen(function* () {
      expect(yield* toldTo({})).toBe(BASE)
      expect(yield* toldTo(proxied)).toBe(BASE)
    }).pipe(Effect.provide(behind({ publicUrl: `${BASE}/`, trustedProxies: loopback })))
  )

  it.scopedLive("without one, what a trusted proxy says", () =>
    Effect.gen(function* () {
      expect(yield* toldTo(proxied)).toBe("https://host.corp")
      expect(yield* toldTo({ forwarded: 'For=192.0.2.1;Proto=HTTPS;Host="host.corp:8443"' })).toBe(
        "https://host.corp:8443"
      )
    }).pipe(Effect.provide(behind({ trustedProxies: loopback })))
  )

  it.scopedLive("from anybody else, nothing that he says", () =>
    Effect.gen(function* () {
      const { port } = yield* Hub.Hub
      expect(yield* toldTo(proxied)).toBe(`http://127.0.0.1:${port}`)
      expect(yield* toldTo({ ...proxied, host: "hub.corp" })).toBe("http://hub.corp")
    }).pipe(Effect.provide(behind({ allowedHosts: ["hub.corp"] })))
  )
})

describe("a base path", () => {
  const hub = behind({ publicUrl: BASE })

  it.scopedLive("hot routes, HttpApi and the gateway answer with it and without it", () =>
    Effect.gen(function* () {
      const access = yield* token
      for (const prefix of ["", "/tools/causeway"]) {
        expect((yield* call({ method: "GET", path: `${prefix}/health` })).json).toEqual({ status: "ok" })
        // At HttpApi's door, with a query.
        const listed = yield* call({ method: "GET", path: `${prefix}/v1/access_tokens?x=1`, token: access })
        expect(listed.status).toBe(200)
        expect(yield* toldTo({}, prefix)).toBe(BASE)
        for (const path of ["/gateway", "/", ""]) {
          if (prefix === "" && path === "") continue
          expect(yield* pageOf("http://127.0.0.1", { path: `${prefix}${path}` })).toBe("in")
        }
      }
      for (const path of ["/tools", "/tools/causewayx/health", "/tools/causeway/tools/causeway/health"]) {
        expect((yield* call({ method: "GET", path })).status).toBe(404)
      }
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("without its last slash it leads to where what stands beside it is found", () =>
    Effect.gen(function* () {
      const moved = yield* call({ method: "GET", path: "/tools/causeway?x=1" })
      expect([moved.status, moved.headers["location"]]).toEqual([308, "/tools/causeway/?x=1"])
    }).pipe(Effect.provide(hub))
  )

  it.scopedLive("a path that the hub has itself stays what it is", () =>
    Effect.gen(function* () {
      const access = yield* token
      for (const path of ["/v1/access_tokens", "/v1/v1/access_tokens"]) {
        expect((yield* call({ method: "GET", path, token: access })).status).toBe(200)
      }
    }).pipe(Effect.provide(behind({ publicUrl: "https://host.corp/v1" })))
  )

  it.scopedLive("a code that the page makes says where others open it", () =>
    Effect.gen(function* () {
      const at = yield* Gateway.target
      const client = yield* Gateway.connected(at)
      expect((yield* Effect.promise(() => client.call("causeway.device.code.create")))["page"]).toBe(
        `${BASE}/`
      )
    }).pipe(Effect.provide(hub))
  )
})

describe("guessing through a trusted proxy", () => {
  it.scopedLive(
    "locks out nobody: neither who guesses, once the right one is shown, nor who shares the proxy",
    () =>
      Effect.gen(function* () {
        const at = yield* Gateway.target
        const guess = (address: string, secret: string) =>
          Effect.gen(function* () {
            const client = yield* Gateway.open(at, { "x-forwarded-for": `198.51.100.9, ${address}` })
            const { error, ok } = yield* Effect.promise(() =>
              client.connect({ auth: { token: secret } }, new Gateway.Device())
            )
            return ok === true ? "in" : error.details.code
          })
        for (let i = 0; i < 10; i++)
          expect(yield* guess("203.0.113.5", "cw_wrong")).toBe("AUTH_TOKEN_MISMATCH")
        expect(yield* guess("203.0.113.5", at.token)).toBe("PAIRING_REQUIRED")
        expect(yield* guess("203.0.113.6", at.token)).toBe("PAIRING_REQUIRED")
      }).pipe(Effect.provide(behind({ trustedProxies: loopback })))
  )
})
