import * as Permission from "@causeway/protocol/Permission"
import { Audit } from "@causeway/store/Audit"
import { Tokens } from "@causeway/store/Tokens"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Hub from "../../src/Hub.ts"
import { connected, Device, layer, open, target } from "../Gateway/harness.ts"
import { call } from "../harness.ts"

it.scopedLive("the audit log tells who got in, was refused, made and ended what; owners read it", () =>
  Effect.gen(function* () {
    const at = yield* target
    const { organizationId } = yield* Hub.Hub
    const device = new Device()
    const owner = yield* connected(at, { scopes: Permission.allScopes }, device)
    const viewer = yield* (yield* Tokens).create({ organizationId, name: "viewer", role: "viewer" })
    const token = Redacted.value(viewer.token)
    // Again and again: one line.
    for (let n = 0; n < 5; n++) {
      const body = { name: "more" }
      expect((yield* call({ method: "POST", path: "/v1/access_tokens", token, body })).status).toBe(403)
      const client = yield* open(at)
      yield* Effect.promise(() => client.connect({ auth: { token: "cw_wrong" } }, new Device()))
    }
    const stranger = yield* open(at, { "x-forwarded-for": "10.0.0.9" })
    const asked = yield* Effect.promise(() => stranger.connect({ scopes: ["operator.read"] }, device))
    expect(asked["ok"]).toBe(true)
    const { sessionId } = yield* Effect.promise(() => owner.call("sessions.create", { key: "agent:main:x" }))
    expect(sessionId).toBeTypeOf("string")
    yield* Effect.promise(() => owner.call("sessions.delete", { key: "agent:main:x" }))
    yield* call({
      method: "POST",
      path: `/v1/access_tokens/${viewer.record.id}/revoke`,
      token: at.token
    })
    const { lines } = yield* Effect.promise(() => owner.call("causeway.audit.list", {}))
    const told = lines
      .toReversed()
      .map(({ action, author }: { action: string; author: { kind: string; role: string } | null }) =>
        author === null ? action : `${action} by ${author.kind} ${author.role}`
      )
    expect(told).toEqual([
      "token.created",
      "device.approved",
      "signed_in by device owner",
      "token.created",
      "refused",
      "refused",
      "session.deleted by device owner",
      "token.revoked by token owner"
    ])
    expect(JSON.stringify(lines)).not.toMatch(/cw_/)
    expect(yield* (yield* Audit).verify()).toMatchObject({ _tag: "Whole", lines: lines.length })
    const reader = yield* connected(at, { scopes: ["operator.read", "operator.write", "operator.pairing"] })
    const said = yield* Effect.promise(() => reader.refusal("causeway.audit.list", {}))
    expect(said["message"]).toBe("missing scope: operator.admin")
  }).pipe(Effect.provide(layer()))
)
