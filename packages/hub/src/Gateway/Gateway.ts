/**
 * The gateway: a WebSocket server on the hub's HTTP server that speaks protocol 3. Source: spec 2.
 *
 * Shutdown order: new connections are refused, everyone is told (`shutdown`), sockets are closed 1012, fibers end.
 */
import { CloseCode, TICK_INTERVAL_MILLIS } from "@causeway/protocol/Gateway/Frames"
import { Bus } from "@causeway/store/Bus"
import { Devices } from "@causeway/store/Devices"
import { Sessions } from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Viewing from "../CodeSessions/Viewing.ts"
import { Connected } from "../Connected.ts"
import { TrustedProxies } from "../Forwarded.ts"
import * as PublicUrl from "../PublicUrl.ts"
import { NodeServer } from "../Server.ts"
import { SessionsApi } from "../Sessions/Sessions.ts"
import { type GatewayConfig, GatewayConfiguration } from "./Config.ts"
import { GatewayConnections } from "./Connections.ts"
import { foreignPage, originOf } from "./Handshake/Origin.ts"
import { Handshake } from "./Handshake.ts"
import { health } from "./Health.ts"
import { type Host, hello } from "./Hello.ts"
import { GatewayMethods } from "./Methods.ts"
import * as Presence from "./Presence.ts"
import type { Served } from "./Socket.ts"
import * as Upgrades from "./Upgrades.ts"

/** Paths that are upgraded. Clients are given the hub's bare address. */
export const PATHS = ["/", "/gateway"] as const

/** Event `health`: every 60 s. */
export const healthSchedule = Schedule.spaced("60 seconds")

/** Event `tick`: every 30 s. */
export const tickSchedule = Schedule.spaced(TICK_INTERVAL_MILLIS)

export interface GatewayOptions {
  /** Shown in `hello-ok`. */
  readonly version: string
  /** Told to admins in `hello-ok`. */
  readonly stateDir?: string | undefined
}

export class Gateway extends Context.Tag("@causeway/hub/Gateway")<
  Gateway,
  {
    /** How many connections have finished the handshake. */
    readonly connections: Effect.Effect<number>
    /** Closes every connection: the shared secret was changed. */
    readonly authChanged: Effect.Effect<void>
  }
>() {}

const sameSecret = (a: GatewayConfig["auth"], b: GatewayConfig["auth"]): boolean =>
  a.mode === b.mode &&
  (a.password === undefined ? undefined : Redacted.value(a.password)) ===
    (b.password === undefined ? undefined : Redacted.value(b.password))

export const make = (options: GatewayOptions) =>
  Effect.gen(function* () {
    const server = yield* NodeServer
    const connections = yield* GatewayConnections
    const handshake = yield* Handshake
    const methods = yield* GatewayMethods
    const configuration = yield* GatewayConfiguration
    const sessions = yield* Sessions
    const devices = yield* Devices
    const bus = yield* Bus
    const viewing = yield* Viewing.make
    const { changed } = yield* SessionsApi
    const startedAt = yield* Clock.currentTimeMillis
    let stopping = false
    const versions: Presence.Versions = { presence: 0, health: 0 }
    const host: Host = {
      ...options,
      startedAt,
      methods: [...methods.byName.keys()],
      connections,
      configuration,
      sessions,
      versions
    }

    const publicOrigin = PublicUrl.originOf(yield* PublicUrl.PublicUrl)
    const origins = originOf({
      publicOrigin,
      trusted: yield* TrustedProxies
    })
    const presence = yield* Presence.make(connections, versions)
    const requests = yield* FiberSet.make<void>()
    const served: Served = {
      run: (request) => Effect.asVoid(FiberSet.run(requests, request)),
      connections,
      connected: yield* Connected,
      handshake,
      originOf: origins,
      foreign: (origin) =>
        Effect.map(configuration.current, ({ allowedOrigins }) =>
          foreignPage(origin, allowedOrigins, publicOrigin)
        ),
      methods,
      sources: { bus, follow: viewing.follow, rows: changed },
      stopping: () => stopping,
      joined: ({ info }) => presence.changed(info.organizationId),
      left: ({ info }) =>
        Effect.zipRight(
          info.deviceId === undefined
            ? Effect.void
            : Effect.catchAll(devices.seen(info.deviceId), (error) =>
                Effect.logWarning("when a device was last seen is not stored", error)
              ),
          presence.changed(info.organizationId)
        ),
      hello: (admitted, connection) => hello(host, admitted, connection)
    }

    const onUpgrade = yield* Upgrades.make(served)
    for (const path of PATHS) yield* server.onUpgrade(path, onUpgrade)

    yield* Effect.forkScoped(
      Effect.schedule(
        Effect.flatMap(Clock.currentTimeMillis, (ts) =>
          Effect.sync(() => connections.broadcast("tick", { ts }, { dropIfSlow: true }))
        ),
        tickSchedule
      )
    )

    yield* Effect.forkScoped(
      Effect.schedule(
        Effect.gen(function* () {
          const config = yield* configuration.current
          for (const id of new Set([...connections.all].map((each) => each.info.organizationId))) {
            versions.health += 1
            connections.broadcast("health", yield* health(sessions, config, id), {
              organizationId: id,
              dropIfSlow: true,
              stateVersion: { ...versions }
            })
          }
        }).pipe(
          Effect.catchAllCause((cause) => Effect.logError("the gateway cannot tell its health", cause))
        ),
        healthSchedule
      )
    )

    // Another secret ends what the old one opened.
    yield* Effect.forkScoped(
      Stream.runForEach(
        Stream.drop(
          Stream.changesWith(
            Stream.map(configuration.ref.changes, (config) => config.auth),
            sameSecret
          ),
          1
        ),
        () => Effect.sync(() => connections.closeAll(CloseCode.authChanged, "gateway auth changed"))
      )
    )

    // Sessions that are made elsewhere are named after the default agent.
    yield* Effect.forkScoped(
      Stream.runForEach(
        Stream.changes(Stream.map(configuration.ref.changes, (config) => config.defaultAgentId)),
        (agentId) =>
          Effect.catchAllCause(sessions.setDefaultAgent(agentId), (cause) =>
            Effect.logError("the default agent cannot be stored", cause)
          )
      )
    )

    const goodbye = Effect.flatMap(Clock.currentTimeMillis, (ts) =>
      Effect.sync(() => {
        stopping = true
        connections.broadcast("shutdown", { reason: "gateway stopping", ts })
        connections.closeAll(CloseCode.serviceRestart, "service restart")
      })
    )
    yield* Effect.forkScoped(Effect.zipRight(server.stopping, goodbye))
    yield* Effect.addFinalizer(() => goodbye)

    return Gateway.of({
      connections: Effect.sync(() => connections.size),
      authChanged: Effect.sync(() => connections.closeAll(CloseCode.authChanged, "gateway auth changed"))
    })
  })
