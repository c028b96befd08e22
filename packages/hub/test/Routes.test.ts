import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SignJWT } from "jose"
import * as Hub from "../src/Hub.ts"
import { call, layer, put, session, token } from "./harness.ts"

const provide = <A, E>(effect: Effect.Effect<A, E, Hub.Hub>) => Effect.provide(effect, layer)

const prompt = (uuid: string, content = "hello") => ({
  type: "event",
  data: { type: "user", uuid, message: { role: "user", content } }
})

const assistant = (uuid: string) => ({
  type: "assistant",
  uuid,
  message: { role: "assistant", content: "yes" }
})

const transcript = (id: string, access: string, limit = 1000) =>
  Effect.gen(function* () {
    const uuids: Array<string> = []
    for (let cursor: string | null = null; ; ) {
      const query: string = `limit=${limit}${cursor === null ? "" : `&cursor=${cursor}`}`
      const page = yield* call({
        method: "GET",
        path: `/v1/code/sessions/${id}/teleport-events?${query}`,
        token: access
      })
      expect(page.status).toBe(200)
      for (const event of page.json.data) uuids.push(event.payload.uuid)
      cursor = page.json.next_cursor
      if (cursor === null) return uuids
    }
  })

describe("sessions", () => {
  it.scopedLive("are created with their events, and kept as they were given", () =>
    provide(
      Effect.gen(function* () {
        const access = yield* token
        const context = {
          sources: [{ type: "git_repository", url: "https://example.com/a/b", revision: null, depth: 1 }],
          outcomes: [{ type: "something_new", where: [1, 2] }],
          model: "m",
          future: { deep: [true] }
        }
        const created = yield* call({
          method: "POST",
          path: "/v1/sessions",
          token: access,
          body: {
            title: "A title",
            session_context: context,
            events: [prompt("p1")],
            source: "remote-control"
          }
        })
        expect(created.status).toBe(201)
        expect(created.json).toMatchObject({
          title: "A title",
          status: "pending",
          source: "remote-control",
          archived_at: null,
          session_context: context
        })
        expect(created.json.id).toMatch(/^session_[0-9a-f]{32}$/)
        const got = yield* call({ method: "GET", path: `/v1/sessions/${created.json.id}`, token: access })
        expect(got.json).toEqual({ ...created.json, continued_from: null, continued_in: [] })
        // The other spelling names the same session.
        const infra = created.json.id.replace("session_", "cse_")
        expect((yield* call({ method: "GET", path: `/v1/sessions/${infra}`, token: access })).json).toEqual(
          got.json
        )
        expect(yield* transcript(infra, access)).toEqual(["p1"])
      })
    )
  )

  it.scopedLive("show people no secret of their MCP servers, and their workers all of it", () =>
    provide(
      Effect.gen(function* () {
        const servers = {
          local: { command: "notes", args: ["--key=s3cret"], env: { KEY: "s3cret" } },
          far: {
            type: "http",
            url: "https://me:s3cret@x.test/mcp?key=s3cret",
            headers: { "X-Key": "s3cret" }
          }
        }
        const options = { max_turns: 3, mcp_servers: servers }
        const { access, id, ingress } = yield* session({ session_context: { model: "m", options } })
        const as = (token: string, path: string, body?: object) =>
          call({
            method: body === undefined ? "GET" : "POST",
            path,
            token,
            ...(body === undefined ? {} : { body })
          })
        const worker = `/v1/code/sessions/${id}/worker`
        const shown = [
          yield* as(access, `/v1/sessions/${id}`),
          yield* as(access, "/v1/sessions"),
          yield* as(access, `/v1/sessions/${id}/continue`, { message: "on" }),
          yield* as(access, worker)
        ]
        expect(shown.map(({ status }) => status)).toEqual([200, 200, 201, 200])
        expect(JSON.stringify(shown)).not.toContain("s3cret")
        expect(shown[0]?.json.session_context.options).toEqual({
          max_turns: 3,
          mcp_servers: {
            local: { command: "notes", args: "(hidden)", env: { KEY: "(hidden)" } },
            far: { type: "http", url: "https://x.test/mcp (hidden)", headers: { "X-Key": "(hidden)" } }
          }
        })
        expect((yield* as(ingress, worker)).json.launch_options).toEqual(options)
        // A session that goes on from it has them too, and shows them to its worker alone.
        const child: string = shown[2]?.json.id
        const credentials = yield* as(access, `/v1/code/sessions/${child}/bridge`, {})
        const own = yield* as(credentials.json.worker_jwt, `/v1/code/sessions/${child}/worker`)
        expect(own.json.launch_options).toEqual({ mcp_servers: servers })
        const links = [yield* as(access, `/v1/sessions/${id}`), yield* as(access, `/v1/sessions/${child}`)]
        expect(links.map(({ json }) => [json.continued_from, json.continued_in])).toEqual([
          [null, [child]],
          [shown[0]?.json.id, []]
        ])
      })
    )
  )

  it.scopedLive("are renamed, archived once, and listed", () =>
    provide(
      Effect.gen(function* () {
        const { access, id } = yield* session({ title: "old" })
        const other = yield* session()
        const path = `/v1/sessions/${id}`
        const renamed = yield* call({ method: "PATCH", path, token: access, body: { title: "new" } })
        expect([renamed.status, renamed.json.title]).toEqual([200, "new"])
        const archive = call({ method: "POST", path: `${path}/archive`, token: access, body: {} })
        const first = yield* archive
        expect([first.status, typeof first.json.archived_at]).toEqual([200, "string"])
        const second = yield* archive
        expect([second.status, second.json._tag]).toEqual([409, "Conflict"])
        const list = (query: string) =>
          Effect.map(call({ method: "GET", path: `/v1/sessions?${query}`, token: access }), ({ json }) =>
            json.data.map((each: { readonly id: string }) => each.id)
          )
        expect(yield* list("archived=true")).toEqual([id])
        expect(yield* list("archived=false")).toEqual([other.id])
        expect(yield* list("")).toEqual([id, other.id])
      })
    )
  )

  it.scopedLive("take events once, and say what they wait for", () =>
    provide(
      Effect.gen(function* () {
        const access = yield* token
        const environment = yield* call({
          method: "POST",
          path: "/v1/environments/bridge",
          token: access,
          body: { machine_name: "m", directory: "/d" }
        })
        const created = yield* call({
          method: "POST",
          path: "/v1/sessions",
          token: access,
          body: { environment_id: environment.json.environment_id }
        })
        const send = call({
          method: "POST",
          path: `/v1/sessions/${created.json.id}/events`,
          token: access,
          body: { events: [prompt("p1"), prompt("p2")] }
        })
        const first = yield* send
        expect(first.json.events).toEqual([
          { uuid: "p1", sequence_num: 1, duplicate: false },
          { uuid: "p2", sequence_num: 2, duplicate: false }
        ])
        expect(first.json.waiting_for).toContain("has not come online")
        expect((yield* send).json.events).toMatchObject([{ duplicate: true }, { duplicate: true }])
        const work = yield* call({
          method: "GET",
          path: `/v1/environments/${environment.json.environment_id}/work/poll?block_ms=1`,
          token: environment.json.environment_secret
        })
        expect(work.json).toMatchObject({ type: "work", data: { type: "session" } })
      })
    )
  )

  it.scopedLive("are not there without the beta header", () =>
    provide(
      Effect.gen(function* () {
        const access = yield* token
        for (const path of ["/v1/sessions", "/v1/sessions/session_x"]) {
          const answer = yield* call({
            method: "GET",
            path,
            token: access,
            headers: { "anthropic-beta": "other" }
          })
          expect([answer.status, answer.json._tag]).toEqual([404, "NotFound"])
        }
      })
    )
  )
})

