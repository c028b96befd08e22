/**
 * The gateway: a WebSocket server on the hub's HTTP server that speaks protocol 3. Source: spec 2.
 *
 * Shutdown order: new connections are refused, everyone is told (`shutdown`), sockets are closed 1012, fibers end.
 */
import {
  CloseCode,
  type HelloOk,
  MAX_PAYLOAD_BYTES,
  MAX_PREAUTH_CONNECTIONS,
  PROTOCOL_VERSION,
  TICK_INTERVAL_MILLIS
} from "@causeway/protocol/Gateway/Frames"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import { Bus } from "@causeway/store/Bus"
import { Devices } from "@causeway/store/Devices"
import { Sessions } from "@causeway/store/Session"
import { Tokens } from "@causeway/store/Tokens"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { WebSocketServer } from "ws"
import * as Viewing from "../CodeSessions/Viewing.ts"
import { TrustedProxies } from "../Forwarded.ts"
import * as OwnEnvelope from "../OwnEnvelope.ts"
import * as PublicUrl from "../PublicUrl.ts"
import { NodeServer } from "../Server.ts"
import { SessionsApi } from "../Sessions/Sessions.ts"
import { type GatewayConfig, GatewayConfiguration } from "./Config.ts"
import { eventNames, GatewayConnections } from "./Connections.ts"
import { originOf } from "./Handshake/Origin.ts"
import { Handshake } from "./Handshake.ts"
import { health } from "./Health.ts"
import * as Keys from "./Keys.ts"
import { GatewayMethods } from "./Methods.ts"
import { holds } from "./Scopes.ts"
import { type Served, serve } from "./Socket.ts"

/** Paths that are upgraded. Clients are given the hub's bare address. */
export const PATHS = ["/", "/gateway"] as const

