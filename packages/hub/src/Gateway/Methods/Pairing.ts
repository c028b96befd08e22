/** Devices: what waits for approval, what was approved, and their end. Source: spec 2 §1 ("Pairing"). */
import * as Params from "@causeway/protocol/Gateway/Params"
import { isScope, type Scope } from "@causeway/protocol/Permission"
import { DeviceCodes } from "@causeway/store/DeviceCodes"
import { type DeviceRecord, Devices, type PairingRequest } from "@causeway/store/Devices"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Connected } from "../../Connected.ts"
import * as PublicUrl from "../../PublicUrl.ts"
import { type Connection, type Connections, GatewayConnections } from "../Connections.ts"
import { invalid, type Refused } from "../Failure.ts"
import { tellResolved } from "../Handshake/Pairing.ts"
import { answer, method } from "../Method.ts"
import * as Rows from "../Rows.ts"
import { holds } from "../Scopes.ts"

const showDevice = (device: DeviceRecord, caller: Connection, connections: Connections) =>
  Rows.compact({
    current: caller.info.deviceId === device.deviceId ? true : undefined,
    connected: [...connections.all].some((each) => each.info.deviceId === device.deviceId),
    deviceId: device.deviceId,
    publicKey: device.publicKey,
    displayName: device.displayName,
    platform: device.platform,
    deviceFamily: device.deviceFamily === "" ? undefined : device.deviceFamily,
    clientId: device.clientId,
    clientMode: device.clientMode,
    roles: Object.keys(device.approved),
    scopes: [...new Set(Object.values(device.approved).flat())],
    approvedAtMs: device.approvedAt,
    createdAtMs: device.createdAt,
    lastSeenAtMs: device.lastSeenAt,
    tokens: Object.entries(device.approved).map(([role, scopes]) => ({ role, scopes }))
  })

const pairList = method("device.pair.list", Params.Empty, function* (_, { connection, organizationId }) {
  const devices = yield* Devices
  const connections = yield* GatewayConnections
  const pending = yield* devices.requests(organizationId)
  const paired = yield* devices.list(organizationId)
  return answer({
    pending: pending.map((request) =>
      Rows.compact({
        requestId: request.requestId,
        deviceId: request.deviceId,
        displayName: request.displayName,
        platform: request.platform,
        clientId: request.clientId,
        clientMode: request.clientMode,
        role: request.role,
        roles: [request.role],
        scopes: request.scopes,
        reason: request.reason,
        remoteIp: request.remoteAddress,
        ts: request.createdAt
      })
    ),
    paired: paired.map((device) => showDevice(device, connection, connections))
  })
})

/** Nobody gives away more than they hold. */
const requireAll = (caller: Connection, scopes: ReadonlyArray<string>) => {
  const missing = scopes.find((scope) => !holds(caller.info.scopes, scope as Scope))
  return missing === undefined ? Effect.void : Effect.fail(invalid(`missing scope: ${missing}`))
}

const listed = (scopes: ReadonlyArray<string>): string => [...new Set(scopes)].sort().join(", ") || "none"

/** Refuses where what the approver named is not what the device asks for. */
const requireSame = (
  named: { readonly role?: string | undefined; readonly scopes?: ReadonlyArray<string> | undefined },
  asked: PairingRequest
): Effect.Effect<void, Refused> => {
  if (named.role !== undefined && named.role !== asked.role) {
    return Effect.fail(invalid(`the device asks for the role ${asked.role}, not ${named.role}`))
  }
  return named.scopes === undefined || listed(named.scopes) === listed(asked.scopes)
    ? Effect.void
    : Effect.fail(
        invalid(`the device asks for the scopes ${listed(asked.scopes)}, not ${listed(named.scopes)}`)
      )
}

/** Nobody ends or changes a device that may more than they do, but for their own. */
const requireOver = (caller: Connection, deviceId: string, devices: Devices["Type"]) =>
  Effect.gen(function* () {
    const device = yield* devices.get(deviceId)
    if (device === undefined || caller.info.deviceId === deviceId) return
    if (device.organizationId !== caller.info.organizationId) return
    yield* requireAll(caller, Object.values(device.approved).flat())
  })

const codeCreate = method(
  "causeway.device.code.create",
  Params.DeviceCodeCreate,
  function* (params, { connection, organizationId }) {
    const codes = yield* DeviceCodes
    const publicUrl = yield* PublicUrl.PublicUrl
    const scopes = [...new Set(params.scopes ?? connection.info.scopes)]
    const strange = scopes.find((scope) => !isScope(scope))
    if (strange !== undefined) return yield* invalid(`unknown scope: ${strange}`)
    yield* requireAll(connection, scopes)
    const { code, expiresAt } = yield* codes.create({
      organizationId,
      scopes,
      ttl: params.ttlSeconds === undefined ? undefined : Duration.seconds(params.ttlSeconds),
      label: params.label
    })
    return answer({
      code: Redacted.value(code),
      expiresAtMs: expiresAt,
      // Where others open the page, with a slash at its end, where this hub was told.
      ...(publicUrl === undefined ? {} : { page: `${publicUrl.replace(/\/+$/, "")}/` })
    })
  }
)

const pairApprove = method(
  "device.pair.approve",
  Params.DeviceApprove,
  function* (params, { connection, organizationId }) {
    const devices = yield* Devices
    const connections = yield* GatewayConnections
    const request = (yield* devices.requests(organizationId)).find(
      (each) => each.requestId === params.requestId
    )
    if (request === undefined) return yield* invalid("unknown requestId")
    yield* requireSame(params, request)
    yield* requireAll(connection, request.scopes)
    const device = yield* devices.approve(request, request.role, request.scopes)
    return answer(
      { requestId: request.requestId, device: showDevice(device, connection, connections) },
      tellResolved(connections, organizationId, request, "approved")
    )
  }
)

const pairReject = method("device.pair.reject", Params.DeviceRequest, function* (params, { organizationId }) {
  const devices = yield* Devices
  const connections = yield* GatewayConnections
  const request = yield* devices.reject(organizationId, params.requestId)
  if (request === undefined) return yield* invalid("unknown requestId")
  return answer(
    { requestId: request.requestId, deviceId: request.deviceId },
    tellResolved(connections, organizationId, request, "rejected")
  )
})

const pairRemove = method(
  "device.pair.remove",
  Params.Device,
  function* (params, { connection, organizationId }) {
    const devices = yield* Devices
    yield* requireOver(connection, params.deviceId, devices)
    const removed = yield* devices.remove(organizationId, params.deviceId)
    if (!removed) return yield* invalid("unknown deviceId")
    return answer({ deviceId: params.deviceId, removed: true }, (yield* Connected).look)
  }
)

const tokenRotate = method(
  "device.token.rotate",
  Params.Device,
  function* (params, { connection, organizationId }) {
    const devices = yield* Devices
    yield* requireOver(connection, params.deviceId, devices)
    const device = yield* devices.rotate(organizationId, params.deviceId)
    if (device === undefined) return yield* invalid("unknown deviceId")
    const rotatedAtMs = yield* Clock.currentTimeMillis
    return answer({ deviceId: device.deviceId, rotatedAtMs }, (yield* Connected).look)
  }
)

export const methods = [pairList, pairApprove, pairReject, pairRemove, tokenRotate]

/** Beside the published ones. */
export const own = [codeCreate]