describe("ingress", () => {
  it.scopedLive("follows the chain: stored, moved, repeated, in lists", () =>
    provide(
      Effect.gen(function* () {
        const { access, id, ingress } = yield* session()
        const none = yield* put({ id, token: ingress, entry: assistant("b"), last: "a" })
        expect([none.status, none.headers["x-last-uuid"]]).toEqual([409, undefined])
        const first = yield* put({ id, token: ingress, entry: assistant("a") })
        expect([first.status, first.json]).toEqual([200, { last_uuid: "a", sequence_num: 1 }])
        const lost = yield* put({ id, token: ingress, entry: assistant("a") })
        expect([lost.status, lost.headers["x-last-uuid"]]).toEqual([409, "a"])
        const list = yield* put({
          id,
          token: ingress,
          last: "a",
          entry: [assistant("b"), { type: "result", uuid: "c" }]
        })
        expect(list.json).toEqual({ last_uuid: "c", sequence_num: 3 })
        const again = yield* put({ id, token: ingress, last: "b", entry: { type: "result", uuid: "c" } })
        expect([again.status, again.json.last_uuid]).toEqual([200, "c"])
        const behind = yield* put({ id, token: ingress, last: "a", entry: [assistant("d"), assistant("e")] })
        expect([behind.status, behind.headers["x-last-uuid"]]).toEqual([409, "b"])
        expect(yield* transcript(id, access)).toEqual(["a", "b"])
      })
    )
  )

  it.scopedLive("gives back the text that arrived, whole and after the last compaction", () =>
    provide(
      Effect.gen(function* () {
        const { access, id, ingress } = yield* session()
        const path = `/v1/session_ingress/session/${id}`
        const one = '{"type":"assistant","uuid":"a","n":1.50,"s":"\\u00e9"}'
        const two = '{"type":"system","subtype":"compact_boundary","uuid":"b"}'
        yield* call({ method: "PUT", path, token: ingress, text: ` ${one}\n` })
        yield* call({ method: "PUT", path, token: ingress, text: two, headers: { "last-uuid": "a" } })
        expect((yield* call({ method: "GET", path, token: ingress })).text).toBe(
          `{"loglines":[${one},${two}]}`
        )
        expect(
          (yield* call({ method: "GET", path: `${path}?after_last_compact=true`, token: access })).text
        ).toBe(`{"loglines":[${two}]}`)
        const page = yield* call({
          method: "GET",
          path: `/v1/code/sessions/${id}/teleport-events`,
          token: access
        })
        expect(page.text).toContain(`"payload":${one}`)
        expect(page.json.data.map((each: { readonly is_compaction: boolean }) => each.is_compaction)).toEqual(
          [false, true]
        )
      })
    )
  )

  it.scopedLive("refuses a token that a newer one has replaced", () =>
    provide(
      Effect.gen(function* () {
        const { access, id, ingress } = yield* session()
        yield* put({ id, token: ingress, entry: assistant("a") })
        const next = yield* call({
          method: "POST",
          path: `/v1/code/sessions/${id}/bridge`,
          token: access,
          body: {}
        })
        expect(next.status).toBe(200)
        const old = yield* put({ id, token: ingress, entry: assistant("b"), last: "a" })
        expect([old.status, old.json._tag]).toEqual([401, "Unauthenticated"])
        const fresh = yield* put({ id, token: next.json.worker_jwt, entry: assistant("b"), last: "a" })
        expect(fresh.status).toBe(200)
      })
    )
  )
})

