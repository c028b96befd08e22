/**
 * Requests of one connection. They run concurrently, each in a fiber of the gateway's: a client that goes away leaves
 * nothing half done. Their number is bounded by not reading further. What a method does after its answer runs after the
 * answer was written.
 */
import { CloseCode, type RequestFrame } from "@causeway/protocol/Gateway/Frames"
import * as RawJson from "@causeway/protocol/RawJson"
import * as Author from "@causeway/store/Author"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { WebSocket } from "ws"
import type { Connection } from "../Connections.ts"
import { toShape } from "../Failure.ts"
import type { Method } from "../Method.ts"
import type { GatewayMethods } from "../Methods.ts"
import { refusal } from "../Scopes.ts"
import type { Watches } from "../Watches.ts"
import { describeProblem, isRequest, parse } from "./Inbox.ts"

/** Requests of one connection that run at once; beyond, its socket is not read. */
const MAX_CONCURRENT = 128
/** Refusals of a role in a row before the socket is closed. */
const MAX_UNAUTHORIZED = 10

export interface Requests {
  readonly ws: WebSocket
  readonly connection: Connection
  readonly methods: GatewayMethods["Type"]
  readonly watches: Watches
  /** Runs a request to its end, whatever becomes of its connection. */
  readonly run: (request: Effect.Effect<void>) => Effect.Effect<void>
  running: number
}

const respond = ({ connection }: Requests, id: unknown, ok: boolean, body: unknown) =>
  connection.send(JSON.stringify({ type: "res", id, ok, ...(ok ? { payload: body } : { error: body }) }))

const refuse = (requests: Requests, id: unknown, message: string) =>
  respond(requests, id, false, { code: "INVALID_REQUEST", message })

const failed = ({ name }: Method) => ({
  code: "UNAVAILABLE",
  message: `${name} failed; the hub's log says why`
})

const runMethod = (requests: Requests, frame: RequestFrame, method: Method, text: string) =>
  Effect.gen(function* () {
    const { connection, watches } = requests
    const outcome = yield* Effect.exit(
      method
        .handle(frame.params ?? {}, {
          connection,
          organizationId: connection.info.organizationId,
          requestId: frame.id,
          params: () => RawJson.member(text, "params") ?? "{}",
          watches
        })
        .pipe(Effect.locally(Author.current, connection.info.author))
    )
    if (outcome._tag === "Success") {
      yield* Effect.try(() => respond(requests, frame.id, true, outcome.value.payload)).pipe(
        Effect.catchAll((cause) =>
          Effect.zipRight(
            Effect.logError("an answer cannot be written", cause),
            Effect.sync(() => respond(requests, frame.id, false, failed(method)))
          )
        )
      )
      if (outcome.value.after !== undefined) {
        yield* Effect.catchAllCause(outcome.value.after, (cause) =>
          Effect.logError("what follows an answer failed", cause)
        )
      }
      return
    }
    const failure = Cause.failureOption(outcome.cause)
    if (Option.isSome(failure)) {
      respond(requests, frame.id, false, toShape(failure.value))
    } else if (!Cause.isInterruptedOnly(outcome.cause)) {
      yield* Effect.logError("a gateway method failed", outcome.cause)
      respond(requests, frame.id, false, failed(method))
    }
  }).pipe(
    Effect.annotateLogs({ method: method.name }),
    Effect.withSpan("Gateway.request", { attributes: { method: method.name } })
  )

const start = (requests: Requests, request: Effect.Effect<void>) =>
  Effect.suspend(() => {
    requests.running += 1
    if (requests.running === MAX_CONCURRENT) requests.ws.pause()
    const ended = Effect.sync(() => {
      requests.running -= 1
      if (requests.running === MAX_CONCURRENT - 1) requests.ws.resume()
    })
    return requests.run(Effect.ensuring(request, ended))
  })

/** Answers a frame. Completes once the request has begun. */
export const onFrame = (requests: Requests, text: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const {
      connection,
      methods: { byName, needs }
    } = requests
    const parsed = parse(text)
    if (Either.isLeft(parsed)) {
      refuse(requests, "invalid", `invalid request frame: ${parsed.left}`)
      return Effect.void
    }
    const frame = parsed.right
    if (!isRequest(frame)) {
      const id = typeof frame === "object" && frame !== null && "id" in frame ? frame.id : undefined
      refuse(requests, id ?? "invalid", `invalid request frame: ${describeProblem(frame)}`)
      return Effect.void
    }
    const method = byName.get(frame.method)
    // `connect` exists, for admins to be told that it came too late.
    const isConnect = frame.method === "connect"
    const refused = refusal({
      method: frame.method,
      role: connection.info.role,
      scopes: connection.info.scopes,
      needs: isConnect ? undefined : needs(frame.method)
    })
    if (refused !== undefined && !(isConnect && refused.kind === "method")) {
      refuse(requests, frame.id, refused.message)
      if (refused.kind === "role") {
        connection.unauthorized += 1
        if (connection.unauthorized > MAX_UNAUTHORIZED) {
          connection.close(CloseCode.policy, "repeated unauthorized calls")
        }
      }
      return Effect.void
    }
    connection.unauthorized = 0
    if (isConnect || method === undefined) {
      refuse(requests, frame.id, "connect is only valid as the first request")
      return Effect.void
    }
    return start(requests, runMethod(requests, frame, method, text))
  })
