/**
 * Whom a push service writes to about this hub: the subject of the signature (RFC 8292 §2.1), a `mailto:` or `https:`
 * address. Apple's service refuses subjects of hosts that cannot exist, so only real ones count.
 */
import { isIP } from "node:net"
import * as Either from "effect/Either"
import * as Option from "effect/Option"

/** Names that nobody on the internet has: RFC 2606, 6761, 6762, 8375, and what routers call themselves. */
const UNREAL =
  /(^|\.)(example|example\.(com|net|org)|invalid|test|localhost|localdomain|local|internal|intranet|lan|home|corp|home\.arpa|onion)$/i

const isRealHost = (host: string): boolean => {
  const name = host.replace(/\.$/, "")
  return (
    isIP(name.replace(/^\[|\]$/g, "")) === 0 &&
    /^(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*[a-z0-9]$/i.test(name) &&
    !UNREAL.test(name)
  )
}

const NEXT = "give one like mailto:you@your-domain.org or https://your-domain.org"

/** Reads an address as people write it; an e-mail address may go without `mailto:`. The left side says what is wrong. */
export const parse = (text: string): Either.Either<string, string> => {
  const trimmed = text.trim()
  const mail = /^(?:mailto:)?([^\s@:/?#]+)@([^\s@:/?#]+)$/i.exec(trimmed)
  if (mail !== null) {
    const [, name = "", host = ""] = mail
    return isRealHost(host)
      ? Either.right(`mailto:${name}@${host}`)
      : Either.left(`${JSON.stringify(host)} is no host of the internet; ${NEXT}`)
  }
  const url = /^https:\/\//i.test(trimmed) && URL.canParse(trimmed) ? new URL(trimmed) : undefined
  if (url !== undefined && url.username + url.password !== "") {
    return Either.left(`the address must not hold credentials; ${NEXT}`)
  }
  if (url === undefined) {
    return Either.left(
      `${JSON.stringify(trimmed)} is neither an e-mail address nor an https address; ${NEXT}`
    )
  }
  return isRealHost(url.hostname)
    ? Either.right(url.href.replace(/\/$/, ""))
    : Either.left(`${JSON.stringify(url.hostname)} is no host of the internet; ${NEXT}`)
}

/** The contact that was named, else the hub's public address where that is a real one. */
export const of = (named: string | undefined, publicUrl: string | undefined): Option.Option<string> =>
  Option.orElse(
    Option.flatMap(Option.fromNullable(named), (text) => Either.getRight(parse(text))),
    () =>
      Option.flatMap(Option.fromNullable(publicUrl), (text) =>
        /^https:/i.test(text) ? Either.getRight(parse(text)) : Option.none()
      )
  )

/** Said where there is no contact: at the start and on the page. */
export const MISSING =
  "Apple's push service takes pushes only from a hub with a real address: start it with --push-contact you@your-domain.org, or with a --public-url that others can open by https"

/** Services that refuse pushes of a hub without a real contact. */
export const isNeededBy = (endpoint: string): boolean =>
  URL.canParse(endpoint) && /(^|\.)push\.apple\.com$/i.test(new URL(endpoint).hostname)

/** Stands in for a contact where a service only asks that there be one. */
export const NOBODY = "https://causeway.example"
