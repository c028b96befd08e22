/**
 * Which proxy a call goes through, by the variables that other programs obey too: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`
 * and `NO_PROXY`, in small letters first. This machine itself is always reached directly.
 */
import { isIP } from "node:net"
import * as Networks from "@causeway/hub/Networks"
import * as Either from "effect/Either"

export type Variables = { readonly [name: string]: string | undefined }

/** The proxy of an address; undefined: none. */
export type Route = (url: URL) => URL | undefined

const variable = (environment: Variables, name: string): string | undefined => {
  const value = environment[name.toLowerCase()] ?? environment[name]
  return value === undefined || value.trim() === "" ? undefined : value.trim()
}

/** Reads a proxy's address; the left side says what is wrong and shows no password. */
const proxy = (name: string, value: string | undefined): Either.Either<URL | undefined, string> => {
  if (value === undefined) return Either.right(undefined)
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.hostname === "") return Either.left(`${name} is no address of a proxy`)
  return /^https?:$/.test(url.protocol)
    ? Either.right(url)
    : Either.left(`${name} names a proxy of another kind (${url.protocol}); http: and https: are understood`)
}

const portOf = (url: URL): string =>
  url.port !== "" ? url.port : /^(https|wss):$/.test(url.protocol) ? "443" : "80"

const isExcepted = (value: string): ((url: URL) => boolean) => {
  const entries = value
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
  const listed = Networks.among(["127.0.0.0/8", "::1", ...entries])
  return (url) => {
    const host = url.hostname
      .toLowerCase()
      .replace(/^\[|\]$/g, "")
      .replace(/\.$/, "")
    const family = isIP(host)
    if (family !== 0) {
      if (listed.has(host)) return true
    } else if (host === "localhost" || host.endsWith(".localhost")) return true
    return entries.some((entry) => {
      if (entry === "*") return true
      const [, name = "", port] = /^(.*?)(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? []
      if (port !== undefined && port !== portOf(url)) return false
      const suffix = name.replace(/^\[|\]$/g, "").replace(/^\*?\./, "")
      return suffix !== "" && (host === suffix || (family === 0 && host.endsWith(`.${suffix}`)))
    })
  }
}

/** The way to each address under these variables; the left side says which of them cannot be read. */
export const route = (environment: Variables): Either.Either<Route, string> =>
  Either.gen(function* () {
    const all = yield* proxy("ALL_PROXY", variable(environment, "ALL_PROXY"))
    const secure = (yield* proxy("HTTPS_PROXY", variable(environment, "HTTPS_PROXY"))) ?? all
    const plain = (yield* proxy("HTTP_PROXY", variable(environment, "HTTP_PROXY"))) ?? all
    const direct = isExcepted(variable(environment, "NO_PROXY") ?? "")
    return (url: URL) => (direct(url) ? undefined : /^(https|wss):$/.test(url.protocol) ? secure : plain)
  })
