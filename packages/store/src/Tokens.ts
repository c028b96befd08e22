/** Access tokens: what opens an organisation. Kept as hashes; a token is seen once, when it is made. */

import { randomUUID } from "node:crypto"
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { Role } from "@causeway/protocol/Permission"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Audit from "./Audit.ts"
import * as Author from "./Author.ts"
import { removeDevice } from "./Devices.ts"
import type { StoreUnavailable } from "./Errors.ts"
import { type RecordOf, recordOf } from "./internal/record.ts"
import { noted, unavailable } from "./internal/unavailable.ts"
import * as Secret from "./Secret.ts"
import { rows } from "./Sqlite.ts"

/** Prefix of every access token. */
export const PREFIX = "cw_"

/** How exact `lastUsedAt` is: it is written when older than this, 60 s. */
export const LAST_USED_MILLIS = 60_000

interface Row {
  readonly id: string
  readonly organization_id: OrganizationId
  readonly name: string
  readonly role: Role
  /** The token's last four characters. */
  readonly hint: string
  readonly created_at: number
  readonly expires_at: number | null
  readonly last_used_at: number | null
  readonly revoked_at: number | null
  /** The token or device that made it. */
  readonly issued_by: string | null
}

/** An access token without the token. Times are milliseconds since the epoch. */
export type TokenRecord = RecordOf<Row>

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

