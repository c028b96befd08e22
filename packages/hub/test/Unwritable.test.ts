/** 13: the database takes nothing that is written: reads go on, writes are refused with a time to come back, and it ends. */
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Gateway from "./Gateway/harness.ts"
import { call, layer, session } from "./harness.ts"

describe("13: a disk that takes nothing", () => {
  suite(layer, { excludeTestServices: true })((it) => {
    it.scoped("reads go on, writes say 503 and when to come back, /ready says it, and all of it ends", () =>
      Effect.gen(function* () {
        const { access, epoch, id, ingress } = yield* session()
        const sql = yield* SqlClient.SqlClient
        const device = new Gateway.Device()
        const client = yield* Gateway.connected(yield* Gateway.target, {}, device)
        const read = (path: string) =>
          Effect.map(call({ method: "GET", path, token: access }), (a) => a.status)
        const event = { type: "user", uuid: "u", message: { role: "user", content: "hi" } }
        const writes = () =>
          Effect.all([
            call({
              method: "POST",
              path: `/v1/sessions/${id}/events`,
              token: access,
              body: { events: [{ type: "event", data: event }] }
            }),
            call({ method: "PATCH", path: `/v1/sessions/${id}`, token: access, body: { title: "t" } }),
            call({ method: "POST", path: "/v1/sessions", token: access, body: {} }),
            call({
              method: "POST",
              path: `/v1/code/sessions/${id}/worker/heartbeat`,
              token: ingress,
              body: { worker_epoch: epoch }
            })
          ])
        const reads = [
          "/v1/sessions",
          `/v1/sessions/${id}`,
          "/v1/environments",
          `/v1/code/sessions/${id}/teleport-events`,
          `/v1/session_ingress/session/${id}`,
          "/health"
        ]
        // What was used a minute ago is noted anew with every call, and cannot be.
        yield* sql`UPDATE access_tokens SET last_used_at = 0`
        yield* sql`PRAGMA query_only = ON`
        for (const path of reads) expect([path, yield* read(path)]).toEqual([path, 200])
        const again = yield* Gateway.connected(yield* Gateway.target, {}, device)
        expect((yield* Gateway.call(again, "causeway.sessions.show", { sessionId: id }))["session"].id).toBe(
          id
        )
        for (const refused of yield* writes()) {
          expect([refused.status, refused.headers["retry-after"]]).toEqual([503, "1"])
        }
        const said = yield* Gateway.refusal(client, "causeway.sessions.rename", { sessionId: id, title: "t" })
        expect(said).toMatchObject({ code: "UNAVAILABLE", retryable: true, retryAfterMs: 1000 })
        const ready = yield* call({ method: "GET", path: "/ready" })
        expect([ready.status, ready.json.database]).toEqual([503, "unwritable"])

        yield* sql`PRAGMA query_only = OFF`
        for (const taken of yield* writes()) expect([200, 201]).toContain(taken.status)
        yield* Effect.repeat(call({ method: "GET", path: "/ready" }), {
          until: ({ status }) => status === 200
        })
      })
    )
  })
})
