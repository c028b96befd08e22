import { Bootstrap } from "@causeway/store/Bootstrap"
import { DeviceCodes } from "@causeway/store/DeviceCodes"
import * as Devices from "@causeway/store/Devices"
import { describe, it as effects, expect, layer as suite } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Attempts from "../../src/Attempts.ts"
import * as Auth from "../../src/Auth/Auth.ts"
import * as HubConfig from "../../src/Config.ts"
import * as Config from "../../src/Gateway/Config.ts"
import * as Connections from "../../src/Gateway/Connections.ts"
import * as Handshake from "../../src/Gateway/Handshake.ts"
import * as Hub from "../../src/Hub.ts"
import { type Client, connected, Device, type Frame, layer, open, type Target, target } from "./harness.ts"

const ALL = ["operator.admin", "operator.read", "operator.write", "operator.approvals", "operator.pairing"]

/** The page, as it comes from another machine: a proxy in front of the hub makes it that. */
const page = {
  client: {
    id: "openclaw-control-ui",
    version: "1",
    platform: "web",
    mode: "ui",
    displayName: "Firefox on Linux"
  },
  scopes: ALL
}
const elsewhere = (at: Target) => ({ origin: at.url.replace("ws", "http"), "x-forwarded-for": "192.0.2.1" })

/** One attempt of the page with these credentials; the proof is made at the clock's time. */
const attempt = (at: Target, device: Device, auth: Frame, over: Frame = {}) =>
  Effect.gen(function* () {
    const client = yield* open(at, elsewhere(at))
    const signedAt = yield* Clock.currentTimeMillis
    const answer = yield* Effect.promise(() =>
      client.connect({ ...page, auth, ...over }, device, { signedAt })
    )
    return { client, answer }
  })

const request = (client: Client, method: string, params: Frame = {}) =>
  Effect.promise(() => client.call(method, params))

/** Somebody on this machine who has everything. */
const admin = (at: Target) =>
  Effect.gen(function* () {
    const client = yield* open(at)
    const signedAt = yield* Clock.currentTimeMillis
    yield* Effect.promise(() => client.connect({ scopes: ALL }, new Device(), { signedAt }))
    return client
  })

const refused = (reason: string): Frame => ({
  code: "INVALID_REQUEST",
  message: expect.stringMatching(/^unauthorized: .*; make a new one with `causeway devices code`/),
  details: expect.objectContaining({
    code: "AUTH_BOOTSTRAP_TOKEN_INVALID",
    authReason: "bootstrap_token_invalid",
    reason
  })
})

