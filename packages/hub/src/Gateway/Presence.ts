/** Who is connected, as everybody is told; and the versions by which clients know what of it they have. */
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Effect from "effect/Effect"
import type { Connections } from "./Connections.ts"

export interface Versions {
  presence: number
  health: number
}

export const presence = (connections: Connections, organizationId: OrganizationId) =>
  [...connections.all]
    .filter((each) => each.info.organizationId === organizationId)
    .map(({ info }) => ({
      host: info.client.displayName ?? info.client.id,
      version: info.client.version,
      platform: info.client.platform,
      mode: info.client.mode,
      roles: [info.role],
      scopes: info.scopes,
      ...(info.deviceId === undefined ? {} : { deviceId: info.deviceId }),
      reason: "connect",
      ts: info.connectedAt,
      text: `${info.client.id} · ${info.client.mode}`
    }))

/** Tells everybody of the organisation after somebody has come or gone. */
export const announce = (
  connections: Connections,
  versions: Versions,
  organizationId: OrganizationId
): Effect.Effect<void> =>
  Effect.sync(() => {
    versions.presence += 1
    connections.broadcast(
      "presence",
      { presence: presence(connections, organizationId) },
      { organizationId, dropIfSlow: true, stateVersion: { ...versions } }
    )
  })
