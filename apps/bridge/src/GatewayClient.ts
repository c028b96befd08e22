/**
 * A hub's gateway as commands use it: one connection, signed in with the access token, one request after another.
 *
 * It comes as a program of the hub's own machine (`gateway-client`, `backend`), which needs no device there. From another
 * machine the hub gives such a connection no scopes, and what it asks is refused.
 */
import { PROTOCOL_VERSION } from "@causeway/protocol/Gateway/Frames"
import * as TransportFailure from "@causeway/protocol/TransportFailure"
import { ALL_SCOPES } from "@causeway/store/DeviceCodes"
import * as Socket from "@effect/platform/Socket"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Network from "./Network/Network.ts"
import { version } from "./version.ts"

/** No answer: nothing listens there, the connection broke, or what came is not what a hub says. */
export class GatewayUnreachable extends Data.TaggedError("GatewayUnreachable")<{
  readonly url: string
  readonly detail: string
}> {
  override get message(): string {
    return `the hub at ${this.url} did not answer: ${this.detail}`
  }
}

/** The hub answered, and said no. */
export class GatewayRefused extends Data.TaggedError("GatewayRefused")<{
  /** `connect` or the method that was refused. */
  readonly method: string
  readonly code: string
  readonly words: string
}> {
  override get message(): string {
    return `the hub refused ${this.method}: ${this.words}`
  }
}

export type GatewayError = GatewayUnreachable | GatewayRefused

export interface Connection {
  /** What the hub lets this connection do. */
  readonly scopes: ReadonlyArray<string>
  /** Asks, and reads the answer; one request at a time. */
  readonly request: <A, I>(
    method: string,
    params: object,
    answer: Schema.Schema<A, I>
  ) => Effect.Effect<A, GatewayError>
}

/** Bound of each answer. */
const PATIENCE = Duration.seconds(10)

const Frame = Schema.parseJson(
  Schema.Union(
    Schema.Struct({ type: Schema.Literal("event"), event: Schema.String }),
    Schema.Struct({
      type: Schema.Literal("res"),
      id: Schema.Unknown,
      ok: Schema.Literal(true),
      payload: Schema.optional(Schema.Unknown)
    }),
    Schema.Struct({
      type: Schema.Literal("res"),
      id: Schema.Unknown,
      ok: Schema.Literal(false),
      error: Schema.Struct({ code: Schema.String, message: Schema.String })
    })
  )
)
type Frame = typeof Frame.Type

const decodeFrame = Schema.decodeOption(Frame)

/** Connects and signs in; closes with the scope. */
export const open = (to: {
  readonly url: string
  readonly token: Redacted.Redacted
}): Effect.Effect<Connection, GatewayError, Scope.Scope> =>
  Effect.gen(function* () {
    const unreachable = (detail: string) => new GatewayUnreachable({ url: to.url, detail })
    const address = `${to.url.replace(/\/+$/, "").replace(/^http/, "ws")}/gateway`
    const frames = yield* Mailbox.make<Frame, GatewayUnreachable>()
    const socket = yield* Socket.makeWebSocket(address, {
      openTimeout: PATIENCE,
      closeCodeIsError: () => true
    })
    const write = yield* socket.writer
    yield* socket
      .runRaw((data) => {
        const frame = typeof data === "string" ? decodeFrame(data) : Option.none()
        if (Option.isSome(frame)) frames.unsafeOffer(frame.value)
      })
      .pipe(
        Effect.matchEffect({
          onFailure: (error) =>
            Effect.sync(() =>
              frames.unsafeDone(
                Exit.fail(
                  unreachable(
                    error.reason === "Close"
                      ? `the connection was closed (${error.closeReason || error.code})`
                      : error.reason === "OpenTimeout"
                        ? "it took too long"
                        : TransportFailure.describe(error.cause, address).words
                  )
                )
              )
            ),
          onSuccess: () =>
            Effect.sync(() => frames.unsafeDone(Exit.fail(unreachable("the connection ended"))))
        }),
        Effect.forkScoped
      )

    const next = (wanted: (frame: Frame) => boolean): Effect.Effect<Frame, GatewayUnreachable> =>
      frames.take.pipe(
        Effect.catchTag("NoSuchElementException", () => unreachable("the connection ended")),
        Effect.repeat({ until: wanted }),
        Effect.timeoutFail({ duration: PATIENCE, onTimeout: () => unreachable("it took too long") })
      )

    let asked = 0
    const request: Connection["request"] = (method, params, answer) =>
      Effect.gen(function* () {
        asked += 1
        const id = String(asked)
        yield* write(JSON.stringify({ type: "req", id, method, params })).pipe(
          Effect.mapError(() => unreachable("the connection ended"))
        )
        const frame = yield* next((each) => each.type === "res" && each.id === id)
        if (frame.type !== "res") return yield* unreachable("it did not answer in protocol 3")
        if (!frame.ok) {
          return yield* new GatewayRefused({ method, code: frame.error.code, words: frame.error.message })
        }
        return yield* Schema.decodeUnknown(answer)(frame.payload).pipe(
          Effect.mapError((error) =>
            unreachable(
              `its answer to ${method} cannot be read; use the same version of Causeway on both sides: ${error.message}`
            )
          )
        )
      })

    yield* next((frame) => frame.type === "event" && frame.event === "connect.challenge")
    const { auth } = yield* request(
      "connect",
      {
        minProtocol: PROTOCOL_VERSION,
        maxProtocol: PROTOCOL_VERSION,
        client: { id: "gateway-client", mode: "backend", version, platform: process.platform },
        role: "operator",
        scopes: ALL_SCOPES,
        auth: { token: Redacted.value(to.token) }
      },
      Schema.Struct({ auth: Schema.Struct({ scopes: Schema.Array(Schema.String) }) })
    )
    return { request, scopes: auth.scopes }
  }).pipe(
    Effect.provide(
      Layer.mapError(Network.layer, ({ message }) => new GatewayUnreachable({ url: to.url, detail: message }))
    )
  )