/** Event `health`, and the look at tokens that were revoked: every 60 s. */
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
    const tokens = yield* Tokens
    const devices = yield* Devices
    const bus = yield* Bus
    const viewing = yield* Viewing.make
    const { changed } = yield* SessionsApi
    const startedAt = yield* Clock.currentTimeMillis
    let stopping = false
    let presenceVersion = 0
    let healthVersion = 0

    const stateVersion = () => ({ presence: presenceVersion, health: healthVersion })

    const presence = (organizationId: string) =>
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

    const announce = (organizationId: Parameters<typeof health>[2]) =>
      Effect.sync(() => {
        presenceVersion += 1
        connections.broadcast(
          "presence",
          { presence: presence(organizationId) },
          { organizationId, dropIfSlow: true, stateVersion: stateVersion() }
        )
      })

    const origins = originOf({
      publicOrigin: PublicUrl.originOf(yield* PublicUrl.PublicUrl),
      trusted: yield* TrustedProxies
    })
    const requests = yield* FiberSet.make<void>()
    const served: Served = {
      run: (request) => Effect.asVoid(FiberSet.run(requests, request)),
      connections,
      handshake,
      originOf: origins,
      methods: methods.byName,
      sources: { bus, follow: viewing.follow, rows: changed },
      stopping: () => stopping,
      joined: (connection) => announce(connection.info.organizationId),
      left: ({ info }) =>
        Effect.zipRight(
          info.deviceId === undefined
            ? Effect.void
            : Effect.catchAll(devices.seen(info.deviceId), (error) =>
                Effect.logWarning("when a device was last seen is not stored", error)
              ),
          announce(info.organizationId)
        ),
      hello: (admitted, connection) =>
        Effect.gen(function* () {
          const config = yield* configuration.current
          const now = yield* Clock.currentTimeMillis
          healthVersion += 1
          const snapshot = yield* Effect.catchAll(health(sessions, config, admitted.organizationId), () =>
            Effect.succeed({ ok: false, ts: now })
          )
          const isAdmin = holds(admitted.scopes, "operator.admin")
          return {
            type: "hello-ok",
            protocol: PROTOCOL_VERSION,
            server: { version: options.version, connId: connection.info.id },
            features: { methods: [...methods.byName.keys()], events: eventNames },
            snapshot: {
              presence: presence(admitted.organizationId),
              health: snapshot,
              stateVersion: stateVersion(),
              uptimeMs: now - startedAt,
              sessionDefaults: {
                defaultAgentId: config.defaultAgentId,
                mainKey: config.mainKey,
                mainSessionKey: Keys.mainSessionKey(config),
                scope: config.scope
              },
              ...(isAdmin
                ? {
                    ...(configuration.path === undefined ? {} : { configPath: configuration.path }),
                    ...(options.stateDir === undefined ? {} : { stateDir: options.stateDir }),
                    authMode: config.auth.mode
                  }
                : {})
            },
            auth: {
              role: admitted.role,
              // What a device's token is good for; a connection without a device has what it was given.
              scopes: admitted.device?.approved[admitted.role] ?? admitted.scopes,
              ...(admitted.deviceToken === undefined || admitted.device === undefined
                ? {}
                : {
                    deviceToken: Redacted.value(admitted.deviceToken),
                    issuedAtMs: admitted.device.approvedAt
                  })
            },
            policy: {
              maxPayload: MAX_PAYLOAD_BYTES,
              maxBufferedBytes: connections.maxBufferedBytes,
              tickIntervalMs: TICK_INTERVAL_MILLIS
            }
          } satisfies HelloOk
        })
    }

    // --- Upgrades ---

    const sockets = new WebSocketServer({
      noServer: true,
      maxPayload: MAX_PAYLOAD_BYTES,
      perMessageDeflate: false,
      clientTracking: false
    })
    sockets.on("headers", (headers) => headers.push(OwnEnvelope.headLine))
    sockets.on("wsClientError", (error, socket, request) =>
      OwnEnvelope.refuse(socket, WireError.BadRequest.of(`this is no WebSocket upgrade: ${error.message}`), {
        ...(request.method === "GET" ? {} : { status: 405 }),
        headers: request.method === "GET" ? ["sec-websocket-version: 13, 8"] : ["allow: GET"]
      })
    )
    const fibers = yield* FiberSet.make<void>()
    const runtime = yield* Effect.runtime<never>()
    const fork = Runtime.runFork(runtime)
    const unauthenticated = new Map<string, number>()

    const onUpgrade: Parameters<NodeServer["Type"]["onUpgrade"]>[1] = (request, socket, head) => {
      const address = origins(request).remoteAddress ?? ""
      const pending = unauthenticated.get(address) ?? 0
      if (pending >= MAX_PREAUTH_CONNECTIONS) {
        OwnEnvelope.refuse(
          socket,
          WireError.Unavailable.of(
            `${pending} connections of this address wait to sign in; close some, or try again in a moment`
          ),
          { headers: ["retry-after: 1"] }
        )
        return
      }
      unauthenticated.set(address, pending + 1)
      let counted = true
      const settle = () => {
        if (!counted) return
        counted = false
        const left = (unauthenticated.get(address) ?? 1) - 1
        if (left <= 0) unauthenticated.delete(address)
        else unauthenticated.set(address, left)
      }
      socket.once("close", settle)
      sockets.handleUpgrade(request, socket, head, (ws) => {
        const connection = Effect.scoped(
          serve(ws, request, {
            ...served,
            joined: (each) => Effect.zipRight(Effect.sync(settle), served.joined(each))
          })
        ).pipe(
          Effect.catchAllCause((cause) =>
            Effect.zipRight(
              Effect.logError("a gateway connection failed", cause),
              Effect.sync(() => ws.terminate())
            )
          ),
          Effect.ensuring(Effect.sync(settle))
        )
        // The edge between the socket library's callback and Effect.
        fork(FiberSet.run(fibers, connection))
      })
    }
    for (const path of PATHS) yield* server.onUpgrade(path, onUpgrade)

    yield* Effect.forkScoped(
      Effect.schedule(
        Effect.flatMap(Clock.currentTimeMillis, (ts) =>
          Effect.sync(() => connections.broadcast("tick", { ts }, { dropIfSlow: true }))
        ),
        tickSchedule
      )
    )

    /** Connections whose access token opens nothing any more are closed. */
    const closeRevoked = (organizationId: OrganizationId) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const ended = new Set(
          (yield* tokens.list(organizationId))
            .filter((token) => token.revokedAt !== undefined || (token.expiresAt ?? now) < now)
            .map((token) => token.id)
        )
        for (const each of connections.all) {
          if (each.info.organizationId === organizationId && ended.has(each.info.tokenId ?? "")) {
            each.close(CloseCode.authChanged, "gateway auth changed")
          }
        }
      })

    yield* Effect.forkScoped(
      Effect.schedule(
        Effect.gen(function* () {
          const config = yield* configuration.current
          for (const id of new Set([...connections.all].map((each) => each.info.organizationId))) {
            yield* closeRevoked(id)
            healthVersion += 1
            connections.broadcast("health", yield* health(sessions, config, id), {
              organizationId: id,
              dropIfSlow: true,
              stateVersion: stateVersion()
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
