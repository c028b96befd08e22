/** Sets of IP addresses, as people name them: `127.0.0.1`, `10.0.0.0/8`, `::1`, `fd00::/8`. */
import { BlockList, isIP } from "node:net"
import * as Either from "effect/Either"

export interface Networks {
  /** Whether an address is one of them; an IPv4 address in IPv6's spelling counts as what it is. No address is in none. */
  readonly has: (address: string | undefined) => boolean
}

interface Network {
  readonly address: string
  readonly bits: number
  readonly family: "ipv4" | "ipv6"
}

/** An address without its brackets and its zone, which says through which interface it is reached. */
const bare = (address: string): string => address.replace(/^\[|\]$/g, "").replace(/%.*$/, "")

const familyOf = (address: string): Network["family"] | undefined => {
  const family = isIP(address)
  return family === 0 ? undefined : family === 6 ? "ipv6" : "ipv4"
}

const network = (text: string): Network | undefined => {
  const [, address = "", prefix] = /^\[?([^\]/]*)\]?(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? []
  const family = familyOf(address)
  if (family === undefined) return undefined
  const most = family === "ipv6" ? 128 : 32
  const bits = prefix === undefined ? most : Number(prefix)
  return bits <= most ? { address, bits, family } : undefined
}

const of = (networks: ReadonlyArray<Network>): Networks => {
  const list = new BlockList()
  for (const { address, bits, family } of networks) list.addSubnet(address, bits, family)
  return {
    has: (address) => {
      const given = bare(address ?? "")
      const family = familyOf(given)
      return family !== undefined && list.check(given, family)
    }
  }
}

export const none: Networks = of([])

/** This machine as it calls itself. */
const loopback: Networks = of([
  { address: "127.0.0.0", bits: 8, family: "ipv4" },
  { address: "::1", bits: 128, family: "ipv6" }
])

/** An address of loopback, in either family's spelling. A name is none, whatever it begins with. */
export const isLoopback = (address: string | undefined): boolean => loopback.has(address)

/** Reads all entries; the left side says which one is none. */
export const parse = (entries: ReadonlyArray<string>): Either.Either<Networks, string> => {
  const networks: Array<Network> = []
  for (const entry of entries) {
    const read = network(entry)
    if (read === undefined) {
      return Either.left(
        `${JSON.stringify(entry)} is no IP address and no network; give one like 127.0.0.1, ::1 or 10.0.0.0/8`
      )
    }
    networks.push(read)
  }
  return Either.right(of(networks))
}

/** Those among the entries that are addresses or networks. */
export const among = (entries: ReadonlyArray<string>): Networks =>
  of(entries.flatMap((entry) => network(entry) ?? []))
