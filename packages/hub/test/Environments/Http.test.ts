import * as Organizations from "@causeway/store/Organizations"
import * as Tokens from "@causeway/store/Tokens"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { call, layer, session, token } from "../harness.ts"

const registration = {
  machine_name: "machine",
  directory: "/srv/code",
  branch: "main",
  git_repo_url: "https://example.com/a/b",
  max_sessions: 2,
  metadata: { worker_type: "test" }
}

const register = (access: string, more: object = {}) =>
  call({
    method: "POST",
    path: "/v1/environments/bridge",
    token: access,
    body: { ...registration, ...more }
  })

const poll = (id: string, secret: string) =>
  call({ method: "GET", path: `/v1/environments/${id}/work/poll`, token: secret })

describe("registering", () => {
  it.scoped("makes an environment that shows what was said, and is online once it polls", () =>
    Effect.gen(function* () {
      const access = yield* token
      const { status, json } = yield* register(access)
      expect(status).toBe(200)
      const path = `/v1/environments/${json.environment_id}`
      const shown = yield* call({ method: "GET", path, token: access })
      expect(shown.json).toMatchObject({
        id: json.environment_id,
        type: "environment",
        name: "code",
        online: false,
        last_seen_at: null,
        archived_at: null,
        ...registration
      })
      expect(shown.text).not.toContain(json.environment_secret)
      yield* TestClock.adjust("1 second")
      expect((yield* poll(json.environment_id, json.environment_secret)).text).toBe("null")
      expect((yield* call({ method: "GET", path, token: access })).json).toMatchObject({
        online: true,
        last_seen_at: "1970-01-01T00:00:01.000Z"
      })
      yield* TestClock.adjust("90 seconds")
      expect((yield* call({ method: "GET", path, token: access })).json.online).toBe(false)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("takes a known environment up again with a new secret; another's and an archived one not", () =>
    Effect.gen(function* () {
      const access = yield* token
      const first = (yield* register(access)).json
      const second = (yield* register(access, {
        reuse_environment_id: first.environment_id,
        branch: "next",
        max_sessions: undefined
      })).json
      expect(second.environment_id).toBe(first.environment_id)
      expect((yield* poll(first.environment_id, first.environment_secret)).status).toBe(401)
      expect((yield* poll(first.environment_id, second.environment_secret)).status).toBe(200)
      const path = `/v1/environments/${first.environment_id}`
      expect((yield* call({ method: "GET", path, token: access })).json).toMatchObject({
        branch: "next",
        max_sessions: 2
      })

      const stranger = yield* (yield* Organizations.Organizations).create("stranger")
      const theirs = yield* (yield* Tokens.Tokens).create({ organizationId: stranger.id, name: "theirs" })
      const stolen = yield* register(Redacted.value(theirs.token), {
        reuse_environment_id: first.environment_id
      })
      expect(stolen.json.environment_id).not.toBe(first.environment_id)
      expect((yield* poll(first.environment_id, second.environment_secret)).status).toBe(200)

      const gone = {
        method: "DELETE",
        path: `/v1/environments/bridge/${first.environment_id}`,
        token: access
      }
      expect((yield* call(gone)).json).toMatchObject({ archived: true })
      expect((yield* call(gone)).status).toBe(200)
      expect((yield* poll(first.environment_id, second.environment_secret)).status).toBe(410)
      const third = yield* register(access, { reuse_environment_id: first.environment_id })
      expect(third.json.environment_id).not.toBe(first.environment_id)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("refuses what is no registration", () =>
    Effect.gen(function* () {
      const access = yield* token
      for (const more of [
        { machine_name: 1 },
        { directory: undefined },
        { max_sessions: 0 },
        { max_sessions: 1.5 },
        { max_sessions: "2" },
        { metadata: [] }
      ]) {
        const { status, json } = yield* register(access, more)
        expect([status, json.error.type]).toEqual([400, "invalid_request_error"])
      }
      expect((yield* register("cw_wrong")).status).toBe(401)
    }).pipe(Effect.provide(layer))
  )
})

describe("another organisation", () => {
  it.scoped("finds none of ours", () =>
    Effect.gen(function* () {
      const access = yield* token
      const { environment_id: id } = (yield* register(access)).json
      const { id: sessionId } = yield* session({ environment_id: id })
      const stranger = yield* (yield* Organizations.Organizations).create("stranger")
      const theirs = yield* (yield* Tokens.Tokens).create({ organizationId: stranger.id, name: "theirs" })
      const key = Redacted.value(theirs.token)
      const calls = [
        { method: "GET", path: `/v1/environments/${id}` },
        { method: "POST", path: `/v1/environments/${id}/archive` },
        { method: "DELETE", path: `/v1/environments/${id}` },
        { method: "DELETE", path: `/v1/environments/bridge/${id}` },
        {
          method: "POST",
          path: `/v1/environments/${id}/bridge/reconnect`,
          body: { session_id: sessionId }
        },
        { method: "GET", path: `/v1/environments/${id}/work` },
        { method: "GET", path: `/v1/environments/${id}/work/stats` }
      ]
      for (const each of calls) expect((yield* call({ ...each, token: key })).status).toBe(404)
      expect((yield* call({ method: "GET", path: "/v1/environments", token: key })).json.data).toEqual([])
      const own = yield* call({ method: "GET", path: `/v1/environments/${id}`, token: access })
      expect(own.json.archived_at).toBeNull()
    }).pipe(Effect.provide(layer))
  )
})

describe("the published API", () => {
  it.scoped("creates, lists page by page, archives without a body, and deletes", () =>
    Effect.gen(function* () {
      const access = yield* token
      const create = (name: string) =>
        call({
          method: "POST",
          path: "/v1/environments",
          token: access,
          body: { name, config: { type: "self_hosted" }, metadata: { a: "b" }, description: "d" }
        })
      const made = yield* Effect.forEach(["a", "b", "c"], (name) =>
        Effect.tap(create(name), () => TestClock.adjust(1))
      )
      expect(made[0]?.json).toMatchObject({
        name: "a",
        type: "environment",
        description: "d",
        config: { type: "self_hosted" },
        metadata: { a: "b" },
        scope: "organization",
        max_sessions: 1000
      })
      const names: Array<string> = []
      let page = ""
      do {
        const { json } = yield* call({
          method: "GET",
          path: `/v1/environments?limit=2${page}`,
          token: access
        })
        names.push(...json.data.map((one: { name: string }) => one.name))
        page = json.next_page === null ? "" : `&page=${json.next_page}`
      } while (page !== "")
      expect(names).toEqual(["c", "b", "a"])

      const a = made[0]?.json
      const archived = yield* call({
        method: "POST",
        path: `/v1/environments/${a.id}/archive`,
        token: access
      })
      expect(archived.json.archived_at).toBe("1970-01-01T00:00:00.003Z")
      const list = (query: string) =>
        Effect.map(
          call({ method: "GET", path: `/v1/environments${query}`, token: access }),
          ({ json }) => json.data.length
        )
      expect(yield* list("")).toBe(2)
      expect(yield* list("?archived=true")).toBe(1)
      expect(yield* list("?archived=all")).toBe(3)

      const remove = (id: string) => call({ method: "DELETE", path: `/v1/environments/${id}`, token: access })
      expect((yield* remove(a.id)).json).toEqual({ id: a.id, type: "environment_deleted", archived: false })
      expect((yield* remove(a.id)).status).toBe(404)
      const b = made[1]?.json
      yield* session({ environment_id: b.id })
      expect((yield* remove(b.id)).json).toMatchObject({ archived: true })
      expect((yield* poll(b.id, b.environment_secret)).status).toBe(410)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("refuses foreign cursors, sizes and ids", () =>
    Effect.gen(function* () {
      const access = yield* token
      const status = (path: string) =>
        Effect.map(call({ method: "GET", path, token: access }), (a) => a.status)
      expect(yield* status("/v1/environments?cursor=nonsense")).toBe(400)
      expect(yield* status("/v1/environments?limit=0")).toBe(400)
      expect(yield* status("/v1/environments?limit=1001")).toBe(400)
      expect(yield* status("/v1/environments?archived=maybe")).toBe(400)
      expect(yield* status("/v1/environments/env_none")).toBe(404)
      for (const id of ["..%2f..%2fhealth", "a%00b", "a%20b", "x".repeat(129)]) {
        expect(yield* status(`/v1/environments/${id}`)).toBe(400)
      }
    }).pipe(Effect.provide(layer))
  )
})

describe("reconnect", () => {
  it.scoped("offers the session's work again, in either spelling of its id", () =>
    Effect.gen(function* () {
      const access = yield* token
      const { environment_id: id, environment_secret: secret } = (yield* register(access)).json
      const { id: sessionId } = yield* session({ environment_id: id })
      const first = (yield* poll(id, secret)).json
      yield* call({ method: "POST", path: `/v1/environments/${id}/work/${first.id}/ack`, token: secret })
      expect((yield* poll(id, secret)).text).toBe("null")
      const again = yield* call({
        method: "POST",
        path: `/v1/environments/${id}/bridge/reconnect`,
        token: access,
        body: { session_id: sessionId.replace("session_", "cse_") }
      })
      expect(again.json).toEqual({ work_id: first.id })
      expect((yield* poll(id, secret)).json.id).toBe(first.id)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("refuses unknown and archived sessions, and those that run elsewhere", () =>
    Effect.gen(function* () {
      const access = yield* token
      const { environment_id: id } = (yield* register(access)).json
      const { environment_id: other } = (yield* register(access)).json
      const { id: sessionId } = yield* session({ environment_id: id })
      const reconnect = (environment: string, session_id: unknown) =>
        Effect.map(
          call({
            method: "POST",
            path: `/v1/environments/${environment}/bridge/reconnect`,
            token: access,
            body: { session_id }
          }),
          ({ status }) => status
        )
      expect(yield* reconnect(other, sessionId)).toBe(409)
      expect(yield* reconnect(id, "session_none")).toBe(404)
      expect(yield* reconnect("env_none", sessionId)).toBe(404)
      expect(yield* reconnect(id, 7)).toBe(400)
      yield* call({ method: "POST", path: `/v1/sessions/${sessionId}/archive`, token: access, body: {} })
      expect(yield* reconnect(id, sessionId)).toBe(409)
    }).pipe(Effect.provide(layer))
  )
})
