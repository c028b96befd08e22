/**
 * The mark of the hub on all that it answers, so that a caller can tell the hub's refusal from that of a proxy in between.
 *
 * Routes answer through {@link HubResponse}; what is written on a bare socket (refused upgrades, requests that
 * `node:http` cannot read) goes through {@link refuse}.
 */
import { type IncomingMessage, ServerResponse, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { HUB_HEADER, HUB_HEADER_VALUE } from "@causeway/protocol/Headers"
import * as WireError from "@causeway/protocol/WireError"
import * as HotRoutes from "./HotRoutes.ts"

/** What every answer says: it is what its `content-type` says, and is kept by nobody. A route may say otherwise. */
const held = { "x-content-type-options": "nosniff", "cache-control": "no-store" } as const

/** A response that carries the mark from its beginning, whoever answers on it; `node:http` itself included. */
export class HubResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  constructor(...args: ConstructorParameters<typeof ServerResponse<Request>>) {
    super(...args)
    this.setHeader(HUB_HEADER, HUB_HEADER_VALUE)
    for (const [name, value] of Object.entries(held)) this.setHeader(name, value)
  }
}

/** The mark as a line of a head that is written by hand. */
export const headLine = `${HUB_HEADER}: ${HUB_HEADER_VALUE}`

/** Answers on a bare socket and closes it. `headOnly`: of an answer to `HEAD`, which has no body. */
export const refuse = (
  socket: Duplex,
  error: WireError.WireError,
  headers: { readonly [name: string]: string } = {},
  headOnly = false
): void => {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const reply = HotRoutes.failure(error, { connection: "close", ...headers })
  const head = [
    `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? ""}`,
    headLine,
    ...Object.entries(held).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(reply.body)}`,
    ...Object.entries(reply.headers).map(([name, value]) => `${name}: ${value}`)
  ]
  socket.end(`${head.join("\r\n")}\r\n\r\n${headOnly ? "" : reply.body}`)
}

/** A request that does not come, or too slowly. */
export const late = WireError.RequestTimeout.of("the request did not arrive in time; send it again")

/** Requests that `node:http` cannot read, by its codes. */
const unreadable = (code: string | undefined): WireError.WireError => {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return WireError.HeadersTooLarge.of("the headers are too large; send fewer or shorter ones")
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return WireError.PayloadTooLarge.of("the chunk extensions are too large")
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return late
    default:
      return WireError.BadRequest.of("this is not an HTTP request that the hub can read")
  }
}

/** Handler of the server's `clientError`. */
export const onClientError = (
  error: NodeJS.ErrnoException & { readonly rawPacket?: Buffer },
  socket: Duplex
): void => refuse(socket, unreadable(error.code), {}, error.rawPacket?.toString("latin1", 0, 5) === "HEAD ")
