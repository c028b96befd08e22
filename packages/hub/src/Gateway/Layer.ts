/** The gateway, put together over a store and a server. */
import type { Audit } from "@causeway/store/Audit"
import type { Bus } from "@causeway/store/Bus"
import type { DeviceCodes } from "@causeway/store/DeviceCodes"
import * as Devices from "@causeway/store/Devices"
import type { Environments } from "@causeway/store/Environments"
import type { StoreUnavailable } from "@causeway/store/Errors"
import type { Log } from "@causeway/store/Log"
import type { Organizations } from "@causeway/store/Organizations"
import type { Overview } from "@causeway/store/Overview"
import * as PushSubscriptions from "@causeway/store/PushSubscriptions"
import type { Retention } from "@causeway/store/Retention"
import * as Search from "@causeway/store/Search"
import type { Sessions } from "@causeway/store/Session"
import type { Tokens } from "@causeway/store/Tokens"
import type { SqlClient } from "@effect/sql/SqlClient"
import * as Layer from "effect/Layer"
import type { Attempts } from "../Attempts.ts"
import type { Auth } from "../Auth/Auth.ts"
import type { Config } from "../Config.ts"
import type { Connected } from "../Connected.ts"
import * as Notices from "../Push/Notices.ts"
import * as Push from "../Push/Push.ts"
import * as Sender from "../Push/Sender.ts"
import type { NodeServer } from "../Server.ts"
import * as Manager from "../Sessions/Manager.ts"
import * as ApiSessions from "../Sessions/Sessions.ts"
import type { GatewayConfiguration } from "./Config.ts"
import * as Connections from "./Connections.ts"
import * as Feed from "./Feed.ts"
import * as Gateway from "./Gateway.ts"
import * as Handshake from "./Handshake.ts"
import * as Idempotency from "./Idempotency.ts"
import * as Maintenance from "./Maintenance.ts"
import * as Methods from "./Methods.ts"
import * as Notifier from "./Notifier.ts"
import * as Patching from "./Patching.ts"
import * as Runs from "./Runs.ts"
import * as Upkeep from "./Upkeep.ts"

export interface Options extends Gateway.GatewayOptions {
  /** What may wait in one client's socket before it counts as slow, in bytes. Default 50 MiB. */
  readonly maxBufferedBytes?: number | undefined
  /** Pushes to browsers. */
  readonly push?: (Push.Options & Sender.Options) | undefined
}

/** Serves gateway clients on the server's sockets until the scope closes. */
export const layer = (
  options: Options
): Layer.Layer<
  Gateway.Gateway,
  StoreUnavailable,
  | Attempts
  | Audit
  | Auth
  | Bus
  | Config
  | Connected
  | DeviceCodes
  | Environments
  | GatewayConfiguration
  | Log
  | NodeServer
  | Organizations
  | Overview
  | Retention
  | Sessions
  | SqlClient
  | Tokens
> =>
  Layer.scoped(Gateway.Gateway, Gateway.make(options)).pipe(
    Layer.provide(Layer.merge(Feed.layer, Upkeep.layer)),
    Layer.provide(Methods.layer),
    Layer.provide(Notices.layer),
    Layer.provide(Layer.mergeAll(Handshake.layer, Maintenance.layer, Patching.layer)),
    Layer.provide(Notifier.layer),
    Layer.provide(
      Layer.mergeAll(
        Connections.layer(options.maxBufferedBytes),
        Idempotency.layer,
        Runs.layer,
        ApiSessions.layer,
        Manager.layer,
        Push.layer(options.push).pipe(
          Layer.provide(Layer.merge(Sender.layer(options.push), PushSubscriptions.layer))
        ),
        Search.layer,
        Devices.layer
      )
    )
  )
