import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Addresses from "../../src/Push/Addresses.ts"

const byte = FastCheck.integer({ min: 0, max: 255 })
const group = FastCheck.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16))

/** IPv4 addresses of private and other special networks, as their four numbers. */
const privateV4 = FastCheck.oneof(
  FastCheck.tuple(FastCheck.constantFrom(0, 10, 127, 224, 240, 255), byte, byte, byte),
  FastCheck.tuple(FastCheck.constant(192), FastCheck.constant(168), byte, byte),
  FastCheck.tuple(FastCheck.constant(169), FastCheck.constant(254), byte, byte),
  FastCheck.tuple(FastCheck.constant(172), FastCheck.integer({ min: 16, max: 31 }), byte, byte),
  FastCheck.tuple(FastCheck.constant(100), FastCheck.integer({ min: 64, max: 127 }), byte, byte)
)

const publicV4 = FastCheck.tuple(
  FastCheck.constantFrom(1, 8, 9, 34, 52, 142, 151, 185, 216),
  byte,
  byte,
  byte
).map((parts) => parts.join("."))

/** IPv6 beside global unicast. */
const privateV6 = FastCheck.oneof(
  FastCheck.constantFrom("::", "::1"),
  FastCheck.tuple(
    FastCheck.constantFrom("fc00", "fd12", "fe80", "ff02", "64", "2002", "100"),
    group,
    group
  ).map(([a, b, c]) => `${a}:${b}::${c}`),
  group.map((a) => `2001:db8:${a}::1`),
  privateV4.map((parts) => `::ffff:${parts.join(".")}`),
  publicV4.map((address) => `::ffff:${address}`)
)

const lookup = (hostname: string, all: boolean) =>
  Effect.async<string>((resume) =>
    Addresses.lookupPublic(hostname, { all }, (error, address) =>
      resume(Effect.succeed(error === null ? JSON.stringify(address) : String(error.code)))
    )
  )

describe("addresses", () => {
  it.prop(
    "of special purposes are not public, in no spelling of a URL",
    [
      FastCheck.oneof(
        privateV4.map((parts) => parts.join(".")),
        privateV6
      )
    ],
    ([address]) => {
      expect(Addresses.isPublic(address)).toBe(false)
      const host = address.includes(":") ? `[${address}]` : address
      expect(Addresses.refusal(`https://${host}/x`)).toBe("the endpoint must be a public address")
    }
  )

  it.prop("written as one number are not, either", [privateV4], ([parts]) => {
    const number = parts.reduce((sum, part) => sum * 256 + part, 0)
    for (const host of [number, `0x${number.toString(16)}`]) {
      expect(Addresses.refusal(`https://${host}/x`)).toBe("the endpoint must be a public address")
    }
  })

  it.prop(
    "of the public internet are",
    [
      FastCheck.oneof(
        publicV4,
        group.map((a) => `2607:f8b0:${a}::1`)
      )
    ],
    ([address]) => {
      expect(Addresses.isPublic(address)).toBe(true)
      expect(
        Addresses.refusal(`https://${address.includes(":") ? `[${address}]` : address}/x`)
      ).toBeUndefined()
    }
  )

  it.prop("are nothing else", [FastCheck.string()], ([text]) => {
    FastCheck.pre(!/^[0-9a-f:.]+$/i.test(text))
    expect(Addresses.isPublic(text)).toBe(false)
  })

  it.effect("of a name are judged when it is looked up", () =>
    Effect.gen(function* () {
      expect(yield* lookup("localhost", true)).toBe(Addresses.NOT_PUBLIC)
      expect(yield* lookup("localhost", false)).toBe(Addresses.NOT_PUBLIC)
      expect(yield* lookup("9.9.9.9", false)).toBe('"9.9.9.9"')
      expect(yield* lookup("9.9.9.9", true)).toBe('[{"address":"9.9.9.9","family":4}]')
    })
  )
})
