import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as PageAddress from "../src/PageAddress.ts"

const loopback: PageAddress.Interface = {
  name: "lo",
  address: "127.0.0.1",
  family: "IPv4",
  internal: true
}
const at = (name: string, address: string): PageAddress.Interface => ({
  name,
  address,
  family: address.includes(":") ? "IPv6" : "IPv4",
  internal: false
})

const hub = (host: string, publicUrl?: string) => ({ host, port: 4750, scheme: "http" as const, publicUrl })

describe("where others reach a hub", () => {
  it("that listens for this machine alone: nowhere", () => {
    for (const host of ["127.0.0.1", "127.8.8.8", "localhost", "::1"]) {
      expect(PageAddress.forOthers(hub(host), [loopback, at("eth0", "192.168.1.5")])).toEqual(Option.none())
    }
  })

  it("that has a public address: there, wherever it listens", () => {
    expect(PageAddress.forOthers(hub("127.0.0.1", "https://causeway.example/"), [])).toEqual(
      Option.some("https://causeway.example")
    )
  })

  it("that listens on one interface: there", () => {
    expect(PageAddress.forOthers(hub("192.168.7.7"), [])).toEqual(Option.some("http://192.168.7.7:4750"))
    expect(PageAddress.forOthers(hub("2001:db8::1"), [])).toEqual(Option.some("http://[2001:db8::1]:4750"))
  })

  it("that listens on all: the address that a phone is likeliest to reach", () => {
    const all = [
      loopback,
      at("docker0", "172.17.0.1"),
      at("eth0", "fe80::1"),
      at("eth0", "169.254.3.4"),
      at("eth1", "203.0.113.9"),
      at("wlan0", "192.168.1.5"),
      at("wlan0", "2001:db8::5")
    ]
    const best = (host: string, interfaces: ReadonlyArray<PageAddress.Interface>) =>
      Option.getOrNull(PageAddress.forOthers(hub(host), interfaces))
    expect(best("0.0.0.0", all)).toBe("http://192.168.1.5:4750")
    expect(best("0.0.0.0", all.slice(0, 5))).toBe("http://203.0.113.9:4750")
    expect(best("0.0.0.0", all.slice(0, 2))).toBe("http://172.17.0.1:4750")
    expect(best("0.0.0.0", [loopback, at("eth0", "fe80::1"), at("eth0", "2001:db8::5")])).toBeNull()
    expect(best("::", [loopback, at("eth0", "fe80::1"), at("eth0", "2001:db8::5")])).toBe(
      "http://[2001:db8::5]:4750"
    )
  })

  it.prop(
    "is always an address that can be opened, and never this machine's own loopback",
    [
      FastCheck.constantFrom("0.0.0.0", "::"),
      FastCheck.array(
        FastCheck.record({
          name: FastCheck.constantFrom("lo", "eth0", "docker0", "wlan0"),
          address: FastCheck.oneof(FastCheck.ipV4(), FastCheck.ipV6())
        }).map(({ name, address }) => ({ ...at(name, address), internal: name === "lo" }))
      )
    ],
    ([host, all]) => {
      const url = Option.getOrUndefined(PageAddress.forOthers(hub(host), all))
      if (url === undefined) return
      const { hostname, port } = new URL(url)
      expect(port).toBe("4750")
      const plain = (address: string) =>
        address.includes(":")
          ? new URL(`http://[${address}]`).hostname
          : new URL(`http://${address}`).hostname
      expect(all.filter(({ internal }) => !internal).map(({ address }) => plain(address))).toContain(hostname)
    }
  )

  it("carries a code behind the mark that is never sent", () => {
    const url = new URL(PageAddress.withCode("https://causeway.example/x", Redacted.make("7K3M-9QWX")))
    expect([url.pathname, url.search, url.hash]).toEqual(["/x/", "", "#code=7K3M-9QWX"])
  })
})
