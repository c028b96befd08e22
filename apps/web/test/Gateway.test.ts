import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type { Ticket } from "../src/Credentials.ts"
import * as Gateway from "../src/Gateway.ts"
import * as Wire from "./Wire.ts"

const token: Ticket = { _tag: "Token", token: "secret" }
const code: Ticket = { _tag: "Code", code: "once" }

/** A gateway whose hub answers handshakes in turn: an error, a good answer, or nothing. The last one is for all others. */
const open = (
  handshakes: ReadonlyArray<Wire.Json | "good" | "mute"> = ["good"],
  ticket: Ticket | null = null
) => {
  const at = Wire.world({
    request: (line, request, n) => {
      const { method } = request
      if (method === "connect") {
        const how = handshakes[Math.min(n, handshakes.length - 1)] ?? "mute"
        if (how === "good") line.answer(request, Wire.hello())
        else if (how !== "mute") {
          line.refuse(request, how)
          line.close()
        }
      } else if (method === "echo") line.answer(request, { echoed: request["params"] })
      else if (method === "no") line.refuse(request, { code: "CONFLICT", message: "too late" })
    }
  })
  if (ticket === null) at.credentials.keep({ deviceToken: "kept", scopes: ["operator.read"] })
  const states: Array<Gateway.Connection> = []
  const gateway = Gateway.open(at.gateway, { credentials: at.credentials, ticket, displayName: "Test" })
  gateway.listen({ connection: (state) => states.push(state) })
  return { ...at, open: gateway, states, auth: (n: number) => Wire.params(at.asked("connect")[n])["auth"] }
}

