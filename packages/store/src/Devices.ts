/**
 * Devices that may connect to the gateway, what was approved for each of their roles, and requests that wait for approval.
 *
 * A device's token is derived (HMAC of device, role and generation with a key made at first start), so that it can be
 * told again at every connect and nothing secret is stored beside the key. Source: spec 2 §1.
 */

import { createHmac, randomUUID } from "node:crypto"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Audit from "./Audit.ts"
import * as Author from "./Author.ts"
import type { StoreUnavailable } from "./Errors.ts"
import { type RecordOf, recordOf } from "./internal/record.ts"
import { noted, unavailable } from "./internal/unavailable.ts"
import * as Secret from "./Secret.ts"

/** Role → scopes. */
const ApprovedJson = Schema.parseJson(
  Schema.Record({ key: Schema.String, value: Schema.Array(Schema.String) })
)
const ScopesJson = Schema.parseJson(Schema.Array(Schema.String))

interface MetadataRow {
  readonly organization_id: OrganizationId
  readonly device_id: string
  readonly public_key: string
  readonly display_name: string | null
  readonly platform: string
  readonly device_family: string
  readonly client_id: string
  readonly client_mode: string
}

interface DeviceRow extends MetadataRow {
  readonly issued_by: string | null
  readonly approved: string
  readonly token_generation: number
  readonly created_at: number
  readonly approved_at: number
  readonly last_seen_at: number | null
}

interface RequestRow extends MetadataRow {
  readonly request_id: string
  readonly role: string
  readonly scopes: string
  readonly reason: PairingReason
  readonly remote_address: string | null
  readonly created_at: number
}

/** A device in its own words, and the organisation that it asks to let it in. */
export type DeviceMetadata = RecordOf<MetadataRow>

/** A device that was approved. Times are milliseconds since the epoch. */
export type DeviceRecord = RecordOf<Omit<DeviceRow, "approved">> & {
  readonly approved: typeof ApprovedJson.Type
}

export type PairingReason = "not-paired" | "role-upgrade" | "scope-upgrade" | "metadata-upgrade"

/** A request that waits for a person. */
export type PairingRequest = RecordOf<Omit<RequestRow, "scopes">> & {
  readonly scopes: typeof ScopesJson.Type
}

// What stands in these columns was encoded by this module.
const readApproved = Schema.decodeSync(ApprovedJson)
const readScopes = Schema.decodeSync(ScopesJson)

const toDevice = ({ approved, ...row }: DeviceRow): DeviceRecord => ({
  ...recordOf(row),
  approved: readApproved(approved)
})

const toRequest = ({ scopes, ...row }: RequestRow): PairingRequest => ({
  ...recordOf(row),
  scopes: readScopes(scopes)
})

const metadataColumns = (device: DeviceMetadata) => ({
  organization_id: device.organizationId,
  public_key: device.publicKey,
  display_name: device.displayName ?? null,
  platform: device.platform,
  device_family: device.deviceFamily,
  client_id: device.clientId,
  client_mode: device.clientMode
})

