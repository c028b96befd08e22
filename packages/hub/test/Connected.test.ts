/** What a credential opened ends with it, at every door, over real sockets. */
import { sessionBody } from "@causeway/protocol/Ids"
import * as Devices from "@causeway/store/Devices"
import { Environments } from "@causeway/store/Environments"
import { Tokens } from "@causeway/store/Tokens"
import { describe, expect, it, layer as suite } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { Connected } from "../src/Connected.ts"
import * as Hub from "../src/Hub.ts"
import * as Gateway from "./Gateway/harness.ts"
import { call, type EventSource, layer, open, session, token } from "./harness.ts"

/** An access token of its own. */
const fresh = (expiresAt?: number) =>
  Effect.gen(function* () {
    const { organizationId } = yield* Hub.Hub
    const { record, token } = yield* (yield* Tokens).create({ organizationId, name: "short", expiresAt })
    return { tokenId: record.id, organizationId, token: Redacted.value(token) }
  })

const viewer = (token: string) =>
  Effect.gen(function* () {
    const { id } = yield* session()
    const stream = yield* open({ path: `/v1/code/sessions/${id}/events/stream`, token })
    yield* stream.comment
    return stream
  })

/** Waits for something that this process will do by itself. */
const until = <E, R>(fits: Effect.Effect<boolean, E, R>) =>
  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))).pipe(
    Effect.repeat({ until: () => fits })
  )

const ended = (stream: EventSource) => Effect.flip(Effect.forever(stream.next))

const socket = (token: string, device?: Gateway.Device) =>
  Effect.gen(function* () {
    const client = yield* Gateway.open({ ...(yield* Gateway.target), token })
    const signedAt = yield* Clock.currentTimeMillis
    const hello = yield* Effect.promise(() => client.connect({}, device, { signedAt }))
    expect(hello["ok"]).toBe(true)
    return client
  })

/** Nothing here was told to this process: another one, or the command line, has changed the database. */
describe("what is ended by another process", () => {
  suite(layer)((it) => {
    it.scoped("an access token takes its streams and sockets along, within 5 s", () =>
      Effect.gen(function* () {
        const { organizationId, token, tokenId } = yield* fresh()
        const stream = yield* viewer(token)
        const plain = yield* socket(token)
        const device = yield* socket(token, new Gateway.Device())
        const other = yield* socket((yield* fresh()).token)
        yield* (yield* Tokens).revoke({ organizationId, tokenId })
        yield* TestClock.adjust("5 seconds")
        yield* ended(stream)
        for (const client of [plain, device]) {
          expect(yield* Effect.promise(() => client.untilClosed())).toEqual({
            code: 4001,
            reason: "gateway auth changed: the access token that opened this connection was revoked"
          })
        }
        expect(yield* Effect.promise(() => other.call("health", {}))).toMatchObject({ ok: true })
      })
    )

    it.scoped("a device that was removed, or whose token was rotated, is closed 1008", () =>
      Effect.gen(function* () {
        const { organizationId } = yield* Hub.Hub
        const devices = yield* Devices.Devices
        const [removed, rotated] = [new Gateway.Device(), new Gateway.Device()]
        const clients = [yield* socket(yield* token, removed), yield* socket(yield* token, rotated)]
        yield* devices.remove(organizationId, removed.id)
        yield* devices.rotate(organizationId, rotated.id)
        yield* TestClock.adjust("5 seconds")
        const closings = yield* Effect.forEach(clients, (each) => Effect.promise(() => each.untilClosed()))
        expect(closings).toEqual([
          { code: 1008, reason: "device token changed: the device that opened this connection was removed" },
          {
            code: 1008,
            reason: "device token changed: the device that opened this connection was replaced by a newer one"
          }
        ])
      }).pipe(Effect.provide(Devices.layer))
    )

    it.scoped("a session's token that a newer one replaces ends its worker's stream", () =>
      Effect.gen(function* () {
        const { access, id, ingress } = yield* session()
        const stream = yield* open({ path: `/v1/code/sessions/${id}/worker/events/stream`, token: ingress })
        yield* stream.comment
        yield* call({ method: "POST", path: `/v1/code/sessions/${id}/bridge`, token: access, body: {} })
        yield* TestClock.adjust("5 seconds")
        yield* ended(stream)
      })
    )

    it.scoped("an environment that goes ends the poll that waits", () =>
      Effect.gen(function* () {
        const access = yield* token
        const connected = yield* Connected
        yield* until(Effect.map(connected.size, (size) => size === 0))
        const { json } = yield* call({
          method: "POST",
          path: "/v1/environments/bridge",
          token: access,
          body: { machine_name: "m", directory: "/d", max_sessions: 1 }
        })
        const path = `/v1/environments/${json.environment_id}/work/poll?block_ms=25000`
        const poll = yield* Effect.fork(call({ method: "GET", path, token: json.environment_secret }))
        yield* until(Effect.map(connected.size, (size) => size > 0))
        const { organizationId } = yield* Hub.Hub
        yield* (yield* Environments).remove({ organizationId, environmentId: json.environment_id })
        yield* TestClock.adjust("5 seconds")
        expect((yield* Fiber.join(poll)).status).toBeGreaterThanOrEqual(400)
      })
    )
  })
})

