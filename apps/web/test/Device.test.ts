import { createHash, createPublicKey, verify } from "node:crypto"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Credentials from "../src/Credentials.ts"
import * as Device from "../src/Device.ts"
import * as Wire from "./Wire.ts"

const bytes = (length: number) => FastCheck.uint8Array({ minLength: length, maxLength: length })

describe("Device", () => {
  it.prop(
    "proves what another implementation of Ed25519 accepts, over every field",
    [bytes(Device.KEY_BYTES), FastCheck.string(), FastCheck.string(), FastCheck.nat()],
    ([key, token, nonce, signedAt]) => {
      const device = Device.of(key)
      const raw = Buffer.from(device.publicKey, "base64url")
      expect(device.id).toBe(createHash("sha256").update(raw).digest("hex"))
      const proof = device.prove({
        clientId: "openclaw-control-ui",
        clientMode: "ui",
        role: "operator",
        scopes: ["operator.read", "operator.write"],
        token,
        nonce,
        platform: " Web ",
        signedAt
      })
      expect(proof).toMatchObject({ id: device.id, publicKey: device.publicKey, signedAt, nonce })
      const text = `v3|${device.id}|openclaw-control-ui|ui|operator|operator.read,operator.write|${signedAt}|${token}|${nonce}|web|`
      const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw])
      const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" })
      expect(verify(null, Buffer.from(text), publicKey, Buffer.from(proof.signature, "base64url"))).toBe(true)
    }
  )

  it.prop("writes and reads base64url as others do", [FastCheck.uint8Array({ maxLength: 70 })], ([given]) => {
    const text = Buffer.from(given).toString("base64url")
    expect(Device.toBase64url(given)).toBe(text)
    expect(Device.fromBase64url(text)).toEqual(new Uint8Array(given))
  })

  it("reads no base64url that is none", () => {
    for (const text of ["a", "a=", "+/", "é", " "]) expect(Device.fromBase64url(text)).toBeUndefined()
  })

  it.each([
    [
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
      "Chrome on Linux"
    ],
    [
      "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36",
      "Chrome on Android"
    ],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
      "Safari on iOS"
    ],
    [
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0",
      "Firefox on macOS"
    ],
    [
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
      "Edge on Windows"
    ],
    ["", "Browser on unknown system"]
  ])("knows %s", (agent, name) => {
    expect(Device.nameOf(agent)).toBe(name)
  })
})

describe("Credentials", () => {
  it("makes one key for all tabs, and keeps it over loads", () => {
    const store = Wire.storage()
    let made = 0
    const tab = () => Credentials.make(store, (length) => new Uint8Array(length).fill(++made))
    const [first, second] = [tab(), tab()]
    expect(second.device().id).toBe(first.device().id)
    expect(tab().device().id).toBe(first.device().id)
    expect(made).toBe(1)
    expect(first.device()).toBe(first.device())
  })

  it("makes another key where what is kept is none", () => {
    for (const text of ["", "x", "AAAA", "é"]) {
      const store = Wire.storage()
      store.set("device-key", text)
      const { id } = Credentials.make(store, Wire.random).device()
      expect(Credentials.make(store, () => new Uint8Array(32)).device().id).toBe(id)
    }
  })

  it("keeps a grant until it is forgotten, for every tab, and reads nothing of a broken one", () => {
    const store = Wire.storage()
    const credentials = Credentials.make(store, Wire.random)
    expect(credentials.grant()).toBeNull()
    credentials.keep({ deviceToken: "t", scopes: ["operator.read"] })
    const other = Credentials.make(store, Wire.random)
    expect(other.grant()).toEqual({ deviceToken: "t", scopes: ["operator.read"] })
    other.forget()
    expect(credentials.grant()).toBeNull()
    for (const text of ["", "{", "null", "[]", '{"deviceToken":""}', '{"deviceToken":7}']) {
      store.set(Credentials.GRANT, text)
      expect(credentials.grant()).toBeNull()
    }
  })

  it("takes an earlier version's access token once", () => {
    const store = Wire.storage()
    store.set("token", "cw_1")
    expect(Credentials.takeLegacy(store)).toEqual({ _tag: "Token", token: "cw_1" })
    expect(Credentials.takeLegacy(store)).toBeNull()
    expect(store.entries.size).toBe(0)
  })
})
