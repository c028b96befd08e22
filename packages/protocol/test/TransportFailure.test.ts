import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as TransportFailure from "../src/TransportFailure.ts"

const coded = (code: string, more: object = {}) => Object.assign(new Error(`${code} x`), { code, ...more })

describe("a call that found no server", () => {
  it.each([
    ["ENOTFOUND", "the name hub.org is not known"],
    ["EAI_AGAIN", "could not be looked up"],
    ["ECONNREFUSED", "nothing listens at hub.org:4750"],
    ["ECONNRESET", "closed the connection"],
    ["UND_ERR_CONNECT_TIMEOUT", "no connection in time"],
    ["ENETUNREACH", "no way from this machine"],
    ["CERT_HAS_EXPIRED", "has expired"],
    ["CERT_NOT_YET_VALID", "clock"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "NODE_EXTRA_CA_CERTS"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "NODE_EXTRA_CA_CERTS"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "is not for hub.org"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "http://hub.org:4750"],
    ["HPE_INVALID_CONSTANT", "https://hub.org:4750"]
  ])("%s is told as: %s", (code, words) => {
    for (const error of [
      coded(code),
      new Error("fetch failed", { cause: coded(code) }),
      new AggregateError([coded(code), coded(code)], "all"),
      { type: "error", error: coded(code) }
    ]) {
      expect(TransportFailure.describe(error, "https://hub.org:4750/v1").words).toContain(words)
      expect(TransportFailure.describe(error, "https://hub.org:4750/v1").code).toBe(code)
    }
  })

  it("names who issued the certificate", () => {
    const certificate = { subject: "hub.org", issuer: "The Office CA", validTo: "Jan 1 2027" }
    const { words } = TransportFailure.describe(
      coded("SELF_SIGNED_CERT_IN_CHAIN", { certificate }),
      "https://hub.org"
    )
    expect(words).toContain("issued to hub.org by The Office CA")
  })

  it("tells what the proxy wants", () => {
    const refused = (status: number) => new Error(`Proxy response (${status}) !== 200 when HTTP Tunneling`)
    expect(TransportFailure.describe(refused(407), "https://hub.org").words).toContain("user and password")
    expect(TransportFailure.describe(refused(502), "https://hub.org").words).toContain("502")
  })

  it.prop("is one line, whatever it failed with", [FastCheck.anything()], ([error]) => {
    const { words } = TransportFailure.describe(error, "nonsense")
    expect(words).not.toBe("")
    expect(words).not.toMatch(/[\n\r]/)
  })
})
