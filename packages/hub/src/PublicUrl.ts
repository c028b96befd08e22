/**
 * The address under which others reach this hub, base path included. It stands in work secrets and in the answers to
 * `…/bridge`, its origin is that of the page, and its path is taken off requests that still have it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Forwarded from "./Forwarded.ts"

/**
 * The address that this hub was told to have. Default: none; then each caller is told the address that it used, so that a
 * hub behind any name works without being told its own.
 */
export class PublicUrl extends Context.Reference<PublicUrl>()("@causeway/hub/PublicUrl", {
  defaultValue: (): string | undefined => undefined
}) {}

/** The address to tell a caller. */
export const of = (configured: string | undefined, { host, prefix, scheme }: Forwarded.Caller): string =>
  configured === undefined ? `${scheme}://${host ?? "127.0.0.1"}${prefix}` : configured.replace(/\/+$/, "")

/** Tells each caller where it reaches this hub. */
export const tell: Effect.Effect<(arrived: Forwarded.Arrived) => string> = Effect.gen(function* () {
  const configured = yield* PublicUrl
  const trusted = yield* Forwarded.TrustedProxies
  return (arrived) => of(configured, Forwarded.read(arrived, trusted))
})

const parsed = (configured: string | undefined): URL | undefined =>
  configured !== undefined && URL.canParse(configured) ? new URL(configured) : undefined

/** The origin of the page where this hub was told its address. */
export const originOf = (configured: string | undefined): string | undefined => parsed(configured)?.origin

/** The path of the address, `/tools/causeway`; "" where it has none. */
export const basePath = (configured: string | undefined): string =>
  parsed(configured)?.pathname.replace(/\/+$/, "") ?? ""

/** The rest of a path behind the base path; undefined where it does not stand there. "" is the base path itself. */
export const within = (base: string, path: string): string | undefined =>
  base !== "" && path.startsWith(base) && (path.length === base.length || path[base.length] === "/")
    ? path.slice(base.length)
    : undefined
