/**
 * Hot routes: answered on `node:http` itself, without the platform's server in between.
 *
 * A request through HttpApi costs many times the CPU of one here, so frequent calls and the streams are hot. Method, path
 * and schemas are those of the endpoint (packages/protocol/src/http); authentication is shared with HttpApi (Auth). A
 * handler is an `Effect` without requirements: a module builds its routes in an `Effect` that takes its services once.
 */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http"
import { rowOf } from "@causeway/protocol/ErrorTable"
import type { Endpoint } from "@causeway/protocol/http/Endpoint"
import type { Line } from "@causeway/protocol/Permissions"
import * as WireError from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Body from "./Http/Body.ts"

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE"

export interface HotRequest {
  /** The path as it stands in the request line: not decoded, without the query. */
  readonly path: string
  /** Who may call, see {@link HotRoute.line}. */
  readonly line: Line
  /** Values of the `:name` segments; each matches `Ids.pathSegment`. */
  readonly params: { readonly [name: string]: string }
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** The body as text, at most {@link HotRoute.bodyLimitBytes}. To be run once. */
  readonly body: Effect.Effect<string, WireError.PayloadTooLarge | WireError.BadRequest>
  /** The same as bytes. One of the two is run. */
  readonly bytes: Effect.Effect<Buffer, WireError.PayloadTooLarge | WireError.BadRequest>
  readonly incoming: IncomingMessage
  /** For streams: a handler that has written to it answers {@link streamed}. */
  readonly response: ServerResponse
}

export interface Reply {
  readonly status: number
  /** JSON text unless `headers` says otherwise. */
  readonly body: string | Uint8Array
  readonly headers?: OutgoingHttpHeaders
}

/** The handler has answered on `request.response` itself. */
export interface Streamed {
  readonly _tag: "Streamed"
}
export const streamed: Streamed = { _tag: "Streamed" }

export type HotResponse = Reply | Streamed

/** A reply that is at hand, or what has to be run for one. */
export type Answer = Either.Either<Reply, Effect.Effect<HotResponse, WireError.WireError>>

/** Takes the body's text and answers later, once; false where it does not, and the handler is run. */
export type Direct = (text: string, answer: (answer: Answer) => void) => boolean

export interface HotRoute {
  /**
   * Looks at a request's head for what can be answered without a fiber of its own: for the call that is made once a line of
   * every agent. Undefined: the handler takes the request, as it takes all that is out of the ordinary.
   */
  readonly direct?: ((request: HotRequest) => Direct | undefined) | undefined
  readonly method: Method
  /** Segments separated by `/`; `:name` takes one segment. */
  readonly path: string
  readonly handler: (request: HotRequest) => Effect.Effect<HotResponse, WireError.WireError>
  /** Largest body accepted; default: the server's. */
  readonly bodyLimitBytes?: number
  /** Who may call; nobody does where it is left out. `Hub` takes it from the table. */
  readonly line?: Line
}

/** A line that lets nobody in. */
export const nobody: Line = { needs: [], also: [], open: false }

/** The request by the endpoint's schemas; each is read when it is run, so that authentication goes first. */
export interface Input<Payload, Query> {
  /** The decoded body, and the text that arrived. */
  readonly payload: Effect.Effect<
    { readonly value: Payload; readonly text: string },
    WireError.PayloadTooLarge | WireError.BadRequest
  >
  readonly query: Effect.Effect<Query, WireError.BadRequest>
}

const decoder = <A>(schema: Option.Option<Schema.Schema<A, unknown>> | undefined) =>
  schema === undefined || Option.isNone(schema)
    ? () => Effect.dieMessage("the endpoint has no such schema")
    : Body.decoder(schema.value)

/** The route of an endpoint. */
export const route = <Payload, Query>(
  endpoint: Pick<Endpoint, "method" | "path"> &
    Partial<Pick<Endpoint<unknown, Query, Payload>, "payloadSchema" | "urlParamsSchema">>,
  handler: (
    request: HotRequest,
    input: Input<Payload, Query>
  ) => Effect.Effect<HotResponse, WireError.WireError>,
  options: Pick<HotRoute, "bodyLimitBytes" | "direct"> = {}
): HotRoute => {
  const decodePayload = decoder(endpoint.payloadSchema)
  const decodeQuery = decoder(endpoint.urlParamsSchema)
  return {
    method: endpoint.method as Method,
    path: endpoint.path,
    handler: (request) =>
      handler(request, {
        payload: Effect.flatMap(request.body, (text) =>
          Effect.map(Effect.flatMap(Body.json(text), decodePayload), (value) => ({ value, text }))
        ),
        query: Effect.suspend(() => decodeQuery(Object.fromEntries(request.query)))
      }),
    ...options
  }
}

/** A JSON answer. */
export const json = (status: number, value: unknown, headers?: OutgoingHttpHeaders): Reply => ({
  status,
  body: JSON.stringify(value),
  ...(headers === undefined ? {} : { headers })
})

/** A JSON answer whose text is at hand. */
export const text = (status: number, body: string, headers?: OutgoingHttpHeaders): Reply => ({
  status,
  body,
  ...(headers === undefined ? {} : { headers })
})

/** An error answer; says when to come again where that may help. */
export const failure = (
  error: WireError.WireError,
  headers: { readonly [name: string]: string } = {}
): Reply & { readonly headers: { readonly [name: string]: string } } => {
  const millis = WireError.retryAfterMillis(error)
  return {
    status: rowOf(error).status,
    body: JSON.stringify(WireError.bodyOf(error)),
    headers: {
      "content-type": "application/json",
      ...(millis === undefined ? {} : { "retry-after": String(Math.ceil(millis / 1000)) }),
      ...headers
    }
  }
}

/** The value of a header; the first where it was sent several times. */
export const header = ({ headers }: Pick<HotRequest, "headers">, name: string): string | undefined => {
  const value = headers[name]
  return typeof value === "string" ? value : value?.[0]
}

/** The token of `Authorization: Bearer`. */
export const bearer = (headers: IncomingHttpHeaders): string | undefined => {
  const header = headers.authorization
  if (header === undefined || header.length < 8 || header.slice(0, 7).toLowerCase() !== "bearer ")
    return undefined
  const token = header.slice(7).trim()
  return token.length === 0 ? undefined : token
}
