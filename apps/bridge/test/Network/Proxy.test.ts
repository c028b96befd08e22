import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Proxy from "../../src/Network/Proxy.ts"

const through = (environment: Proxy.Variables, url: string): string | undefined =>
  Either.getOrThrow(Proxy.route(environment))(new URL(url))?.href

const both = { HTTPS_PROXY: "http://secure:3128", HTTP_PROXY: "plain:3128" }

describe("the way to an address", () => {
  it("is the proxy of its scheme, small letters first, and of all", () => {
    expect(through(both, "https://hub.org/x")).toBe("http://secure:3128/")
    expect(through(both, "wss://hub.org")).toBe("http://secure:3128/")
    expect(through(both, "http://hub.org")).toBe("http://plain:3128/")
    expect(through({ ...both, https_proxy: "http://mine:1" }, "https://hub.org")).toBe("http://mine:1/")
    expect(through({ ALL_PROXY: "http://all:1" }, "ws://hub.org")).toBe("http://all:1/")
    expect(through({}, "https://hub.org")).toBeUndefined()
    expect(through({ HTTPS_PROXY: "" }, "https://hub.org")).toBeUndefined()
  })

  it.each([
    ["*", "https://hub.org"],
    ["hub.org", "https://hub.org"],
    ["hub.org", "https://a.hub.org"],
    [".hub.org", "https://a.hub.org"],
    ["*.hub.org", "https://a.hub.org"],
    ["HUB.org", "https://Hub.ORG"],
    ["other, hub.org:8443", "https://hub.org:8443"],
    ["hub.org:443", "https://hub.org"],
    ["10.0.0.0/8", "http://10.1.2.3:4750"],
    ["192.168.1.7", "http://192.168.1.7"],
    ["fd00::/8", "http://[fd00::1]:4750"],
    ["[fd00::1]", "http://[fd00::1]"],
    ["", "http://127.0.0.1:4750"],
    ["", "http://127.5.5.5"],
    ["", "http://[::1]:4750"],
    ["", "http://localhost:4750"]
  ])("is direct with NO_PROXY=%s to %s", (NO_PROXY, url) => {
    expect(through({ ...both, NO_PROXY }, url)).toBeUndefined()
  })

  it.each([
    ["hub.org", "https://nothub.org"],
    ["hub.org:8443", "https://hub.org"],
    ["10.0.0.0/8", "http://11.1.2.3"],
    ["hub", "https://hub.org"],
    [".", "https://hub.org"],
    ["0.0.0.1", "http://10.0.0.1"]
  ])("is the proxy with NO_PROXY=%s to %s", (NO_PROXY, url) => {
    expect(through({ ...both, NO_PROXY }, url)).toBeDefined()
  })

  it.each(["socks5://proxy:1080", "http://", "http://us er:x"])(
    "cannot be read from %s, in words",
    (HTTPS_PROXY) => {
      const read = Proxy.route({ HTTPS_PROXY })
      expect(Either.isLeft(read) && read.left).toContain("HTTPS_PROXY")
    }
  )

  it.prop(
    "never fails on what stands in NO_PROXY, and never leads to this machine through a proxy",
    [FastCheck.string()],
    ([NO_PROXY]) => {
      expect(through({ ...both, NO_PROXY }, "http://127.0.0.1:4750")).toBeUndefined()
    }
  )
})
