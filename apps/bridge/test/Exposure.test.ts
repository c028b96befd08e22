import { describe, expect, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Exposure from "../src/Exposure.ts"

type Given = {
  readonly [F in keyof Parameters<typeof Exposure.refusal>[0]]?: string | boolean
}

const refused = (given: Given) => {
  const text = (name: keyof Given) => Option.fromNullable(given[name] as string | undefined)
  return Exposure.refusal({
    host: text("host"),
    publicUrl: text("publicUrl"),
    tlsCert: text("tlsCert"),
    tlsKey: text("tlsKey"),
    trustedProxy: Option.none(),
    trustedNetwork: given.trustedNetwork === true,
    behindProxy: given.behindProxy === true,
    withoutAuthentication: given.withoutAuthentication === true
  })?.message
}

describe("a hub that listens beyond this machine", () => {
  const host = "0.0.0.0"

  it("needs a word on who encrypts, or that nobody has to", () => {
    for (const plain of [host, "::", "192.168.1.5", "box.corp", "127.0.0.1.evil.example"]) {
      expect(refused({ host: plain })).toMatch(/without TLS: tokens and conversations could be read/)
      expect(refused({ host: plain, publicUrl: "http://hub.corp" })).toMatch(/without TLS/)
      expect(refused({ host: plain, trustedNetwork: true })).toBeUndefined()
      expect(refused({ host: plain, behindProxy: true })).toBeUndefined()
      expect(refused({ host: plain, publicUrl: "https://hub.corp" })).toBeUndefined()
      expect(refused({ host: plain, tlsCert: "c", tlsKey: "k" })).toBeUndefined()
    }
    for (const own of ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
      expect(refused({ host: own })).toBeUndefined()
    expect(refused({})).toBeUndefined()
  })

  it("has both files of TLS, or neither", () => {
    expect(refused({ tlsCert: "c" })).toMatch(/belong together/)
    expect(refused({ host, tlsKey: "k" })).toMatch(/belong together/)
  })

  it("never lets everybody in", () => {
    const withoutAuthentication = true
    expect(refused({ withoutAuthentication })).toBeUndefined()
    for (const exposed of [
      { host, trustedNetwork: true },
      { host, tlsCert: "c", tlsKey: "k" },
      { behindProxy: true },
      { publicUrl: "https://hub.corp" }
    ]) {
      expect(refused({ ...exposed, withoutAuthentication })).toMatch(/it is for this machine alone/)
    }
  })
})
