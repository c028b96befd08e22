/**
 * The address of a hub as people type it: with or without a scheme, a name or an IP address, a path under which a proxy
 * serves it, the address of the page, the gateway's.
 */
import * as Either from "effect/Either"

const LIKE = "give one like http://127.0.0.1:4750 or https://hub.your-domain.org/path"

/** `127.0.0.1:4750` and `hub.local/path` begin with no scheme, although `hub.local:` could be one. */
const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i

const isOfThisNetwork = (host: string): boolean =>
  !host.includes(".") ||
  /^(127|10|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./.test(host) ||
  /(^|\.)(local|localhost|lan|internal|home\.arpa)$/i.test(host)

/** Host and port of an address without a scheme; an IPv6 address may stand without brackets. */
const bracketed = (text: string): string => {
  const [authority = ""] = text.split(/[/?#]/)
  const colons = authority.split(":").length - 1
  return colons > 1 && !authority.startsWith("[") ? `[${authority}]${text.slice(authority.length)}` : text
}

/**
 * Reads an address: `http:` or `https:`, a base path but no slash at its end, nothing after it. Without a scheme it is
 * `http:` in this network and `https:` elsewhere. The left side says what is wrong, and tells no secret.
 */
export const parse = (text: string): Either.Either<string, string> => {
  const refused = (why: string) => Either.left(`${why}; ${LIKE}`)
  const trimmed = text.trim()
  if (trimmed === "") return refused("the address of the hub is empty")
  const scheme = SCHEME.exec(trimmed)?.[1]?.toLowerCase()
  const rest = bracketed(
    scheme === undefined ? trimmed.replace(/^\/\//, "") : trimmed.slice(scheme.length + 3)
  )
  if (scheme !== undefined && !["http", "https", "ws", "wss"].includes(scheme)) {
    return refused(`${scheme}: is not a scheme of a hub`)
  }
  const [authority = ""] = rest.split(/[/?#]/)
  if (authority.includes("@")) {
    return refused("the address of the hub must not hold a user name or password")
  }
  if (/%/.test(authority) && authority.startsWith("[")) {
    return refused(
      "an IPv6 address with a zone cannot stand in a URL: use the machine's name or another address"
    )
  }
  const port = /:(\d+)$/.exec(authority)?.[1]
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) {
    return refused(`the port ${port} is not between 1 and 65535`)
  }
  const guess = (host: string) =>
    port === "443"
      ? "https"
      : port === "80" || isOfThisNetwork(host) || host.startsWith("[")
        ? "http"
        : "https"
  const isSecure = scheme === undefined ? undefined : scheme === "https" || scheme === "wss"
  const named = `${isSecure === undefined || isSecure ? "https" : "http"}://${rest}`
  if (!URL.canParse(named)) return refused(`${JSON.stringify(authority)} is not a host name`)
  const url = new URL(named)
  if (url.hostname === "") return refused("the address names no host")
  if (url.search !== "") return refused("the address of a hub has no query")
  const chosen = isSecure === undefined ? guess(url.hostname) : isSecure ? "https" : "http"
  // The part after `#` is the page's own: it may hold a token or a code.
  const path = url.pathname.replace(/\/+$/, "")
  return Either.right(`${new URL(`${chosen}://${rest}`).origin}${path}`)
}