describe("teleport", () => {
  it.scopedLive("any page size gives the same transcript; limits are clamped", () =>
    provide(
      Effect.gen(function* () {
        const { access, id, ingress } = yield* session()
        const uuids = Array.from({ length: 23 }, (_, i) => `e${i}`)
        yield* put({ id, token: ingress, entry: uuids.map(assistant) })
        for (const limit of [1, 2, 7, 22, 23, 24, 1_000_000]) {
          expect(yield* transcript(id, access, limit)).toEqual(uuids)
        }
      })
    )
  )
})

describe("code sessions", () => {
  it.scopedLive("a worker's life: credentials, register, state, events, delivery, heartbeat, token", () =>
    provide(
      Effect.gen(function* () {
        const access = yield* token
        const created = yield* call({
          method: "POST",
          path: "/v1/code/sessions",
          token: access,
          body: { title: "t", bridge: {}, tags: ["a"], config: { cwd: "/d", model: "m", extra: 1 } }
        })
        expect(created.status).toBe(201)
        const id: string = created.json.session.id
        expect(id).toMatch(/^cse_/)
        const credentials = yield* call({
          method: "POST",
          path: `/v1/code/sessions/${id}/bridge`,
          token: access,
          body: {}
        })
        expect(credentials.status).toBe(200)
        const hub = yield* Hub.Hub
        expect(credentials.json).toMatchObject({
          api_base_url: `http://127.0.0.1:${hub.port}`,
          expires_in: 14_400,
          worker_epoch: 1
        })
        const jwt: string = credentials.json.worker_jwt
        const worker = `/v1/code/sessions/${id}/worker`
        const registered = yield* call({ method: "POST", path: `${worker}/register`, token: jwt, body: {} })
        expect(registered.json).toEqual({ worker_epoch: 2 })
        const state = yield* call({
          method: "PUT",
          path: worker,
          token: jwt,
          body: { worker_status: "idle", worker_epoch: "2", external_metadata: { pending_action: null } }
        })
        expect(state.json).toMatchObject({ worker_epoch: 2, worker_status: "idle" })
        expect((yield* call({ method: "GET", path: worker, token: jwt })).json).toMatchObject({
          session_id: id,
          external_metadata: { pending_action: null }
        })
        const old = yield* call({ method: "PUT", path: worker, token: jwt, body: { worker_epoch: 1 } })
        expect([old.status, old.json._tag]).toEqual([409, "Conflict"])
        const events = yield* call({
          method: "POST",
          path: `${worker}/events`,
          token: jwt,
          body: {
            worker_epoch: 2,
            events: [
              { payload: { ...assistant("a"), session_id: id } },
              { payload: { type: "stream_event", event: {} }, ephemeral: true },
              { payload: { type: "assistant", message: {} } }
            ]
          }
        })
        expect(events.status).toBe(200)
        const sent = yield* call({
          method: "POST",
          path: `/v1/code/sessions/${id}/events`,
          token: access,
          body: { session_id: id, events: [{ payload: prompt("p").data }] }
        })
        // The title is the first event; the one that is not stored has no number.
        expect(sent.json.events).toEqual([{ uuid: "p", sequence_num: 4, duplicate: false }])
        const delivery = yield* call({
          method: "POST",
          path: `${worker}/events/delivery`,
          token: jwt,
          body: { worker_epoch: 2, updates: [{ event_id: "p", status: "received" }] }
        })
        expect(delivery.status).toBe(200)
        const beat = yield* call({
          method: "POST",
          path: `${worker}/heartbeat`,
          token: jwt,
          body: { session_id: id, worker_epoch: 2 }
        })
        expect(beat.json).toEqual({ heartbeat_interval_seconds: 20 })
        for (const path of ["events", "events/delivery", "heartbeat"]) {
          const superseded = yield* call({
            method: "POST",
            path: `${worker}/${path}`,
            token: jwt,
            body: { worker_epoch: 1, events: [], updates: [] }
          })
          expect([path, superseded.status]).toEqual([path, 409])
        }
        const fresh = yield* call({ method: "POST", path: `${worker}/token`, token: jwt, body: {} })
        expect(fresh.json).toMatchObject({ worker_epoch: 2, expires_in: 14_400 })
        expect((yield* call({ method: "GET", path: worker, token: fresh.json.worker_jwt })).status).toBe(200)
        expect(
          (yield* call({ method: "POST", path: `${worker}/token`, token: access, body: {} })).status
        ).toBe(403)
      })
    )
  )
})

