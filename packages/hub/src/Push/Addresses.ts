/**
 * Which addresses the hub posts to because a browser said so: public ones, over https, and no others. A signed-in person
 * could else have the hub speak to machines that only it can reach. Names are judged by what they resolve to at the moment
 * of each connection, so that a name cannot be turned round in between.
 */
import { type LookupAddress, type LookupOptions, lookup } from "node:dns"
import { BlockList, isIP, type LookupFunction } from "node:net"

/** Special purposes: IANA's registries of IPv4 and IPv6. */
const special = new BlockList()
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4]
] as const) {
  special.addSubnet(network, prefix, "ipv4")
}
/** Of IPv6 only global unicast is public; of that these are not, or hold an IPv4 address that may not be. */
const globalUnicast = new BlockList()
globalUnicast.addSubnet("2000::", 3, "ipv6")
for (const [network, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20]
] as const) {
  special.addSubnet(network, prefix, "ipv6")
}

/** True for an IP address of the public internet; false for any other, and for what is no address. */
export const isPublic = (address: string): boolean => {
  switch (isIP(address)) {
    case 4:
      return !special.check(address, "ipv4")
    case 6:
      return globalUnicast.check(address, "ipv6") && !special.check(address, "ipv6")
    default:
      return false
  }
}

/** Why this hub does not post to an endpoint, in words; undefined where it does. Says nothing of what a name resolves to. */
export const refusal = (endpoint: string): string | undefined => {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (url === undefined || url.protocol !== "https:") return "the endpoint must be an https address"
  if (url.username !== "" || url.password !== "") return "the endpoint must not hold credentials"
  const host = url.hostname.replace(/^\[|\]$/g, "")
  if (isIP(host) !== 0 ? !isPublic(host) : /(^|\.)localhost\.?$/.test(host)) {
    return "the endpoint must be a public address"
  }
  return undefined
}

/** The code of the error where a name resolves to anything else. */
export const NOT_PUBLIC = "ERR_NOT_PUBLIC"

/** Like `dns.lookup`, for names all of whose addresses are public. */
export const lookupPublic: LookupFunction = (hostname, options, callback) => {
  const all: LookupOptions & { readonly all: true } = { ...options, all: true }
  lookup(hostname, all, (error, addresses: ReadonlyArray<LookupAddress>) => {
    const [first] = addresses ?? []
    if (error !== null) callback(error, "", 0)
    else if (first === undefined || !addresses.every(({ address }) => isPublic(address))) {
      callback(Object.assign(new Error("not a public address"), { code: NOT_PUBLIC }), "", 0)
    } else if (options.all === true) callback(null, [...addresses])
    else callback(null, first.address, first.family)
  })
}
