/** Rights of a device: approved before, approved by a code, or asked of a person. Source: spec 2 §1 ("Pairing"). */
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { Scope } from "@causeway/protocol/Permission"
import type { Redeemed } from "@causeway/store/DeviceCodes"
import type { DeviceMetadata, DeviceRecord, PairingReason, PairingRequest } from "@causeway/store/Devices"
import type { StoreUnavailable } from "@causeway/store/Errors"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Connections } from "../Connections.ts"
import { holds } from "../Scopes.ts"
import { type HandshakeRefused, refuse } from "./Refusal.ts"
import type { Connect, State, Verified } from "./State.ts"

const texts: { readonly [R in PairingReason]: readonly [message: string, hint: string] } = {
  "not-paired": ["device is not approved yet", "Approve this device from the pending pairing requests."],
  "role-upgrade": [
    "device is asking for a higher role than currently approved",
    "Review the requested role upgrade, then approve the pending request."
  ],
  "scope-upgrade": [
    "device is asking for more scopes than currently approved",
    "Review the requested scopes, then approve the pending upgrade."
  ],
  "metadata-upgrade": [
    "device identity changed and must be re-approved",
    "Review the refreshed device details, then approve the pending request."
  ]
}

const normal = (text: string | undefined): string => (text ?? "").trim().toLowerCase()

/** Why a person has to approve a device; undefined where nobody has to. */
export const pairingReason = (
  device: DeviceRecord | undefined,
  wanted: Pick<DeviceMetadata, "organizationId" | "publicKey" | "platform"> & {
    readonly deviceFamily: string | undefined
    readonly role: string
    readonly scopes: ReadonlyArray<string>
  }
): PairingReason | undefined => {
  if (device?.publicKey !== wanted.publicKey || device.organizationId !== wanted.organizationId) {
    return "not-paired"
  }
  const approved = device.approved[wanted.role]
  if (approved === undefined) return "role-upgrade"
  if (!wanted.scopes.every((scope) => holds(approved, scope as Scope))) return "scope-upgrade"
  const isSame =
    normal(device.platform) === normal(wanted.platform) &&
    normal(device.deviceFamily) === normal(wanted.deviceFamily)
  return isSame ? undefined : "metadata-upgrade"
}

/** Tells everybody who may know that a request waits no longer. */
export const tellResolved = (
  connections: Connections,
  organizationId: OrganizationId,
  { deviceId, requestId }: Pick<PairingRequest, "requestId" | "deviceId">,
  decision: "approved" | "rejected"
): Effect.Effect<void> =>
  Effect.map(Clock.currentTimeMillis, (ts) =>
    connections.broadcast("device.pair.resolved", { requestId, deviceId, decision, ts }, { organizationId })
  )

const metadataOf = (
  { client, device }: Connect["params"],
  organizationId: OrganizationId,
  publicKey: string
): DeviceMetadata => ({
  deviceId: device?.id ?? "",
  organizationId,
  publicKey,
  displayName: client.displayName,
  platform: client.platform,
  deviceFamily: client.deviceFamily ?? "",
  clientId: client.id,
  clientMode: client.mode
})

/** A code was the word that a device needs. What it asked for before is settled with it. */
export const approveByCode = (
  { connections, devices }: State,
  { params, role }: Connect,
  { issuedBy, organizationId, scopes }: Redeemed,
  publicKey: string
): Effect.Effect<DeviceRecord, StoreUnavailable> =>
  Effect.gen(function* () {
    const metadata = metadataOf(params, organizationId, publicKey)
    const waiting = (yield* devices.requests(organizationId)).filter(
      (each) => each.deviceId === metadata.deviceId && each.role === role
    )
    const device = yield* devices.approve(metadata, role, scopes, issuedBy)
    yield* devices.seen(device.deviceId)
    yield* Effect.forEach(waiting, (each) => tellResolved(connections, organizationId, each, "approved"))
    return device
  })

/** The device, where nothing of it has to be approved by a person; else asks for that and is refused. */
export const pair = (
  { connections, devices }: State,
  connect: Connect,
  { method, organizationId, tokenId }: Verified,
  publicKey: string,
  device: DeviceRecord | undefined
): Effect.Effect<DeviceRecord, HandshakeRefused | StoreUnavailable> =>
  Effect.gen(function* () {
    const { origin, role, scopes } = connect
    const metadata = metadataOf(connect.params, organizationId, publicKey)
    const reason = pairingReason(device, { ...metadata, role, scopes })
    if (reason === undefined && device !== undefined) {
      yield* devices.seen(device.deviceId)
      return device
    }
    // On this machine, with the hub's own secret, a new device and a new role of a known one need nobody's word, unless
    // something of it waits for a person already. More scopes and other metadata always do.
    const own = (yield* devices.requests(organizationId)).filter(
      (each) => each.deviceId === metadata.deviceId
    )
    const isQuiet =
      (reason === "not-paired" && device === undefined) ||
      (reason === "role-upgrade" && device?.publicKey === publicKey)
    if (isQuiet && origin.local && method !== "device-token" && own.length === 0) {
      return yield* devices.approve(metadata, role, scopes, tokenId)
    }
    const request = yield* devices.request(metadata, {
      role,
      scopes,
      reason: reason ?? "not-paired",
      remoteAddress: origin.remoteAddress
    })
    // A device that asks again and again is told of once.
    const known = own.find((each) => each.role === role)
    if (known?.requestId !== request.requestId) {
      connections.broadcast(
        "device.pair.requested",
        {
          requestId: request.requestId,
          deviceId: request.deviceId,
          role,
          scopes,
          reason: request.reason,
          displayName: request.displayName,
          platform: request.platform,
          remoteIp: request.remoteAddress,
          ts: request.createdAt
        },
        { organizationId }
      )
    }
    return yield* pairingRequired(connect, request, device)
  })

const pairingRequired = (
  { role, scopes }: Connect,
  { deviceId, reason, requestId }: PairingRequest,
  device: DeviceRecord | undefined
): HandshakeRefused => {
  const [text, remediationHint] = texts[reason]
  const message = `pairing required: ${text}`
  return refuse(
    message,
    {
      code: "PAIRING_REQUIRED",
      reason,
      requestId,
      remediationHint,
      deviceId,
      requestedRole: role,
      requestedScopes: scopes,
      ...(device === undefined
        ? {}
        : {
            approvedRoles: Object.keys(device.approved),
            approvedScopes: [...new Set(Object.values(device.approved).flat())]
          })
    },
    { code: "NOT_PAIRED", reason: `${message} (requestId: ${requestId})` }
  )
}
