/**
 * This browser as a device of the gateway: an Ed25519 key, the id that follows from it, and the proof that it holds the
 * key. Computed without WebCrypto, which a page has on https and on this machine's own addresses only.
 * Source: spec 2 §1 ("Device proof").
 */
import { getPublicKey, hashes, sign } from "@noble/ed25519"
import { sha256, sha512 } from "@noble/hashes/sha2.js"
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"

hashes.sha512 = sha512

/** Length of a secret key, in bytes. */
export const KEY_BYTES = 32

export const toBase64url = (bytes: Uint8Array): string => Encoding.encodeBase64Url(bytes)

/** The bytes of base64url text; undefined where it is none. */
export const fromBase64url = (text: string): Uint8Array<ArrayBuffer> | undefined =>
  Either.match(Encoding.decodeBase64Url(text), {
    onLeft: () => undefined,
    onRight: (bytes) => new Uint8Array(bytes)
  })

/** What a proof vouches for. `token` is the secret that goes with it: a token, a device token or a code. */
export interface Claim {
  readonly clientId: string
  readonly clientMode: string
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly token: string
  readonly nonce: string
  readonly platform: string
  /** Milliseconds since the epoch. */
  readonly signedAt: number
}

export interface Proof {
  readonly id: string
  readonly publicKey: string
  readonly signature: string
  readonly signedAt: number
  readonly nonce: string
}

export interface Device {
  /** Hex SHA-256 of the public key. */
  readonly id: string
  /** Base64url of the raw 32 bytes. */
  readonly publicKey: string
  readonly prove: (claim: Claim) => Proof
}

const lower = (text: string): string => text.trim().replace(/[A-Z]/g, (char) => char.toLowerCase())

/** The device of a secret key of {@link KEY_BYTES} bytes. */
export const of = (key: Uint8Array): Device => {
  const raw = getPublicKey(key)
  const id = bytesToHex(sha256(raw))
  const publicKey = toBase64url(raw)
  return {
    id,
    publicKey,
    prove: (claim) => {
      const { signedAt, nonce } = claim
      const text = [
        "v3",
        id,
        claim.clientId,
        claim.clientMode,
        claim.role,
        claim.scopes.join(","),
        String(signedAt),
        claim.token,
        nonce,
        lower(claim.platform),
        ""
      ].join("|")
      return { id, publicKey, signature: toBase64url(sign(utf8ToBytes(text), key)), signedAt, nonce }
    }
  }
}

const browsers: ReadonlyArray<readonly [RegExp, string]> = [
  [/\bEdgA?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(?:Firefox|FxiOS)\//, "Firefox"],
  [/\b(?:Chrome|Chromium|CriOS|HeadlessChrome)\//, "Chrome"],
  [/\bSafari\//, "Safari"]
]
const systems: ReadonlyArray<readonly [RegExp, string]> = [
  [/\bAndroid\b/, "Android"],
  [/\b(?:iPhone|iPad|iPod)\b/, "iOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b/, "macOS"],
  [/\bLinux\b/, "Linux"]
]

/** A name by which people know a browser again among their devices, from what it calls itself. */
export const nameOf = (userAgent: string): string => {
  const find = (list: typeof browsers, other: string) =>
    list.find(([pattern]) => pattern.test(userAgent))?.[1] ?? other
  return `${find(browsers, "Browser")} on ${find(systems, "unknown system")}`
}
