/**
 * Tokens and secrets: 256 random bits behind a prefix, kept as their SHA-256.
 *
 * They are random, not chosen by people, so a fast hash is enough; looking one up by its hash tells nothing by its time
 * about any other.
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"

export interface Secret {
  readonly value: Redacted.Redacted
  readonly hash: string
  /** The last four characters. */
  readonly hint: string
}

const digest = (value: string): Buffer => createHash("sha256").update(value).digest()

export const hashOf = (value: string): string => digest(value).toString("hex")

/** 256 random bits, base64url. */
export const random = (): string => randomBytes(32).toString("base64url")

export const make = (prefix: string): Secret => {
  const value = prefix + random()
  return { value: Redacted.make(value), hash: hashOf(value), hint: value.slice(-4) }
}

/** In time that depends neither on where the two differ nor on the length of the one that is kept. */
export const isSame = (given: string, kept: string): boolean => timingSafeEqual(digest(given), digest(kept))

/** The key of this name in the table `secrets`, made at its first use and the same ever after. */
export const keyNamed = (
  name: string,
  generate: () => string = random
): Effect.Effect<Redacted.Redacted, StoreUnavailable, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`INSERT INTO secrets (name, value, created_at)
      VALUES (${name}, ${generate()}, ${yield* Clock.currentTimeMillis}) ON CONFLICT (name) DO NOTHING`
    const [row] = yield* sql<{ readonly value: string }>`SELECT value FROM secrets WHERE name = ${name}`
    return row === undefined
      ? yield* Effect.dieMessage(`the key ${name} was not stored`)
      : Redacted.make(row.value)
  }).pipe(unavailable)
