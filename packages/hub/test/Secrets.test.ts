/** 16: no secret in an address is stored or shown; and what a context may hold. */
import * as Organizations from "@causeway/store/Organizations"
import * as Tokens from "@causeway/store/Tokens"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { call, layer, session, token } from "./harness.ts"

const SECRET = "s3cret-of-a-remote"
const REMOTE = `https://user:${SECRET}@example.com/a/b.git`

const register = (access: string, remote: string) =>
  call({
    method: "POST",
    path: "/v1/environments/bridge",
    token: access,
    body: { machine_name: "m", directory: "/d", branch: null, git_repo_url: remote, metadata: {} }
  })

describe("16: secrets in addresses", () => {
  suite(layer, { excludeTestServices: true })((it) => {
    it.scoped("of remotes and sources are neither kept nor shown, those of the agent's servers stay", () =>
      Effect.gen(function* () {
        const access = yield* token
        const sql = yield* SqlClient.SqlClient
        yield* register(access, REMOTE)
        const context = {
          sources: [{ type: "git_repository", url: REMOTE, revision: null }, { type: "other" }],
          options: { mcp_servers: { x: { url: "https://user:for-the-agent@mcp.example.com" } } }
        }
        const { id } = yield* session({ session_context: context })
        const infra = yield* call({
          method: "POST",
          path: "/v1/code/sessions",
          token: access,
          body: { title: "t", bridge: {}, config: context }
        })
        expect(infra.status).toBe(201)
        const kept = yield* sql`SELECT git_repo_url AS text FROM environments
          UNION ALL SELECT attributes FROM sessions UNION ALL SELECT projection FROM sessions
          UNION ALL SELECT payload FROM events`
        expect(JSON.stringify(kept)).not.toContain(SECRET)
        expect(JSON.stringify(kept)).toContain("https://example.com/a/b.git")
        expect(JSON.stringify(kept)).toContain("for-the-agent")
        // As a hub before this one stored them.
        yield* sql`UPDATE environments SET git_repo_url = ${REMOTE}`
        yield* sql`UPDATE sessions SET attributes = replace(attributes, 'https://example.com', ${`https://user:${SECRET}@example.com`})`
        for (const path of ["/v1/environments", "/v1/sessions", `/v1/sessions/${id}`]) {
          const shown = yield* call({ method: "GET", path, token: access })
          expect([path, shown.status, shown.text.includes(SECRET)]).toEqual([path, 200, false])
        }
      })
    )

    it.scoped("a context of 256 KiB is taken, a larger one is refused with 413", () =>
      Effect.gen(function* () {
        const access = yield* token
        const create = (bytes: number) =>
          call({
            method: "POST",
            path: "/v1/sessions",
            token: access,
            body: { session_context: { note: "n".repeat(bytes - '{"note":""}'.length) } }
          })
        expect((yield* create(256 * 1024)).status).toBe(201)
        const refused = yield* create(256 * 1024 + 1)
        expect([refused.status, refused.json.error.message]).toEqual([
          413,
          "the session's context exceeds 262144 bytes"
        ])
      })
    )

    it.scoped(
      "a session goes on in no environment of another organisation, and in none that is not there",
      () =>
        Effect.gen(function* () {
          const { access, id } = yield* session()
          const stranger = yield* (yield* Organizations.Organizations).create("stranger")
          const theirs = yield* (yield* Tokens.Tokens).create({ organizationId: stranger.id, name: "theirs" })
          const { environment_id: other } = (yield* register(Redacted.value(theirs.token), "x")).json
          const before = (yield* call({ method: "GET", path: "/v1/sessions", token: access })).json.data
            .length
          for (const environment of [other, "env_none"]) {
            const refused = yield* call({
              method: "POST",
              path: `/v1/sessions/${id}/continue`,
              token: access,
              body: { message: "go", environment_id: environment }
            })
            expect(refused.status).toBe(404)
          }
          const after = (yield* call({ method: "GET", path: "/v1/sessions", token: access })).json.data.length
          expect(after).toBe(before)
        })
    )
  })
})
