/** Words for a call that found no server: what is in the way, and what to do. One sentence, never a stack. */

/** A certificate that was refused. */
export interface Certificate {
  readonly subject: string
  readonly issuer: string
  /** As the certificate has it. */
  readonly validTo: string
}

export interface Described {
  /** The code of Node, OpenSSL or undici; undefined where there is none. */
  readonly code: string | undefined
  readonly words: string
}

const TRUST = "if you trust it, name a file with its certificate in NODE_EXTRA_CA_CERTS"

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

const record = (value: unknown): { readonly [name: string]: unknown } =>
  typeof value === "object" && value !== null ? (value as { readonly [name: string]: unknown }) : {}

/** The error and what caused it, those of every address that was tried included. */
const chain = (error: unknown, depth = 0): ReadonlyArray<{ readonly [name: string]: unknown }> => {
  if (depth > 6 || typeof error !== "object" || error === null) return []
  const { cause, error: inner, errors } = record(error)
  return [
    record(error),
    // An `error` event of a socket.
    ...chain(inner, depth + 1),
    ...(Array.isArray(errors) ? errors.flatMap((each) => chain(each, depth + 1)) : []),
    ...chain(cause, depth + 1)
  ]
}

const isCertificate = (value: unknown): value is Certificate => {
  const { issuer, subject, validTo } = record(value)
  return text(issuer) !== undefined && text(subject) !== undefined && text(validTo) !== undefined
}

/** Codes that mean: the certificate is not trusted. */
const UNTRUSTED = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_UNTRUSTED"
])

/** The server was reached, and its certificate refused. */
export const isOfCertificate = (code: string | undefined): boolean =>
  code !== undefined && (UNTRUSTED.has(code) || /^(CERT_|ERR_TLS_CERT_)/.test(code))

const sentence = (
  code: string,
  host: string,
  place: string,
  all: ReturnType<typeof chain>
): string | undefined => {
  const certificate = all.map(({ certificate }) => certificate).find(isCertificate)
  const issued =
    certificate === undefined ? "" : ` (issued to ${certificate.subject} by ${certificate.issuer})`
  if (UNTRUSTED.has(code)) {
    return certificate !== undefined && certificate.issuer === certificate.subject
      ? `the certificate of ${host} is signed by itself${issued}; ${TRUST}`
      : `the certificate of ${host} is of an issuer that this machine does not trust${issued}; ${TRUST}`
  }
  switch (code) {
    case "ENOTFOUND":
      return `the name ${host} is not known; check the address of the hub`
    case "EAI_AGAIN":
      return `the name ${host} could not be looked up; check this machine's network`
    case "ECONNREFUSED":
      return `nothing listens at ${place}; is the hub running there?`
    case "ECONNRESET":
    case "EPIPE":
    case "UND_ERR_SOCKET":
      return `${place} closed the connection`
    case "ETIMEDOUT":
    case "UND_ERR_CONNECT_TIMEOUT":
      return `${place} took no connection in time; it may be off, or a firewall in between`
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ENETDOWN":
    case "EADDRNOTAVAIL":
      return `there is no way from this machine to ${place}; check its network`
    case "EACCES":
    case "EPERM":
      return `this machine does not let the program connect to ${place}`
    case "CERT_HAS_EXPIRED":
      return `the certificate of ${host} has expired${certificate === undefined ? "" : ` (it was valid until ${certificate.validTo})`}; have it renewed`
    case "CERT_NOT_YET_VALID":
      return `the certificate of ${host} is not valid yet; check this machine's clock`
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `the certificate there is not for ${host}${issued}; check the address of the hub`
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
    case "EPROTO":
      return `${place} does not speak https; is its address http://${place}?`
    case "HPE_INVALID_CONSTANT":
    case "HPE_INVALID_VERSION":
      return `${place} does not speak http; is its address https://${place}?`
    default:
      return /^(CERT_|ERR_TLS_|ERR_SSL_)/.test(code)
        ? `no secure connection to ${place} (${code})${issued}`
        : undefined
  }
}

/** With the code, by which people find what others wrote of it. */
const named = (words: string, code: string): string =>
  words.includes(";") ? words.replace(";", ` (${code});`) : `${words} (${code})`

/** Describes what a transport failed with. `url` is what was called. */
export const describe = (error: unknown, url: string): Described => {
  const all = chain(error)
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const host = parsed?.hostname ?? "the hub"
  const place = parsed?.host ?? "the hub"
  for (const { message } of all) {
    const status = /^(?:Proxy response \(|.*proxy.*\b)(\d{3})\b/i.exec(text(message) ?? "")?.[1]
    if (status === "407") {
      return {
        code: status,
        words: "the proxy wants to know who calls: put user and password into HTTPS_PROXY"
      }
    }
    if (status !== undefined)
      return { code: status, words: `the proxy did not connect to ${place} (status ${status})` }
  }
  for (const each of all) {
    const code = text(each["code"])
    const words = code === undefined ? undefined : sentence(code, host, place, all)
    if (code !== undefined && words !== undefined) return { code, words: named(words, code) }
  }
  const said = all
    .flatMap(({ message }) => text(message) ?? [])
    .filter((each, n, list) => list.indexOf(each) === n)
  return {
    code: all.map(({ code }) => text(code)).find((code) => code !== undefined),
    words: said.length === 0 ? "no connection" : said.join(": ").replace(/\s+/g, " ")
  }
}
