/**
 * Hot routes: answered on `node:http` itself, without the platform's server in between.
 *
 * A request through HttpApi costs many times the CPU of one here, so frequent calls and the streams are hot. They
 * share schemas, errors and authentication with HttpApi (packages/protocol, Auth). A handler is an `Effect` without
 * requirements: a module builds its routes in an `Effect` that takes its services once.
 */

import { isUtf8 } from "node:buffer"
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http"
import { pathSegment } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE"

export interface HotRequest {
  readonly method: Method
  /** The path as it stands in the request line: not decoded, without the query. */
  readonly path: string
  /** Values of the `:name` segments; each matches `Ids.pathSegment`. Under `"*"` what a trailing `*` took, undecoded. */
  readonly params: { readonly [name: string]: string }
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** The body as text, at most {@link RouteOptions.bodyLimitBytes}. To be run once. */
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

export interface HotRoute {
  readonly method: Method
  /** Segments separated by `/`; `:name` takes one segment, a trailing `*` takes the rest. */
  readonly path: string
  readonly handler: (request: HotRequest) => Effect.Effect<HotResponse, WireError.WireError>
  /** Largest body accepted; default: the server's. */
  readonly bodyLimitBytes?: number
}

export const route = (
  method: Method,
  path: string,
  handler: HotRoute["handler"],
  options: { readonly bodyLimitBytes?: number } = {}
): HotRoute => ({ method, path, handler, ...options })

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

/** The body of an error answer. */
export const envelope = (error: WireError.WireError): object => ({
  type: error.type,
  error: error.error,
  _tag: error._tag
})

/** An error answer with headers of its own. */
export const failure = (error: WireError.WireError, headers: OutgoingHttpHeaders): Reply =>
  json(WireError.statusOf[error._tag], envelope(error), headers)

/** The token of `Authorization: Bearer`. */
export const bearer = (headers: IncomingHttpHeaders): string | undefined => {
  const header = headers.authorization
  if (header === undefined || header.length < 8 || header.slice(0, 7).toLowerCase() !== "bearer ")
    return undefined
  const token = header.slice(7).trim()
  return token.length === 0 ? undefined : token
}

// --- Matching ---

interface Node {
  readonly literal: Map<string, Node>
  param: { readonly name: string; readonly node: Node } | undefined
  readonly routes: Map<Method, HotRoute>
  readonly rest: Map<Method, HotRoute>
}

const emptyNode = (): Node => ({ literal: new Map(), param: undefined, routes: new Map(), rest: new Map() })

/** What a table says of a request. */
export type Match =
  | {
      readonly _tag: "Found"
      readonly route: HotRoute
      readonly params: { readonly [name: string]: string }
    }
  | { readonly _tag: "InvalidParameter"; readonly name: string }
  | { readonly _tag: "OtherMethod"; readonly allow: ReadonlyArray<Method> }
  | { readonly _tag: "NotFound" }

export interface Table {
  readonly match: (method: string, path: string) => Match
}

/**
 * Builds the route table. A literal segment goes before a `:name`, and both before a trailing `*`. Two routes of one
 * method and path are a defect of the program.
 */
export const table = (routes: ReadonlyArray<HotRoute>): Table => {
  const root = emptyNode()
  for (const each of routes) {
    const segments = each.path.split("/").slice(1)
    let node = root
    let rest = false
    for (const segment of segments) {
      if (segment === "*") {
        rest = true
      } else if (segment.startsWith(":")) {
        node.param ??= { name: segment.slice(1), node: emptyNode() }
        if (node.param.name !== segment.slice(1)) {
          throw new Error(`${each.path}: this segment is called :${node.param.name} by another route`)
        }
        node = node.param.node
      } else {
        const next = node.literal.get(segment) ?? emptyNode()
        node.literal.set(segment, next)
        node = next
      }
    }
    const methods = rest ? node.rest : node.routes
    if (methods.has(each.method)) throw new Error(`${each.method} ${each.path} is routed twice`)
    methods.set(each.method, each)
  }

  const match = (method: string, path: string): Match => {
    const segments = path.split("/")
    const params: { [name: string]: string } = {}
    let node = root
    let invalid: string | undefined
    let star: { readonly node: Node; readonly at: number } | undefined
    for (let i = 1; i < segments.length; i++) {
      const segment = segments[i] ?? ""
      if (node.rest.size > 0) star = { node, at: i }
      const literal = node.literal.get(segment)
      if (literal !== undefined) {
        node = literal
      } else if (node.param !== undefined) {
        if (!pathSegment.test(segment)) invalid ??= node.param.name
        params[node.param.name] = segment
        node = node.param.node
      } else {
        node = emptyNode()
        break
      }
    }
    if (node.routes.size > 0) {
      const found = node.routes.get(method as Method)
      if (found === undefined) return { _tag: "OtherMethod", allow: [...node.routes.keys()] }
      return invalid === undefined
        ? { _tag: "Found", route: found, params }
        : { _tag: "InvalidParameter", name: invalid }
    }
    if (star !== undefined) {
      const found = star.node.rest.get(method as Method)
      if (found === undefined) return { _tag: "OtherMethod", allow: [...star.node.rest.keys()] }
      return { _tag: "Found", route: found, params: { "*": segments.slice(star.at).join("/") } }
    }
    return { _tag: "NotFound" }
  }
  return { match }
}

// --- Bodies ---

/** Bytes as UTF-8 text. */
export const utf8 = (bytes: Buffer): Effect.Effect<string, WireError.BadRequest> =>
  isUtf8(bytes) ? Effect.succeed(bytes.toString("utf8")) : WireError.BadRequest.of("the body is not UTF-8")

/**
 * Reads the whole body. What exceeds the limit is not kept: a `Content-Length` above it is refused before
 * reading, and a body without one is refused when it grows past it.
 */
export const readBody = (
  incoming: IncomingMessage,
  limitBytes: number
): Effect.Effect<Buffer, WireError.PayloadTooLarge | WireError.BadRequest> =>
  Effect.async((resume) => {
    const tooLarge = () => WireError.PayloadTooLarge.of(`the body exceeds ${limitBytes} bytes`)
    if (Number(incoming.headers["content-length"] ?? 0) > limitBytes) {
      incoming.resume()
      return resume(tooLarge())
    }
    const chunks: Array<Buffer> = []
    let size = 0
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size > limitBytes) {
        stop()
        incoming.resume()
        resume(tooLarge())
      } else {
        chunks.push(chunk)
      }
    }
    const onEnd = () => {
      stop()
      const only = chunks[0]
      resume(Effect.succeed(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, size)))
    }
    const onBroken = () => {
      stop()
      resume(Effect.fail(WireError.BadRequest.of("the body was cut off")))
    }
    const stop = () => {
      incoming.off("data", onData)
      incoming.off("end", onEnd)
      incoming.off("error", onBroken)
      incoming.off("aborted", onBroken)
    }
    incoming.on("data", onData)
    incoming.on("end", onEnd)
    incoming.on("error", onBroken)
    incoming.on("aborted", onBroken)
    return Effect.sync(stop)
  })