describe("expiry", () => {
  suite(layer)((it) => {
    it.scoped("ends a connection at its moment, without a look in between", () =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const expiresAt = now + 60_500
        const { token } = yield* fresh(expiresAt)
        const client = yield* socket(token)
        const stream = yield* viewer(token)
        const { hold } = yield* Connected
        const { id } = yield* session()
        const worker = yield* hold({
          credentials: [{ _tag: "Ingress", session: sessionBody(id), epoch: 9, expiresAt }],
          address: undefined
        })
        yield* TestClock.adjust("60 seconds")
        expect(client.closed).toBeUndefined()
        yield* TestClock.adjust("500 millis")
        expect((yield* Effect.promise(() => client.untilClosed())).reason).toContain("has expired")
        yield* ended(stream)
        expect((yield* worker).words).toBe(
          "the session's ingress token that opened this connection has expired"
        )
      })
    )
  })
})

describe("a token that is revoked here", () => {
  it.scopedLive("is told to its connections at once, and everything is given back", () =>
    Effect.gen(function* () {
      const { token: short, tokenId } = yield* fresh()
      const stream = yield* viewer(short)
      const client = yield* socket(short)
      const path = `/v1/access_tokens/${tokenId}/revoke`
      const revoked = yield* call({ method: "POST", path, token: yield* token })
      expect(revoked.status).toBe(200)
      yield* ended(stream)
      yield* Effect.promise(() => client.untilClosed())
      const { size } = yield* Connected
      yield* until(Effect.map(size, (open) => open === 0))
    }).pipe(Effect.provide(layer))
  )
})

describe("too many connections", () => {
  const limited = Hub.layer({ filename: ":memory:", connections: { device: 2, credential: 3, address: 4 } })

  it.scopedLive(
    "of a device, a credential and an address are refused with words, and room is made by leaving",
    () =>
      Effect.gen(function* () {
        const [first, second, third] = [yield* fresh(), yield* fresh(), yield* fresh()]
        const at = yield* Gateway.target
        const attempt = (
          token: string,
          device?: Gateway.Device,
          headers: { readonly [name: string]: string } = {}
        ) =>
          Effect.flatMap(Gateway.open({ ...at, token }, headers), (client) =>
            Effect.map(
              Effect.promise(() => client.connect({}, device)),
              (answer) => ({ client, answer })
            )
          )
        const device = new Gateway.Device()
        const held = [yield* attempt(first.token, device), yield* attempt(second.token, device)]
        const refused = yield* attempt(third.token, device)
        expect(refused.answer["error"]).toMatchObject({
          code: "UNAVAILABLE",
          message: expect.stringMatching(/^this device has 2 connections open.*try again in 5 s$/),
          retryAfterMs: 5000
        })
        expect((yield* Effect.promise(() => refused.client.untilClosed())).code).toBe(1013)

        for (let i = 0; i < 2; i++) yield* viewer(first.token)
        const { id } = yield* session()
        const path = `/v1/code/sessions/${id}/events/stream`
        const full = yield* call({ method: "GET", path, token: first.token })
        expect([full.status, full.headers["retry-after"]]).toEqual([429, "5"])
        expect(full.json.error.message).toMatch(/^this credential has 3 connections open/)
        held[0]?.client.socket.close()
        yield* Effect.promise(async () => held[0]?.client.untilClosed())
        yield* viewer(first.token)

        // From elsewhere: a proxy that nobody trusts stands in between.
        const elsewhere = { "x-forwarded-for": "192.0.2.1" }
        for (const { token } of [second, third]) {
          for (let i = 0; i < 2; i++) {
            expect((yield* open({ path, token, headers: elsewhere })).status).toBe(200)
          }
        }
        const strange = yield* call({ method: "GET", path, token: yield* token, headers: elsewhere })
        expect(strange.json.error.message).toMatch(/^this address has 4 connections open/)
        const late = yield* Gateway.open(at, elsewhere)
        expect(yield* Effect.promise(() => late.untilClosed())).toMatchObject({ code: 1006 })
      }).pipe(Effect.provide(Layer.fresh(limited)))
  )
})
