/**
 * The hub's one `node:http` server.
 *
 * It is made before anything is routed and listens after everything is: a module adds its upgrade handler (the gateway)
 * to {@link NodeServer}, the routes are handed to {@link listen}.
 */

import type { Server as HttpServer, IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

export class NodeServer extends Context.Tag("@causeway/hub/NodeServer")<
  NodeServer,
  {
    readonly server: HttpServer
    /** Takes the upgrade requests of one path until the scope closes; those of other paths are refused with 404. */
    readonly onUpgrade: (path: string, handler: UpgradeHandler) => Effect.Effect<void, never, Scope.Scope>
  }
>() {}
