import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Forwarded from "../src/Forwarded.ts"
import * as Networks from "../src/Networks.ts"
import * as PublicUrl from "../src/PublicUrl.ts"

const trusted = Either.getOrThrow(Networks.parse(["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"]))
const read = (headers: Forwarded.Headers, peer = "127.0.0.1") =>
  Forwarded.read({ peer, headers: { host: "hub:4750", ...headers } }, trusted)
const told = (headers: Forwarded.Headers, peer?: string) => PublicUrl.of(undefined, read(headers, peer))

describe("what a trusted proxy says", () => {
  it("the scheme, in a list, in another case, in either kind of header", () => {
    for (const headers of [
      { "x-forwarded-proto": "https" },
      { "x-forwarded-proto": "https,http" },
      { "x-forwarded-proto": ["https", "http"] },
      { "x-forwarded-proto": " HTTPS , http" },
      { "x-forwarded-proto": "wss" },
      { forwarded: "for=192.0.2.1;proto=https" },
      { forwarded: 'For="[2001:db8::1]:4711"; Proto=HTTPS, for=10.0.0.2;proto=http' },
      { forwarded: 'proto="https"' }
    ] satisfies ReadonlyArray<Forwarded.Headers>) {
      expect({ headers, told: told(headers) }).toEqual({ headers, told: "https://hub:4750" })
    }
    for (const proto of ["http", "http,https", "ftp", "", "https;x"]) {
      expect(told({ "x-forwarded-proto": proto })).toBe("http://hub:4750")
    }
  })

  it("the host and the path, where they can stand in an address", () => {
    for (const [headers, address] of [
      [{ "x-forwarded-host": "causeway.corp" }, "http://causeway.corp"],
      [{ "x-forwarded-host": "causeway.corp:8443, inner" }, "http://causeway.corp:8443"],
      [{ forwarded: 'host="[2001:db8::1]:8443"' }, "http://[2001:db8::1]:8443"],
      [{ "x-forwarded-host": "a/b" }, "http://hub:4750"],
      [{ "x-forwarded-host": "me@evil" }, "http://hub:4750"],
      [{ "x-forwarded-prefix": "/tools/causeway/" }, "http://hub:4750/tools/causeway"],
      [{ "x-forwarded-prefix": "//evil" }, "http://hub:4750"],
      [{ "x-forwarded-prefix": "/a?b" }, "http://hub:4750"],
      [{ "x-forwarded-host": "x\r\ny", host: "a b" }, "http://127.0.0.1"]
    ] as const) {
      expect({ headers, told: told(headers) }).toEqual({ headers, told: address })
    }
  })

  it("who asks: the last address that no trusted proxy has, not what a caller wrote before it", () => {
    for (const [headers, address] of [
      [{ "x-forwarded-for": "203.0.113.5" }, "203.0.113.5"],
      [{ "x-forwarded-for": "127.0.0.1, 203.0.113.5" }, "203.0.113.5"],
      [{ "x-forwarded-for": "198.51.100.1, 203.0.113.5, 10.1.1.1" }, "203.0.113.5"],
      [{ "x-forwarded-for": "203.0.113.5:4711" }, "203.0.113.5"],
      [{ "x-forwarded-for": "[2001:db8::5]:4711" }, "2001:db8::5"],
      [{ "x-forwarded-for": "2001:db8::5, 2001:db8:1::9" }, "2001:db8::5"],
      [{ "x-forwarded-for": "203.0.113.5, unknown" }, "127.0.0.1"],
      [{ forwarded: 'for="[2001:db8::5]:80", for=10.0.0.3' }, "2001:db8::5"],
      [{ forwarded: 'for="a,b;c\\"", for=_hidden' }, "127.0.0.1"],
      // A proxy that writes one kind passes on the other as its caller wrote it.
      [{ "x-forwarded-for": "203.0.113.5", forwarded: "for=198.51.100.1" }, "127.0.0.1"],
      [{ "x-forwarded-for": "203.0.113.5", forwarded: "for=203.0.113.5" }, "203.0.113.5"],
      [{}, "127.0.0.1"]
    ] as const) {
      expect({ headers, address: read(headers).address }).toEqual({ headers, address })
    }
  })

  it("whatever a caller puts before it, the address is the one that the proxy saw", () => {
    const address = FastCheck.ipV4().filter((each) => !trusted.has(each))
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.string()), address, (before, seen) => {
        const clean = before.map((each) => each.replaceAll('"', ""))
        expect(read({ "x-forwarded-for": [...clean, seen].join(", ") }).address).toBe(seen)
      })
    )
  })
})

describe("what anybody else says", () => {
  it("changes nothing but that the caller is not beside the hub", () => {
    const header = FastCheck.constantFrom(
      "forwarded",
      "x-forwarded-for",
      "x-forwarded-host",
      "x-forwarded-prefix",
      "x-forwarded-proto",
      "x-real-ip",
      "via"
    )
    const value = FastCheck.oneof(
      FastCheck.constantFrom(
        "https",
        "evil.example",
        "127.0.0.1",
        "/x",
        "for=127.0.0.1;proto=https;host=evil"
      ),
      FastCheck.string()
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.dictionary(header, value, { minKeys: 1 }), (headers) => {
        expect(read(headers, "192.0.2.1")).toEqual({
          address: "192.0.2.1",
          proxied: true,
          scheme: "http",
          host: "hub:4750",
          prefix: ""
        })
      })
    )
  })
})

describe("an address that this hub was told to have", () => {
  it("is told to everybody, whatever they and their proxies say", () => {
    const caller = read({ "x-forwarded-proto": "http", "x-forwarded-host": "inner" })
    expect(PublicUrl.of("https://host/tools/causeway/", caller)).toBe("https://host/tools/causeway")
  })

  it("its path is taken off where it stands, whole", () => {
    expect(PublicUrl.basePath("https://host/tools/causeway/")).toBe("/tools/causeway")
    expect(PublicUrl.basePath("https://host/")).toBe("")
    expect(PublicUrl.basePath(undefined)).toBe("")
    for (const [path, behind] of [
      ["/tools/causeway/gateway", "/gateway"],
      ["/tools/causeway/", "/"],
      ["/tools/causeway", ""],
      ["/tools/causewayx", undefined],
      ["/gateway", undefined]
    ] as const) {
      expect(PublicUrl.within("/tools/causeway", path)).toBe(behind)
    }
    expect(PublicUrl.within("", "/gateway")).toBe(undefined)
  })
})
