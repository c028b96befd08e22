/** `hello-ok`: the answer to a `connect` that was let in. Source: spec 2 §1 (`hello-ok`). */
import {
  type HelloOk,
  MAX_PAYLOAD_BYTES,
  PROTOCOL_VERSION,
  TICK_INTERVAL_MILLIS
} from "@causeway/protocol/Gateway/Frames"
import type { Sessions } from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { GatewayConfiguration } from "./Config.ts"
import { type Connection, type Connections, eventNames, maySee } from "./Connections.ts"
import type { Admitted } from "./Handshake/State.ts"
import { health } from "./Health.ts"
import * as Keys from "./Keys.ts"
import { presence, type Versions } from "./Presence.ts"
import { holds } from "./Scopes.ts"

export interface Host {
  readonly version: string
  readonly stateDir?: string | undefined
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly methods: ReadonlyArray<string>
  readonly connections: Connections
  readonly configuration: GatewayConfiguration["Type"]
  readonly sessions: Sessions["Type"]
  readonly versions: Versions
}

export const hello = (host: Host, admitted: Admitted, connection: Connection): Effect.Effect<HelloOk> =>
  Effect.gen(function* () {
    const { configuration, connections, versions } = host
    const { device, deviceToken, organizationId, role, scopes } = admitted
    const config = yield* configuration.current
    const now = yield* Clock.currentTimeMillis
    versions.health += 1
    const snapshot = yield* Effect.catchAll(health(host.sessions, config, organizationId), () =>
      Effect.succeed({ ok: false, ts: now })
    )
    return {
      type: "hello-ok",
      protocol: PROTOCOL_VERSION,
      server: { version: host.version, connId: connection.info.id },
      features: { methods: host.methods, events: eventNames },
      snapshot: {
        presence: maySee(connection, "presence") ? presence(connections, organizationId).presence : [],
        health: snapshot,
        stateVersion: { ...versions },
        uptimeMs: now - host.startedAt,
        sessionDefaults: {
          defaultAgentId: config.defaultAgentId,
          mainKey: config.mainKey,
          mainSessionKey: Keys.mainSessionKey(config),
          scope: config.scope
        },
        ...(holds(scopes, "operator.admin")
          ? {
              ...(configuration.path === undefined ? {} : { configPath: configuration.path }),
              ...(host.stateDir === undefined ? {} : { stateDir: host.stateDir }),
              authMode: config.auth.mode
            }
          : {})
      },
      auth: {
        role,
        // What a device's token is good for; a connection without a device has what it was given.
        scopes: device?.approved[role] ?? scopes,
        ...(deviceToken === undefined || device === undefined
          ? {}
          : { deviceToken: Redacted.value(deviceToken), issuedAtMs: device.approvedAt })
      },
      policy: {
        maxPayload: MAX_PAYLOAD_BYTES,
        maxBufferedBytes: connections.maxBufferedBytes,
        tickIntervalMs: TICK_INTERVAL_MILLIS
      }
    } satisfies HelloOk
  })