export class Devices extends Context.Tag("@causeway/store/Devices")<
  Devices,
  {
    readonly get: (deviceId: string) => Effect.Effect<DeviceRecord | undefined, StoreUnavailable>
    readonly list: (
      organizationId: OrganizationId
    ) => Effect.Effect<ReadonlyArray<DeviceRecord>, StoreUnavailable>
    /** Approves a role with these scopes, beside what was approved before; a request for it is settled. */
    readonly approve: (
      device: DeviceMetadata,
      role: string,
      scopes: ReadonlyArray<string>,
      /** The token or device whose word let it in; default: who acts. */
      issuedBy?: string | undefined
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
    /**
     * The request of this device for this role. What is asked under an id never changes: asked for in another way it is
     * another request, with an id of its own, and the one before is gone.
     */
    readonly request: (
      device: DeviceMetadata,
      wanted: Pick<PairingRequest, "role" | "scopes" | "reason" | "remoteAddress">
    ) => Effect.Effect<PairingRequest, StoreUnavailable>
    readonly requests: (
      organizationId: OrganizationId
    ) => Effect.Effect<ReadonlyArray<PairingRequest>, StoreUnavailable>
    /** Rejects a request. Undefined where there is none of this id. */
    readonly reject: (
      organizationId: OrganizationId,
      requestId: string
    ) => Effect.Effect<PairingRequest | undefined, StoreUnavailable>
    readonly token: (device: DeviceRecord, role: string) => Redacted.Redacted
    readonly verifyToken: (device: DeviceRecord, role: string, token: Redacted.Redacted) => boolean
  }
>() {}

const readDevices = (sql: SqlClient.SqlClient, where: { readonly [column: string]: string }) =>
  Effect.map(
    sql<DeviceRow>`SELECT *, id AS device_id FROM gateway_devices WHERE ${sql.and(
      Object.entries(where).map(([column, value]) => sql`${sql(column)} = ${value}`)
    )} ORDER BY created_at`,
    (rows) => rows.map(toDevice)
  )

const approve = (sql: SqlClient.SqlClient): Devices["Type"]["approve"] =>
  Effect.fnUntraced(
    function* (device, role, scopes, issuedBy) {
      const now = yield* Clock.currentTimeMillis
      const [before] = yield* readDevices(sql, { id: device.deviceId })
      // What another organisation approved is worth nothing here.
      const same = before?.organizationId === device.organizationId ? before.approved : undefined
      const approved = { ...same, [role]: [...new Set([...(same?.[role] ?? []), ...scopes])].sort() }
      if (before !== undefined && same === undefined) {
        yield* sql`DELETE FROM push_subscriptions WHERE device_id = ${device.deviceId}`
      }
      const rows = yield* sql<DeviceRow>`INSERT INTO gateway_devices ${sql.insert({
        id: device.deviceId,
        ...metadataColumns(device),
        approved: Schema.encodeSync(ApprovedJson)(approved),
        created_at: now,
        approved_at: now,
        last_seen_at: now,
        issued_by: issuedBy ?? (yield* Author.issuer)
      })} ON CONFLICT (id) DO UPDATE SET organization_id = excluded.organization_id, display_name = excluded.display_name,
          platform = excluded.platform, device_family = excluded.device_family, client_id = excluded.client_id,
          client_mode = excluded.client_mode, approved = excluded.approved, approved_at = excluded.approved_at
        RETURNING *, id AS device_id`
      yield* sql`DELETE FROM gateway_pairing_requests WHERE device_id = ${device.deviceId} AND role = ${role}`
      yield* Audit.append(sql, {
        organizationId: device.organizationId,
        action: "device.approved",
        subject: device.deviceId,
        details: { name: device.displayName ?? device.clientId, role, scopes }
      })
      // An upsert that returns answers with its row.
      return toDevice(rows[0] as DeviceRow)
    },
    sql.withTransaction,
    unavailable
  )

/** A code that let a device in is no way back for one that was sent away. */
const endCodes = (sql: SqlClient.SqlClient, deviceId: string): Effect.Effect<unknown, SqlError> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => sql`UPDATE device_codes SET expires_at = min(expires_at, ${now}) WHERE device_id = ${deviceId}`
  )

/** Forgets a device; to be run inside a transaction. False where it was unknown. */
export const removeDevice = (
  sql: SqlClient.SqlClient,
  organizationId: OrganizationId,
  deviceId: string
): Effect.Effect<boolean, SqlError> =>
  Effect.gen(function* () {
    yield* sql`DELETE FROM gateway_pairing_requests WHERE device_id = ${deviceId} AND organization_id = ${organizationId}`
    const rows = yield* sql`DELETE FROM gateway_devices WHERE id = ${deviceId}
      AND organization_id = ${organizationId} RETURNING id`
    if (rows.length === 0) return false
    yield* endCodes(sql, deviceId)
    yield* Audit.append(sql, { organizationId, action: "device.removed", subject: deviceId })
    return true
  })

