import * as Organizations from "@causeway/store/Organizations"
import * as Tokens from "@causeway/store/Tokens"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { call, layer, token } from "../harness.ts"

describe("/v1/access_tokens", () => {
  it.scoped("makes, lists and revokes; the token is shown once", () =>
    Effect.gen(function* () {
      const access = yield* token
      const made = yield* call({
        method: "POST",
        path: "/v1/access_tokens",
        token: access,
        body: { name: "laptop", expires_in: 60 }
      })
      expect(made.status).toBe(201)
      expect(made.json).toMatchObject({
        name: "laptop",
        expires_at: "1970-01-01T00:01:00.000Z",
        revoked_at: null
      })
      const list = yield* call({ method: "GET", path: "/v1/access_tokens", token: made.json.token })
      expect(list.status).toBe(200)
      expect(list.json.data.map((one: { name: string }) => one.name).sort()).toEqual([
        "first start",
        "laptop"
      ])
      expect(list.text).not.toContain(made.json.token)
      const path = `/v1/access_tokens/${made.json.id}/revoke`
      const revoked = yield* call({ method: "POST", path, token: access })
      expect(revoked.json.revoked_at).toBe("1970-01-01T00:00:00.000Z")
      yield* TestClock.adjust("1 second")
      const again = yield* call({ method: "POST", path, token: access })
      expect(again.json.revoked_at).toBe("1970-01-01T00:00:00.000Z")
      const refused = yield* call({ method: "GET", path: "/v1/access_tokens", token: made.json.token })
      expect(refused.status).toBe(401)
      expect(refused.json).toMatchObject({ type: "error", error: { type: "authentication_error" } })
    }).pipe(Effect.provide(layer))
  )

  it.scoped("another organisation neither sees nor revokes them", () =>
    Effect.gen(function* () {
      const access = yield* token
      const stranger = yield* (yield* Organizations.Organizations).create("stranger")
      const theirs = yield* (yield* Tokens.Tokens).create({ organizationId: stranger.id, name: "theirs" })
      const key = Redacted.value(theirs.token)
      const list = yield* call({ method: "GET", path: "/v1/access_tokens", token: key })
      expect(list.json.data.map((one: { name: string }) => one.name)).toEqual(["theirs"])
      const path = `/v1/access_tokens/${theirs.record.id}/revoke`
      expect((yield* call({ method: "POST", path, token: access })).status).toBe(404)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("refuses what is not a token, a name or a number of seconds", () =>
    Effect.gen(function* () {
      const access = yield* token
      const path = "/v1/access_tokens"
      expect((yield* call({ method: "GET", path })).status).toBe(401)
      expect((yield* call({ method: "GET", path, token: "cw_wrong" })).status).toBe(401)
      const headers = { "x-organization-uuid": "another" }
      expect((yield* call({ method: "GET", path, token: access, headers })).status).toBe(403)
      for (const body of [
        {},
        { name: "" },
        { name: "x".repeat(129) },
        { name: "x", expires_in: 0 },
        [],
        "x"
      ]) {
        expect((yield* call({ method: "POST", path, token: access, body })).status).toBe(400)
      }
      expect((yield* call({ method: "POST", path, token: access, text: "{" })).status).toBe(400)
      expect((yield* call({ method: "GET", path, token: access })).json.data).toHaveLength(1)
    }).pipe(Effect.provide(layer))
  )
})
