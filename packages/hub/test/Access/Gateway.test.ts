import * as Permission from "@causeway/protocol/Permission"
import * as Permissions from "@causeway/protocol/Permissions"
import { Organizations } from "@causeway/store/Organizations"
import { Tokens } from "@causeway/store/Tokens"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { AccessTable } from "../../src/Auth/AccessTable.ts"
import * as Hub from "../../src/Hub.ts"
import { connected, Device, type Frame, layer, open, target } from "../Gateway/harness.ts"

const names = Object.keys(Permissions.methods) as ReadonlyArray<Permissions.MethodName>

/** No scope, each, each two of them, and all. */
const scopeSets = Array.from({ length: 1 << Permission.allScopes.length }, (_, set) =>
  Permission.allScopes.filter((_scope, at) => (set & (1 << at)) !== 0)
).filter(({ length }) => length < 3 || length === Permission.allScopes.length)

const refused = /^(missing scope|unauthorized role|these events need)/

/** Calls every method with these sets of scopes; answers with what did not do as the published table says. */
const mismatches = (sets: ReadonlyArray<ReadonlyArray<string>>) =>
  Effect.gen(function* () {
    const at = yield* target
    const wrong: Array<string> = []
    for (const scopes of sets) {
      const client = yield* connected(at, { scopes })
      yield* Effect.promise(() =>
        Promise.all(
          names.map(async (name) => {
            const answer = await client.request(name, {})
            const said: string = answer["error"]?.message ?? ""
            const needs: Permissions.MethodNeeds = Permissions.methods[name]
            const may = needs.length === 0 || Permission.allows(Permission.permissionsOfScopes(scopes), needs)
            if (may === refused.test(said)) wrong.push(`${name} with [${scopes.join(", ")}]: ${said}`)
          })
        )
      )
    }
    return wrong
  })

/** Parameters by which a method reaches a session of the caller's; the others need none. */
const params = (session: { readonly key: string; readonly id: string }): Frame => ({
  key: session.key,
  sessionKey: session.key,
  sessionId: session.id,
  keys: [session.key]
})

describe("every method, with sets of scopes", () => {
  it.scopedLive("does as its line of the permission table says", () =>
    Effect.gen(function* () {
      expect(yield* mismatches(scopeSets)).toEqual([])
    }).pipe(Effect.provide(layer()))
  )

  it.scopedLive("is found out where it is enforced by another line", () =>
    Effect.gen(function* () {
      expect(
        [
          ...new Set(
            (yield* mismatches(scopeSets.filter(({ length }) => length < 2))).map(
              (each) => each.split(" ")[0]
            )
          )
        ].sort()
      ).toEqual(["causeway.approvals.answer", "device.pair.remove"])
    }).pipe(
      Effect.provide(
        Layer.provide(
          layer(),
          Layer.succeed(AccessTable, {
            endpoints: Permissions.endpoints,
            methods: {
              ...Permissions.methods,
              "causeway.approvals.answer": ["sessions.write"],
              "device.pair.remove": ["sessions.manage"]
            }
          })
        )
      )
    )
  )

  it.scopedLive("tells nothing of another organisation's session", () =>
    Effect.gen(function* () {
      const at = yield* target
      const own = yield* connected(at, { scopes: Permission.allScopes })
      const made = yield* Effect.promise(() =>
        own.call("sessions.create", { label: "planted-word", message: "planted-word" })
      )
      const id: string = made["sessionId"]
      const other = yield* (yield* Organizations).create("other")
      const { token } = yield* (yield* Tokens).create({ organizationId: other.id, name: "theirs" })
      const theirs = yield* connected(
        { ...at, token: Redacted.value(token) },
        { scopes: Permission.allScopes, auth: { token: Redacted.value(token) } }
      )
      const told: Array<string> = []
      // One after the other: some of them make sessions.
      for (const name of names) {
        const accepted = Object.entries(params({ key: made["key"], id })).map(([member, value]) => ({
          [member]: value
        }))
        for (const given of [{}, ...accepted]) {
          const answer = yield* Effect.promise(() => theirs.request(name, given))
          const text = JSON.stringify(answer["payload"] ?? "")
          if (text.includes("planted-word") || text.includes(id)) told.push(`${name}: ${text}`)
        }
      }
      expect(told).toEqual([])
      const still = yield* Effect.promise(() => own.call("sessions.describe", { key: made["key"] }))
      expect(still["session"]).toMatchObject({ sessionId: id })
    }).pipe(Effect.provide(layer()))
  )
})

