import { createECDH } from "node:crypto"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Devices from "../src/Devices.ts"
import * as PushSubscriptions from "../src/PushSubscriptions.ts"
import * as fixtures from "./fixtures.ts"

const layer = (filename?: string) =>
  Layer.provideMerge(Layer.merge(PushSubscriptions.layer, Devices.layer), fixtures.layer(filename))

const pair = (organizationId: OrganizationId, deviceId: string) =>
  Effect.flatMap(Devices.Devices, (devices) =>
    devices.approve(
      {
        organizationId,
        deviceId,
        publicKey: "key",
        displayName: undefined,
        platform: "web",
        deviceFamily: "",
        clientId: "openclaw-control-ui",
        clientMode: "ui"
      },
      "operator",
      ["operator.read"]
    )
  )

const at = (organizationId: OrganizationId, deviceId: string, name: string) => ({
  organizationId,
  deviceId,
  endpoint: `https://push.example/${name}`,
  p256dh: "p",
  auth: "a"
})

describe("the hub's key", () => {
  it.scoped("is a pair on P-256, and the same after a restart", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const filename = `${yield* fs.makeTempDirectoryScoped()}/hub.db`
      const key = Effect.provide(
        Effect.map(PushSubscriptions.PushSubscriptions, (all) => all.vapidKey),
        layer(filename)
      )
      const first = yield* key
      const second = yield* key
      expect(second.publicKey).toBe(first.publicKey)
      expect(Redacted.value(second.privateKey)).toBe(Redacted.value(first.privateKey))
      const number = Buffer.from(Redacted.value(first.privateKey), "base64url")
      expect(number).toHaveLength(32)
      const curve = createECDH("prime256v1")
      curve.setPrivateKey(number)
      expect(curve.getPublicKey("base64url")).toBe(first.publicKey)
    }).pipe(Effect.provide(NodeContext.layer))
  )
})

describe("subscriptions", () => {
  it.effect("of one device are its ten newest, and one again is no other", () =>
    Effect.gen(function* () {
      const all = yield* PushSubscriptions.PushSubscriptions
      const { id } = yield* fixtures.organization("org")
      yield* pair(id, "device")
      for (let i = 0; i < 12; i++) yield* all.add(at(id, "device", String(i)))
      yield* all.add({ ...at(id, "device", "5"), auth: "newer" })
      const kept = yield* all.list(id)
      expect(kept.map(({ endpoint }) => endpoint.replace(/.*\//, "")).sort()).toEqual(
        ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"].sort()
      )
      expect(kept.find(({ endpoint }) => endpoint.endsWith("/5"))?.auth).toBe("newer")
    }).pipe(Effect.provide(layer()))
  )

  it.effect("go with their device, and none is made for a device that is gone or another's", () =>
    Effect.gen(function* () {
      const all = yield* PushSubscriptions.PushSubscriptions
      const devices = yield* Devices.Devices
      const [a, b] = yield* Effect.all([fixtures.organization("a"), fixtures.organization("b")])
      yield* pair(a.id, "device")
      expect(yield* all.add(at(b.id, "device", "x"))).toBe(false)
      expect(yield* all.add(at(a.id, "device", "x"))).toBe(true)
      expect(yield* all.organizations).toEqual([a.id])
      yield* all.remove("another", at(a.id, "device", "x").endpoint)
      expect(yield* all.list(a.id)).toHaveLength(1)
      yield* devices.remove(a.id, "device")
      expect(yield* all.organizations).toEqual([])
      expect(yield* all.add(at(a.id, "device", "x"))).toBe(false)
      // One that another organisation takes over leaves them behind too.
      yield* pair(a.id, "device")
      yield* all.add(at(a.id, "device", "x"))
      yield* pair(b.id, "device")
      expect(yield* all.organizations).toEqual([])
    }).pipe(Effect.provide(layer()))
  )
})
