/** The matrix of HTTP: every endpoint of the permission table, called with every kind of bearer over a real socket. */
import { request as httpRequest } from "node:http"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Permission from "@causeway/protocol/Permission"
import * as Permissions from "@causeway/protocol/Permissions"
import { Organizations } from "@causeway/store/Organizations"
import { Tokens } from "@causeway/store/Tokens"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Hub from "../../src/Hub.ts"
import { call } from "../harness.ts"

/** A word that stands in everything of the first organisation. */
export const PLANTED = "planted-word"

/** A request's end as the matrix sees it. Streams are left when their head has come. */
interface Seen {
  readonly status: number
  readonly text: string
}

const send = (options: {
  readonly method: string
  readonly path: string
  readonly token: string | undefined
  readonly headers?: { readonly [name: string]: string }
  readonly body: unknown
}): Effect.Effect<Seen, Error, Hub.Hub> =>
  Effect.flatMap(Hub.Hub, ({ port }) =>
    Effect.async<Seen, Error>((resume) => {
      const body = options.body === undefined ? undefined : JSON.stringify(options.body)
      const request = httpRequest(
        {
          host: "127.0.0.1",
          port,
          method: options.method,
          path: options.path,
          agent: false,
          headers: {
            "anthropic-beta": "ccr-byoc-2025-07-29",
            ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
            ...(body === undefined ? {} : { "content-type": "application/json" }),
            ...options.headers
          }
        },
        (response) => {
          const status = response.statusCode ?? 0
          if (response.headers["content-type"]?.startsWith("text/event-stream") === true) {
            request.destroy()
            resume(Effect.succeed({ status, text: "" }))
            return
          }
          let text = ""
          response.setEncoding("utf8").on("data", (chunk: string) => {
            text += chunk
          })
          response.on("end", () => resume(Effect.succeed({ status, text })))
        }
      )
      request.on("error", (error) => resume(Effect.fail(error)))
      request.end(body)
    })
  )

/** Bodies and queries by `group.name`; others have neither. */
const requests: { readonly [endpoint: string]: { readonly body?: object; readonly query?: string } } = {
  "sessions.create": { body: { title: "t" } },
  "sessions.sendEvents": { body: { events: [] } },
  "sessions.update": { body: { title: "t" } },
  "sessions.archive": { body: {} },
  "sessions.continue": { body: { message: "go on" } },
  "sessions.stopAll": { body: { within_ms: 0 } },
  "codeSessions.create": { body: { title: "t" } },
  "codeSessions.credentials": { body: {} },
  "viewer.sendViewerEvents": { body: { events: [] } },
  "worker.updateWorker": { body: {} },
  "worker.registerWorker": { body: {} },
  "worker.refreshToken": { body: {} },
  "worker.appendEvents": { body: { worker_epoch: 1, events: [] } },
  "worker.reportDelivery": { body: { worker_epoch: 1, updates: [] } },
  "worker.workerHeartbeat": { body: { worker_epoch: 1 } },
  "ingress.append": { body: { type: "assistant", uuid: "7b8c3a5e-1111-4111-8111-000000000001" } },
  "ingress.uploadPart": { body: {}, query: "?offset=0" },
  "environments.register": { body: { machine_name: "m", directory: "/d" } },
  "environments.create": { body: { name: "e" } },
  "environments.reconnect": { body: { session_id: "session_unknown" } },
  "work.heartbeat": { body: {} },
  "work.updateWork": { body: { metadata: {} } },
  "work.stop": { body: {} },
  "accessTokens.create": { body: { name: "n" } }
}

/** What an endpoint is called on; fresh for each, because some calls end it. */
const place = (owner: string, organizationId: OrganizationId) =>
  Effect.gen(function* () {
    const post = (path: string, body: object) => call({ method: "POST", path, token: owner, body })
    const environment = yield* post("/v1/environments/bridge", { machine_name: PLANTED, directory: "/d" })
    const id: string = environment.json.environment_id
    const created = yield* post("/v1/sessions", { title: PLANTED, environment_id: id })
    const session: string = created.json.id
    const secret: string = environment.json.environment_secret
    const polled = yield* call({ method: "GET", path: `/v1/environments/${id}/work/poll`, token: secret })
    const credentials = yield* post(`/v1/code/sessions/${session}/bridge`, {})
    const tokens = yield* Tokens
    const spare = yield* tokens.create({ organizationId, name: PLANTED, role: "viewer" })
    const work: string = polled.json.id
    return {
      environment: id,
      session,
      secret,
      ingress: String(credentials.json.worker_jwt),
      work,
      spare: spare.record.id
    }
  })
type Place = Effect.Effect.Success<ReturnType<typeof place>>

