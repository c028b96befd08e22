import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as HubAddress from "../src/HubAddress.ts"

describe("the address of a hub, as it is typed", () => {
  it.each([
    ["http://127.0.0.1:4750", "http://127.0.0.1:4750"],
    ["http://127.0.0.1:4750/", "http://127.0.0.1:4750"],
    ["http://127.0.0.1:4750/#token=cw_secret", "http://127.0.0.1:4750"],
    ["  HTTPS://Hub.Domain.Org/Tools/causeway/// ", "https://hub.domain.org/Tools/causeway"],
    ["localhost:4750", "http://localhost:4750"],
    ["127.0.0.1", "http://127.0.0.1"],
    ["10.0.0.7:4750/causeway", "http://10.0.0.7:4750/causeway"],
    ["build-box:4750", "http://build-box:4750"],
    ["nas.local", "http://nas.local"],
    ["hub.domain.org", "https://hub.domain.org"],
    ["hub.domain.org:443", "https://hub.domain.org"],
    ["hub.domain.org:80", "http://hub.domain.org"],
    ["//hub.domain.org/x", "https://hub.domain.org/x"],
    ["::1", "http://[::1]"],
    ["[::1]:4750", "http://[::1]:4750"],
    ["http://::1/", "http://[::1]"],
    ["https://[2001:db8::1]:8443/a/", "https://[2001:db8::1]:8443/a"],
    ["ws://127.0.0.1:4750", "http://127.0.0.1:4750"],
    ["wss://hub.domain.org/gateway-of-ours", "https://hub.domain.org/gateway-of-ours"],
    ["https://bücher.example", "https://xn--bcher-kva.example"],
    ["http://hub:80", "http://hub"]
  ])("%s is %s", (text, address) => {
    expect(HubAddress.parse(text)).toEqual(Either.right(address))
  })

  it.each([
    "",
    "   ",
    "http://",
    "ftp://hub",
    "file:///etc/passwd",
    "http://user:hunter2@hub:4750",
    "user:hunter2@hub",
    "http://hub:0",
    "http://hub:99999",
    "hub:65536",
    "http://hub:4750?x=1",
    "http://hub name",
    "http://[fe80::1%25eth0]:4750",
    "fe80::1%eth0",
    "http://[::1",
    "http://256.256.256.256",
    "http:// hub",
    "\u0000"
  ])("%j is refused in one sentence that tells no secret", (text) => {
    const read = HubAddress.parse(text)
    expect(Either.isLeft(read)).toBe(true)
    if (Either.isLeft(read)) {
      expect(read.left).not.toContain("hunter2")
      expect(read.left).not.toContain("\n")
    }
  })

  it.prop(
    "whatever is taken is a URL, is taken again as it is, and ends in no slash",
    [FastCheck.oneof(FastCheck.string(), FastCheck.webUrl(), FastCheck.ipV6(), FastCheck.domain())],
    ([text]) => {
      const read = HubAddress.parse(text)
      if (Either.isLeft(read)) return
      expect(new URL(read.right).protocol).toMatch(/^https?:$/)
      expect(read.right.endsWith("/")).toBe(false)
      expect(HubAddress.parse(read.right)).toEqual(read)
    }
  )
})
