/** Access tokens: what opens an organisation. Kept as hashes; a token is seen once, when it is made. */

import { randomUUID } from "node:crypto"
import { OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { StoreUnavailable } from "./Errors.ts"
import * as Secret from "./internal/secret.ts"
import { unavailable } from "./internal/unavailable.ts"

/** What every access token begins with. */
export const PREFIX = "cw_"

/** How exact `lastUsedAt` is: it is written when older than this, 60 s. */
export const LAST_USED_MILLIS = 60_000

/** An access token without the token. Times are milliseconds since the epoch. */
export interface TokenRecord {
  readonly id: string
  readonly organizationId: OrganizationId
  readonly name: string
  /** The token's last four characters. */
  readonly hint: string
  readonly createdAt: number
  readonly expiresAt: number | undefined
  readonly lastUsedAt: number | undefined
  readonly revokedAt: number | undefined
}

/** No such token in the organisation. */
export class TokenUnknown extends Data.TaggedError("TokenUnknown")<{ readonly tokenId: string }> {
  override get message(): string {
    return `no access token ${this.tokenId}`
  }
}

/** Why a token does not open anything. `unknown`: this hub never made it. */
export class TokenRefused extends Data.TaggedError("TokenRefused")<{
  readonly reason: "unknown" | "expired" | "revoked"
}> {
  override get message(): string {
    return this.reason === "unknown"
      ? "this access token is not known here"
      : `this access token is ${this.reason}`
  }
}

interface Row {
  readonly id: string
  readonly organization_id: string
  readonly name: string
  readonly hint: string
  readonly created_at: number
  readonly expires_at: number | null
  readonly last_used_at: number | null
  readonly revoked_at: number | null
}

const fromRow = (row: Row): TokenRecord => ({
  id: row.id,
  organizationId: OrganizationId.make(row.organization_id),
  name: row.name,
  hint: row.hint,
  createdAt: row.created_at,
  expiresAt: row.expires_at ?? undefined,
  lastUsedAt: row.last_used_at ?? undefined,
  revokedAt: row.revoked_at ?? undefined
})

export class Tokens extends Context.Tag("@causeway/store/Tokens")<
  Tokens,
  {
    /** Makes a token. `expiresAt`: milliseconds since the epoch; left out: never. */
    readonly create: (options: {
      readonly organizationId: OrganizationId
      readonly name: string
      readonly expiresAt?: number | undefined
    }) => Effect.Effect<{ readonly token: Redacted.Redacted; readonly record: TokenRecord }, StoreUnavailable>
    /** All of an organisation, revoked ones too, the newest first. */
    readonly list: (
      organizationId: OrganizationId
    ) => Effect.Effect<ReadonlyArray<TokenRecord>, StoreUnavailable>
    /** From now on the token opens nothing. Idempotent: the first time stays. */
    readonly revoke: (options: {
      readonly organizationId: OrganizationId
      readonly tokenId: string
    }) => Effect.Effect<TokenRecord, TokenUnknown | StoreUnavailable>
    /** Whose token this is; notes its use, to the minute. */
    readonly resolve: (
      token: Redacted.Redacted
    ) => Effect.Effect<TokenRecord, TokenRefused | StoreUnavailable>
    /** The key of this name: 256 random bits as base64url, made at its first use and the same ever after. */
    readonly signingKey: (name: string) => Effect.Effect<Redacted.Redacted, StoreUnavailable>
    /** The newest epoch that tokens of a session were issued for; undefined where the organisation has no such session. */
    readonly epochOf: (options: {
      readonly organizationId: OrganizationId
      /** Session body, see `Ids.sessionBody`. */
      readonly session: string
    }) => Effect.Effect<number | undefined, StoreUnavailable>
  }
>() {}

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const columns = sql.literal(
    "id, organization_id, name, hint, created_at, expires_at, last_used_at, revoked_at"
  )

  const create = Effect.fn("Tokens.create")(function* (options: {
    readonly organizationId: OrganizationId
    readonly name: string
    readonly expiresAt?: number | undefined
  }) {
    const now = yield* Clock.currentTimeMillis
    const secret = Secret.make(PREFIX)
    const record: TokenRecord = {
      id: `token_${randomUUID()}`,
      organizationId: options.organizationId,
      name: options.name,
      hint: secret.hint,
      createdAt: now,
      expiresAt: options.expiresAt,
      lastUsedAt: undefined,
      revokedAt: undefined
    }
    yield* sql`INSERT INTO access_tokens (id, organization_id, name, hash, hint, created_at, expires_at)
      VALUES (${record.id}, ${record.organizationId}, ${record.name}, ${secret.hash}, ${record.hint}, ${now},
        ${record.expiresAt ?? null})`
    return { token: secret.value, record }
  }, unavailable)

  const list = Effect.fn("Tokens.list")(function* (organizationId: OrganizationId) {
    const rows =
      yield* sql<Row>`SELECT ${columns} FROM access_tokens WHERE organization_id = ${organizationId}
      ORDER BY created_at DESC, id`
    return rows.map(fromRow)
  }, unavailable)

  const revoke = Effect.fn("Tokens.revoke")(function* (options: {
    readonly organizationId: OrganizationId
    readonly tokenId: string
  }) {
    const now = yield* Clock.currentTimeMillis
    const rows = yield* sql<Row>`UPDATE access_tokens SET revoked_at = coalesce(revoked_at, ${now})
      WHERE id = ${options.tokenId} AND organization_id = ${options.organizationId} RETURNING ${columns}`
    const row = rows[0]
    if (row === undefined) return yield* new TokenUnknown({ tokenId: options.tokenId })
    return fromRow(row)
  }, unavailable)

  const resolve = Effect.fnUntraced(function* (token: Redacted.Redacted) {
    const rows = yield* sql<Row>`SELECT ${columns} FROM access_tokens
      WHERE hash = ${Secret.hashOf(Redacted.value(token))}`
    const row = rows[0]
    if (row === undefined) return yield* new TokenRefused({ reason: "unknown" })
    const now = yield* Clock.currentTimeMillis
    if (row.revoked_at !== null) return yield* new TokenRefused({ reason: "revoked" })
    if (row.expires_at !== null && row.expires_at <= now)
      return yield* new TokenRefused({ reason: "expired" })
    if (row.last_used_at === null || now - row.last_used_at >= LAST_USED_MILLIS) {
      yield* sql`UPDATE access_tokens SET last_used_at = ${now} WHERE id = ${row.id}`
    }
    return fromRow(row)
  }, unavailable)

  const signingKey = Effect.fn("Tokens.signingKey")(function* (name: string) {
    const now = yield* Clock.currentTimeMillis
    yield* sql`INSERT INTO secrets (name, value, created_at)
      VALUES (${name}, ${Redacted.value(Secret.make("").value)}, ${now}) ON CONFLICT (name) DO NOTHING`
    const rows = yield* sql<{ readonly value: string }>`SELECT value FROM secrets WHERE name = ${name}`
    const row = rows[0]
    return row === undefined
      ? yield* Effect.dieMessage(`the key ${name} was not stored`)
      : Redacted.make(row.value)
  }, unavailable)

  const epochOf = Effect.fnUntraced(function* (options: {
    readonly organizationId: OrganizationId
    readonly session: string
  }) {
    const rows = yield* sql<{ readonly token_epoch: number }>`SELECT token_epoch FROM sessions
      WHERE body = ${options.session} AND organization_id = ${options.organizationId}`
    return rows[0]?.token_epoch
  }, unavailable)

  return Tokens.of({ create, list, revoke, resolve, signingKey, epochOf })
})

export const layer: Layer.Layer<Tokens, never, SqlClient.SqlClient> = Layer.effect(Tokens, make)
