/** Under which address a person opens the page: on this machine, and from another one. */
import { isIP } from "node:net"
import { networkInterfaces } from "node:os"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { isOwn } from "./Exposure.ts"

/** An address of this machine, as `os.networkInterfaces` tells of it. */
export interface Interface {
  readonly name: string
  readonly address: string
  readonly family: string
  readonly internal: boolean
}

export const interfaces = (): ReadonlyArray<Interface> =>
  Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).map(({ address, family, internal }) => ({ name, address, family, internal }))
  )

/** Networks that live inside this machine, or are not where a phone is. */
const virtual = /^(?:br-|cali|cni|docker|flannel|lxc|podman|tap|tun|utun|vboxnet|veth|virbr|vmnet|wg|zt)/

const privateNetwork = /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)/

/** Lower is likelier to be what a phone in the same room reaches; undefined: it is never that. */
const rank = ({ name, address, family, internal }: Interface): number | undefined => {
  if (internal || address.startsWith("169.254.") || /^fe[89ab]/i.test(address)) return undefined
  const network = family === "IPv4" ? (privateNetwork.test(address) ? 0 : 1) : 2
  return network + (virtual.test(name) ? 3 : 0)
}

const ofHost = (scheme: string, host: string, port: number): string =>
  `${scheme}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`

/**
 * Where another machine reaches the hub: the public address that it was given; the interface that it listens on; where
 * it listens on all, the likeliest one of this machine. None where it listens for this machine alone.
 */
export const forOthers = (
  hub: {
    readonly host: string
    readonly port: number
    readonly scheme: "http" | "https"
    readonly publicUrl?: string | undefined
  },
  all: ReadonlyArray<Interface> = interfaces()
): Option.Option<string> => {
  if (hub.publicUrl !== undefined) return Option.some(hub.publicUrl.replace(/\/+$/, ""))
  const { port, scheme } = hub
  if (isOwn(hub.host)) return Option.none()
  if (hub.host !== "0.0.0.0" && hub.host !== "::") return Option.some(ofHost(scheme, hub.host, port))
  const best = all
    .filter(({ family }) => hub.host === "::" || family === "IPv4")
    .flatMap((each) => {
      const place = rank(each)
      return place === undefined ? [] : [{ place, address: each.address }]
    })
    .sort((a, b) => a.place - b.place)[0]
  return Option.map(Option.fromNullable(best), ({ address }) => ofHost(scheme, address, port))
}

/** The address that signs a browser in with a one-time code. It stands after the `#`, so no server is ever sent it. */
export const withCode = (url: string, code: Redacted.Redacted): string =>
  `${url}/#code=${encodeURIComponent(Redacted.value(code))}`