describe("Gateway", () => {
  it.effect("shows a token once, keeps what the hub gives for it, and comes with that from then on", () =>
    Effect.promise(async () => {
      const at = open(["good"], token)
      await Wire.settle()
      expect(at.open.connection()).toEqual({ _tag: "connected" })
      expect(at.auth(0)).toMatchObject({ token: "secret" })
      expect([...at.store.entries.values()].join()).not.toContain("secret")
      expect(at.credentials.grant()).toEqual({
        deviceToken: "granted",
        scopes: ["operator.read", "operator.write"]
      })
      at.lines[0]?.close()
      await at.pass(600)
      expect(at.auth(1)).toEqual({ deviceToken: "granted" })
      expect(Wire.params(at.asked("connect")[1])["scopes"]).toEqual(["operator.read", "operator.write"])
      expect(JSON.stringify(at.asked("connect")[1])).not.toContain("secret")
      at.open.stop()
    })
  )

  it.effect("shows the same code again where the answer was lost, and never after", () =>
    Effect.promise(async () => {
      const at = open(["mute", "good"], code)
      await Wire.settle()
      at.lines[0]?.close()
      await at.pass(600)
      at.lines[1]?.close()
      await at.pass(1100)
      expect([0, 1, 2].map(at.auth)).toEqual([
        { bootstrapToken: "once" },
        { bootstrapToken: "once" },
        { deviceToken: "granted" }
      ])
      at.open.stop()
    })
  )

  it.effect("calls, fails with the hub's own code, and at once while there is no connection", () =>
    Effect.promise(async () => {
      const at = open()
      expect(await at.open.call("echo", {})).toMatchObject({ ok: false, code: "UNREACHABLE" })
      await Wire.settle()
      expect(await at.open.call("echo", { a: 1 })).toEqual({ ok: true, value: { echoed: { a: 1 } } })
      const refused = await at.open.call("no", {})
      expect(refused).toMatchObject({ ok: false, code: "CONFLICT", message: "too late" })
      const lost = at.open.call("never", {})
      at.lines[0]?.close()
      expect(await lost).toMatchObject({ ok: false, code: "UNREACHABLE" })
      await at.pass(600)
      const late = at.open.call("never", {})
      at.lines[1]?.tell({ type: "event", event: "tick", payload: {} })
      for (let i = 0; i < 6; i++) {
        await at.pass(5000)
        at.lines[1]?.tell({ type: "event", event: "tick", payload: {} })
      }
      expect(await late).toMatchObject({ ok: false, code: "UNREACHABLE", message: "the hub does not answer" })
      expect(at.open.connection()._tag).toBe("connected")
      at.open.stop()
    })
  )

  it.effect("tells of events, and of nothing after it was stopped", () =>
    Effect.promise(async () => {
      const at = open()
      const events: Array<unknown> = []
      at.open.listen({ event: (event, payload) => events.push([event, payload]) })
      await Wire.settle()
      at.lines[0]?.tell({ type: "event", event: "sessions.changed", payload: { a: 1 } })
      await Wire.settle()
      at.open.stop()
      at.lines[0]?.tell({ type: "event", event: "sessions.changed", payload: {} })
      expect(events).toEqual([["sessions.changed", { a: 1 }]])
      await at.pass(100_000)
      expect(at.lines.length).toBe(1)
      expect(at.size()).toBe(0)
    })
  )

  it.effect(
    "says for how long it waits, goes on at once when hurried, and calls offline what is offline",
    () =>
      Effect.promise(async () => {
        const at = open([{ code: "UNAVAILABLE", message: "gateway is stopping" }])
        await Wire.settle()
        expect(at.states.at(-1)).toEqual({
          _tag: "reconnecting",
          reason: "gateway is stopping",
          inMillis: 500
        })
        await at.pass(500)
        expect(at.states.at(-1)).toMatchObject({ _tag: "reconnecting", inMillis: 1000 })
        at.setOnline(false)
        at.open.hurry()
        await Wire.settle()
        expect(at.lines.length).toBe(3)
        expect(at.states.at(-1)).toEqual({ _tag: "offline", inMillis: 500 })
        expect(at.states.some(({ _tag }) => _tag === "connected")).toBe(false)
        at.open.stop()
      })
  )

  it.effect("asks a hub that is quiet for a sign of life, and calls one that is silent lost", () =>
    Effect.promise(async () => {
      const at = open()
      await at.pass(Gateway.QUIET_MILLIS + 5000)
      const [asked] = at.asked("health")
      expect(asked).toBeDefined()
      at.lines[0]?.answer(asked ?? {}, {})
      await at.pass(Gateway.PROBE_MILLIS + 5000)
      expect(at.open.connection()._tag).toBe("connected")
      await at.pass(Gateway.QUIET_MILLIS + Gateway.PROBE_MILLIS)
      expect(
        at.states.some((state) => state._tag === "reconnecting" && state.reason === "the hub fell silent")
      ).toBe(true)
      at.open.stop()
    })
  )

  it.effect("makes sure of a connection when it is hurried: after a sleep nobody may be there", () =>
    Effect.promise(async () => {
      const at = open()
      await Wire.settle()
      at.open.hurry()
      expect(at.asked("health")).toHaveLength(1)
      await at.pass(Gateway.WAKE_MILLIS)
      expect(at.lines.length).toBe(2)
      expect(at.states.map(({ _tag }) => _tag)).toEqual(["connected", "connecting", "connected"])
      at.open.stop()
    })
  )

  it.effect("gives up a hub that never greets", () =>
    Effect.promise(async () => {
      const at = Wire.world({ open: () => undefined })
      const gateway = Gateway.open(at.gateway, {
        credentials: at.credentials,
        ticket: token,
        displayName: "Test"
      })
      await at.pass(Gateway.PROBE_MILLIS)
      expect(gateway.connection()).toMatchObject({ _tag: "reconnecting", reason: "the hub fell silent" })
      gateway.stop()
    })
  )

  it.effect.each([
    [
      "hub",
      "the hub answers, but somebody in between lets no WebSockets through (a proxy has to pass on Upgrade)"
    ],
    ["other", "somebody between here and the hub answers in its place"],
    ["nobody", "the hub cannot be reached"]
  ] as const)("says why no socket is greeted where %s answers otherwise", ([answers, reason]) =>
    Effect.promise(async () => {
      // A proxy that passes no upgrade closes at once.
      const at = Wire.world({ open: (line) => line.close() })
      const gateway = Gateway.open(
        { ...at.gateway, who: () => Promise.resolve(answers) },
        { credentials: at.credentials, ticket: token, displayName: "Test" }
      )
      await Wire.settle()
      expect(gateway.connection()).toMatchObject({ _tag: "reconnecting", reason })
      gateway.stop()
    })
  )

  it.effect("does not ask who answers where the hub had greeted", () =>
    Effect.promise(async () => {
      let asked = 0
      const at = Wire.world({ request: (line, request) => line.answer(request, Wire.hello()) })
      const gateway = Gateway.open(
        { ...at.gateway, who: () => Promise.resolve(++asked > 0 ? "hub" : "other") },
        { credentials: at.credentials, ticket: token, displayName: "Test" }
      )
      await Wire.settle()
      at.lines[0]?.close()
      await Wire.settle()
      expect(gateway.connection()).toMatchObject({ _tag: "reconnecting", reason: "the connection was lost" })
      expect(asked).toBe(0)
      gateway.stop()
    })
  )

  it.effect("waits for approval, asking again, until somebody approves", () =>
    Effect.promise(async () => {
      const pairing = {
        code: "NOT_PAIRED",
        message: "pairing required",
        details: { code: "PAIRING_REQUIRED", requestId: "r1" }
      }
      const at = open([pairing, pairing, "good"], token)
      await Wire.settle()
      expect(at.open.connection()).toMatchObject({ _tag: "waiting", requestId: "r1" })
      await at.pass(2 * Gateway.APPROVAL_MILLIS)
      expect(at.open.connection()._tag).toBe("connected")
      // Never said to be anything else in between.
      expect(at.states.map(({ _tag }) => _tag)).toEqual(["waiting", "waiting", "connected"])
      at.open.stop()
    })
  )

  it.effect.each([
    [{ code: "AUTH_TOKEN_MISMATCH" }, "token", token],
    [{ code: "AUTH_BOOTSTRAP_TOKEN_INVALID", reason: "used" }, "code-used", code],
    [{ code: "AUTH_BOOTSTRAP_TOKEN_INVALID", reason: "expired" }, "code-expired", code],
    [{ code: "AUTH_BOOTSTRAP_TOKEN_INVALID", reason: "unknown" }, "code-unknown", code],
    [{ code: "AUTH_DEVICE_TOKEN_MISMATCH" }, "revoked", null],
    [{ code: "CONTROL_UI_ORIGIN_NOT_ALLOWED" }, "other", token]
  ] as const)("ends at %j as %s", ([details, refusal, ticket]) =>
    Effect.promise(async () => {
      const at = open([{ code: "INVALID_REQUEST", message: "unauthorized", details }], ticket)
      await at.pass(60_000)
      expect(at.open.connection()).toEqual({ _tag: "ended", refusal, message: "unauthorized" })
      expect(at.lines.length).toBe(1)
      // What was revoked is not kept.
      expect(at.credentials.grant()).toBeNull()
    })
  )

  it.effect("opens an old link as the device that is in already", () =>
    Effect.promise(async () => {
      const used = {
        code: "INVALID_REQUEST",
        message: "unauthorized",
        details: { code: "AUTH_BOOTSTRAP_TOKEN_INVALID", reason: "used" }
      }
      const at = Wire.world({
        request: (line, request, n) =>
          n === 0 ? line.refuse(request, used) : line.answer(request, Wire.hello())
      })
      at.credentials.keep({ deviceToken: "kept", scopes: [] })
      const gateway = Gateway.open(at.gateway, {
        credentials: at.credentials,
        ticket: code,
        displayName: "Test"
      })
      await Wire.settle()
      expect(gateway.connection()._tag).toBe("connected")
      expect(Wire.params(at.asked("connect")[1])["auth"]).toEqual({ deviceToken: "kept" })
      gateway.stop()
    })
  )

  it.effect("does not ask twice a second a hub that accepts and drops", () =>
    Effect.promise(async () => {
      const at = Wire.world({
        request: (line, request) => {
          line.answer(request, Wire.hello())
          line.close()
        }
      })
      const gateway = Gateway.open(at.gateway, {
        credentials: at.credentials,
        ticket: token,
        displayName: "Test"
      })
      await at.pass(60_000)
      expect(at.lines.length).toBeLessThan(10)
      gateway.stop()
    })
  )

  it.effect.prop(
    "takes any frame, and goes on",
    [FastCheck.array(FastCheck.oneof(FastCheck.string(), FastCheck.json()), { maxLength: 5 })],
    ([texts]) =>
      Effect.promise(async () => {
        const at = open()
        await Wire.settle()
        for (const text of texts) at.lines[0]?.raw(text)
        expect(await at.open.call("echo", {})).toMatchObject({ ok: true })
        at.open.stop()
      })
  )

  it.prop(
    "waits longer each time, up to a bound",
    [FastCheck.nat(100), FastCheck.double({ min: 0, max: 1, noNaN: true })],
    ([n, random]) => {
      const delay = Gateway.backoffMillis(n, random)
      expect(delay).toBeGreaterThanOrEqual(250)
      expect(delay).toBeLessThanOrEqual(15_000)
      expect(Gateway.backoffMillis(n + 1, random)).toBeGreaterThanOrEqual(delay)
    }
  )
})
