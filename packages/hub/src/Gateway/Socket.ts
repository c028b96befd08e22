/**
 * One WebSocket from upgrade to close: challenge, handshake, requests, pings. Source: spec 2 §1.
 *
 * Requests run concurrently, each in a fiber of the gateway's: a client that goes away leaves nothing half done. Their number
 * is bounded by not reading further.
 * A handler that throws is answered UNAVAILABLE. What a method does after its answer runs after the answer was written.
 */
import { randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import {
  CloseCode,
  type ErrorShape,
  HANDSHAKE_TIMEOUT_MILLIS,
  type HelloOk,
  MAX_PREAUTH_PAYLOAD_BYTES,
  PING_INTERVAL_MILLIS,
  RequestFrame
} from "@causeway/protocol/Gateway/Frames"
import * as Validation from "@causeway/protocol/Gateway/Validation"
import * as RawJson from "@causeway/protocol/RawJson"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { WebSocket } from "ws"
import { Connection, type Connections, closeReason } from "./Connections.ts"
import { toShape } from "./Failure.ts"
import type { Origin } from "./Handshake/Origin.ts"
import type { Admitted } from "./Handshake/State.ts"
import type { Handshake } from "./Handshake.ts"
import type { Method } from "./Method.ts"
import { refusal } from "./Scopes.ts"
import * as Watches from "./Watches.ts"

/** Requests of one connection that run at once; beyond, its socket is not read. */
const MAX_CONCURRENT = 128
/** Refusals of a role in a row before the socket is closed. */
const MAX_UNAUTHORIZED = 10

/** Pings keep idle connections open and find dead ones: every 25 s. */
export const pingSchedule = Schedule.spaced(PING_INTERVAL_MILLIS)

const checkFrame = Validation.check(RequestFrame)
const isRequest = (value: unknown): value is RequestFrame => checkFrame(value).length === 0

export interface Served {
  readonly connections: Connections
  readonly handshake: Handshake["Type"]
  readonly originOf: (request: IncomingMessage) => Origin
  readonly methods: ReadonlyMap<string, Method>
  readonly sources: Watches.Sources
  /** `hello-ok` for who was let in. */
  readonly hello: (admitted: Admitted, connection: Connection) => Effect.Effect<HelloOk>
  /** Called when the connection is listed, and when it is gone. */
  readonly joined: (connection: Connection) => Effect.Effect<void>
  readonly left: (connection: Connection) => Effect.Effect<void>
  /** Runs a request to its end, whatever becomes of its connection. */
  readonly run: (request: Effect.Effect<void>) => Effect.Effect<void>
  /** Whether new connections are refused because the hub stops. */
  readonly stopping: () => boolean
}

type Inbound = { readonly _tag: "Frame"; readonly text: string } | { readonly _tag: "Closed" }

const parse = (text: string): Option.Option<unknown> => {
  try {
    return Option.some(JSON.parse(text))
  } catch {
    return Option.none()
  }
}

/** Serves one socket until it closes. */
export const serve = (
  ws: WebSocket,
  request: IncomingMessage,
  served: Served
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const inbox = yield* Mailbox.make<Inbound>()
    const challenge = randomUUID()
    const origin = served.originOf(request)
    let authenticated = false

    const close = (code: number, reason: string) => Effect.sync(() => ws.close(code, closeReason(reason)))

    // --- The socket ---

    let received = 0
    const count = (chunk: Buffer) => {
      received += chunk.length
      // Twice the largest frame covers the upgrade's head and several small frames.
      if (!authenticated && received > 2 * MAX_PREAUTH_PAYLOAD_BYTES) {
        ws.close(CloseCode.tooLarge)
        request.socket.pause()
      }
    }
    request.socket.on("data", count)
    ws.on("message", (data: Buffer, isBinary: boolean) => {
      if (!authenticated && data.length > MAX_PREAUTH_PAYLOAD_BYTES) {
        ws.close(CloseCode.tooLarge)
        return
      }
      if (isBinary && !authenticated) {
        ws.close(CloseCode.normal)
        return
      }
      inbox.unsafeOffer({ _tag: "Frame", text: data.toString("utf8") })
    })
    // A frame that is too large ends the socket with 1009 by itself; a reset ends it too. Both arrive as `close`.
    ws.on("error", () => {})
    ws.on("close", () => {
      inbox.unsafeOffer({ _tag: "Closed" })
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        request.socket.off("data", count)
        if (ws.readyState === ws.OPEN) ws.close(CloseCode.normal)
        else if (ws.readyState === ws.CONNECTING) ws.terminate()
      })
    )

    const write = (frame: object) => Effect.sync(() => ws.send(JSON.stringify(frame)))
    const next = Effect.catchAll(inbox.take, () => Effect.succeed<Inbound>({ _tag: "Closed" }))

    // --- Handshake ---

    const handshake = Effect.gen(function* () {
      yield* write({
        type: "event",
        event: "connect.challenge",
        payload: { nonce: challenge, ts: yield* Clock.currentTimeMillis }
      })
      const first = yield* next
      if (first._tag === "Closed") return undefined
      const parsed = parse(first.text)
      if (Option.isNone(parsed)) {
        yield* close(CloseCode.normal, "")
        return undefined
      }
      const frame = parsed.value
      if (!isRequest(frame)) {
        yield* close(CloseCode.policy, "invalid request frame")
        return undefined
      }
      const refuse = (error: ErrorShape, code: number, reason: string) =>
        Effect.zipRight(
          write({ type: "res", id: frame.id, ok: false, error }),
          Effect.as(close(code, reason), undefined)
        )
      if (served.stopping()) {
        return yield* refuse(
          {
            code: "UNAVAILABLE",
            message: "gateway is stopping; retry shortly",
            details: { reason: "stopping" },
            retryable: true,
            retryAfterMs: 500
          },
          CloseCode.tryAgain,
          "gateway stopping"
        )
      }
      if (frame.method !== "connect") {
        const message = "invalid handshake: first request must be connect"
        return yield* refuse({ code: "INVALID_REQUEST", message }, CloseCode.policy, message)
      }
      const admitted = yield* Effect.either(served.handshake.admit(frame.params, origin, challenge))
      if (admitted._tag === "Left") {
        const failure = admitted.left
        return failure._tag === "HandshakeRefused"
          ? yield* refuse(failure.error, failure.closeCode, failure.closeReason)
          : yield* refuse(toShape(failure), CloseCode.tryAgain, failure.message)
      }
      return { admitted: admitted.right, id: frame.id }
    })

    const finished = yield* Effect.timeoutOption(handshake, HANDSHAKE_TIMEOUT_MILLIS)
    if (Option.isNone(finished)) return yield* close(CloseCode.normal, "")
    if (finished.value === undefined) return
    const { admitted, id } = finished.value

    const connection = new Connection(
      {
        id: randomUUID(),
        organizationId: admitted.organizationId,
        tokenId: admitted.tokenId,
        role: admitted.role,
        scopes: admitted.scopes,
        client: admitted.params.client,
        deviceId: admitted.device?.deviceId,
        caps: admitted.params.caps ?? [],
        remoteAddress: origin.remoteAddress,
        connectedAt: yield* Clock.currentTimeMillis
      },
      {
        get bufferedAmount() {
          return ws.bufferedAmount
        },
        send: (text, done) => ws.send(text, done),
        close: (code, reason) => ws.close(code, reason)
      },
      served.connections.maxBufferedBytes
    )
    authenticated = true
    request.socket.off("data", count)
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
    // A socket that says nothing from one ping to the next but one is dead, however alive it looks.
    let silent = 0
    const heard = () => {
      silent = 0
    }
    ws.on("pong", heard)
    ws.on("message", heard)
    yield* Effect.forkScoped(
      Effect.schedule(
        Effect.sync(() => {
          if (ws.readyState !== ws.OPEN) return
          if (silent >= 2) return ws.terminate()
          silent += 1
          ws.ping()
        }),
        pingSchedule
      )
    )

    // --- Requests ---

    const watches = yield* Watches.make(connection, served.sources)

    let running = 0
    const started = () => {
      running += 1
      if (running === MAX_CONCURRENT) ws.pause()
    }
    const ended = () => {
      running -= 1
      if (running === MAX_CONCURRENT - 1) ws.resume()
    }

    const respond = (requestId: unknown, ok: boolean, body: unknown) =>
      connection.send(
        JSON.stringify({
          type: "res",
          id: requestId,
          ok,
          ...(ok ? { payload: body } : { error: body })
        })
      )

    const run = (frame: RequestFrame, method: Method, text: string) =>
      Effect.gen(function* () {
        const params = frame.params ?? {}
        const outcome = yield* Effect.exit(
          method.handle(params, {
            connection,
            organizationId: connection.info.organizationId,
            requestId: frame.id,
            params: () => RawJson.member(text, "params") ?? "{}",
            watches
          })
        )
        if (outcome._tag === "Success") {
          respond(frame.id, true, outcome.value.payload)
          if (outcome.value.after !== undefined) {
            yield* Effect.catchAllCause(outcome.value.after, (cause) =>
              Effect.logError("what follows an answer failed", cause).pipe(
                Effect.annotateLogs({ method: method.name })
              )
            )
          }
          return
        }
        const failure = Cause.failureOption(outcome.cause)
        if (Option.isSome(failure)) {
          respond(frame.id, false, toShape(failure.value))
          return
        }
        if (Cause.isInterruptedOnly(outcome.cause)) return
        yield* Effect.logError("a gateway method failed", outcome.cause).pipe(
          Effect.annotateLogs({ method: method.name })
        )
        respond(frame.id, false, {
          code: "UNAVAILABLE",
          message: `${method.name} failed; the hub's log says why`
        })
      }).pipe(
        Effect.withSpan("Gateway.request", { attributes: { method: method.name } }),
        Effect.ensuring(Effect.sync(ended))
      )

    const onFrame = (text: string) =>
      Effect.gen(function* () {
        const parsed = parse(text)
        if (Option.isNone(parsed)) return
        const frame = parsed.value
        if (!isRequest(frame)) {
          const given =
            typeof frame === "object" && frame !== null && "id" in frame
              ? (frame as { readonly id: unknown }).id
              : "invalid"
          respond(given ?? "invalid", false, {
            code: "INVALID_REQUEST",
            message: `invalid request frame: ${Validation.describe(checkFrame(frame))}`
          })
          return
        }
        const method = served.methods.get(frame.method)
        // `connect` exists, for admins to be told that it came too late.
        const isConnect = frame.method === "connect"
        const refused = refusal({
          method: frame.method,
          role: connection.info.role,
          scopes: connection.info.scopes,
          required: isConnect ? "operator.admin" : method?.scope
        })
        if (refused !== undefined) {
          respond(frame.id, false, { code: "INVALID_REQUEST", message: refused.message })
          if (refused.kind === "role") {
            connection.unauthorized += 1
            if (connection.unauthorized > MAX_UNAUTHORIZED) {
              connection.close(CloseCode.policy, "repeated unauthorized calls")
            }
          }
          return
        }
        connection.unauthorized = 0
        if (isConnect || method === undefined) {
          respond(frame.id, false, {
            code: "INVALID_REQUEST",
            message: "connect is only valid as the first request"
          })
          return
        }
        started()
        yield* served.run(run(frame, method, text))
      })

    for (;;) {
      const inbound = yield* next
      if (inbound._tag === "Closed") return
      yield* onFrame(inbound.text)
    }
  })
