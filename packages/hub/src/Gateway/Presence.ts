/**
 * Who is connected, as those who may read are told, and the versions by which clients know what of it they have.
 *
 * What changes in between is told together, and to so many at so long intervals that the bytes told in a second do not grow
 * with the number of connections: {@link pauseOf}.
 */
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Connections } from "./Connections.ts"

export interface Versions {
  presence: number
  health: number
}

/** Connections that are listed, the newest; `total` counts all. */
export const LISTED = 32

/** Least time between two tellings. */
const PAUSE = Duration.seconds(5)
/** Connections that are told in a second, on the average. */
const TOLD_A_SECOND = 20

/** Time between two tellings: 5 s, or as long as 20 connections a second take. */
export const pauseOf = (connections: number): Duration.Duration =>
  Duration.max(PAUSE, Duration.seconds(connections / TOLD_A_SECOND))

/** The newest connections of an organisation, and how many there are. */
export const presence = (connections: Connections, organizationId: OrganizationId) => {
  const all = [...connections.all].filter((each) => each.info.organizationId === organizationId)
  const listed = all.slice(-LISTED).map(({ info }) => ({
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
  return { presence: listed, total: all.length }
}

/** Tells everybody of an organisation who may read, after somebody has come or gone. */
export interface Presence {
  readonly changed: (organizationId: OrganizationId) => Effect.Effect<void>
}

export const make = (
  connections: Connections,
  versions: Versions
): Effect.Effect<Presence, never, Scope.Scope> =>
  Effect.gen(function* () {
    const due = new Set<OrganizationId>()
    const isDue = yield* Effect.makeLatch(false)
    const tell = Effect.sync(() => {
      isDue.unsafeClose()
      for (const organizationId of due) {
        connections.broadcast("presence", presence(connections, organizationId), {
          organizationId,
          dropIfSlow: true,
          stateVersion: { ...versions }
        })
      }
      due.clear()
    })
    const pause = Effect.suspend(() => Effect.sleep(pauseOf(connections.size)))
    const round = isDue.await.pipe(Effect.zipRight(tell), Effect.zipRight(pause))
    yield* Effect.forkScoped(Effect.forever(round))
    return {
      changed: (organizationId) =>
        Effect.suspend(() => {
          versions.presence += 1
          due.add(organizationId)
          return isDue.open
        })
    }
  })
