/**
 * The hub's one `node:http` server.
 *
 * It is made before anything is routed and listens after everything is: a module adds its upgrade handler (the gateway)
 * to {@link NodeServer}, the routes are handed to {@link serve}.
 *
 * Shutdown: no new connections; streams and long polls see `stopping` and end by themselves; requests under way finish
 * within `Config.shutdown`; then every connection is closed. A stream that stayed open would hold the server for ever.
 */

import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http"
import { createServer as createSecureServer } from "node:https"
import type { Duplex } from "node:stream"
import * as Limits from "@causeway/protocol/Limits"
import * as WireError from "@causeway/protocol/WireError"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Attempts from "./Attempts.ts"
import { Config, type HubConfig } from "./Config.ts"
import { arrivedOf } from "./Forwarded.ts"
import * as Hosts from "./Hosts.ts"
import * as HotRoutes from "./HotRoutes.ts"
import * as Body from "./Http/Body.ts"
import * as Pace from "./Http/Pace.ts"
import * as OwnEnvelope from "./OwnEnvelope.ts"
import * as PublicUrl from "./PublicUrl.ts"
import * as RouteTable from "./RouteTable.ts"

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Nothing listens: the port is taken, or the interface is not this machine's. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly host: string
  readonly port: number
  /** The system's error code, `EADDRINUSE` for example. */
  readonly code: string
}> {
  override get message(): string {
    return this.code === "EADDRINUSE"
      ? `port ${this.port} on ${this.host} is taken`
      : `cannot listen on ${this.host}:${this.port} (${this.code})`
  }
}

export class NodeServer extends Context.Tag("@causeway/hub/NodeServer")<
  NodeServer,
  {
    readonly server: HttpServer
    /** Takes the upgrade requests of one path, with or without the base path before it, until the scope closes; those of
     * other paths are refused with 404. */
    readonly onUpgrade: (path: string, handler: UpgradeHandler) => Effect.Effect<void, never, Scope.Scope>
    /** Completes when the server begins to stop. Streams and long polls race with it. */
    readonly stopping: Effect.Effect<void>
    /** Stops in order. Idempotent; the scopes of {@link serve} and of this service run it. */
    readonly stop: Effect.Effect<void>
  }
>() {}

/** Where the server listens. */
export interface Address {
  readonly host: string
  readonly port: number
  /** `http://host:port`, with a host that this machine reaches; beside TLS, the plain port on loopback. */
  readonly url: string
}

// --- The server ---

/** Closes the server: at the latest after `bound`, whatever its connections do. */
const close = (server: HttpServer, bound: Duration.Duration) =>
  Effect.async<void>((resume) => {
    if (!server.listening) {
      server.closeAllConnections()
      return resume(Effect.void)
    }
    const timer = setTimeout(() => server.closeAllConnections(), Duration.toMillis(bound))
    server.close(() => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    server.closeIdleConnections()
  })

/** Keep-alive probes find peers that are gone without a word. */
const settings = {
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
  noDelay: true,
  connectionsCheckingInterval: Limits.HEADERS_MILLIS / 4,
  ServerResponse: OwnEnvelope.HubResponse
}

const paced = (server: HttpServer): HttpServer => {
  server.keepAliveTimeout = 65_000
  server.headersTimeout = Limits.HEADERS_MILLIS
  return server
}

export const layer: Layer.Layer<NodeServer, never, Config> = Layer.scoped(
  NodeServer,
  Effect.gen(function* () {
    const config = yield* Config
    const base = PublicUrl.basePath(yield* PublicUrl.PublicUrl)
    const judge = yield* Hosts.make
    const stopping = yield* Deferred.make<void>()
    const upgrades = new Map<string, UpgradeHandler>()
    const server = paced(createServer(settings))
    const stop = Effect.zipRight(Deferred.succeed(stopping, undefined), close(server, config.shutdown))
    yield* Effect.addFinalizer(() => stop)
    server.on("upgrade", (request, socket, head) => {
      socket.on("error", () => socket.destroy())
      const misdirected = judge(arrivedOf(request))
      if (misdirected !== undefined) return OwnEnvelope.refuse(socket, misdirected)
      const path = (request.url ?? "").split("?", 1)[0] ?? ""
      const behind = PublicUrl.within(base, path)
      const handler = upgrades.get(path) ?? (behind === undefined ? undefined : upgrades.get(behind || "/"))
      if (handler === undefined) {
        OwnEnvelope.refuse(socket, WireError.NotFound.of("nothing is upgraded at this path"))
      } else handler(request, socket, head)
    })
    server.on("clientError", OwnEnvelope.onClientError)
    return NodeServer.of({
      server,
      stopping: Deferred.await(stopping),
      stop,
      onUpgrade: (path, handler) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            upgrades.set(path, handler)
          }),
          () =>
            Effect.sync(() => {
              upgrades.delete(path)
            })
        )
    })
  })
)