describe("an access token's role", () => {
  it.scopedLive("bounds the scopes of whoever signs in with it", () =>
    Effect.gen(function* () {
      const at = yield* target
      const hub = yield* Hub.Hub
      const tokens = yield* Tokens
      const granted = yield* Effect.forEach(Permission.Role.literals, (role) =>
        Effect.gen(function* () {
          const made = yield* tokens.create({ organizationId: hub.organizationId, name: role, role })
          const auth = { token: Redacted.value(made.token) }
          const client = yield* open(at)
          const hello = yield* Effect.promise(() =>
            client.connect({ auth, scopes: Permission.allScopes }, new Device())
          )
          return [role, hello["payload"]?.auth.scopes ?? hello["error"].details.code]
        })
      )
      expect(granted).toEqual([
        ["owner", [...Permission.allScopes].sort()],
        ["operator", ["operator.approvals", "operator.read", "operator.write"]],
        ["approver", ["operator.approvals", "operator.read"]],
        ["viewer", ["operator.read"]],
        ["bridge", "AUTH_ROLE_REFUSED"]
      ])
    }).pipe(Effect.provide(layer()))
  )

  it.scopedLive("bounds a device that was approved for more", () =>
    Effect.gen(function* () {
      const at = yield* target
      const hub = yield* Hub.Hub
      const device = new Device()
      yield* connected(at, { scopes: Permission.allScopes }, device)
      const viewer = yield* (yield* Tokens).create({
        organizationId: hub.organizationId,
        name: "viewer",
        role: "viewer"
      })
      const client = yield* connected(
        at,
        { scopes: Permission.allScopes, auth: { token: Redacted.value(viewer.token) } },
        device
      )
      const said = yield* Effect.promise(() => client.refusal("device.pair.list", {}))
      expect(said["message"]).toBe("missing scope: operator.pairing")
    }).pipe(Effect.provide(layer()))
  )
})

describe("a pairing request", () => {
  const elsewhere = { "x-forwarded-for": "10.0.0.9" }

  it.scopedLive("that is asked again in another way is another request", () =>
    Effect.gen(function* () {
      const at = yield* target
      const admin = yield* connected(at, { scopes: Permission.allScopes })
      const device = new Device()
      const ask = (scopes: ReadonlyArray<string>) =>
        Effect.gen(function* () {
          const client = yield* open(at, elsewhere)
          const refusal = yield* Effect.promise(() => client.connect({ scopes }, device))
          return String(refusal["error"].details.requestId)
        })
      const approve = (params: Frame) => Effect.promise(() => admin.refusal("device.pair.approve", params))
      const reading = yield* ask(["operator.read"])
      expect(yield* ask(["operator.read"])).toBe(reading)
      const all = yield* ask([...Permission.allScopes])
      expect(all).not.toBe(reading)
      expect(yield* approve({ requestId: reading })).toMatchObject({ message: "unknown requestId" })
      expect(yield* approve({ requestId: all, scopes: ["operator.read"] })).toMatchObject({
        message: `the device asks for the scopes ${[...Permission.allScopes].sort().join(", ")}, not operator.read`
      })
      expect(yield* approve({ requestId: all, role: "node" })).toMatchObject({
        message: "the device asks for the role operator, not node"
      })
      const named = { requestId: all, role: "operator", scopes: Permission.allScopes }
      const { device: approved } = yield* Effect.promise(() => admin.call("device.pair.approve", named))
      expect(approved).toMatchObject({ deviceId: device.id, scopes: [...Permission.allScopes].sort() })
    }).pipe(Effect.provide(layer()))
  )
})

describe("a device that only manages devices", () => {
  it.scopedLive("does not end or rotate one that may more, but itself and its equals", () =>
    Effect.gen(function* () {
      const at = yield* target
      const [owner, equal, own] = [new Device(), new Device(), new Device()]
      yield* connected(at, { scopes: Permission.allScopes }, owner)
      yield* connected(at, { scopes: ["operator.pairing"] }, equal)
      const client = yield* connected(at, { scopes: ["operator.pairing"] }, own)
      const call = (method: string, { id }: Device) =>
        Effect.map(
          Effect.promise(() => client.request(method, { deviceId: id })),
          (answer) => answer["error"]?.message ?? "done"
        )
      for (const method of ["device.pair.remove", "device.token.rotate"]) {
        expect(yield* call(method, owner)).toBe("missing scope: operator.admin")
      }
      expect(yield* call("device.pair.remove", equal)).toBe("done")
      expect(yield* call("device.pair.remove", own)).toBe("done")
    }).pipe(Effect.provide(layer()))
  )
})