const rotate = (sql: SqlClient.SqlClient): Devices["Type"]["rotate"] =>
  Effect.fnUntraced(
    function* (organizationId, deviceId) {
      const [row] = yield* sql<DeviceRow>`UPDATE gateway_devices SET token_generation = token_generation + 1
        WHERE id = ${deviceId} AND organization_id = ${organizationId} RETURNING *, id AS device_id`
      if (row === undefined) return undefined
      yield* endCodes(sql, deviceId)
      yield* Audit.append(sql, { organizationId, action: "device.rotated", subject: deviceId })
      return toDevice(row)
    },
    sql.withTransaction,
    unavailable
  )

const request = (sql: SqlClient.SqlClient): Devices["Type"]["request"] =>
  Effect.fnUntraced(
    function* (device, { reason, remoteAddress, role, scopes }) {
      const asked: Omit<RequestRow, "request_id" | "created_at"> = {
        device_id: device.deviceId,
        ...metadataColumns(device),
        role,
        scopes: Schema.encodeSync(ScopesJson)(scopes),
        reason,
        remote_address: remoteAddress ?? null
      }
      const [known] = yield* sql<RequestRow>`SELECT *, id AS request_id FROM gateway_pairing_requests
        WHERE device_id = ${device.deviceId} AND role = ${role}`
      const columns = Object.keys(asked) as ReadonlyArray<keyof typeof asked>
      if (known !== undefined && columns.every((column) => known[column] === asked[column])) {
        return toRequest(known)
      }
      const row: RequestRow = {
        ...asked,
        request_id: randomUUID(),
        created_at: yield* Clock.currentTimeMillis
      }
      const { request_id: id, ...columnsOfRow } = row
      yield* sql`DELETE FROM gateway_pairing_requests WHERE device_id = ${device.deviceId} AND role = ${role}`
      yield* sql`INSERT INTO gateway_pairing_requests ${sql.insert({ id, ...columnsOfRow })}`
      return toRequest(row)
    },
    sql.withTransaction,
    unavailable
  )

const requests = (sql: SqlClient.SqlClient): Devices["Type"]["requests"] =>
  Effect.fnUntraced(function* (organizationId) {
    const rows = yield* sql<RequestRow>`SELECT *, id AS request_id FROM gateway_pairing_requests
      WHERE organization_id = ${organizationId} ORDER BY created_at`
    return rows.map(toRequest)
  }, unavailable)

const reject = (sql: SqlClient.SqlClient): Devices["Type"]["reject"] =>
  Effect.fnUntraced(
    function* (organizationId, requestId) {
      const [row] = yield* sql<RequestRow>`DELETE FROM gateway_pairing_requests WHERE id = ${requestId}
      AND organization_id = ${organizationId} RETURNING *, id AS request_id`
      if (row === undefined) return undefined
      const details = { request: requestId, role: row.role }
      yield* Audit.append(sql, { organizationId, action: "device.rejected", subject: row.device_id, details })
      return toRequest(row)
    },
    sql.withTransaction,
    unavailable
  )

export const layer: Layer.Layer<Devices, StoreUnavailable, SqlClient.SqlClient> = Layer.effect(
  Devices,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const key = yield* Secret.keyNamed("gateway-device-token-key")
    const token: Devices["Type"]["token"] = ({ deviceId, tokenGeneration }, role) =>
      Redacted.make(
        createHmac("sha256", Redacted.value(key))
          .update(`${deviceId}|${role}|${tokenGeneration}`)
          .digest("base64url")
      )
    return Devices.of({
      get: (deviceId) => unavailable(Effect.map(readDevices(sql, { id: deviceId }), ([device]) => device)),
      list: (organizationId) => unavailable(readDevices(sql, { organization_id: organizationId })),
      approve: approve(sql),
      seen: (deviceId) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => sql`UPDATE gateway_devices SET last_seen_at = ${now} WHERE id = ${deviceId}`
        ).pipe(noted),
      remove: (organizationId, deviceId) =>
        unavailable(sql.withTransaction(removeDevice(sql, organizationId, deviceId))),
      rotate: rotate(sql),
      request: request(sql),
      requests: requests(sql),
      reject: reject(sql),
      token,
      verifyToken: (device, role, given) =>
        device.approved[role] !== undefined &&
        Secret.isSame(Redacted.value(given), Redacted.value(token(device, role)))
    })
  })
)
