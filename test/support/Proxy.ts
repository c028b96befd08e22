/**
 * Somebody between a hub and its clients, over real sockets: it passes on, answers by itself, holds answers back, refuses
 * what is large, and cuts.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http"
import { connect, type Socket } from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface Seen {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly bytes: number
}

/** What becomes of one request. */
export type Action =
  | { readonly _tag: "Pass" }
  /** The proxy's own answer. */
  | {
      readonly _tag: "Answer"
      readonly status: number
      readonly body?: string
      readonly headers?: { readonly [name: string]: string }
    }
  /** Passes the request on, and lets nothing of the answer's body through before it has ended. */
  | { readonly _tag: "Hold" }
  /** Cuts the connection without an answer. */
  | { readonly _tag: "Cut" }
  /** Passes the request on, and cuts when the answer comes. */
  | { readonly _tag: "CutAnswer" }

export const pass: Action = { _tag: "Pass" }
export const hold: Action = { _tag: "Hold" }
export const cut: Action = { _tag: "Cut" }
export const cutAnswer: Action = { _tag: "CutAnswer" }
/** A page, as proxies answer. */
export const page = (status: number, title: string): Action => ({
  _tag: "Answer",
  status,
  body: `<html><head><title>${title}</title></head><body><center><h1>${title}</h1></center><hr></body></html>`,
  headers: { "content-type": "text/html", server: "nginx/1.22.1" }
})
/** Refuses bodies of more than `bytes`, as nginx does. */
export const limited =
  (bytes: number) =>
  (seen: Seen): Action =>
    seen.bytes > bytes ? page(413, "413 Request Entity Too Large") : pass

export type Rule = (seen: Seen) => Action

export interface Proxy {
  /** Its address, instead of the hub's. */
  readonly url: string
  /** What is done from now on; connections that are open go on. Default: passes on. */
  readonly rule: (rule: Rule) => Effect.Effect<void>
  /** Cuts every connection. */
  readonly cutAll: Effect.Effect<void>
  /** What was asked, and what was done. */
  readonly seen: Array<Seen & { readonly action: Action["_tag"] }>
}

const bodyOf = (incoming: IncomingMessage): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Array<Buffer> = []
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
    incoming.on("end", () => resolve(Buffer.concat(chunks)))
    incoming.on("error", reject)
  })

/** How a proxy changes what it passes on. Default: not at all. */
export interface Manner {
  /** Path under which it serves the hub, `/tools/causeway`; everything else is not its. */
  readonly base?: string
  /** Whether the hub gets that path too. */
  readonly keepsBase?: boolean
  /** What `Host` becomes. */
  readonly host?: string
  /** Headers that it sets. */
  readonly headers?: { readonly [name: string]: string }
}

/** A proxy of the hub at `target`, for the life of the scope. The port may become known later. */
export const make = (
  target: { readonly port: number },
  manner: Manner = {}
): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { base = "", headers: set = {}, host, keepsBase = false } = manner
    /** The path that the hub gets; undefined where this proxy serves nothing. */
    const pathOf = (url: string): string | undefined =>
      base === "" ? url : url.startsWith(`${base}/`) ? (keepsBase ? url : url.slice(base.length)) : undefined
    const headersOf = (incoming: IncomingMessage) => ({
      ...incoming.headers,
      ...(host === undefined ? {} : { host }),
      ...set
    })
    let rule: Rule = () => pass
    const seen: Proxy["seen"] = []
    const sockets = new Set<Socket>()
    const kept = (socket: Socket) => {
      sockets.add(socket)
      socket.on("error", () => socket.destroy())
      socket.on("close", () => sockets.delete(socket))
    }

    const forward = (incoming: IncomingMessage, body: Buffer, response: ServerResponse, action: Action) => {
      const upstream = httpRequest(
        {
          host: "127.0.0.1",
          port: target.port,
          method: incoming.method,
          path: pathOf(incoming.url ?? "/"),
          headers: headersOf(incoming),
          agent: false
        },
        (answer) => {
          if (action._tag === "CutAnswer") {
            upstream.destroy()
            response.destroy()
            return
          }
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          if (action._tag === "Hold") {
            response.flushHeaders()
            bodyOf(answer).then(
              (held) => response.end(held),
              () => response.destroy()
            )
            return
          }
          answer.on("error", () => response.destroy())
          answer.pipe(response)
        }
      )
      upstream.on("error", () => {
        if (response.headersSent) response.destroy()
        else {
          response.writeHead(502, { "content-type": "text/html", server: "nginx/1.22.1" })
          response.end("<html><head><title>502 Bad Gateway</title></head></html>")
        }
      })
      response.on("close", () => upstream.destroy())
      upstream.end(body)
    }

    const server = createServer((incoming, response) => {
      bodyOf(incoming).then(
        (body) => {
          const asked = { method: incoming.method ?? "", path: incoming.url ?? "", bytes: body.length }
          const action = pathOf(asked.path) === undefined ? page(404, "404 Not Found") : rule(asked)
          seen.push({ ...asked, action: action._tag })
          if (action._tag === "Cut") return response.destroy()
          if (action._tag === "Answer") {
            response.writeHead(action.status, action.headers)
            return response.end(action.body ?? "")
          }
          return forward(incoming, body, response, action)
        },
        () => response.destroy()
      )
    })
    server.on("connection", kept)
    server.on("upgrade", (incoming, socket, head) => {
      const asked = { method: "UPGRADE", path: incoming.url ?? "", bytes: 0 }
      const action = pathOf(asked.path) === undefined ? page(404, "404 Not Found") : rule(asked)
      seen.push({ ...asked, action: action._tag })
      socket.on("error", () => socket.destroy())
      if (action._tag === "Answer") {
        const body = action.body ?? ""
        return socket.end(
          `HTTP/1.1 ${action.status} No\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
        )
      }
      if (action._tag !== "Pass" && action._tag !== "Hold") return socket.destroy()
      const upstream = connect(target.port, "127.0.0.1", () => {
        const lines = [`${incoming.method} ${pathOf(asked.path)} HTTP/1.1`]
        for (const [name, value] of Object.entries(headersOf(incoming))) lines.push(`${name}: ${value}`)
        upstream.write(`${lines.join("\r\n")}\r\n\r\n`)
        upstream.write(head)
        socket.pipe(upstream)
        // Held back: what the hub says is swallowed, and the connection looks alive.
        if (action._tag === "Pass") upstream.pipe(socket)
        else upstream.resume()
      })
      kept(upstream)
      upstream.on("close", () => socket.destroy())
      socket.on("close", () => upstream.destroy())
    })

    const cutAll = Effect.sync(() => {
      for (const socket of sockets) socket.destroy()
    })
    const url = yield* Effect.acquireRelease(
      Effect.async<string>((resume) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed(`http://127.0.0.1:${port}`))
        })
      }),
      () =>
        Effect.zipRight(
          cutAll,
          Effect.async<void>((resume) => {
            server.close(() => resume(Effect.void))
            server.closeAllConnections()
          })
        )
    )
    return {
      url,
      seen,
      cutAll,
      rule: (next) =>
        Effect.sync(() => {
          rule = next
        })
    }
  })