// --- Requests ---

/**
 * Rest of a refused body that is still read, and thrown away: a caller whose connection is closed while it sends may never
 * see the answer. What says that it is larger is cut off.
 */
const DRAIN_BYTES = 64 * 1024 * 1024

const send = (response: ServerResponse, reply: HotRoutes.Reply): void => {
  if (response.headersSent) {
    // An answer that broke off must not look whole.
    if (!response.writableEnded) response.destroy()
    return
  }
  if (response.destroyed) return
  // Text goes out in one write with the head.
  response.writeHead(reply.status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(reply.body),
    ...reply.headers
  })
  response.end(reply.body)
}

const sendError = (request: IncomingMessage, response: ServerResponse, error: WireError.WireError): void => {
  const isLarge = Number(request.headers["content-length"] ?? 0) > DRAIN_BYTES
  send(response, HotRoutes.failure(error, isLarge ? { connection: "close" } : {}))
}

/** Answers what no route takes. */
const refuse = (
  incoming: IncomingMessage,
  response: ServerResponse,
  match: Exclude<RouteTable.Match, { readonly _tag: "Found" }>
): void => {
  switch (match._tag) {
    case "NotFound":
      sendError(incoming, response, WireError.NotFound.of("no such address"))
      break
    case "InvalidParameter":
      sendError(
        incoming,
        response,
        WireError.BadRequest.of(`${match.name} in the path must be 1 to 128 letters, digits, "_" or "-"`)
      )
      break
    case "OtherMethod": {
      const allow = match.allow.join(", ")
      const error = WireError.MethodNotAllowed.of(`method not allowed; use ${allow}`)
      send(response, HotRoutes.failure(error, { allow }))
    }
  }
}

/** Answers every request by the table, and the rest with an error. */
const handler =
  (
    table: RouteTable.RouteTable,
    base: string,
    config: Pick<HubConfig, "bodyLimitBytes" | "bodyWindow">,
    judge: Effect.Effect.Success<typeof Hosts.make>,
    slowed: Effect.Effect.Success<typeof Attempts.slowed>,
    runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>
  ) =>
  (incoming: IncomingMessage, response: ServerResponse): void => {
    const misdirected = judge(arrivedOf(incoming))
    if (misdirected !== undefined) {
      sendError(incoming, response, misdirected)
      return
    }
    const routed = RouteTable.find(table, base, incoming.method ?? "GET", incoming.url ?? "/")
    if (routed._tag === "Moved") {
      send(response, { status: 308, body: "", headers: { location: routed.location } })
      return
    }
    const { match, url } = routed
    // HttpApi routes by it once more.
    incoming.url = url
    const mark = url.indexOf("?")
    const path = mark === -1 ? url : url.slice(0, mark)
    if (match._tag !== "Found") {
      refuse(incoming, response, match)
      return
    }
    const { route, params } = match
    const limitBytes = route.bodyLimitBytes ?? config.bodyLimitBytes
    const bytes = Body.readBody(incoming, limitBytes)
    const request: HotRoutes.HotRequest = {
      path,
      line: route.line ?? HotRoutes.nobody,
      params,
      get query() {
        return new URLSearchParams(mark === -1 ? "" : url.slice(mark + 1))
      },
      headers: incoming.headers,
      body: Effect.flatMap(bytes, Body.utf8),
      bytes,
      incoming,
      response
    }
    const finish = (answer: HotRoutes.HotResponse) => {
      if (!("_tag" in answer)) send(response, answer)
    }
    const run = (answer: Effect.Effect<HotRoutes.HotResponse, WireError.WireError>) => {
      const fiber = runFork(
        Effect.matchCauseEffect(answer, {
          onSuccess: (reply) => Effect.sync(() => finish(reply)),
          onFailure: (cause) => {
            if (Cause.isInterruptedOnly(cause)) return Effect.sync(() => response.destroy())
            const failure = Cause.failureOption(cause)
            if (failure._tag === "Some") {
              return Effect.map(slowed(incoming, failure.value), (error) =>
                sendError(incoming, response, error)
              )
            }
            return Effect.zipRight(
              Effect.logError("a request failed", cause).pipe(
                Effect.annotateLogs({ module: "Server", method: route.method, route: route.path })
              ),
              Effect.sync(() => send(response, HotRoutes.failure(WireError.internalError)))
            )
          }
        })
      )
      response.on("close", () => {
        if (!response.writableFinished) fiber.unsafeInterruptAsFork(FiberId.none)
      })
    }
    const direct = route.direct?.(request)
    if (direct === undefined) {
      run(Effect.suspend(() => route.handler(request)))
    } else {
      Body.collect(incoming, limitBytes, (collected) => {
        const body = Either.flatMap(collected, Body.utf8)
        const settle = Either.match({ onLeft: run, onRight: finish })
        if (Either.isRight(body) && direct(body.right, settle)) return
        run(Effect.suspend(() => route.handler({ ...request, bytes: collected, body })))
      })
    }
    Pace.watch(incoming, Duration.toMillis(config.bodyWindow), () => {
      send(response, HotRoutes.failure(OwnEnvelope.late, { connection: "close" }))
      // The rest of the body is not waited for.
      response.once("finish", () => incoming.destroy())
    })
  }

