/**
 * Devices that may connect to the gateway, what was approved for each of their roles, and requests that wait for approval.
 *
 * A device's token is derived (HMAC of device, role and generation with a key made at first start), so that it can be
 * told again at every connect and nothing secret is stored beside the key. Source: spec 2 §1.
 */

import { createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto"
import { OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"

/** Role → scopes. */
const Approved = Schema.Record({ key: Schema.String, value: Schema.Array(Schema.String) })
export type Approved = typeof Approved.Type
const ApprovedJson = Schema.parseJson(Approved)
const ScopesJson = Schema.parseJson(Schema.Array(Schema.String))

/** What a device says of itself. */
export interface DeviceMetadata {
  readonly deviceId: string
  readonly publicKey: string
  readonly displayName: string | undefined
  readonly platform: string
  readonly deviceFamily: string
  readonly clientId: string
  readonly clientMode: string
}

/** A device that was approved. Times are milliseconds since the epoch. */
export interface DeviceRecord extends DeviceMetadata {
  readonly organizationId: OrganizationId
  readonly approved: Approved
  readonly tokenGeneration: number
  readonly createdAt: number
  readonly approvedAt: number
  readonly lastSeenAt: number | undefined
}

export type PairingReason = "not-paired" | "role-upgrade" | "scope-upgrade" | "metadata-upgrade"

/** A request that waits for a person. */
export interface PairingRequest extends DeviceMetadata {
  readonly requestId: string
  readonly organizationId: OrganizationId
  readonly role: string
  readonly scopes: ReadonlyArray<string>
  readonly reason: PairingReason
  readonly remoteAddress: string | undefined
  readonly createdAt: number
}

interface MetadataColumns {
  readonly organization_id: string
  readonly public_key: string
  readonly display_name: string | null
  readonly platform: string
  readonly device_family: string
  readonly client_id: string
  readonly client_mode: string
  readonly created_at: number
}
interface DeviceColumns extends MetadataColumns {
  readonly id: string
  readonly approved: string
  readonly token_generation: number
  readonly approved_at: number
  readonly last_seen_at: number | null
}
interface RequestColumns extends MetadataColumns {
  readonly id: string
  readonly device_id: string
  readonly role: string
  readonly scopes: string
  readonly reason: PairingReason
  readonly remote_address: string | null
}

const metadata = (row: MetadataColumns, deviceId: string): DeviceMetadata => ({
  deviceId,
  publicKey: row.public_key,
  displayName: row.display_name ?? undefined,
  platform: row.platform,
  deviceFamily: row.device_family,
  clientId: row.client_id,
  clientMode: row.client_mode
})

// What stands in these columns was encoded by this module.
const readApproved = Schema.decodeSync(ApprovedJson)
const readScopes = Schema.decodeSync(ScopesJson)

const toDevice = (row: DeviceColumns): DeviceRecord => ({
  ...metadata(row, row.id),
  organizationId: OrganizationId.make(row.organization_id),
  approved: readApproved(row.approved),
  tokenGeneration: row.token_generation,
  createdAt: row.created_at,
  approvedAt: row.approved_at,
  lastSeenAt: row.last_seen_at ?? undefined
})

const toRequest = (row: RequestColumns): PairingRequest => ({
  ...metadata(row, row.device_id),
  requestId: row.id,
  organizationId: OrganizationId.make(row.organization_id),
  role: row.role,
  scopes: readScopes(row.scopes),
  reason: row.reason,
  remoteAddress: row.remote_address ?? undefined,
  createdAt: row.created_at
})

export class GatewayDevices extends Context.Tag("@causeway/store/GatewayDevices")<
  GatewayDevices,
  {
    readonly get: (deviceId: string) => Effect.Effect<DeviceRecord | undefined, StoreUnavailable>
    readonly list: (
      organizationId: OrganizationId
    ) => Effect.Effect<ReadonlyArray<DeviceRecord>, StoreUnavailable>
    /** Approves a role with these scopes, beside what was approved before; a request for it is settled. */
    readonly approve: (
      device: DeviceMetadata & { readonly organizationId: OrganizationId },
      role: string,
      scopes: ReadonlyArray<string>
    ) => Effect.Effect<DeviceRecord, StoreUnavailable>
    readonly seen: (deviceId: string) => Effect.Effect<void, StoreUnavailable>
    /** Forgets a device with its requests and pushes; its tokens and codes end. False where it was unknown. */
    readonly remove: (
      organizationId: OrganizationId,
      deviceId: string
    ) => Effect.Effect<boolean, StoreUnavailable>
    /** Ends the device's tokens and codes; the next connect is told new ones. Undefined where it is unknown. */
    readonly rotate: (
      organizationId: OrganizationId,
      deviceId: string
    ) => Effect.Effect<DeviceRecord | undefined, StoreUnavailable>
    /** The request of this device for this role, made or brought up to date. */
    readonly request: (
      device: DeviceMetadata & { readonly organizationId: OrganizationId },
      wanted: {
        readonly role: string
        readonly scopes: ReadonlyArray<string>
        readonly reason: PairingReason
        readonly remoteAddress: string | undefined
      }
    ) => Effect.Effect<PairingRequest, StoreUnavailable>
    readonly requests: (
      organizationId: OrganizationId
    ) => Effect.Effect<ReadonlyArray<PairingRequest>, StoreUnavailable>
    readonly takeRequest: (
      organizationId: OrganizationId,
      requestId: string
    ) => Effect.Effect<PairingRequest | undefined, StoreUnavailable>
    readonly token: (device: DeviceRecord, role: string) => Redacted.Redacted
    readonly verifyToken: (device: DeviceRecord, role: string, token: Redacted.Redacted) => boolean
  }
>() {}

const KEY_NAME = "gateway-device-token-key"

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const now = Clock.currentTimeMillis

  const key = yield* Effect.gen(function* () {
    yield* sql`INSERT OR IGNORE INTO secrets (name, value, created_at)
      VALUES (${KEY_NAME}, ${randomBytes(32).toString("base64url")}, ${yield* now})`
    const [row] = yield* sql<{
      readonly value: string
    }>`SELECT value FROM secrets WHERE name = ${KEY_NAME}`
    return Redacted.make(row?.value ?? "")
  }).pipe(unavailable)

  const token = (device: DeviceRecord, role: string): Redacted.Redacted =>
    Redacted.make(
      createHmac("sha256", Redacted.value(key))
        .update(`${device.deviceId}|${role}|${device.tokenGeneration}`)
        .digest("base64url")
    )

  const verifyToken = (device: DeviceRecord, role: string, given: Redacted.Redacted): boolean => {
    if (device.approved[role] === undefined) return false
    const expected = Buffer.from(Redacted.value(token(device, role)))
    const actual = Buffer.from(Redacted.value(given))
    return expected.length === actual.length && timingSafeEqual(expected, actual)
  }

  const find = (deviceId: string) =>
    Effect.map(sql<DeviceColumns>`SELECT * FROM gateway_devices WHERE id = ${deviceId}`, (rows) =>
      rows[0] === undefined ? undefined : toDevice(rows[0])
    )

  const approve = (
    device: DeviceMetadata & { readonly organizationId: OrganizationId },
    role: string,
    scopes: ReadonlyArray<string>
  ) =>
    Effect.gen(function* () {
      const at = yield* now
      const before = yield* find(device.deviceId)
      // What another organisation approved is worth nothing here.
      const same = before?.organizationId === device.organizationId ? before.approved : undefined
      const approved = { ...same, [role]: [...new Set([...(same?.[role] ?? []), ...scopes])].sort() }
      if (before !== undefined && same === undefined) {
        yield* sql`DELETE FROM push_subscriptions WHERE device_id = ${device.deviceId}`
      }
      const rows =
        yield* sql<DeviceColumns>`INSERT INTO gateway_devices (id, organization_id, public_key, display_name,
          platform, device_family, client_id, client_mode, approved, created_at, approved_at, last_seen_at)
        VALUES (${device.deviceId}, ${device.organizationId}, ${device.publicKey}, ${device.displayName ?? null},
          ${device.platform}, ${device.deviceFamily}, ${device.clientId}, ${device.clientMode},
          ${Schema.encodeSync(ApprovedJson)(approved)}, ${at}, ${at}, ${at})
        ON CONFLICT (id) DO UPDATE SET organization_id = excluded.organization_id, display_name = excluded.display_name,
          platform = excluded.platform, device_family = excluded.device_family, client_id = excluded.client_id,
          client_mode = excluded.client_mode, approved = excluded.approved, approved_at = excluded.approved_at
        RETURNING *`
      yield* sql`DELETE FROM gateway_pairing_requests WHERE device_id = ${device.deviceId} AND role = ${role}`
      // An upsert that returns answers with its row.
      return toDevice(rows[0] as DeviceColumns)
    }).pipe(sql.withTransaction)

  /** A code that let a device in is no way back for one that was sent away. */
  const endCodes = (deviceId: string) =>
    Effect.flatMap(
      now,
      (at) => sql`UPDATE device_codes SET expires_at = min(expires_at, ${at}) WHERE device_id = ${deviceId}`
    )

  const request: GatewayDevices["Type"]["request"] = (device, wanted) =>
    Effect.gen(function* () {
      const rows =
        yield* sql<RequestColumns>`INSERT INTO gateway_pairing_requests (id, organization_id, device_id,
          public_key, display_name, platform, device_family, client_id, client_mode, role, scopes, reason,
          remote_address, created_at)
        VALUES (${randomUUID()}, ${device.organizationId}, ${device.deviceId}, ${device.publicKey},
          ${device.displayName ?? null}, ${device.platform}, ${device.deviceFamily}, ${device.clientId},
          ${device.clientMode}, ${wanted.role}, ${Schema.encodeSync(ScopesJson)(wanted.scopes)}, ${wanted.reason},
          ${wanted.remoteAddress ?? null}, ${yield* now})
        ON CONFLICT (device_id, role) DO UPDATE SET scopes = excluded.scopes, reason = excluded.reason,
          platform = excluded.platform, device_family = excluded.device_family, client_id = excluded.client_id,
          client_mode = excluded.client_mode, display_name = excluded.display_name,
          remote_address = excluded.remote_address, created_at = excluded.created_at
        RETURNING *`
      return toRequest(rows[0] as RequestColumns)
    }).pipe(unavailable)

  return GatewayDevices.of({
    get: (deviceId) => unavailable(find(deviceId)),
    list: (organizationId) =>
      sql<DeviceColumns>`SELECT * FROM gateway_devices WHERE organization_id = ${organizationId} ORDER BY created_at`.pipe(
        Effect.map((rows) => rows.map(toDevice)),
        unavailable
      ),
    approve: (device, role, scopes) => unavailable(approve(device, role, scopes)),
    seen: (deviceId) =>
      Effect.flatMap(
        now,
        (at) => sql`UPDATE gateway_devices SET last_seen_at = ${at} WHERE id = ${deviceId}`
      ).pipe(Effect.asVoid, unavailable),
    remove: (organizationId, deviceId) =>
      Effect.gen(function* () {
        yield* sql`DELETE FROM gateway_pairing_requests WHERE device_id = ${deviceId} AND organization_id = ${organizationId}`
        const rows = yield* sql`DELETE FROM gateway_devices WHERE id = ${deviceId}
          AND organization_id = ${organizationId} RETURNING id`
        if (rows.length > 0) yield* endCodes(deviceId)
        return rows.length > 0
      }).pipe(sql.withTransaction, unavailable),
    rotate: (organizationId, deviceId) =>
      Effect.gen(function* () {
        const [row] =
          yield* sql<DeviceColumns>`UPDATE gateway_devices SET token_generation = token_generation + 1
          WHERE id = ${deviceId} AND organization_id = ${organizationId} RETURNING *`
        if (row === undefined) return undefined
        yield* endCodes(deviceId)
        return toDevice(row)
      }).pipe(sql.withTransaction, unavailable),
    request,
    requests: (organizationId) =>
      sql<RequestColumns>`SELECT * FROM gateway_pairing_requests WHERE organization_id = ${organizationId}
        ORDER BY created_at`.pipe(
        Effect.map((rows) => rows.map(toRequest)),
        unavailable
      ),
    takeRequest: (organizationId, requestId) =>
      sql<RequestColumns>`DELETE FROM gateway_pairing_requests WHERE id = ${requestId}
        AND organization_id = ${organizationId} RETURNING *`.pipe(
        Effect.map((rows) => (rows[0] === undefined ? undefined : toRequest(rows[0]))),
        unavailable
      ),
    token,
    verifyToken
  })
})

export const layer: Layer.Layer<GatewayDevices, StoreUnavailable, SqlClient.SqlClient> = Layer.effect(
  GatewayDevices,
  make
)
