import { Tokens } from "@causeway/store/Tokens"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Hub from "../../src/Hub.ts"
import { type Client, connected, Device, layer, open, target } from "./harness.ts"

const page = { id: "openclaw-control-ui", version: "1", platform: "x", mode: "webchat" }

describe("time", () => {
  suite(layer())((it) => {
    it.scoped("a handshake that is not finished within 15 s is closed without a word", () =>
      Effect.gen(function* () {
        const client = yield* open(yield* target)
        yield* Effect.promise(() => client.challenge())
        yield* TestClock.adjust("14 seconds")
        expect(client.closed).toBeUndefined()
        yield* TestClock.adjust("1 seconds")
        expect(yield* Effect.promise(() => client.untilClosed())).toEqual({ code: 1000, reason: "" })
      })
    )

    it.scoped("ticks come every 30 s, pings every 25 s, health every 60 s", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* open(at)
        let pings = 0
        client.socket.on("ping", () => {
          pings += 1
        })
        yield* Effect.promise(() => client.connect({}))
        yield* Effect.promise(() => client.call("health", {}))
        yield* TestClock.adjust("30 seconds")
        yield* Effect.promise(() => client.event("tick"))
        expect(pings).toBe(1)
        yield* TestClock.adjust("30 seconds")
        yield* Effect.promise(() => client.event("tick", () => true, 2))
        const health = yield* Effect.promise(() => client.until((frame) => frame["event"] === "health"))
        expect(health["payload"].ok).toBe(true)
        expect(health["stateVersion"]).toMatchObject({
          health: expect.any(Number),
          presence: expect.any(Number)
        })
      })
    )

    it.scoped("connections of a token that was revoked are closed 4001", () =>
      Effect.gen(function* () {
        const hub = yield* Hub.Hub
        const tokens = yield* Tokens
        const { record, token } = yield* tokens.create({ organizationId: hub.organizationId, name: "short" })
        const at = { url: hub.url.replace(/^http/, "ws"), token: Redacted.value(token) }
        const client = yield* open(at)
        yield* Effect.promise(() => client.connect({}))
        yield* tokens.revoke({ organizationId: hub.organizationId, tokenId: record.id })
        yield* TestClock.adjust("5 seconds")
        expect(yield* Effect.promise(() => client.untilClosed())).toEqual({
          code: 4001,
          reason: "gateway auth changed: the access token that opened this connection was revoked"
        })
      })
    )
  })
})

describe("limits", () => {
  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped("one address has at most 32 connections that have not finished the handshake", () =>
      Effect.gen(function* () {
        const at = yield* target
        const waiting = yield* Effect.forEach(Array.from({ length: 32 }), () => open(at))
        yield* Effect.promise(() => Promise.all(waiting.map((client) => client.challenge())))
        const late = yield* open(at)
        expect(yield* Effect.promise(() => late.untilClosed())).toMatchObject({ code: 1006 })
        waiting[0]?.socket.terminate()
        yield* Effect.promise(async () => waiting[0]?.untilClosed())
        yield* Effect.promise(async () => waiting[1]?.connect({}))
        const room = yield* open(at)
        yield* Effect.promise(() => room.challenge())
      })
    )

    it.scoped("another organisation sees nothing of this one", () =>
      Effect.gen(function* () {
        const at = yield* target
        const mine = yield* connected(at)
        yield* Effect.promise(() => mine.call("sessions.create", { key: "private", label: "Private" }))
        const hub = yield* Hub.Hub
        const organizations = yield* (yield* Effect.promise(() => import("@causeway/store/Organizations")))
          .Organizations
        const other = yield* organizations.create("other")
        const tokens = yield* Tokens
        const { token } = yield* tokens.create({ organizationId: other.id, name: "other" })
        const theirs = yield* connected({ url: hub.url.replace(/^http/, "ws"), token: Redacted.value(token) })
        expect((yield* Effect.promise(() => theirs.call("sessions.list", {})))["count"]).toBe(0)
        expect(
          (yield* Effect.promise(() => theirs.call("sessions.describe", { key: "private" })))["session"]
        ).toBeNull()
        yield* Effect.promise(() => theirs.call("sessions.subscribe"))
        yield* Effect.promise(() => mine.call("sessions.patch", { key: "private", fastMode: true }))
        // The same label and key are free there.
        yield* Effect.promise(() => theirs.call("sessions.create", { key: "private", label: "Private" }))
        expect(
          theirs.events("sessions.changed").filter((frame) => frame["payload"].reason === "patch")
        ).toEqual([])
      })
    )
  })
})

describe("other credentials", () => {
  suite(layer({ config: '{"gateway":{"auth":{"password":"open sesame"},"allowInsecurePage":true}}' }), {
    excludeTestServices: true
  })((it) => {
    it.scoped("a password opens, a wrong one says which, and a page without a device may be allowed", () =>
      Effect.gen(function* () {
        const at = yield* target
        const attempt = (over: { readonly [name: string]: unknown }, headers = {}) =>
          Effect.flatMap(open(at, headers), (client: Client) =>
            Effect.promise(() => client.connect(over, "client" in over ? undefined : new Device()))
          )
        expect((yield* attempt({ auth: { password: "open sesame" } }))["ok"]).toBe(true)
        expect((yield* attempt({ auth: { password: "no" } }))["error"].details.code).toBe(
          "AUTH_PASSWORD_MISMATCH"
        )
        expect((yield* attempt({ auth: { token: "x" } }))["error"].details.code).toBe("AUTH_PASSWORD_MISSING")
        const plain = yield* attempt(
          { client: page, auth: { password: "open sesame" }, scopes: ["operator.read"] },
          { origin: "http://localhost:3000" }
        )
        expect(plain["payload"].auth).toEqual({ role: "operator", scopes: ["operator.read"] })
      })
    )
  })

  suite(layer({ config: '{"gateway":{"auth":{"mode":"none"},"allowedOrigins":["https://ok.example"]}}' }), {
    excludeTestServices: true
  })((it) => {
    it.scoped("without a secret the device is enough; listed origins are let in", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* open(at, { origin: "https://ok.example" })
        expect((yield* Effect.promise(() => client.connect({ auth: undefined }, new Device())))["ok"]).toBe(
          true
        )
        const other = yield* open(at, { origin: "https://other.example" })
        expect((yield* Effect.promise(() => other.untilClosed())).code).toBe(1006)
      })
    )
  })
})
