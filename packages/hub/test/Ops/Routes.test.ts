import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { openApi } from "../../src/Ops/Documents.ts"
import { call, layer } from "../harness.ts"

describe("operation", () => {
  it.scoped("/health tells that the process lives, /ready that it can serve", () =>
    Effect.gen(function* () {
      const get = (path: string) => call({ method: "GET", path })
      expect((yield* get("/health")).json).toEqual({ status: "ok" })
      const ready = yield* get("/ready")
      expect([ready.status, ready.json.status, ready.json.database]).toEqual([200, "ready", "reachable"])
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO schema_version (version, applied_at) VALUES (9999, 0)`
      const newer = yield* get("/ready")
      expect([newer.status, newer.json]).toEqual([
        503,
        { status: "not_ready", database: "reachable", schema_version: 9999 }
      ])
      yield* sql`DROP TABLE schema_version`
      const broken = yield* get("/ready")
      expect([broken.status, broken.json]).toEqual([
        503,
        { status: "not_ready", database: "unreachable", schema_version: null }
      ])
      expect((yield* get("/health")).status).toBe(200)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("/metrics is Prometheus text", () =>
    Effect.gen(function* () {
      const { status, headers, text } = yield* call({ method: "GET", path: "/metrics" })
      expect([status, headers["content-type"]]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"])
      expect(text.endsWith("\n")).toBe(true)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("/openapi.json and /docs are whole in themselves", () =>
    Effect.gen(function* () {
      const document = yield* call({ method: "GET", path: "/openapi.json" })
      expect(document.json).toEqual(JSON.parse(JSON.stringify(openApi())))
      const page = yield* call({ method: "GET", path: "/docs" })
      expect(page.headers["content-type"]).toBe("text/html; charset=utf-8")
      expect(page.headers["content-security-policy"]).toContain("default-src 'none'")
      expect(page.text).not.toMatch(/<script|(src|href)="(https?:)?\/\//)
      for (const path of Object.keys(openApi().paths)) expect(page.text).toContain(path)
    }).pipe(Effect.provide(layer))
  )
})

describe("the OpenAPI document", () => {
  it("is the committed one; `npx vitest run -u` accepts a change", async () => {
    await expect(`${JSON.stringify(openApi(), null, 2)}\n`).toMatchFileSnapshot("./fixtures/openapi.json")
  })

  it("refers only to schemas that it holds", () => {
    const names = [...JSON.stringify(openApi()).matchAll(/#\/components\/schemas\/([^"]+)/g)].map(
      (found) => found[1]
    )
    expect(names.length).toBeGreaterThan(100)
    for (const name of new Set(names)) expect(Object.keys(openApi().components.schemas)).toContain(name)
  })

  it("describes hot routes and the others", () => {
    const paths = Object.keys(openApi().paths)
    for (const path of [
      "/v1/sessions/{id}",
      "/v1/session_ingress/session/{id}",
      "/v1/code/sessions/{id}/worker/events/stream",
      "/v1/environments/{environmentId}/work/poll",
      "/v1/access_tokens/{id}/revoke",
      "/ready"
    ]) {
      expect(paths).toContain(path)
    }
  })

  it.scoped("names only what the hub routes", () =>
    Effect.gen(function* () {
      for (const [path, item] of Object.entries(openApi().paths)) {
        for (const method of Object.keys(item)) {
          const answer = yield* call({
            method: method.toUpperCase(),
            path: path.replace(/\{[^}]+\}/g, "x"),
            headers: { "anthropic-beta": "ccr-byoc-2025-07-29" }
          })
          // Routed: refused for want of a token, or answered.
          expect([200, 401], `${method} ${path}`).toContain(answer.status)
        }
      }
    }).pipe(Effect.provide(layer))
  )
})
