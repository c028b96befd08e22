/** Requests over every endpoint of the API, from its schemas. */
import { request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http"
import { CausewayApi } from "@causeway/protocol/http/Api"
import * as HttpApi from "@effect/platform/HttpApi"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Random from "./Random.ts"

export interface Endpoint {
  readonly method: string
  readonly path: string
  readonly queries: ReadonlyArray<unknown>
  readonly bodies: ReadonlyArray<unknown>
}

/** Every endpoint with a few values of its query and its body. */
export const endpoints = (seed: number): ReadonlyArray<Endpoint> => {
  const found: Array<Endpoint> = []
  const of = (schema: Option.Option<Schema.Schema.All>) =>
    Option.match(schema, {
      onNone: () => [],
      onSome: (each) => Random.samples(each as Schema.Schema.Any, seed, 12)
    })
  HttpApi.reflect(CausewayApi, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint }) => {
      const { method, path, payloadSchema, urlParamsSchema } = endpoint
      found.push({ method, path, queries: of(urlParamsSchema), bodies: of(payloadSchema) })
    }
  })
  return found
}

export interface Known {
  /** By the name of a path's parameter. */
  readonly ids: { readonly [name: string]: ReadonlyArray<string> }
  readonly tokens: ReadonlyArray<string>
}

export interface Call {
  readonly method: string
  readonly path: string
  readonly headers: OutgoingHttpHeaders
  readonly body: string | undefined
}

const badIds = [
  "x",
  "a".repeat(100),
  "b".repeat(101),
  "c".repeat(128),
  "d".repeat(129),
  "..",
  "%2e%2e",
  "%00",
  "é"
]
const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

export const call = (next: Random.Random, all: ReadonlyArray<Endpoint>, known: Known): Call => {
  const endpoint = Random.pick(next, all)
  const path = endpoint.path.replace(/:(\w+)/g, (_, name: string) =>
    next() < 0.7 ? Random.pick(next, known.ids[name] ?? ["none"]) : Random.pick(next, badIds)
  )
  const query = new URLSearchParams()
  if (endpoint.queries.length > 0 && next() < 0.6) {
    const given = Random.pick(next, endpoint.queries)
    const value = next() < 0.5 ? Random.damaged(next, given) : given
    for (const [name, each] of Object.entries(Object(value)).slice(0, 30)) {
      query.set(name.slice(0, 100), String(typeof each === "object" ? "[object]" : each).slice(0, 200))
    }
  }
  // Nobody waits for work here.
  if (path.endsWith("/poll")) query.set("block_ms", "1")
  const method = next() < 0.93 ? endpoint.method : Random.pick(next, methods)
  const wantsBody = method !== "GET" && method !== "HEAD"
  const given = endpoint.bodies.length > 0 ? Random.pick(next, endpoint.bodies) : {}
  const body = !wantsBody
    ? undefined
    : next() < 0.15
      ? Random.junk(next)
      : Random.text(next() < 0.7 ? Random.damaged(next, given) : given)
  const headers: OutgoingHttpHeaders = {
    ...(next() < 0.9 ? { authorization: `Bearer ${Random.pick(next, known.tokens)}` } : {}),
    ...(next() < 0.95 ? { "anthropic-beta": "ccr-byoc-2025-07-29" } : {}),
    ...(next() < 0.3 ? { "last-uuid": Random.pick(next, ["u", "é".slice(1) || "x", "y".repeat(300)]) } : {}),
    ...(next() < 0.1 ? { "x-organization-uuid": "other" } : {}),
    ...(next() < 0.1 ? { "last-event-id": Random.pick(next, ["1", "-1", "x", "9".repeat(40)]) } : {}),
    ...(body === undefined ? {} : { "content-type": next() < 0.9 ? "application/json" : "text/plain" })
  }
  const search = query.size === 0 ? "" : `?${query}`
  return { method, path: `${path}${search}`, headers, body }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Sends a request; of a stream only the beginning is read. Fails where nothing is answered. */
export const send = (port: number, { body, headers, method, path }: Call): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: "127.0.0.1", port, method, path, headers, timeout: 60_000 },
      (response) => {
        const chunks: Array<Buffer> = []
        const done = () => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString("utf8")
          })
        }
        if (response.headers["content-type"] === "text/event-stream") {
          done()
          request.destroy()
          return
        }
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("end", done)
        response.on("error", reject)
      }
    )
    request.on("timeout", () => request.destroy(new Error("nothing was answered for 60 s")))
    request.on("error", (cause) =>
      reject(
        new Error(`${method} ${path} ${JSON.stringify(headers).slice(0, 500)}: ${cause.message}`, { cause })
      )
    )
    request.end(body)
  })
