/**
 * Methods for devices: what waits for approval, what was approved, and their end. Source: spec 2 §1 ("Pairing").
 */
import * as Params from "@causeway/protocol/Gateway/Params"
import { type DeviceRecord, GatewayDevices } from "@causeway/store/GatewayDevices"
import type { GatewayRecord } from "@causeway/store/GatewaySessions"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { GatewayConnections } from "../Connections.ts"
import { invalid } from "../Failure.ts"
import { answer, type Method, method } from "../Method.ts"
import * as Rows from "../Rows.ts"
import { holds, type Scope } from "../Scopes.ts"

export const make = Effect.gen(function* () {
  const devices = yield* GatewayDevices
  const connections = yield* GatewayConnections

  const showDevice = (device: DeviceRecord) =>
    Rows.compact({
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

  const pairList = method("device.pair.list", {
    scope: "operator.pairing",
    params: Params.Empty,
    handle: (_, { organizationId }) =>
      Effect.gen(function* () {
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
          paired: paired.map(showDevice)
        })
      })
  })

  const resolved = (
    organizationId: GatewayRecord["organizationId"],
    requestId: string,
    deviceId: string,
    decision: string
  ) =>
    Effect.flatMap(Clock.currentTimeMillis, (ts) =>
      Effect.sync(() =>
        connections.broadcast(
          "device.pair.resolved",
          { requestId, deviceId, decision, ts },
          { organizationId }
        )
      )
    )

  const pairApprove = method("device.pair.approve", {
    scope: "operator.pairing",
    params: Params.DeviceRequest,
    handle: (params, { connection, organizationId }) =>
      Effect.gen(function* () {
        const request = (yield* devices.requests(organizationId)).find(
          (each) => each.requestId === params.requestId
        )
        if (request === undefined) return yield* invalid("unknown requestId")
        // Nobody gives away more than they hold.
        const missing = request.scopes.find((scope) => !holds(connection.info.scopes, scope as Scope))
        if (missing !== undefined) return yield* invalid(`missing scope: ${missing}`)
        const device = yield* devices.approve(request, request.role, request.scopes)
        return answer(
          { requestId: request.requestId, device: showDevice(device) },
          resolved(organizationId, request.requestId, request.deviceId, "approved")
        )
      })
  })

  const pairReject = method("device.pair.reject", {
    scope: "operator.pairing",
    params: Params.DeviceRequest,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const request = yield* devices.takeRequest(organizationId, params.requestId)
        if (request === undefined) return yield* invalid("unknown requestId")
        return answer(
          { requestId: request.requestId, deviceId: request.deviceId },
          resolved(organizationId, request.requestId, request.deviceId, "rejected")
        )
      })
  })

  /** Connections that a device opened end with what opened them. */
  const disconnect = (deviceId: string) =>
    Effect.sync(() => {
      for (const each of connections.all) {
        if (each.info.deviceId === deviceId) each.close(1008, "device token changed")
      }
    })

  const pairRemove = method("device.pair.remove", {
    scope: "operator.pairing",
    params: Params.Device,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const removed = yield* devices.remove(organizationId, params.deviceId)
        if (!removed) return yield* invalid("unknown deviceId")
        return answer({ deviceId: params.deviceId, removed: true }, disconnect(params.deviceId))
      })
  })

  const tokenRotate = method("device.token.rotate", {
    scope: "operator.pairing",
    params: Params.Device,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const device = yield* devices.rotate(organizationId, params.deviceId)
        if (device === undefined) return yield* invalid("unknown deviceId")
        const rotatedAtMs = yield* Clock.currentTimeMillis
        return answer({ deviceId: device.deviceId, rotatedAtMs }, disconnect(device.deviceId))
      })
  })

  return [pairList, pairApprove, pairReject, pairRemove, tokenRotate] satisfies ReadonlyArray<Method>
})
