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

/** A response that carries the mark from its beginning, whoever answers on it; `node:http` itself included. */
export class HubResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  constructor(...args: ConstructorParameters<typeof ServerResponse<Request>>) {
    super(...args)
    this.setHeader(HUB_HEADER, HUB_HEADER_VALUE)
  }
}

/** The mark as a line of a head that is written by hand. */
export const headLine = `${HUB_HEADER}: ${HUB_HEADER_VALUE}`

/** Answers on a bare socket and closes it. `status` where the error's own does not say it. */
export const refuse = (
  socket: Duplex,
  error: WireError.WireError,
  options: { readonly status?: number; readonly headers?: ReadonlyArray<string> } = {}
): void => {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const status = options.status ?? WireError.statusOf[error._tag]
  const body = JSON.stringify(HotRoutes.envelope(error))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    headLine,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    ...(options.headers ?? [])
  ]
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`)
}

/** Requests that `node:http` cannot read, by its codes; every other one is 400. */
const unreadable: { readonly [code: string]: { readonly status: number; readonly words: string } } = {
  HPE_HEADER_OVERFLOW: { status: 431, words: "the headers are too large; send fewer or shorter ones" },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, words: "the chunk extensions are too large" },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, words: "the request did not arrive in time; send it again" }
}

/** Handler of the server's `clientError`. */
export const onClientError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  const known = unreadable[error.code ?? ""]
  refuse(
    socket,
    WireError.BadRequest.of(known?.words ?? "this is no HTTP request that the hub can read"),
    known === undefined ? {} : { status: known.status }
  )
}
