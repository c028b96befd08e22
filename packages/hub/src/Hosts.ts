/**
 * Names under which this hub answers. A page elsewhere can make a name of its own lead here (DNS rebinding) and is then of the
 * hub's own origin to a browser: so a name counts only where it is the hub's. An IP address needs no list: no resolver gives it.
 */
import { isIP } from "node:net"
import { hostname } from "node:os"
import * as WireError from "@causeway/protocol/WireError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { Config } from "./Config.ts"
import * as Forwarded from "./Forwarded.ts"
import * as PublicUrl from "./PublicUrl.ts"

/** Further names, without a port. Default: none. */
export class AllowedHosts extends Context.Reference<AllowedHosts>()("@causeway/hub/AllowedHosts", {
  defaultValue: (): ReadonlyArray<string> => []
}) {}

/** A host without its port, its brackets and the dot at its end, in small letters. */
const nameOf = (host: string): string =>
  host
    .toLowerCase()
    .replace(/:\d*$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "")

const refusal = (host: string): WireError.MisdirectedRequest =>
  WireError.MisdirectedRequest.of(
    `this hub does not answer for ${JSON.stringify(host)}; ask it by an IP address or localhost, or start it with --allowed-host ${host} (or --public-url)`
  )

/**
 * Judges requests: undefined where the hub answers. Names are those of loopback, of this machine where it listens to others,
 * of the address that it was told to have, and those that it was told; what a trusted proxy serves is for it to choose.
 */
export const make: Effect.Effect<
  (arrived: Forwarded.Arrived) => WireError.MisdirectedRequest | undefined,
  never,
  Config
> = Effect.gen(function* () {
  const { host } = yield* Config
  const trusted = yield* Forwarded.TrustedProxies
  const told = PublicUrl.originOf(yield* PublicUrl.PublicUrl)
  const machine = hostname().toLowerCase()
  const names = new Set([
    "localhost",
    nameOf(host),
    machine,
    `${machine.split(".", 1)[0]}.local`,
    ...(told === undefined ? [] : [nameOf(new URL(told).hostname)]),
    ...(yield* AllowedHosts).map(nameOf)
  ])
  return (arrived) => {
    const { headers, peer } = arrived
    const asked = headers["host"]
    // HTTP/1.0 names none; browsers always do.
    if (typeof asked !== "string" || asked === "") return undefined
    const name = nameOf(asked)
    if (isIP(name) !== 0 || names.has(name) || name.endsWith(".localhost")) return undefined
    if (trusted.has(peer) && Forwarded.read(arrived, trusted).proxied) return undefined
    return refusal(asked)
  }
})
