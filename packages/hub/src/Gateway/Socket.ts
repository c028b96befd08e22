/** One WebSocket from upgrade to close: challenge, handshake, requests, pings. Source: spec 2 §1. */
import { randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import {
  CloseCode,
  type ErrorShape,
  HANDSHAKE_TIMEOUT_MILLIS,
  type HelloOk,
  PING_INTERVAL_MILLIS
} from "@causeway/protocol/Gateway/Frames"
import type { Credential } from "@causeway/store/Standing"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { WebSocket } from "ws"
import type { Connected, Ended } from "../Connected.ts"
import { Connection, type Connections, closeReason } from "./Connections.ts"
import { ofWire, toShape } from "./Failure.ts"
import type { Origin } from "./Handshake/Origin.ts"
import type { Admitted } from "./Handshake/State.ts"
import { authorOf, type Handshake } from "./Handshake.ts"
import type { GatewayMethods } from "./Methods.ts"
import * as Inbox from "./Socket/Inbox.ts"
import * as Requests from "./Socket/Requests.ts"
import * as Watches from "./Watches.ts"

/** Pings keep idle connections open and find dead ones: every 25 s. */
const pingSchedule = Schedule.spaced(PING_INTERVAL_MILLIS)

export interface Served {
  readonly connections: Connections
  readonly connected: Connected["Type"]
  readonly handshake: Handshake["Type"]
  readonly originOf: (request: IncomingMessage) => Origin
  /** Why the page that asks may not connect; undefined where it may, or where no page asks. */
  readonly foreign: (origin: Origin) => Effect.Effect<string | undefined>
  readonly methods: GatewayMethods["Type"]
  readonly sources: Watches.Sources
  /** `hello-ok` for who was let in. */
  readonly hello: (admitted: Admitted, connection: Connection) => Effect.Effect<HelloOk>
  /** Called when the connection is listed, and when it is gone. */
  readonly joined: (connection: Connection) => Effect.Effect<void>
  readonly left: (connection: Connection) => Effect.Effect<void>
  readonly run: Requests.Requests["run"]
  /** New connections are refused because the hub stops. */
  readonly stopping: () => boolean
}

interface Refusal {
  readonly error: ErrorShape
  readonly closeCode: number
  readonly closeReason: string
}

const close = (ws: WebSocket, code: number, reason = "") =>
  Effect.sync(() => ws.close(code, closeReason(reason)))

const write = (ws: WebSocket, frame: object) => Effect.sync(() => ws.send(JSON.stringify(frame)))

/** Challenge and `connect`; undefined where the socket was closed instead. */
const shakeHands = (ws: WebSocket, inbox: Inbox.Inbox, served: Served, origin: Origin) =>
  Effect.gen(function* () {
    const challenge = randomUUID()
    yield* write(ws, {
      type: "event",
      event: "connect.challenge",
      payload: { nonce: challenge, ts: yield* Clock.currentTimeMillis }
    })
    const first = yield* inbox.next
    if (Option.isNone(first)) return undefined
    const parsed = Inbox.parse(first.value)
    if (Either.isLeft(parsed)) return yield* Effect.as(close(ws, CloseCode.normal), undefined)
    const frame = parsed.right
    if (!Inbox.isRequest(frame)) {
      return yield* Effect.as(close(ws, CloseCode.policy, "invalid request frame"), undefined)
    }
    const { id } = frame
    const refuse = ({ closeCode, closeReason, error }: Refusal) =>
      Effect.zipRight(
        write(ws, { type: "res", id, ok: false, error }),
        Effect.as(close(ws, closeCode, closeReason), undefined)
      )
    if (served.stopping()) return yield* refuse(stopping)
    if (frame.method !== "connect") return yield* refuse(notConnect)
    const admitted = yield* Effect.either(served.handshake.admit(frame.params, origin, challenge))
    if (Either.isRight(admitted)) return { admitted: admitted.right, id }
    const failure = admitted.left
    return yield* refuse(
      failure._tag === "HandshakeRefused"
        ? failure
        : { error: toShape(failure), closeCode: CloseCode.tryAgain, closeReason: failure.message }
    )
  })

const stopping: Refusal = {
  error: {
    code: "UNAVAILABLE",
    message: "gateway is stopping; retry shortly",
    details: { reason: "stopping" },
    retryable: true,
    retryAfterMs: 500
  },
  closeCode: CloseCode.tryAgain,
  closeReason: "gateway stopping"
}

const CONNECT_FIRST = "invalid handshake: first request must be connect"
const notConnect: Refusal = {
  error: { code: "INVALID_REQUEST", message: CONNECT_FIRST },
  closeCode: CloseCode.policy,
  closeReason: CONNECT_FIRST
}

/** Two ways to say it that published clients know: the hub's own secret, and the device's. */
const farewell = ({ credential, words }: Ended): readonly [code: number, reason: string] =>
  credential === "Device"
    ? [CloseCode.policy, `device token changed: ${words}`]
    : [CloseCode.authChanged, `gateway auth changed: ${words}`]

/** Lists the connection with what opened it; undefined where there are too many and the socket was closed. */
const hold = (ws: WebSocket, id: string, served: Served, origin: Origin, admitted: Admitted) => {
  const { device, tokenId } = admitted
  const credentials: ReadonlyArray<Credential> = [
    ...(tokenId === undefined ? [] : [{ _tag: "Token" as const, id: tokenId }]),
    ...(device === undefined
      ? []
      : [{ _tag: "Device" as const, id: device.deviceId, generation: device.tokenGeneration }])
  ]
  const address = origin.local ? undefined : origin.remoteAddress
  return served.connected
    .hold({ credentials, address })
    .pipe(
      Effect.catchAll((refused) =>
        Effect.zipRight(
          write(ws, { type: "res", id, ok: false, error: toShape(ofWire(refused)) }),
          Effect.as(close(ws, CloseCode.tryAgain, refused.message), undefined)
        )
      )
    )
}

const connectionOf = (
  ws: WebSocket,
  served: Served,
  origin: Origin,
  admitted: Admitted,
  connectedAt: number
) =>
  new Connection(
    {
      id: randomUUID(),
      organizationId: admitted.organizationId,
      tokenId: admitted.tokenId,
      role: admitted.role,
      scopes: admitted.scopes,
      client: admitted.params.client,
      deviceId: admitted.device?.deviceId,
      author: authorOf(admitted),
      caps: admitted.params.caps ?? [],
      remoteAddress: origin.remoteAddress,
      connectedAt
    },
    ws,
    served.connections.maxBufferedBytes
  )

/** Pings; a socket that says nothing from one to the next but one is dead, however alive it looks. */
const keepAlive = (ws: WebSocket) =>
  Effect.suspend(() => {
    let silent = 0
    const heard = () => {
      silent = 0
    }
    ws.on("pong", heard)
    ws.on("message", heard)
    const ping = Effect.sync(() => {
      if (ws.readyState !== ws.OPEN) return
      if (silent >= 2) return ws.terminate()
      silent += 1
      ws.ping()
    })
    return Effect.forkScoped(Effect.schedule(ping, pingSchedule))
  })

/** Serves one socket until it closes. */
export const serve = (
  ws: WebSocket,
  request: IncomingMessage,
  served: Served
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const inbox = yield* Inbox.open(ws, request)
    const origin = served.originOf(request)
    const finished = yield* Effect.timeoutOption(
      shakeHands(ws, inbox, served, origin),
      HANDSHAKE_TIMEOUT_MILLIS
    )
    if (Option.isNone(finished)) return yield* close(ws, CloseCode.normal)
    if (finished.value === undefined) return
    const { admitted, id } = finished.value

    const ended = yield* hold(ws, id, served, origin, admitted)
    if (ended === undefined) return
    const connection = connectionOf(ws, served, origin, admitted, yield* Clock.currentTimeMillis)
    yield* Effect.forkScoped(
      Effect.flatMap(ended, (why) => Effect.sync(() => connection.close(...farewell(why))))
    )
    inbox.signedIn()
    const hello = yield* served.hello(admitted, connection)
    connection.send(JSON.stringify({ type: "res", id, ok: true, payload: hello }))
    yield* Effect.acquireRelease(
      Effect.zipRight(
        Effect.sync(() => served.connections.add(connection)),
        served.joined(connection)
      ),
      () =>
        Effect.zipRight(
          Effect.sync(() => served.connections.remove(connection.info.id)),
          served.left(connection)
        )
    )
    yield* keepAlive(ws)
    const watches = yield* Watches.make(connection, served.sources)
    const { methods, run } = served
    const requests: Requests.Requests = { ws, connection, methods, watches, run, running: 0 }
    yield* inbox.next.pipe(
      Effect.tap(
        Option.match({ onNone: () => Effect.void, onSome: (text) => Requests.onFrame(requests, text) })
      ),
      Effect.repeat({ while: Option.isSome })
    )
  })
