/**
 * One-time codes: each lets one device in, without anybody's word, with the scopes that its maker chose.
 *
 * A code is 140 random bits as 28 characters of Crockford's base32 in groups of four (`7K3M-9QWX-…`): letters that are
 * easily mistaken are read as what they look like, case and dashes do not matter. Only its hash is kept. The first device
 * that presents it is bound to it: that one may present it again until it expires, because the answer may have been lost,
 * and no other ever gets in by it. Whoever prints a code in this process makes it here (`create`), others with the
 * gateway's `device.code.create`.
 */
import { randomBytes } from "node:crypto"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Audit from "./Audit.ts"
import * as Author from "./Author.ts"
import type { StoreUnavailable } from "./Errors.ts"
import { recordOf } from "./internal/record.ts"
import { unavailable } from "./internal/unavailable.ts"
import * as Secret from "./Secret.ts"

/** How long a code is good where nobody says: 10 min. */
export const DEFAULT_TTL: Duration.Duration = Duration.minutes(10)

/** How long a code that expired is remembered, so that whoever presents it hears why it does not work: 1 day. */
export const REMEMBERED_MILLIS = 24 * 60 * 60 * 1000

/** Scopes that the page asks for, and that a code gives where nobody says less. */
export const ALL_SCOPES: ReadonlyArray<string> = [
  "operator.admin",
  "operator.read",
  "operator.write",
  "operator.approvals",
  "operator.pairing"
]

/** A code as it was made: the only time that it is seen. */
export interface DeviceCode {
  readonly code: Redacted.Redacted
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** The rights that a code gives. */
export interface Redeemed {
  readonly organizationId: OrganizationId
  readonly scopes: ReadonlyArray<string>
  readonly label: string | undefined
  /** The token or device that made the code. */
  readonly issuedBy: string | undefined
}

/** Why a code opens nothing. `unknown`: never made here, or so long ago that it is forgotten. `used`: by another device. */
export class DeviceCodeRefused extends Data.TaggedError("DeviceCodeRefused")<{
  readonly reason: "unknown" | "expired" | "used"
}> {
  override get message(): string {
    return this.reason === "unknown"
      ? "this one-time code is not known here"
      : this.reason === "used"
        ? "this one-time code was used by another device"
        : "this one-time code has expired"
  }
}

export class DeviceCodes extends Context.Tag("@causeway/store/DeviceCodes")<
  DeviceCodes,
  {
    /** Makes a code. Those that expired long ago are swept. */
    readonly create: (options: {
      readonly organizationId: OrganizationId
      /** Default {@link ALL_SCOPES}. */
      readonly scopes?: ReadonlyArray<string> | undefined
      /** Default {@link DEFAULT_TTL}. */
      readonly ttl?: Duration.DurationInput | undefined
      /** Its purpose, in its maker's words. */
      readonly label?: string | undefined
    }) => Effect.Effect<DeviceCode, StoreUnavailable>
    /** Binds the code to the device, which has proved its key; idempotent for that device until the code expires. */
    readonly redeem: (
      code: Redacted.Redacted,
      deviceId: string
    ) => Effect.Effect<Redeemed, DeviceCodeRefused | StoreUnavailable>
  }
>() {}

/** Crockford's: without I, L, O and U. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
const LENGTH = 28

const generate = (): string =>
  // 256 is a multiple of 32: every character is as likely as any other.
  [...randomBytes(LENGTH)].map((byte) => ALPHABET[byte % ALPHABET.length]).join("")

const grouped = (code: string): string => (code.match(/.{4}/g) ?? []).join("-")

/** A code as people type it, in the spelling that is hashed. */
export const normalise = (code: string): string =>
  code
    .toUpperCase()
    .replace(/[\s\p{Dash}]/gu, "")
    .replaceAll("O", "0")
    .replace(/[IL]/g, "1")

interface Row {
  readonly organization_id: OrganizationId
  readonly scopes: string
  readonly label: string | null
  readonly issued_by: string | null
}

const ScopesJson = Schema.parseJson(Schema.Array(Schema.String))
const writeScopes = Schema.encodeSync(ScopesJson)
// What stands in the column was encoded by this module.
const readScopes = Schema.decodeSync(ScopesJson)

const create = (sql: SqlClient.SqlClient): DeviceCodes["Type"]["create"] =>
  Effect.fn("DeviceCodes.create")(
    function* (options) {
      const now = yield* Clock.currentTimeMillis
      const expiresAt = now + Duration.toMillis(options.ttl ?? DEFAULT_TTL)
      const code = generate()
      yield* sql`DELETE FROM device_codes WHERE expires_at < ${now - REMEMBERED_MILLIS}`
      yield* sql`INSERT INTO device_codes (hash, organization_id, scopes, label, created_at, expires_at, issued_by)
      VALUES (${Secret.hashOf(code)}, ${options.organizationId}, ${writeScopes(options.scopes ?? ALL_SCOPES)},
        ${options.label ?? null}, ${now}, ${expiresAt}, ${yield* Author.issuer})`
      yield* Audit.append(sql, {
        organizationId: options.organizationId,
        action: "code.created",
        details: { scopes: options.scopes ?? ALL_SCOPES, label: options.label ?? null, expiresAt }
      })
      return { code: Redacted.make(grouped(code)), expiresAt }
    },
    sql.withTransaction,
    unavailable
  )

const redeem = (sql: SqlClient.SqlClient): DeviceCodes["Type"]["redeem"] =>
  Effect.fn("DeviceCodes.redeem")(
    function* (code, deviceId) {
      const now = yield* Clock.currentTimeMillis
      const hash = Secret.hashOf(normalise(Redacted.value(code)))
      // One statement, so that of two devices at the same moment one is first.
      const [bound] = yield* sql<Row & { readonly used_at: number }>`UPDATE device_codes
      SET device_id = ${deviceId}, used_at = coalesce(used_at, ${now})
      WHERE hash = ${hash} AND expires_at > ${now} AND (device_id IS NULL OR device_id = ${deviceId})
      RETURNING organization_id, scopes, label, issued_by, used_at`
      if (bound !== undefined) {
        const { used_at: usedAt, ...row } = bound
        if (usedAt === now) {
          yield* Audit.append(sql, {
            organizationId: row.organization_id,
            action: "code.redeemed",
            subject: deviceId,
            details: { label: row.label }
          })
        }
        return { ...recordOf(row), scopes: readScopes(row.scopes) }
      }
      const [known] = yield* sql<{ readonly device_id: string | null }>`
      SELECT device_id FROM device_codes WHERE hash = ${hash}`
      if (known === undefined) return yield* new DeviceCodeRefused({ reason: "unknown" })
      const isUsed = known.device_id !== null && known.device_id !== deviceId
      return yield* new DeviceCodeRefused({ reason: isUsed ? "used" : "expired" })
    },
    sql.withTransaction,
    unavailable
  )

export const make = Effect.map(SqlClient.SqlClient, (sql) =>
  DeviceCodes.of({ create: create(sql), redeem: redeem(sql) })
)

export const layer: Layer.Layer<DeviceCodes, never, SqlClient.SqlClient> = Layer.effect(DeviceCodes, make)
