/** An HttpClient that answers from a function, remembers what it was asked, and notices what was aborted. */
import { HUB_HEADER, HUB_HEADER_VALUE } from "@causeway/protocol/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Client from "../../src/Client.ts"
import * as Credentials from "../../src/Credentials.ts"

export interface Asked {
  readonly method: string
  readonly url: string
  readonly path: string
  readonly query: { readonly [name: string]: string }
  readonly headers: { readonly [name: string]: string | undefined }
  readonly body: unknown
  readonly text: string
  readonly bytes: Uint8Array
}

export interface Reply {
  readonly status?: number
  readonly headers?: { readonly [name: string]: string }
  /** Sent as JSON; text where it is a string; a stream as it is. */
  readonly body?: unknown
  /** Not the hub's: without its mark. */
  readonly foreign?: boolean
}

/** How the network fails. */
export class Broken extends Error {
  override readonly name = "Broken"
}

export type Handler = (asked: Asked) => Effect.Effect<Reply, Broken>

export interface Scripted {
  readonly asked: Array<Asked>
  /** Requests whose signal was aborted. */
  readonly aborted: Array<Asked>
  readonly handler: Handler
  /** Waits until this many requests have come. */
  readonly arrived: (count: number) => Effect.Effect<void>
  readonly layer: Layer.Layer<HttpClient.HttpClient>
}

const textOf = (body: unknown): string | ReadableStream<Uint8Array> | null =>
  body === undefined
    ? null
    : typeof body === "string" || body instanceof ReadableStream
      ? body
      : JSON.stringify(body)

const requestBytes = (body: { readonly _tag: string }): Uint8Array =>
  body._tag === "Uint8Array" && "body" in body && body.body instanceof Uint8Array
    ? body.body
    : new Uint8Array()

/** 204 and 304 may not carry a body. */
const response = (reply: Reply) =>
  new Response(textOf(reply.body), {
    status: reply.status ?? 200,
    headers: {
      ...(reply.body instanceof ReadableStream ? { "content-type": "text/event-stream" } : {}),
      ...(reply.foreign === true ? {} : { [HUB_HEADER]: HUB_HEADER_VALUE }),
      ...reply.headers
    }
  })

export const make = (handler: Handler): Scripted => {
  const asked: Array<Asked> = []
  const aborted: Array<Asked> = []
  const waiters: Array<() => void> = []
  const arrived = (count: number): Effect.Effect<void> =>
    Effect.suspend(() =>
      asked.length >= count
        ? Effect.void
        : Effect.zipRight(
            Effect.async<void>((resume) => void waiters.push(() => resume(Effect.void))),
            arrived(count)
          )
    )
  const client = HttpClient.make((request, url, signal) => {
    const bytes = requestBytes(request.body)
    const text = new TextDecoder().decode(bytes)
    const seen: Asked = {
      method: request.method,
      url: url.toString(),
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: request.headers,
      body:
        text === "" || request.headers["content-type"] === "application/octet-stream"
          ? undefined
          : JSON.parse(text),
      text,
      bytes
    }
    asked.push(seen)
    for (const waiter of waiters.splice(0)) waiter()
    signal.addEventListener("abort", () => aborted.push(seen))
    return Effect.matchEffect(handler(seen), {
      onFailure: (cause) =>
        Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", cause })),
      onSuccess: (reply) => Effect.succeed(HttpClientResponse.fromWeb(request, response(reply)))
    })
  })
  return { asked, aborted, handler, arrived, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

/** A hub that takes no body in parts, as published ones. */
export const withoutParts =
  (handler: Handler): Handler =>
  (asked) =>
    asked.path.includes("/uploads/")
      ? Effect.succeed({
          status: 404,
          body: { type: "error", error: { type: "x", message: "no such address" } }
        })
      : handler(asked)

/** Answers one reply after another; the last one for ever. */
export const sequence = (...replies: ReadonlyArray<Reply | "broken" | "never">): Handler => {
  let at = 0
  return () =>
    Effect.suspend(() => {
      const reply = replies[Math.min(at, replies.length - 1)] ?? {}
      at++
      if (reply === "broken") return Effect.fail(new Broken("ECONNRESET"))
      return reply === "never" ? Effect.never : Effect.succeed(reply)
    })
}

export const BASE = "http://hub.test:8787"
export const ACCESS_TOKEN = "cwt_access_secret_0123456789"
export const ORGANIZATION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

export const credentials = Credentials.layerStatic({
  accessToken: Redacted.make(ACCESS_TOKEN),
  organization: ORGANIZATION
})

/** A source whose token can be changed and refreshed by the test. */
export const changing = (state: { token: string | undefined; organization?: string }) =>
  ({
    accessToken: Effect.sync(() =>
      Option.map(Option.fromNullable(state.token), (token) => Redacted.make(token))
    ),
    organization: Effect.sync(() => Option.fromNullable(state.organization))
  }) satisfies Credentials.Source

/** Every service over the scripted network. */
export const services = (
  scripted: Scripted,
  who: Layer.Layer<Credentials.Credentials> = credentials,
  options: Partial<Client.Options> = {}
): Layer.Layer<Client.Client | Credentials.Credentials> =>
  Client.layer({ baseUrl: BASE, ...options }).pipe(Layer.provideMerge(who), Layer.provide(scripted.layer))