const pathOf = ({ group, path }: Permissions.EndpointLine, at: Place): string =>
  path
    .replace(":environmentId", at.environment)
    .replace(":workId", at.work)
    .replace(":upload", "0".repeat(64))
    .replace(":id", group === "accessTokens" ? at.spare : at.session)

/** Bearers of this hub that are the same for all endpoints. */
const bearers = Effect.gen(function* () {
  const hub = yield* Hub.Hub
  const tokens = yield* Tokens
  const of = (role: Permission.Role, organizationId: OrganizationId, expiresAt?: number) =>
    Effect.map(tokens.create({ organizationId, name: role, role, expiresAt }), ({ record, token }) => ({
      id: record.id,
      token: Redacted.value(token)
    }))
  const own = hub.organizationId
  const other = yield* (yield* Organizations).create("other")
  const roles = yield* Effect.forEach(Permission.Role.literals, (role) =>
    Effect.map(of(role, own), ({ token }) => ({ role, token }))
  )
  const revoked = yield* of("owner", own)
  yield* tokens.revoke({ organizationId: own, tokenId: revoked.id })
  const owner = roles.find(({ role }) => role === "owner")?.token ?? ""
  return {
    own,
    owner,
    roles,
    stranger: (yield* of("owner", other.id)).token,
    otherOrganization: other.id,
    bad: {
      absent: undefined,
      unknown: "cw_unknown",
      revoked: revoked.token,
      expired: (yield* of("owner", own, 0)).token
    }
  }
})

const isRefused = ({ status }: Seen): boolean => status === 401 || status === 403

/** The one answer 403 that is no matter of permission: an access token is no ingress token that could be refreshed. */
const REFRESH = "a fresh ingress token is given for an ingress token only"

/**
 * Calls the endpoints and answers with each that did not do as `expected` says. Empty: the doors and the table agree.
 */
export const mismatches = (
  endpoints: ReadonlyArray<Permissions.EndpointLine> = Permissions.linesOf().lines
) =>
  Effect.gen(function* () {
    const { bad, otherOrganization, own, owner, roles, stranger } = yield* bearers
    const wrong: Array<string> = []
    const elsewhere = yield* place(owner, own)
    yield* Effect.forEach(endpoints, (endpoint) =>
      Effect.gen(function* () {
        const { group, line, method, name } = endpoint
        const at = yield* place(owner, own)
        const { body, query = "" } = requests[`${group}.${name}`] ?? {}
        const path = pathOf(endpoint, at)
        const as = (token: string | undefined, headers: { readonly [name: string]: string } = {}) =>
          send({ method, path: path + query, token, headers, body })
        const expect = (who: string, good: boolean, { status, text }: Seen) => {
          if (!good) wrong.push(`${method} ${endpoint.path} as ${who}: ${status} ${text.slice(0, 120)}`)
        }
        // Those that are refused go first: the others may end what is called.
        for (const [who, token] of Object.entries(bad)) {
          const seen = yield* as(token)
          expect(who, line.open ? !isRefused(seen) : seen.status === 401, seen)
        }
        if (!line.open) {
          const seen = yield* as(stranger)
          const named = /:(id|environmentId)/.test(endpoint.path)
          expect("a stranger", !seen.text.includes(PLANTED), seen)
          const isElsewhere = seen.status === 404 || seen.text.includes(REFRESH)
          if (named)
            expect("a stranger", isElsewhere || (line.needs.length === 0 && seen.status === 403), seen)
          const misnamed = yield* as(owner, { "x-organization-uuid": otherOrganization })
          expect("an owner who names another organisation", misnamed.status === 403, misnamed)
        }
        const grants = { "environment secret": "secret", "ingress token": "ingress" } as const
        for (const grant of ["environment secret", "ingress token"] as const) {
          const other = yield* as(elsewhere[grants[grant]])
          if (!line.open) expect(`another ${grant}`, isRefused(other) || other.status === 404, other)
          if (!line.open && !line.also.includes(grant)) {
            const seen = yield* as(at[grants[grant]])
            expect(grant, isRefused(seen), seen)
          }
        }
        for (const { role, token } of roles.toReversed()) {
          const may = line.open || Permission.allows(Permission.permissionsOf(role), line.needs)
          const seen = yield* as(token)
          if (!may) expect(role, seen.status === 403, seen)
          else if (!seen.text.includes(REFRESH)) expect(role, !isRefused(seen), seen)
        }
        // The one that was called is ended by now in some cases: these are asked on another.
        const again = line.also.length === 0 ? at : yield* place(owner, own)
        for (const grant of line.also) {
          const seen = yield* send({
            method,
            path: pathOf(endpoint, again) + query,
            token: again[grants[grant]],
            body
          })
          expect(grant, !isRefused(seen) && seen.status !== 404, seen)
        }
      })
    )
    return wrong
  })
