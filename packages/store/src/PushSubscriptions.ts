/**
 * Browsers that take pushes: where each is reached and the keys that only it can read with. A subscription belongs to a
 * device and goes with it. Beside them the key by which push services know this hub (VAPID), made at first start.
 */
import { createECDH } from "node:crypto"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Limits from "@causeway/protocol/Limits"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { StoreUnavailable } from "./Errors.ts"
import { type RecordOf, recordOf } from "./internal/record.ts"
import { unavailable } from "./internal/unavailable.ts"
import * as Secret from "./Secret.ts"

interface Row {
  readonly organization_id: OrganizationId
  readonly device_id: string
  /** The push service's address of this browser. Whoever knows it can send to it, so it is told to nobody. */
  readonly endpoint: string
  /** The browser's public key and secret, base64url. */
  readonly p256dh: string
  readonly auth: string
}

export type PushSubscription = RecordOf<Row>

/** P-256, base64url: the public key uncompressed (65 bytes), the private one as its number (32 bytes). */
export interface VapidKey {
  readonly publicKey: string
  readonly privateKey: Redacted.Redacted
}

export class PushSubscriptions extends Context.Tag("@causeway/store/PushSubscriptions")<
  PushSubscriptions,
  {
    /** The same one at every start. */
    readonly vapidKey: VapidKey
    /** Of an endpoint that is known the newest keys and device stand. False where the device is not known any more. */
    readonly add: (subscription: PushSubscription) => Effect.Effect<boolean, StoreUnavailable>
    /** The device's own; what it has not is left alone. */
    readonly remove: (deviceId: string, endpoint: string) => Effect.Effect<void, StoreUnavailable>
    /** For an endpoint that its push service has ended. */
    readonly forget: (endpoint: string) => Effect.Effect<void, StoreUnavailable>
    readonly list: (
      organizationId: OrganizationId
    ) => Effect.Effect<ReadonlyArray<PushSubscription>, StoreUnavailable>
    /** Organisations that have any. */
    readonly organizations: Effect.Effect<ReadonlyArray<OrganizationId>, StoreUnavailable>
  }
>() {}

const generate = (): string => {
  const pair = createECDH("prime256v1")
  pair.generateKeys()
  // A number with leading zeros is shorter than its field.
  const number = pair.getPrivateKey()
  const padded = Buffer.concat([Buffer.alloc(32 - number.length), number])
  return `${pair.getPublicKey("base64url")}.${padded.toString("base64url")}`
}

const add = (sql: SqlClient.SqlClient): PushSubscriptions["Type"]["add"] =>
  Effect.fn("PushSubscriptions.add")(
    function* ({ auth, deviceId, endpoint, organizationId, p256dh }) {
      const now = yield* Clock.currentTimeMillis
      const added = yield* sql`INSERT INTO push_subscriptions
        (endpoint, organization_id, device_id, p256dh, auth, created_at)
        SELECT ${endpoint}, organization_id, id, ${p256dh}, ${auth}, ${now} FROM gateway_devices
          WHERE id = ${deviceId} AND organization_id = ${organizationId}
        ON CONFLICT (endpoint) DO UPDATE SET organization_id = excluded.organization_id,
          device_id = excluded.device_id, p256dh = excluded.p256dh, auth = excluded.auth,
          created_at = excluded.created_at
        RETURNING endpoint`
      yield* sql`DELETE FROM push_subscriptions WHERE device_id = ${deviceId} AND endpoint NOT IN (
        SELECT endpoint FROM push_subscriptions WHERE device_id = ${deviceId}
        ORDER BY created_at DESC, rowid DESC LIMIT ${Limits.PUSH_SUBSCRIPTIONS})`
      return added.length > 0
    },
    sql.withTransaction,
    unavailable
  )

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [publicKey = "", privateKey = ""] = Redacted.value(
    yield* Secret.keyNamed("push-vapid-key", generate)
  ).split(".")
  return PushSubscriptions.of({
    vapidKey: { publicKey, privateKey: Redacted.make(privateKey) },
    add: add(sql),
    remove: (deviceId, endpoint) =>
      unavailable(
        Effect.asVoid(
          sql`DELETE FROM push_subscriptions WHERE device_id = ${deviceId} AND endpoint = ${endpoint}`
        )
      ),
    forget: (endpoint) =>
      unavailable(Effect.asVoid(sql`DELETE FROM push_subscriptions WHERE endpoint = ${endpoint}`)),
    list: (organizationId) =>
      sql<Row>`SELECT organization_id, device_id, endpoint, p256dh, auth FROM push_subscriptions
          WHERE organization_id = ${organizationId} ORDER BY created_at, rowid`.pipe(
        Effect.map((rows) => rows.map(recordOf)),
        unavailable
      ),
    organizations: sql<Pick<Row, "organization_id">>`
        SELECT DISTINCT organization_id FROM push_subscriptions`.pipe(
      Effect.map((rows) => rows.map((row) => row.organization_id)),
      unavailable
    )
  })
})

export const layer: Layer.Layer<PushSubscriptions, StoreUnavailable, SqlClient.SqlClient> = Layer.effect(
  PushSubscriptions,
  make
)
