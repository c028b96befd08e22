/** 14: every limit has its error, and nothing from outside is answered with 500. 18: what every answer says. */
import { connect as connectSocket } from "node:net"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hub from "../src/Hub.ts"
import * as Gateway from "./Gateway/harness.ts"
import { call, session, token } from "./harness.ts"

const layer = Hub.layer({ filename: ":memory:", bodyWindow: Duration.millis(100) })

/** Opens a connection, sends the head and a byte of the body every 20 ms, and answers with all that comes back. */
const trickle = (head: string) =>
  Effect.flatMap(Hub.Hub, ({ port }) =>
    Effect.async<string>((resume) => {
      const socket = connectSocket(port, "127.0.0.1")
      let text = ""
      socket.write(head)
      const drip = setInterval(() => socket.write(" "), 20)
      socket.on("data", (chunk) => {
        text += chunk.toString()
      })
      socket.on("error", () => {})
      socket.on("close", () => {
        clearInterval(drip)
        resume(Effect.succeed(text))
      })
    })
  )

describe("14: limits", () => {
  suite(layer, { excludeTestServices: true })((it) => {
    it.scoped("an id of up to 128 characters names nothing, a longer one is refused", () =>
      Effect.gen(function* () {
        const access = yield* token
        for (const [length, status] of [
          [100, 404],
          [101, 404],
          [128, 404],
          [129, 400]
        ] as const) {
          const id = "a".repeat(length)
          for (const path of [
            `/v1/sessions/${id}`,
            `/v1/environments/${id}`,
            `/v1/environments/${id}/work/${id}`
          ]) {
            expect((yield* call({ method: "GET", path })).status).toBe(status === 404 ? 401 : 400)
            expect((yield* call({ method: "GET", path, token: access })).status).toBe(status)
          }
        }
      })
    )

    it.scoped("an error quotes no more than a part of what was sent", () =>
      Effect.gen(function* () {
        const access = yield* token
        const body = { max_sessions: { long: "x".repeat(500_000) }, machine_name: [["y".repeat(100_000)]] }
        const cold = yield* call({ method: "POST", path: "/v1/environments/bridge", token: access, body })
        expect([cold.status, cold.text.length < 3000]).toEqual([400, true])
        const hot = yield* call({
          method: "POST",
          path: "/v1/sessions",
          token: access,
          body: { title: { long: "x".repeat(500_000) } }
        })
        expect([hot.status, hot.text.length < 3000]).toEqual([400, true])
        const client = yield* Gateway.connected(yield* Gateway.target)
        const params = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`name${i}`, i]))
        const refused = yield* Gateway.refusal(client, "sessions.list", params)
        expect(refused["message"].length).toBeLessThan(5000)
      })
    )

    it.scoped(
      "a body that trickles is answered with 408, at every kind of route; a slow hub is not its fault",
      () =>
        Effect.gen(function* () {
          const { access, id } = yield* session()
          for (const [method, path] of [
            ["POST", `/v1/sessions/${id}/events`],
            ["PATCH", `/v1/sessions/${id}`]
          ]) {
            const answer = yield* trickle(
              `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${access}\r\nanthropic-beta: ccr-byoc-2025-07-29\r\ncontent-type: application/json\r\ncontent-length: 10000\r\n\r\n`
            )
            expect(answer.split("\r\n")[0]).toBe("HTTP/1.1 408 Request Timeout")
            expect(answer).toContain("did not arrive in time")
          }
          expect((yield* call({ method: "GET", path: "/health" })).status).toBe(200)
        })
    )

    it.scoped("a frame that is no JSON is answered", () =>
      Effect.gen(function* () {
        const client = yield* Gateway.connected(yield* Gateway.target)
        client.raw("no JSON")
        const answer = yield* Effect.promise(() => client.until((frame) => frame["id"] === "invalid"))
        expect(answer).toMatchObject({
          ok: false,
          error: { code: "INVALID_REQUEST", message: "invalid request frame: not JSON" }
        })
      })
    )

    it.scoped("a connection is told the messages of 1,000 sessions, by keys of 512 characters", () =>
      Effect.gen(function* () {
        const client = yield* Gateway.connected(yield* Gateway.target)
        const method = "sessions.messages.subscribe"
        expect((yield* Gateway.refusal(client, method, { key: "k".repeat(600) }))["message"]).toBe(
          "a key has at most 512 characters"
        )
        yield* Effect.promise(() =>
          Promise.all(Array.from({ length: 1000 }, (_, i) => client.call(method, { key: `k${i}` })))
        )
        expect((yield* Gateway.refusal(client, method, { key: "k1000" }))["message"]).toContain(
          "at most 1000 sessions"
        )
        yield* Gateway.call(client, method, { key: "k7" })
        yield* Gateway.call(client, "sessions.messages.unsubscribe", { key: "k7" })
        yield* Gateway.call(client, method, { key: "k1000" })
      })
    )
  })
})

describe("18: what every answer says", () => {
  suite(layer, { excludeTestServices: true })((it) => {
    it.scoped("nosniff and no-store, whoever answers", () =>
      Effect.gen(function* () {
        const access = yield* token
        for (const [path, status] of [
          ["/v1/sessions", 200],
          ["/v1/sessions/session_none", 404],
          ["/v1/environments", 200],
          ["/health", 200],
          ["/openapi.json", 200],
          ["/docs", 200],
          ["/nowhere", 404]
        ] as const) {
          const answer = yield* call({ method: "GET", path, token: access })
          expect([path, answer.status]).toEqual([path, status])
          expect(answer.headers["x-content-type-options"]).toBe("nosniff")
          expect(answer.headers["cache-control"]).toBe("no-store")
        }
      })
    )

    it.scoped("work's routes say the same of environments that exist and of those that do not", () =>
      Effect.gen(function* () {
        const access = yield* token
        const registered = yield* call({
          method: "POST",
          path: "/v1/environments/bridge",
          token: access,
          body: {
            machine_name: "m",
            directory: "/d",
            branch: "main",
            git_repo_url: null,
            max_sessions: 1,
            metadata: { worker_type: "t" }
          }
        })
        const id: string = registered.json.environment_id
        const none = id.replace(/.$/, (last) => (last === "0" ? "1" : "0"))
        // Ten refusals of an address are answered at once; further ones come later and later.
        for (const [secret, method, path] of [
          [undefined, "GET", "poll"],
          [undefined, "GET", "work_1"],
          [undefined, "POST", "work_1/ack"],
          ["cwe_wrong", "GET", "poll"],
          ["cwe_wrong", "POST", "work_1/ack"],
          ["cw_wrong", "GET", ""],
          ["a.b.c", "POST", "work_1/heartbeat"]
        ] as const) {
          const of = (environment: string) =>
            call({
              method,
              path: `/v1/environments/${environment}/work${path === "" ? "" : `/${path}`}`,
              ...(secret === undefined ? {} : { token: secret })
            })
          const [there, absent] = [yield* of(id), yield* of(none)]
          expect(absent.status).toBe(there.status)
          expect(absent.text.replaceAll(none, id)).toBe(there.text)
        }
      })
    )
  })
})