describe("one-time codes", () => {
  suite(layer())((it) => {
    it.scoped("let one device in from anywhere, which may come again until the code expires", () =>
      Effect.gen(function* () {
        const at = yield* target
        const made = yield* request(yield* admin(at), "causeway.device.code.create", { ttlSeconds: 60 })
        expect(made).toEqual({
          code: expect.stringMatching(/^([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}$/),
          expiresAtMs: (yield* Clock.currentTimeMillis) + 60_000
        })
        const device = new Device()
        const first = yield* attempt(at, device, { bootstrapToken: made["code"] })
        expect(first.answer).toMatchObject({ ok: true, payload: { auth: { scopes: [...ALL].sort() } } })
        const { deviceToken } = first.answer["payload"].auth

        // The answer was lost: typed in another spelling it is the same code.
        const again = yield* attempt(at, device, {
          bootstrapToken: String(made["code"]).toLowerCase().replaceAll("-", " ")
        })
        expect(again.answer["payload"].auth.deviceToken).toBe(deviceToken)

        const other = yield* attempt(at, new Device(), { bootstrapToken: made["code"] })
        expect(other.answer["error"]).toEqual(refused("used"))
        expect((yield* Effect.promise(() => other.client.untilClosed())).code).toBe(1008)

        yield* TestClock.adjust("60 seconds")
        const late = yield* attempt(at, device, { bootstrapToken: made["code"] })
        expect(late.answer["error"]).toEqual(refused("expired"))
        // What it opened stays open.
        const own = yield* attempt(at, device, { deviceToken })
        expect(own.answer["ok"]).toBe(true)
        expect((yield* request(own.client, "device.pair.list"))["paired"]).toContainEqual(
          expect.objectContaining({
            deviceId: device.id,
            current: true,
            connected: true,
            displayName: "Firefox on Linux"
          })
        )
        expect((yield* attempt(at, new Device(), { bootstrapToken: "nonsense" })).answer["error"]).toEqual(
          refused("unknown")
        )
      })
    )

    it.scoped("carry what their maker chose, which is at most what the maker has", () =>
      Effect.gen(function* () {
        const at = yield* target
        const all = yield* admin(at)
        const little = yield* request(all, "causeway.device.code.create", {
          scopes: ["operator.read", "operator.pairing"]
        })
        const { answer, client } = yield* attempt(at, new Device(), { bootstrapToken: little["code"] })
        expect(answer["payload"].auth.scopes).toEqual(["operator.pairing", "operator.read"])
        const create = (params: Frame) =>
          Effect.promise(() => client.refusal("causeway.device.code.create", params))
        expect(yield* create({ scopes: ["operator.write"] })).toMatchObject({
          message: "missing scope: operator.write"
        })
        expect(yield* create({ scopes: ["everything"] })).toMatchObject({
          message: "unknown scope: everything"
        })
        expect(yield* create({ ttlSeconds: 59 })).toMatchObject({ code: "INVALID_REQUEST" })
        expect(
          (yield* attempt(at, new Device(), {
            bootstrapToken: (yield* request(client, "causeway.device.code.create"))["code"]
          })).answer["payload"].auth.scopes
        ).toEqual(["operator.pairing", "operator.read"])
        expect(
          (yield* attempt(at, new Device(), { bootstrapToken: little["code"] }, { role: "node" })).answer[
            "ok"
          ]
        ).toBe(false)
      })
    )

    it.scoped("are covered by the signature: beside another credential they count for nothing", () =>
      Effect.gen(function* () {
        const at = yield* target
        const { code } = yield* request(yield* admin(at), "causeway.device.code.create")
        const { answer } = yield* attempt(at, new Device(), { token: "cw_wrong", bootstrapToken: code })
        expect(answer["error"].details.code).toBe("AUTH_TOKEN_MISMATCH")
        expect((yield* attempt(at, new Device(), { bootstrapToken: code })).answer["ok"]).toBe(true)
      })
    )

    it.scoped("settle what the device had asked for", () =>
      Effect.gen(function* () {
        const at = yield* target
        const all = yield* admin(at)
        const device = new Device()
        const asking = yield* attempt(at, device, { token: at.token })
        const { requestId } = asking.answer["error"].details
        const { code } = yield* request(all, "causeway.device.code.create", { scopes: ["operator.admin"] })
        expect((yield* attempt(at, device, { bootstrapToken: code })).answer["ok"]).toBe(true)
        expect(
          yield* Effect.promise(() =>
            all.event("device.pair.resolved", (payload) => payload["requestId"] === requestId)
          )
        ).toMatchObject({ decision: "approved" })
      })
    )
  })
})

describe("pairing", () => {
  suite(layer())((it) => {
    it.scoped("a device that asks again has one request, told of once, until it is approved", () =>
      Effect.gen(function* () {
        const at = yield* target
        const all = yield* admin(at)
        const device = new Device()
        const ids: Array<string> = []
        for (let i = 0; i < 3; i++) {
          const { answer } = yield* attempt(at, device, { token: at.token })
          expect(answer["error"]).toMatchObject({ code: "NOT_PAIRED", details: { code: "PAIRING_REQUIRED" } })
          ids.push(answer["error"].details.requestId)
        }
        expect(new Set(ids).size).toBe(1)
        const { pending } = yield* request(all, "device.pair.list")
        expect(pending.filter((each: Frame) => each["deviceId"] === device.id)).toHaveLength(1)
        yield* request(all, "device.pair.approve", { requestId: ids[0] })
        expect(all.events("device.pair.requested")).toHaveLength(1)
        expect((yield* attempt(at, device, { token: at.token })).answer["ok"]).toBe(true)
      })
    )

    it.scoped("a revoked device is closed, and neither its token nor its code opens anything", () =>
      Effect.gen(function* () {
        const at = yield* target
        const all = yield* admin(at)
        const { code } = yield* request(all, "causeway.device.code.create")
        const device = new Device()
        const { answer, client } = yield* attempt(at, device, { bootstrapToken: code })
        yield* request(all, "device.pair.remove", { deviceId: device.id })
        expect((yield* Effect.promise(() => client.untilClosed())).code).toBe(1008)
        const { deviceToken } = answer["payload"].auth
        expect((yield* attempt(at, device, { deviceToken })).answer["error"].details.code).toBe(
          "AUTH_DEVICE_TOKEN_MISMATCH"
        )
        expect((yield* attempt(at, device, { bootstrapToken: code })).answer["error"]).toEqual(
          refused("expired")
        )
      })
    )
  })
})

describe("a device", () => {
  suite(layer())((it) => {
    it.scoped("was last seen when its last connection ended", () =>
      Effect.gen(function* () {
        const at = yield* target
        const all = yield* admin(at)
        const { code } = yield* request(all, "causeway.device.code.create")
        const device = new Device()
        const { client } = yield* attempt(at, device, { bootstrapToken: code })
        const shown = Effect.map(request(all, "device.pair.list"), ({ paired }) =>
          paired.find((each: Frame) => each["deviceId"] === device.id)
        )
        expect(yield* shown).toMatchObject({ connected: true, lastSeenAtMs: 0 })
        expect(yield* shown).not.toHaveProperty("current")
        yield* TestClock.adjust("10 seconds")
        const told = all.frames.length
        client.socket.close()
        yield* Effect.promise(() => all.until((frame) => frame["event"] === "presence", told))
        expect(yield* shown).toMatchObject({ connected: false, lastSeenAtMs: 10_000 })
      })
    )
  })
})

/** The handshake by itself: for addresses that no test can come from. */
const handshake = Handshake.layer.pipe(
  Layer.provide(Layer.mergeAll(Attempts.layer, Auth.layer, Connections.layer(), Devices.layer)),
  Layer.provide(HubConfig.layer()),
  Layer.provideMerge(Hub.layerStore({ filename: ":memory:" })),
  Layer.provide(Config.layerOf(Config.defaults))
)

describe("guessing", () => {
  effects.effect("codes is answered later and later, and who has the right one is let in all the same", () =>
    Effect.gen(function* () {
      const { admit } = yield* Handshake.Handshake
      const { organizationId } = yield* (yield* Bootstrap).ensure
      const codes = yield* DeviceCodes
      const present = (code: string, remoteAddress: string) =>
        Effect.gen(function* () {
          const device = new Device()
          const params: Frame = {
            minProtocol: 3,
            maxProtocol: 3,
            client: { id: "cli", version: "1", platform: "linux", mode: "cli" },
            scopes: ["operator.read"],
            auth: { bootstrapToken: code }
          }
          const proof = device.prove(params, "nonce", { signedAt: yield* Clock.currentTimeMillis })
          const outcome = yield* Effect.either(
            admit(
              { ...params, device: proof },
              { remoteAddress, local: false, originHeader: undefined, hostHeader: undefined },
              "nonce"
            )
          )
          if (outcome._tag === "Right") return "in"
          return outcome.left._tag === "HandshakeRefused"
            ? (outcome.left.error.details as Frame)["code"]
            : outcome.left._tag
        })
      const { code } = yield* codes.create({ organizationId, ttl: "1 hour" })
      for (let i = 0; i < 10; i++) {
        expect(yield* present("wrong", "192.0.2.1")).toBe("AUTH_BOOTSTRAP_TOKEN_INVALID")
      }
      const late = yield* Effect.fork(present("wrong", "192.0.2.1"))
      yield* TestClock.adjust("249 millis")
      expect(yield* Fiber.poll(late)).toEqual(Option.none())
      // A proof goes first, whoever has failed at the same address.
      expect(yield* present(Redacted.value(code), "192.0.2.1")).toBe("in")
      expect(yield* present("other", "192.0.2.2")).toBe("AUTH_BOOTSTRAP_TOKEN_INVALID")
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(late)).toBe("AUTH_BOOTSTRAP_TOKEN_INVALID")
      yield* TestClock.adjust("5 minutes")
      expect(yield* present("wrong", "192.0.2.1")).toBe("AUTH_BOOTSTRAP_TOKEN_INVALID")
    }).pipe(Effect.provide(handshake))
  )
})

