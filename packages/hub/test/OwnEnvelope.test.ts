import { connect } from "node:net"
import { HUB_HEADER, HUB_HEADER_VALUE } from "@causeway/protocol/Headers"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Hub from "../src/Hub.ts"
import { openApi } from "../src/Ops/Documents.ts"
import { call, layer, session } from "./harness.ts"

/** Layer of a hub that serves a page of one file. */
const withPage = Layer.unwrapScoped(
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const page = yield* fs.makeTempDirectoryScoped()
    yield* fs.writeFileString(`${page}/index.html`, "<!doctype html><title>page</title>")
    return Hub.layer({ filename: ":memory:", page, freeFailures: Number.MAX_SAFE_INTEGER })
  })
).pipe(Layer.provide(NodeContext.layer))

/** What a socket is answered, up to the end of the head. */
const raw = (text: string) =>
  Effect.flatMap(Hub.Hub, (hub) =>
    Effect.async<string, Error>((resume) => {
      const socket = connect(hub.port, "127.0.0.1", () => socket.write(text))
      let answer = ""
      const done = () => {
        socket.destroy()
        resume(Effect.succeed(answer))
      }
      socket.setEncoding("latin1")
      socket.on("data", (chunk: string) => {
        answer += chunk
        // "100 Continue" and the like are no answers.
        if (/^HTTP\/1\.1 (?!1(?!01)\d\d )[\s\S]*\r\n\r\n/.test(answer)) done()
      })
      socket.on("close", done)
      socket.on("error", (error) => resume(Effect.fail(error)))
      return Effect.sync(() => socket.destroy())
    })
  )

const marked = new RegExp(`^${HUB_HEADER}: ${HUB_HEADER_VALUE}\\r$`, "im")

const KEY = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13"

describe("every answer of the hub says that it is the hub's", () => {
  it.scoped(
    "on every route, with a token and without, good and bad",
    () =>
      Effect.gen(function* () {
        const { access, id } = yield* session()
        const seen: Array<string> = []
        for (const [path, methods] of Object.entries(openApi().paths)) {
          const real = path.replace(/\{[^}]*\}/g, id)
          for (const method of Object.keys(methods ?? {})) {
            for (const token of [undefined, "not-a-token", access]) {
              for (const body of method === "get" ? [undefined] : ["{}", "no json", "\ud800"]) {
                // Streams and long polls are asked as raw requests below, where the head is enough.
                const head = yield* raw(
                  `${method.toUpperCase()} ${real} HTTP/1.1\r\nhost: 127.0.0.1\r\nanthropic-beta: ccr-byoc-2025-07-29\r\n${
                    token === undefined ? "" : `authorization: Bearer ${token}\r\n`
                  }${body === undefined ? "" : `content-length: ${Buffer.byteLength(body)}\r\n`}\r\n${body ?? ""}`
                )
                seen.push(head.slice(9, 12))
                expect(head, `${method} ${real}`).toMatch(marked)
              }
            }
          }
        }
        expect([...new Set(seen)].sort()).toEqual(expect.arrayContaining(["200", "400", "401", "404"]))
        for (const path of ["/health", "/ready", "/metrics", "/docs", "/openapi.json", "/nowhere"]) {
          expect((yield* call({ method: "GET", path })).headers[HUB_HEADER], path).toBe(HUB_HEADER_VALUE)
        }
        const stream = yield* raw(
          `GET /v1/code/sessions/${id}/events/stream HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${access}\r\n\r\n`
        )
        expect(stream).toMatch(/^HTTP\/1\.1 200 /)
        expect(stream).toContain("text/event-stream")
        expect(stream).toMatch(marked)
      }).pipe(Effect.provide(layer)),
    180_000
  )

  it.scoped("the page and what is not there", () =>
    Effect.gen(function* () {
      for (const [path, status] of [
        ["/", 200],
        ["/index.html", 200],
        ["/assets/none.js", 404]
      ] as const) {
        const answer = yield* call({ method: "GET", path })
        expect([answer.status, answer.headers[HUB_HEADER]], path).toEqual([status, HUB_HEADER_VALUE])
        const etag = answer.headers["etag"]
        if (typeof etag !== "string") continue
        const known = yield* call({ method: "GET", path, headers: { "if-none-match": etag } })
        expect([known.status, known.headers[HUB_HEADER]]).toEqual([304, HUB_HEADER_VALUE])
      }
    }).pipe(Effect.provide(withPage))
  )

  it.scoped("what node itself answers, and upgrades", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [string, string, string]> = [
        ["no request at all", "hello\r\n\r\n", "400"],
        ["no host", "GET /health HTTP/1.1\r\n\r\n", "400"],
        [
          "headers without end",
          `GET / HTTP/1.1\r\nhost: 127.0.0.1\r\na: ${"x".repeat(40_000)}\r\n\r\n`,
          "431"
        ],
        ["an expectation", "GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: miracles\r\n\r\n", "417"],
        [
          "a wrong method",
          "PATCH /health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
          "405"
        ],
        [
          "an upgrade",
          `GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n${KEY}\r\n\r\n`,
          "101"
        ],
        [
          "an upgrade elsewhere",
          `GET /elsewhere HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n${KEY}\r\n\r\n`,
          "404"
        ],
        [
          "an upgrade without a key",
          "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
          "400"
        ],
        [
          "an upgrade of another method",
          `POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n${KEY}\r\n\r\n`,
          "405"
        ],
        [
          "an upgrade to something else",
          "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
          "400"
        ]
      ]
      for (const [name, text, status] of cases) {
        const head = yield* raw(text)
        expect(head.slice(9, 12), name).toBe(status)
        expect(head, name).toMatch(marked)
      }
    }).pipe(Effect.provide(layer))
  )

  it.scoped("too many sockets of one address", () =>
    Effect.gen(function* () {
      const hub = yield* Hub.Hub
      const upgrade = `GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n${KEY}\r\n\r\n`
      let refused = ""
      for (let opened = 0; opened < 1_000 && refused === ""; opened++) {
        const head = yield* Effect.acquireRelease(
          Effect.async<{ readonly text: string; readonly close: () => void }, Error>((resume) => {
            const socket = connect(hub.port, "127.0.0.1", () => socket.write(upgrade))
            socket.on("data", (chunk: Buffer) =>
              resume(Effect.succeed({ text: chunk.toString("latin1"), close: () => socket.destroy() }))
            )
            socket.on("error", (error) => resume(Effect.fail(error)))
          }),
          ({ close }) => Effect.sync(close)
        )
        if (head.text.startsWith("HTTP/1.1 503")) refused = head.text
      }
      expect(refused).toMatch(marked)
      expect(refused).toContain('"type":"error"')
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
