/** A hub of its own for each test, on a real socket over a database in memory, and a small client for it. */

import { request as httpRequest } from "node:http"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Hub from "../src/Hub.ts"

/** Refusals are answered at once, however many: tests of other things ask with many wrong credentials. */
export const layer = Hub.layer({ filename: ":memory:", freeFailures: Number.MAX_SAFE_INTEGER })

/** The token that the first start made. */
export const token = Effect.map(Hub.Hub, ({ firstToken }) => Redacted.value(Option.getOrThrow(firstToken)))

export interface Answer {
  readonly status: number
  readonly headers: { readonly [name: string]: string | ReadonlyArray<string> | undefined }
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: what an unknown server answers
  readonly json: any
}

export interface Call {
  readonly method: string
  /** As it is sent: neither encoded nor normalised. */
  readonly path: string
  readonly token?: string
  readonly headers?: { readonly [name: string]: string }
  /** JSON, or text as it is. */
  readonly body?: unknown
  readonly text?: string | Buffer
}

/** One request over a real socket. */
export const call = (options: Call): Effect.Effect<Answer, Error, Hub.Hub> =>
  Effect.flatMap(Hub.Hub, (hub) =>
    Effect.async<Answer, Error>((resume) => {
      const body = options.text ?? (options.body === undefined ? undefined : JSON.stringify(options.body))
      const request = httpRequest(
        {
          host: "127.0.0.1",
          port: hub.port,
          method: options.method,
          path: options.path,
          agent: false,
          headers: {
            ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
            ...(options.path.startsWith("/v1/sessions") ? { "anthropic-beta": "ccr-byoc-2025-07-29" } : {}),
            ...(body === undefined ? {} : { "content-type": "application/json" }),
            ...options.headers
          }
        },
        (response) => {
          const chunks: Array<Buffer> = []
          response.on("data", (chunk: Buffer) => chunks.push(chunk))
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString("utf8")
            let json: unknown
            try {
              json = JSON.parse(text)
            } catch {
              json = undefined
            }
            resume(
              Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, text, json })
            )
          })
        }
      )
      request.on("error", (error) => resume(Effect.fail(error)))
      request.end(body)
      return Effect.sync(() => request.destroy())
    })
  )

/** A session made by a person, and an ingress token for it. */
export const session = (create: object = {}) =>
  Effect.gen(function* () {
    const access = yield* token
    const created = yield* call({ method: "POST", path: "/v1/sessions", token: access, body: create })
    const id: string = created.json.id
    const credentials = yield* call({
      method: "POST",
      path: `/v1/code/sessions/${id}/bridge`,
      token: access,
      body: {}
    })
    const ingress: string = credentials.json.worker_jwt
    const epoch: number = credentials.json.worker_epoch
    return { access, id, ingress, epoch }
  })

/** Appends one entry at the ingress. */
export const put = (options: {
  readonly id: string
  readonly token: string
  readonly entry: unknown
  readonly last?: string | undefined
}) =>
  call({
    method: "PUT",
    path: `/v1/session_ingress/session/${options.id}`,
    token: options.token,
    body: options.entry,
    ...(options.last === undefined ? {} : { headers: { "last-uuid": options.last } })
  })

// --- Streams ---

export interface Frame {
  readonly event: string
  readonly id: number | undefined
  // biome-ignore lint/suspicious/noExplicitAny: what an unknown server sends
  readonly data: any
}

export interface EventSource {
  readonly status: number
  /** The next frame; comments are left out. Fails when the stream has ended. */
  readonly next: Effect.Effect<Frame, StreamEnded>
  /** The next comment. */
  readonly comment: Effect.Effect<void, StreamEnded>
}

export class StreamEnded extends Data.TaggedError("StreamEnded") {}

/** Reads a stream of server-sent events until the scope closes. */
export const open = (options: Omit<Call, "method" | "body" | "text">) =>
  Effect.gen(function* () {
    const hub = yield* Hub.Hub
    const frames = yield* Mailbox.make<Frame, StreamEnded>()
    const comments = yield* Mailbox.make<void, StreamEnded>()
    const status = yield* Effect.async<number, Error, Scope.Scope>((resume) => {
      const request = httpRequest(
        {
          host: "127.0.0.1",
          port: hub.port,
          path: options.path,
          agent: false,
          headers: {
            accept: "text/event-stream",
            ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
            ...options.headers
          }
        },
        (response) => {
          let text = ""
          response.setEncoding("utf8")
          response.on("data", (chunk: string) => {
            text += chunk
            for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
              const lines = text.slice(0, end).split("\n")
              text = text.slice(end + 2)
              const of = (name: string) =>
                lines
                  .filter((line) => line.startsWith(`${name}: `))
                  .map((line) => line.slice(name.length + 2))
              const [event] = of("event")
              if (event === undefined) {
                comments.unsafeOffer(undefined)
                continue
              }
              const [id] = of("id")
              frames.unsafeOffer({
                event,
                id: id === undefined ? undefined : Number(id),
                data: JSON.parse(of("data").join("\n"))
              })
            }
          })
          const ended = () => {
            frames.unsafeDone(Exit.fail(new StreamEnded()))
            comments.unsafeDone(Exit.fail(new StreamEnded()))
          }
          response.on("end", ended)
          response.on("error", ended)
          resume(
            Effect.as(
              Effect.addFinalizer(() => Effect.sync(() => request.destroy())),
              response.statusCode ?? 0
            )
          )
        }
      )
      request.on("error", (error) => resume(Effect.fail(error)))
      request.end()
    })
    const source: EventSource = {
      status,
      next: Effect.mapError(frames.take, () => new StreamEnded()),
      comment: Effect.mapError(comments.take, () => new StreamEnded())
    }
    return source
  })

/** The next `count` frames. */
export const take = (source: EventSource, count: number) =>
  Effect.all(Array.from({ length: count }, () => source.next))