// --- Listening ---

/** Listens; answers the port. */
const listen = (server: HttpServer, host: string, port: number) =>
  Effect.async<number, ListenFailed>((resume) => {
    const onError = (error: NodeJS.ErrnoException) => {
      resume(new ListenFailed({ host, port, code: error.code ?? error.message }))
    }
    server.once("error", onError)
    server.listen(port, host, () => {
      server.off("error", onError)
      const address = server.address()
      resume(Effect.succeed(address !== null && typeof address === "object" ? address.port : port))
    })
  })

/** A server for TLS, whose requests are those of the plain one. It closes with the scope, beside it. */
const secured = (
  plain: HttpServer,
  { host, port, shutdown }: HubConfig,
  tls: NonNullable<HubConfig["tls"]>,
  stop: Effect.Effect<void>
) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const server = createSecureServer({ ...settings, ...tls })
        server.on("request", (request, response) => plain.emit("request", request, response))
        server.on("upgrade", (request, socket, head) => plain.emit("upgrade", request, socket, head))
        server.on("clientError", OwnEnvelope.onClientError)
        // Those who speak no TLS, or trust another certificate.
        server.on("tlsClientError", (_, socket) => socket.destroy())
        return paced(server)
      },
      catch: (error) =>
        new ListenFailed({
          host,
          port,
          code: `the certificate and its key do not fit: ${error instanceof Error ? error.message : String(error)}`
        })
    }),
    (server) => Effect.all([stop, close(server, shutdown)], { concurrency: 2 })
  )

/** Serves the routes and listens, until the scope closes. */
export const serve = (
  routes: ReadonlyArray<HotRoutes.HotRoute>
): Effect.Effect<Address, ListenFailed, NodeServer | Attempts.Attempts | Config | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* Config
    const { server, stop } = yield* NodeServer
    const runtime = yield* Effect.runtime()
    const fibers = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
    const fork = Runtime.runFork(runtime)
    const runFork = <A, E>(effect: Effect.Effect<A, E>) => {
      const fiber = fork(effect)
      fibers.add(fiber)
      fiber.addObserver(() => fibers.delete(fiber))
      return fiber
    }
    const base = PublicUrl.basePath(yield* PublicUrl.PublicUrl)
    const onRequest = handler(
      RouteTable.make(routes),
      base,
      config,
      yield* Hosts.make,
      yield* Attempts.slowed,
      runFork
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => server.on("request", onRequest)),
      // After the server has closed only requests without a connection can be left.
      () => Effect.zipRight(stop, Fiber.interruptAll(fibers))
    )
    const { tls } = config
    if (tls !== undefined) {
      const own = yield* listen(server, "127.0.0.1", 0)
      const port = yield* listen(yield* secured(server, config, tls, stop), config.host, config.port)
      return { host: config.host, port, url: `http://127.0.0.1:${own}` }
    }
    const port = yield* listen(server, config.host, config.port)
    const reachable =
      config.host === "0.0.0.0" || config.host === "::"
        ? "127.0.0.1"
        : config.host.includes(":")
          ? `[${config.host}]`
          : config.host
    return { host: config.host, port, url: `http://${reachable}:${port}` }
  })
