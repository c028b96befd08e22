/** The address under which others reach this hub: it stands in work secrets and in the answers to `…/bridge`. */
import * as Context from "effect/Context"

/**
 * The configured address, without a trailing slash. Default: none; then each caller is told the address that it used
 * (its `Host` header), so that a hub behind any name works without being told its own.
 */
export class PublicUrl extends Context.Reference<PublicUrl>()("@causeway/hub/PublicUrl", {
  defaultValue: (): string | undefined => undefined
}) {}

/** Header values as both doors have them. */
export interface Headers {
  readonly [name: string]: string | ReadonlyArray<string> | undefined
}

const first = (value: string | ReadonlyArray<string> | undefined): string | undefined =>
  typeof value === "string" ? value : value?.[0]

/** A host, with or without a port, as a URL may hold it. */
const authority = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?$/

/** The address to tell the sender of these headers. */
export const of = (configured: string | undefined, headers: Headers): string => {
  if (configured !== undefined) return configured.replace(/\/+$/, "")
  const host = first(headers["host"]) ?? ""
  const scheme = first(headers["x-forwarded-proto"]) === "https" ? "https" : "http"
  return `${scheme}://${authority.test(host) ? host : "127.0.0.1"}`
}