describe("health", () => {
  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped("metrics are those of /metrics, tokens are told without their secrets", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const { metrics } = yield* request(client, "causeway.metrics")
        const text = yield* Effect.promise(() =>
          fetch(`${at.url.replace("ws", "http")}/metrics`).then((answer) => answer.text())
        )
        const names = new Set(
          text
            .split("\n")
            .filter((line) => line !== "" && !line.startsWith("#"))
            .map((line) => line.split(/[{ ]/, 1)[0])
        )
        expect(new Set(metrics.map((each: Frame) => each["name"]))).toEqual(names)
        expect(metrics).toContainEqual({
          name: "effect_fiber_lifetimes_bucket",
          labels: { time_unit: "milliseconds", le: "+Inf" },
          value: expect.any(Number)
        })

        const listed = yield* request(client, "causeway.tokens.list")
        expect(listed).toEqual({
          tokens: [
            {
              id: expect.stringMatching(/^token_/),
              name: "first start",
              createdAtMs: expect.any(Number),
              expiresAtMs: null,
              lastUsedAtMs: expect.any(Number)
            }
          ]
        })
        expect(JSON.stringify(listed)).not.toContain(at.token.slice(-4))
        const reader = yield* connected(at, { scopes: ["operator.read"] })
        expect(yield* Effect.promise(() => reader.refusal("causeway.tokens.list", {}))).toMatchObject({
          message: "missing scope: operator.admin"
        })
      })
    )
  })
})
