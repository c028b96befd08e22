/** Upgrades of HTTP connections to WebSockets, few of each address until they have signed in. */
import { MAX_PAYLOAD_BYTES, MAX_PREAUTH_CONNECTIONS } from "@causeway/protocol/Gateway/Frames"
import * as WireError from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { WebSocketServer } from "ws"
import * as OwnEnvelope from "../OwnEnvelope.ts"
import type { NodeServer } from "../Server.ts"
import type { Origin } from "./Handshake/Origin.ts"
import { type Served, serve } from "./Socket.ts"

type OnUpgrade = Parameters<NodeServer["Type"]["onUpgrade"]>[1]

/** Connections of each address that wait to sign in. */
type Strangers = Map<string, number>

/** Counts one more of the address; the answer takes it away again, once. */
const count = (strangers: Strangers, address: string): (() => void) => {
  strangers.set(address, (strangers.get(address) ?? 0) + 1)
  let isCounted = true
  return () => {
    if (!isCounted) return
    isCounted = false
    const left = (strangers.get(address) ?? 1) - 1
    if (left <= 0) strangers.delete(address)
    else strangers.set(address, left)
  }
}

const webSocketServer = (): WebSocketServer => {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_PAYLOAD_BYTES,
    perMessageDeflate: false,
    clientTracking: false
  })
  sockets.on("headers", (headers) => headers.push(OwnEnvelope.headLine))
  sockets.on("wsClientError", (error, socket, request) =>
    request.method === "GET"
      ? OwnEnvelope.refuse(socket, WireError.BadRequest.of(`not a WebSocket upgrade: ${error.message}`), {
          "sec-websocket-version": "13, 8"
        })
      : OwnEnvelope.refuse(socket, WireError.MethodNotAllowed.of("method not allowed; use GET"), {
          allow: "GET"
        })
  )
  return sockets
}

/** A page of another site is given no socket: what it holds open would be taken from the address's own. */
const refusal = ({ originHeader }: Origin, why: string): WireError.Forbidden =>
  WireError.Forbidden.of(
    `pages of ${originHeader} may not connect (${why}); start the hub with --public-url, or list the origin in gateway.allowedOrigins`,
    { code: "CONTROL_UI_ORIGIN_NOT_ALLOWED", reason: why }
  )

/** Connections live in fibers of the scope. */
export const make = (served: Served): Effect.Effect<OnUpgrade, never, Scope.Scope> =>
  Effect.gen(function* () {
    const sockets = webSocketServer()
    const strangers: Strangers = new Map()
    const fibers = yield* FiberSet.make<void>()
    // The edge between the socket library's callback and Effect.
    const fork = Runtime.runFork(yield* Effect.runtime<never>())
    const upgrade = (origin: Origin, ...[request, socket, head]: Parameters<OnUpgrade>): void => {
      const address = origin.remoteAddress ?? ""
      const full = served.connected.full(origin.local ? undefined : origin.remoteAddress)
      if (full !== undefined) {
        OwnEnvelope.refuse(socket, full)
        return
      }
      const pending = strangers.get(address) ?? 0
      if (pending >= MAX_PREAUTH_CONNECTIONS) {
        OwnEnvelope.refuse(
          socket,
          WireError.Unavailable.of(
            `${pending} connections of this address wait to sign in; close some, or try again in a moment`
          )
        )
        return
      }
      const settle = count(strangers, address)
      socket.once("close", settle)
      sockets.handleUpgrade(request, socket, head, (ws) => {
        const joined: Served["joined"] = (each) => Effect.zipRight(Effect.sync(settle), served.joined(each))
        const connection = Effect.scoped(serve(ws, request, { ...served, joined })).pipe(
          Effect.catchAllCause((cause) =>
            Effect.zipRight(
              Effect.logError("a gateway connection failed", cause),
              Effect.sync(() => ws.terminate())
            )
          ),
          Effect.ensuring(Effect.sync(settle))
        )
        fork(FiberSet.run(fibers, connection))
      })
    }
    return (request, socket, head) => {
      const origin = served.originOf(request)
      fork(
        Effect.map(served.foreign(origin), (foreign) =>
          foreign === undefined
            ? upgrade(origin, request, socket, head)
            : OwnEnvelope.refuse(socket, refusal(origin, foreign))
        )
      )
    }
  })
