/** How this program reaches other machines: through the proxies of its environment, with words where it cannot. */
import { connect, type PeerCertificate } from "node:tls"
import type { Certificate } from "@causeway/protocol/TransportFailure"
import * as TransportFailure from "@causeway/protocol/TransportFailure"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as Socket from "@effect/platform/Socket"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { HttpsProxyAgent } from "https-proxy-agent"
import { Agent, Dispatcher, ProxyAgent } from "undici"
import { WebSocket } from "ws"
import { Failure } from "../Failure.ts"
import * as Proxy from "./Proxy.ts"

/** The proxy of an address, by this process's environment. */
export class Routes extends Context.Tag("@causeway/app-bridge/Routes")<Routes, Proxy.Route>() {}

const routes: Layer.Layer<Routes, Failure> = Layer.effect(
  Routes,
  Effect.suspend(() =>
    Either.match(Proxy.route(process.env), {
      onLeft: (why) => Failure.usage(why, "correct it, or take it out of the environment"),
      onRight: Effect.succeed
    })
  )
)

// --- HTTP ---

/** Sends each request directly or through its proxy; a plain one goes to the proxy itself, a secure one through it. */
class Routed extends Dispatcher {
  private readonly direct = new Agent()
  private readonly proxies = new Map<string, ProxyAgent>()

  private readonly route: Proxy.Route

  constructor(route: Proxy.Route) {
    super()
    this.route = route
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return this.to(new URL(String(options.origin))).dispatch(options, handler)
  }

  private to(origin: URL): Dispatcher {
    const proxy = this.route(origin)
    if (proxy === undefined) return this.direct
    const key = `${origin.protocol}${proxy.href}`
    const known = this.proxies.get(key)
    if (known !== undefined) return known
    const made = new ProxyAgent({ uri: proxy.href, proxyTunnel: origin.protocol === "https:" })
    this.proxies.set(key, made)
    return made
  }

  end(): Promise<unknown> {
    return Promise.all([this.direct, ...this.proxies.values()].map((each) => each.destroy()))
  }
}

const name = (entity: PeerCertificate["subject"] | undefined): string =>
  [entity?.CN ?? entity?.O ?? "nobody"].flat().join(", ")

/** The certificate that a server shows. Nothing is sent to it. */
const certificateOf = (url: URL): Effect.Effect<Certificate | undefined> =>
  Effect.async<Certificate | undefined>((resume) => {
    const host = url.hostname.replace(/^\[|\]$/g, "")
    const socket = connect({
      host,
      port: Number(url.port || 443),
      rejectUnauthorized: false,
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host })
    })
    const done = (certificate: Certificate | undefined) => {
      socket.destroy()
      resume(Effect.succeed(certificate))
    }
    socket.on("secureConnect", () => {
      const { issuer, subject, valid_to: validTo } = socket.getPeerCertificate()
      done(subject === undefined ? undefined : { subject: name(subject), issuer: name(issuer), validTo })
    })
    socket.on("error", () => done(undefined))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.timeoutTo({ duration: "5 seconds", onTimeout: () => undefined, onSuccess: (found) => found })
  )

/** Adds to a refused certificate who issued it. */
const explain = (route: Proxy.Route) => (error: HttpClientError.RequestError) => {
  const { code } = TransportFailure.describe(error, error.request.url)
  const url = new URL(error.request.url)
  if (!TransportFailure.isOfCertificate(code) || route(url) !== undefined) return Effect.fail(error)
  return Effect.flatMap(certificateOf(url), (certificate) =>
    Effect.fail(
      new HttpClientError.RequestError({
        request: error.request,
        reason: error.reason,
        cause: Object.assign(new Error(code, { cause: error.cause }), { certificate })
      })
    )
  )
}

const http: Layer.Layer<HttpClient.HttpClient, never, Routes> = Layer.scoped(
  HttpClient.HttpClient,
  Effect.gen(function* () {
    const route = yield* Routes
    const dispatcher = yield* Effect.acquireRelease(
      Effect.sync(() => new Routed(route)),
      (open) => Effect.ignore(Effect.tryPromise(() => open.end()))
    )
    return HttpClient.transformResponse(
      NodeHttpClient.makeUndici(dispatcher),
      Effect.catchTag("RequestError", explain(route))
    )
  })
)

// --- WebSockets ---

const sockets: Layer.Layer<Socket.WebSocketConstructor, never, Routes> = Layer.effect(
  Socket.WebSocketConstructor,
  Effect.map(Routes, (route) => (address: string, protocols?: string | Array<string>) => {
    const proxy = route(new URL(address))
    const agent = proxy === undefined ? {} : { agent: new HttpsProxyAgent<string>(proxy.href) }
    // What `ws` has of the browsers' interface is all that is used of it.
    return new WebSocket(address, protocols, agent) as unknown as globalThis.WebSocket
  })
)

/** HTTP and WebSockets. Fails where a proxy of the environment cannot be read. */
export const layer: Layer.Layer<HttpClient.HttpClient | Socket.WebSocketConstructor | Routes, Failure> =
  Layer.provideMerge(Layer.merge(http, sockets), routes)

/** The agent for an endpoint that pushes go to; undefined where it is reached directly. */
export const pushAgent: Effect.Effect<(endpoint: URL) => HttpsProxyAgent<string> | undefined, Failure> =
  Effect.map(Routes, (route) => {
    const agents = new Map<string, HttpsProxyAgent<string>>()
    return (endpoint: URL) => {
      const proxy = route(endpoint)
      if (proxy === undefined) return undefined
      const known = agents.get(proxy.href)
      const agent = known ?? new HttpsProxyAgent<string>(proxy.href, { keepAlive: true, maxSockets: 16 })
      agents.set(proxy.href, agent)
      return agent
    }
  }).pipe(Effect.provide(routes))