describe("bad input", () => {
  it.scopedLive("is refused with the right status, in one shape, and stores nothing", () =>
    provide(
      Effect.gen(function* () {
        const { access, id, ingress, epoch } = yield* session()
        const other = yield* session()
        const expired = yield* Effect.promise(() =>
          new SignJWT({ session: id.slice(8), organization: "o", epoch: 1 })
            .setProtectedHeader({ alg: "HS256" })
            .setIssuer("causeway")
            .setIssuedAt()
            .setExpirationTime("1h")
            .sign(new Uint8Array(32))
        )
        const ingressPath = `/v1/session_ingress/session/${id}`
        const worker = `/v1/code/sessions/${id}/worker`
        const big = `{"type":"assistant","uuid":"x","message":"${"x".repeat(4 * 1024 * 1024)}"}`
        const cases: ReadonlyArray<readonly [string, Parameters<typeof call>[0], number]> = [
          ["no token", { method: "GET", path: `/v1/sessions/${id}` }, 401],
          ["an unknown token", { method: "GET", path: `/v1/sessions/${id}`, token: "cw_nope" }, 401],
          [
            "an unknown token, hot route",
            { method: "PUT", path: ingressPath, token: "cw_nope", body: {} },
            401
          ],
          ["a token signed by another", { method: "PUT", path: ingressPath, token: expired, body: {} }, 401],
          [
            "a token of three parts of nothing",
            { method: "PUT", path: ingressPath, token: "a.b.c", body: {} },
            401
          ],
          [
            "an ingress token of another session",
            { method: "PUT", path: ingressPath, token: other.ingress, body: assistant("x") },
            401
          ],
          [
            "an ingress token where people call",
            { method: "GET", path: `/v1/sessions/${id}`, token: ingress },
            401
          ],
          [
            "an ingress token where people send",
            { method: "POST", path: `/v1/code/sessions/${id}/events`, token: ingress, body: { events: [] } },
            403
          ],
          [
            "another organisation's header",
            {
              method: "GET",
              path: `/v1/sessions/${id}`,
              token: access,
              headers: { "x-organization-uuid": "00000000-0000-0000-0000-000000000000" }
            },
            403
          ],
          ["an unknown session", { method: "GET", path: "/v1/sessions/session_nope", token: access }, 404],
          ["an unknown log", { method: "GET", path: "/v1/session_ingress/session/nope", token: access }, 404],
          [
            "an unknown transcript",
            { method: "GET", path: "/v1/code/sessions/nope/teleport-events", token: access },
            404
          ],
          [
            "an unknown stream",
            { method: "GET", path: "/v1/code/sessions/nope/events/stream", token: access },
            404
          ],
          [
            "an unknown environment",
            { method: "POST", path: "/v1/sessions", token: access, body: { environment_id: "env_nope" } },
            404
          ],
          ["an unknown address", { method: "GET", path: "/v1/nothing", token: access }, 404],
          ["another method", { method: "DELETE", path: ingressPath, token: access }, 405],
          [
            "a path that climbs",
            { method: "GET", path: "/v1/sessions/..%2f..%2fhealth", token: access },
            400
          ],
          [
            "a path that climbs openly",
            { method: "GET", path: "/v1/sessions/../../health", token: access },
            404
          ],
          ["a NUL in an id", { method: "GET", path: "/v1/sessions/a%00b", token: access }, 400],
          ["a long id", { method: "GET", path: `/v1/sessions/${"a".repeat(129)}`, token: access }, 400],
          ["no JSON", { method: "PUT", path: ingressPath, token: ingress, text: "{" }, 400],
          [
            "no UTF-8",
            { method: "PUT", path: ingressPath, token: ingress, text: Buffer.from([0x22, 0xff, 0x22]) },
            400
          ],
          ["an empty body", { method: "PUT", path: ingressPath, token: ingress, text: "" }, 400],
          ["an empty list", { method: "PUT", path: ingressPath, token: ingress, body: [] }, 400],
          ["a number", { method: "PUT", path: ingressPath, token: ingress, body: 5 }, 400],
          ["no type", { method: "PUT", path: ingressPath, token: ingress, body: { uuid: "x" } }, 400],
          ["no uuid", { method: "PUT", path: ingressPath, token: ingress, body: { type: "assistant" } }, 400],
          [
            "no uuid in a list",
            { method: "PUT", path: ingressPath, token: ingress, body: [assistant("x"), { type: "user" }] },
            400
          ],
          [
            "a uuid that is no text",
            { method: "PUT", path: ingressPath, token: ingress, body: { type: "a", uuid: 5 } },
            400
          ],
          [
            "a uuid that no header can carry",
            { method: "PUT", path: ingressPath, token: ingress, body: { type: "a", uuid: "x\r\ny: z" } },
            400
          ],
          [
            "a list with one bad entry",
            { method: "PUT", path: ingressPath, token: ingress, body: [assistant("x"), { uuid: "y" }] },
            400
          ],
          [
            "an event of 4 MiB and some",
            { method: "PUT", path: ingressPath, token: ingress, text: big },
            413
          ],
          [
            "a wrong session_context",
            { method: "POST", path: "/v1/sessions", token: access, body: { session_context: 1 } },
            400
          ],
          [
            "an event without data",
            {
              method: "POST",
              path: `/v1/sessions/${id}/events`,
              token: access,
              body: { events: [{ type: "event" }] }
            },
            400
          ],
          [
            "a title that is no text",
            { method: "PATCH", path: `/v1/sessions/${id}`, token: access, body: { title: 1 } },
            400
          ],
          [
            "no JSON, other door",
            { method: "PATCH", path: `/v1/sessions/${id}`, token: access, text: "nope" },
            400
          ],
          ["a wrong limit", { method: "GET", path: "/v1/sessions?limit=0", token: access }, 400],
          ["a wrong cursor", { method: "GET", path: "/v1/sessions?cursor=nope", token: access }, 400],
          [
            "another session's cursor",
            {
              method: "GET",
              path: `/v1/code/sessions/${id}/teleport-events?cursor=${Buffer.from("other:1").toString("base64url")}`,
              token: access
            },
            400
          ],
          [
            "a limit of nothing",
            { method: "GET", path: `/v1/code/sessions/${id}/teleport-events?limit=0`, token: access },
            400
          ],
          [
            "a stream position that is none",
            { method: "GET", path: `${worker}/events/stream?from_sequence_num=x`, token: ingress },
            400
          ],
          [
            "no epoch",
            { method: "POST", path: `${worker}/events`, token: ingress, body: { events: [] } },
            400
          ],
          [
            "a hundred and one events",
            {
              method: "POST",
              path: `${worker}/events`,
              token: ingress,
              body: {
                worker_epoch: epoch,
                events: Array.from({ length: 101 }, (_, i) => ({ payload: assistant(`e${i}`) }))
              }
            },
            400
          ],
          [
            "an unknown delivery status",
            {
              method: "POST",
              path: `${worker}/events/delivery`,
              token: ingress,
              body: { worker_epoch: epoch, updates: [{ event_id: "x", status: "lost" }] }
            },
            400
          ],
          [
            "another session in the body",
            {
              method: "POST",
              path: `/v1/code/sessions/${id}/events`,
              token: access,
              body: { session_id: other.id, events: [{ payload: assistant("x") }] }
            },
            400
          ]
        ]
        for (const [what, request, status] of cases) {
          const answer = yield* call(request)
          expect([what, answer.status, answer.json?.type]).toEqual([what, status, "error"])
          expect(typeof answer.json.error.message).toBe("string")
          expect(typeof answer.json._tag).toBe("string")
          // Neither a token nor the inside of the program.
          for (const secret of [access, ingress]) expect(answer.text).not.toContain(secret)
          expect(answer.text).not.toMatch(/node_modules|\bat .*\.ts:/)
        }
        expect(yield* transcript(id, access)).toEqual([])
        // The hub is as well as before.
        expect((yield* put({ id, token: ingress, entry: assistant("a") })).status).toBe(200)
      })
    )
  )

  it.scopedLive(
    "a body that says how large it is, is refused unread; one that does not, when it is too large",
    () =>
      provide(
        Effect.gen(function* () {
          const { id, ingress } = yield* session()
          const path = `/v1/session_ingress/session/${id}`
          const said = yield* call({
            method: "PUT",
            path,
            token: ingress,
            text: "{}",
            headers: { "content-length": String(1024 * 1024 * 1024), expect: "100-continue" }
          }).pipe(Effect.timeout("5 seconds"))
          expect(said.status).toBe(413)
          const grown = yield* call({
            method: "PUT",
            path,
            token: ingress,
            text: "x".repeat(17 * 1024 * 1024),
            headers: { "transfer-encoding": "chunked" }
          })
          expect(grown.status).toBe(413)
        })
      )
  )

  it.scopedLive("one who is refused while it still sends sees the answer", () =>
    provide(
      Effect.gen(function* () {
        const { id } = yield* session()
        for (let i = 0; i < 5; i++) {
          const answer = yield* call({
            method: "PUT",
            path: `/v1/session_ingress/session/${id}`,
            token: "cw_nope",
            text: "x".repeat(12 * 1024 * 1024)
          })
          expect(answer.status).toBe(401)
        }
      })
    )
  )

  it.scopedLive("the type of a body is not asked for", () =>
    provide(
      Effect.gen(function* () {
        const { access, id, ingress } = yield* session()
        const headers = { "content-type": "text/plain" }
        const path = `/v1/session_ingress/session/${id}`
        expect(
          (yield* call({ method: "PUT", path, token: ingress, body: assistant("a"), headers })).status
        ).toBe(200)
        const renamed = yield* call({
          method: "PATCH",
          path: `/v1/sessions/${id}`,
          token: access,
          body: { title: "t" },
          headers
        })
        expect(renamed.status).toBe(200)
      })
    )
  )
})
