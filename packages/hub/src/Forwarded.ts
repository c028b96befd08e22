/**
 * Who asks, and under which address: the connection's own word, or that of the proxies in between.
 *
 * What a proxy says (`Forwarded`, `X-Forwarded-For`, `-Proto`, `-Host`, `-Prefix`) counts only from those that this hub was
 * told to trust; from anybody else it shows one thing alone: that the caller is not beside the hub.
 */
import type { IncomingMessage } from "node:http"
import * as Context from "effect/Context"
import * as Networks from "./Networks.ts"

/** The proxies whose word counts. Default: nobody's. */
export class TrustedProxies extends Context.Reference<TrustedProxies>()("@causeway/hub/TrustedProxies", {
  defaultValue: (): Networks.Networks => Networks.none
}) {}

/** Header values as `node:http` and the platform have them, by small names. */
export interface Headers {
  readonly [name: string]: string | ReadonlyArray<string> | undefined
}

/** A request as it arrived. */
export interface Arrived {
  /** Address of whoever opened the connection. */
  readonly peer: string | undefined
  readonly headers: Headers
  /** It came over TLS that ends here. Default: no. */
  readonly isSecure?: boolean
}

/** A request of the server as it arrived. */
export const arrivedOf = ({ headers, socket }: IncomingMessage): Arrived => ({
  peer: socket.remoteAddress,
  headers,
  isSecure: "encrypted" in socket && socket.encrypted === true
})

/** A request as its caller sent it. */
export interface Caller {
  readonly address: string | undefined
  /** Whether somebody stands between, believed or not. */
  readonly proxied: boolean
  readonly scheme: "http" | "https"
  /** Host, with or without a port, as the caller named it. */
  readonly host: string | undefined
  /** Path under which a trusted proxy serves this hub, `/tools/causeway`; "" for none. */
  readonly prefix: string
}

/** Whoever sends one of these is a proxy, or says so. */
const MARKS = [
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-prefix",
  "x-forwarded-proto",
  "x-real-ip"
]

const valueOf = (headers: Headers, name: string): string => {
  const value = headers[name]
  return value === undefined ? "" : typeof value === "string" ? value : value.join(",")
}

// --- Reading ---

/** The parts between separators that stand outside quotes. */
const parts = (text: string, separator: "," | ";"): ReadonlyArray<string> => {
  const found: Array<string> = []
  let part = ""
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? ""
    if (quoted && char === "\\") part += char + (text[++i] ?? "")
    else if (char === separator && !quoted) {
      found.push(part)
      part = ""
    } else {
      if (char === '"') quoted = !quoted
      part += char
    }
  }
  return [...found, part].map((each) => each.trim())
}

const unquoted = (text: string): string =>
  text.length > 1 && text.startsWith('"') && text.endsWith('"')
    ? text.slice(1, -1).replace(/\\(.)/g, "$1")
    : text

/** The elements of `Forwarded`, one a proxy, the nearest last. Source: RFC 7239 §4. */
const elements = (text: string): ReadonlyArray<ReadonlyMap<string, string>> =>
  text === ""
    ? []
    : parts(text, ",").map(
        (element) =>
          new Map(
            parts(element, ";").map((pair) => {
              const at = pair.indexOf("=")
              return at < 0
                ? (["", ""] as const)
                : ([pair.slice(0, at).trim().toLowerCase(), unquoted(pair.slice(at + 1).trim())] as const)
            })
          )
      )

const list = (text: string): ReadonlyArray<string> =>
  text === "" ? [] : parts(text, ",").map((each) => unquoted(each))

/** `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]:4711`; a name that hides the caller is none. */
const addressIn = (text: string): string | undefined => {
  const address = text.replace(/^\[([^\]]+)\](:\d+)?$/, "$1").replace(/^([\d.]+):\d+$/, "$1")
  return /^[\d.]+$|^[0-9a-f:.]*:[0-9a-f:.]*(%.*)?$/i.test(address) ? address : undefined
}

const authority = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i
const path = /^(\/[\w.~!$&'()*+,;=:@%-]+)+\/*$/

const schemes: ReadonlyMap<string, Caller["scheme"]> = new Map([
  ["http", "http"],
  ["ws", "http"],
  ["https", "https"],
  ["wss", "https"]
])

// --- Believing ---

/** Who is at the far end: each address counts where the one that tells it is trusted. */
const farEnd = (
  peer: string | undefined,
  chain: ReadonlyArray<string>,
  trusted: Networks.Networks
): string | undefined => {
  let at = peer
  for (const next of chain.toReversed()) {
    if (!trusted.has(at)) break
    const address = addressIn(next)
    if (address === undefined) break
    at = address
  }
  return at
}

/** The address whose connections are counted; undefined for this machine itself, with no proxy in between. */
export const counted = (arrived: Arrived, trusted: Networks.Networks): string | undefined => {
  const { address, proxied } = read(arrived, trusted)
  return proxied || !Networks.isLoopback(address) ? address : undefined
}

/**
 * Reads a request. The scheme and the host are those of the proxy that the caller speaks to, the first in its list. The two
 * kinds of headers name one caller or none: a proxy that sets one kind passes on what a caller put into the other.
 */
export const read = ({ headers, isSecure, peer }: Arrived, trusted: Networks.Networks): Caller => {
  const proxied = MARKS.some((name) => headers[name] !== undefined)
  const named = authority.exec(valueOf(headers, "host").trim())?.[0]
  if (!proxied || !trusted.has(peer)) {
    return { address: peer, proxied, scheme: isSecure === true ? "https" : "http", host: named, prefix: "" }
  }
  const standard = elements(valueOf(headers, "forwarded"))
  const chains = [
    standard.map((element) => element.get("for") ?? ""),
    list(valueOf(headers, "x-forwarded-for"))
  ].filter((chain) => chain.length > 0)
  const ends = new Set(chains.map((chain) => farEnd(peer, chain, trusted)))
  const first = (name: string, field: string): string =>
    list(valueOf(headers, name))[0] ?? standard[0]?.get(field) ?? ""
  return {
    address: ends.size === 1 ? [...ends][0] : peer,
    proxied,
    scheme: schemes.get(first("x-forwarded-proto", "proto").toLowerCase()) ?? "http",
    host: authority.exec(first("x-forwarded-host", "host"))?.[0] ?? named,
    prefix: path.test(valueOf(headers, "x-forwarded-prefix").trim())
      ? valueOf(headers, "x-forwarded-prefix").trim().replace(/\/+$/, "")
      : ""
  }
}
