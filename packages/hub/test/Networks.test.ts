import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Networks from "../src/Networks.ts"

const of = (...entries: ReadonlyArray<string>) => Either.getOrThrow(Networks.parse(entries))

describe("networks", () => {
  it("hold addresses and networks of both kinds, however an address is spelt", () => {
    const some = of("127.0.0.1", "10.0.0.0/8", "[::1]", "fd00::/8", "fe80::/10", " 192.0.2.7 ")
    for (const address of [
      "127.0.0.1",
      "::ffff:127.0.0.1",
      "10.255.0.1",
      "::1",
      "[::1]",
      "0:0:0:0:0:0:0:1",
      "fd12::5",
      "fe80::1%eth0",
      "192.0.2.7"
    ]) {
      expect({ address, has: some.has(address) }).toEqual({ address, has: true })
    }
    for (const address of ["127.0.0.2", "11.0.0.1", "::2", "2001:db8::1", "", "localhost", undefined]) {
      expect({ address, has: some.has(address) }).toEqual({ address, has: false })
    }
    expect(Networks.none.has("127.0.0.1")).toBe(false)
  })

  it("what is none is refused with its own words and an example", () => {
    for (const entry of [
      "proxy.corp",
      "10.0.0.0/33",
      "10.0.0/8",
      "::1/129",
      "300.1.1.1",
      "10.0.0.0/",
      "*",
      ""
    ]) {
      expect(Networks.parse(["127.0.0.1", entry])).toMatchObject({
        _tag: "Left",
        left: expect.stringContaining(
          `${JSON.stringify(entry)} is no IP address and no network; give one like`
        )
      })
    }
  })

  it("a network holds exactly the addresses that begin with its bits", () => {
    const octets = FastCheck.tuple(...[0, 1, 2, 3].map(() => FastCheck.integer({ min: 0, max: 255 })))
    const value = (parts: ReadonlyArray<number>) => parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n)
    FastCheck.assert(
      FastCheck.property(octets, octets, FastCheck.integer({ min: 0, max: 32 }), (net, address, bits) => {
        const shift = BigInt(32 - bits)
        expect(of(`${net.join(".")}/${bits}`).has(address.join("."))).toBe(
          value(net) >> shift === value(address) >> shift
        )
      })
    )
  })
})
