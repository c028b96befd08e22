/**
 * Tokens and secrets: 256 random bits behind a prefix, kept as their SHA-256.
 *
 * They are random, not chosen by people, so a fast hash is enough; looking one up by its hash tells nothing by its time
 * about any other.
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import * as Redacted from "effect/Redacted"

export interface Secret {
  readonly value: Redacted.Redacted
  readonly hash: string
  /** The last four characters. */
  readonly hint: string
}

export const hashOf = (value: string): string => createHash("sha256").update(value).digest("hex")

export const make = (prefix: string): Secret => {
  const value = prefix + randomBytes(32).toString("base64url")
  return { value: Redacted.make(value), hash: hashOf(value), hint: value.slice(-4) }
}

/** In time that does not depend on where the two differ. */
export const sameHash = (a: string, b: string): boolean => {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}