export class Tokens extends Context.Tag("@causeway/store/Tokens")<
  Tokens,
  {
    /** Makes a token. `expiresAt`: milliseconds since the epoch; left out: never. */
    readonly create: (options: {
      readonly organizationId: OrganizationId
      readonly name: string
      /** Default `owner`. */
      readonly role?: Role | undefined
      readonly expiresAt?: number | undefined
    }) => Effect.Effect<{ readonly token: Redacted.Redacted; readonly record: TokenRecord }, StoreUnavailable>
    /** All of an organisation, revoked ones too, the newest first. */
    readonly list: (
      organizationId: OrganizationId
    ) => Effect.Effect<ReadonlyArray<TokenRecord>, StoreUnavailable>
    /**
     * From now on the token opens nothing. Idempotent: the first time stays. `everything`: and nothing that it made does,
     * nor what that made: tokens, and devices that were let in.
     */
    readonly revoke: (options: {
      readonly organizationId: OrganizationId
      readonly tokenId: string
      readonly everything?: boolean | undefined
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

const COLUMNS =
  "id, organization_id, name, role, hint, created_at, expires_at, last_used_at, revoked_at, issued_by"

const create = (sql: SqlClient.SqlClient): Tokens["Type"]["create"] =>
  Effect.fn("Tokens.create")(
    function* ({ expiresAt, name, organizationId, role }) {
      const secret = Secret.make(PREFIX)
      const row: Row = {
        id: `token_${randomUUID()}`,
        organization_id: organizationId,
        name,
        role: role ?? "owner",
        hint: secret.hint,
        created_at: yield* Clock.currentTimeMillis,
        expires_at: expiresAt ?? null,
        last_used_at: null,
        revoked_at: null,
        issued_by: yield* Author.issuer
      }
      yield* sql`INSERT INTO access_tokens ${sql.insert({ ...row, hash: secret.hash })}`
      const details = { name, role: row.role, expiresAt: row.expires_at }
      yield* Audit.append(sql, { organizationId, action: "token.created", subject: row.id, details })
      return { token: secret.value, record: recordOf(row) }
    },
    sql.withTransaction,
    unavailable
  )

const list = (sql: SqlClient.SqlClient): Tokens["Type"]["list"] =>
  Effect.fn("Tokens.list")(function* (organizationId) {
    const rows = yield* sql<Row>`SELECT ${sql.literal(COLUMNS)} FROM access_tokens
      WHERE organization_id = ${organizationId} ORDER BY created_at DESC, id`
    return rows.map(recordOf)
  }, unavailable)

/** Ends one token; answers whether it stood until now. */
const end = (sql: SqlClient.SqlClient, organizationId: OrganizationId, tokenId: string, now: number) =>
  Effect.gen(function* () {
    const [row] = yield* sql<Row>`UPDATE access_tokens SET revoked_at = ${now} WHERE id = ${tokenId}
      AND organization_id = ${organizationId} AND revoked_at IS NULL RETURNING ${sql.literal(COLUMNS)}`
    if (row === undefined) return
    const details = { name: row.name, role: row.role }
    yield* Audit.append(sql, { organizationId, action: "token.revoked", subject: tokenId, details })
  })

/** Tokens and devices that a token made, and that those made. */
const madeBy = (sql: SqlClient.SqlClient, organizationId: OrganizationId, tokenId: string) =>
  sql<{ readonly id: string; readonly kind: "token" | "device" }>`WITH RECURSIVE
    issued (id, kind, issued_by) AS (
      SELECT id, 'token', issued_by FROM access_tokens WHERE organization_id = ${organizationId}
      UNION ALL SELECT id, 'device', issued_by FROM gateway_devices WHERE organization_id = ${organizationId}),
    made (id, kind) AS (
      SELECT id, kind FROM issued WHERE issued_by = ${tokenId}
      UNION SELECT issued.id, issued.kind FROM issued JOIN made ON issued.issued_by = made.id)
    SELECT id, kind FROM made`

const revoke = (sql: SqlClient.SqlClient): Tokens["Type"]["revoke"] =>
  Effect.fn("Tokens.revoke")(
    function* ({ everything = false, organizationId, tokenId }) {
      const now = yield* Clock.currentTimeMillis
      yield* end(sql, organizationId, tokenId, now)
      const [row] = yield* sql<Row>`SELECT ${sql.literal(COLUMNS)} FROM access_tokens
        WHERE id = ${tokenId} AND organization_id = ${organizationId}`
      if (row === undefined) return yield* new TokenUnknown({ tokenId })
      yield* Effect.forEach(everything ? yield* madeBy(sql, organizationId, tokenId) : [], ({ id, kind }) =>
        kind === "token" ? end(sql, organizationId, id, now) : removeDevice(sql, organizationId, id)
      )
      return recordOf(row)
    },
    sql.withTransaction,
    unavailable
  )

const resolve = (sql: SqlClient.SqlClient): Tokens["Type"]["resolve"] =>
  Effect.fnUntraced(function* (token) {
    const [row] = yield* Effect.provideService(
      rows<Row>(`SELECT ${COLUMNS} FROM access_tokens WHERE hash = ?`, [
        Secret.hashOf(Redacted.value(token))
      ]),
      SqlClient.SqlClient,
      sql
    )
    if (row === undefined) return yield* new TokenRefused({ reason: "unknown" })
    const now = yield* Clock.currentTimeMillis
    if (row.revoked_at !== null) return yield* new TokenRefused({ reason: "revoked" })
    if (row.expires_at !== null && row.expires_at <= now)
      return yield* new TokenRefused({ reason: "expired" })
    if (row.last_used_at === null || now - row.last_used_at >= LAST_USED_MILLIS) {
      yield* noted(sql`UPDATE access_tokens SET last_used_at = ${now} WHERE id = ${row.id}`)
    }
    return recordOf(row)
  }, unavailable)

const epochOf = (sql: SqlClient.SqlClient): Tokens["Type"]["epochOf"] =>
  Effect.fnUntraced(function* ({ organizationId, session }) {
    const [row] = yield* Effect.provideService(
      rows<{ readonly token_epoch: number }>(
        "SELECT token_epoch FROM sessions WHERE body = ? AND organization_id = ?",
        [session, organizationId]
      ),
      SqlClient.SqlClient,
      sql
    )
    return row?.token_epoch
  }, unavailable)

export const layer: Layer.Layer<Tokens, never, SqlClient.SqlClient> = Layer.effect(
  Tokens,
  Effect.map(SqlClient.SqlClient, (sql) =>
    Tokens.of({
      create: create(sql),
      list: list(sql),
      revoke: revoke(sql),
      resolve: resolve(sql),
      signingKey: (name) => Effect.provideService(Secret.keyNamed(name), SqlClient.SqlClient, sql),
      epochOf: epochOf(sql)
    })
  )
)
