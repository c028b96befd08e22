import { NO_HEARTBEAT } from "@causeway/protocol/http/Environments"
import * as WorkSecret from "@causeway/protocol/WorkSecret"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { call, layer, session, token } from "../harness.ts"

/** An environment with room for `max` sessions, and `count` sessions whose work is queued. */
const setup = (max: number, count: number) =>
  Effect.gen(function* () {
    const access = yield* token
    const registered = yield* call({
      method: "POST",
      path: "/v1/environments/bridge",
      token: access,
      body: { machine_name: "m", directory: "/d", max_sessions: max }
    })
    const id: string = registered.json.environment_id
    const secret: string = registered.json.environment_secret
    const sessions = yield* Effect.forEach(Array.from({ length: count }), () =>
      Effect.zipLeft(
        Effect.map(
          call({
            method: "POST",
            path: "/v1/sessions",
            token: access,
            body: { environment_id: id, events: [] }
          }),
          ({ json }): string => json.id
        ),
        TestClock.adjust(1)
      )
    )
    const work = `/v1/environments/${id}/work`
    const poll = (query = "", bearer = secret, headers: { readonly [name: string]: string } = {}) =>
      call({ method: "GET", path: `${work}/poll${query}`, token: bearer, headers })
    const post = (item: string, verb: string, bearer = secret, body?: unknown) =>
      call({ method: "POST", path: `${work}/${item}/${verb}`, token: bearer, body })
    return { access, id, secret, sessions, work, poll, post }
  })

const tokenOf = (secret: string) =>
  Effect.map(WorkSecret.decode(secret), ({ sessionIngressToken }) => Redacted.value(sessionIngressToken))

describe("poll", () => {
  it.scoped("gives the item with a secret that opens its session, and that alone", () =>
    Effect.gen(function* () {
      const hub = yield* setup(2, 2)
      const { json: item } = yield* hub.poll()
      expect(item).toMatchObject({
        type: "work",
        environment_id: hub.id,
        state: "queued",
        data: { type: "session", id: hub.sessions[0]?.replace("session_", "cse_") },
        acknowledged_at: null,
        metadata: {}
      })
      const secret = yield* WorkSecret.decode(item.secret)
      expect(secret.apiBaseUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
      const ingress = Redacted.value(secret.sessionIngressToken)
      const worker = (id: string | undefined) =>
        Effect.map(
          call({ method: "GET", path: `/v1/code/sessions/${id}/worker`, token: ingress }),
          ({ status }) => status
        )
      expect(yield* worker(hub.sessions[0])).toBe(200)
      expect(yield* worker(hub.sessions[1])).toBe(401)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("supersedes the token of an earlier offer", () =>
    Effect.gen(function* () {
      const hub = yield* setup(1, 1)
      const first = yield* tokenOf((yield* hub.poll()).json.secret)
      yield* TestClock.adjust("5 seconds")
      const item = (yield* hub.poll()).json
      const second = yield* tokenOf(item.secret)
      const late = yield* hub.post(item.id, "ack", first)
      expect([late.status, late.json.error.details]).toEqual([401, { reason: "superseded" }])
      expect((yield* hub.post(item.id, "ack", second)).json.state).toBe("starting")
    }).pipe(Effect.provide(layer))
  )

  it.scoped("answers null where there is nothing, and refuses what is no query", () =>
    Effect.gen(function* () {
      const hub = yield* setup(1, 0)
      const empty = yield* hub.poll()
      expect([empty.status, empty.text]).toEqual([200, "null"])
      for (const query of ["?block_ms=0", "?block_ms=25001", "?block_ms=x", "?reclaim_older_than_ms=-1"]) {
        expect((yield* hub.poll(query)).status).toBe(400)
      }
      // What published clients add.
      expect((yield* hub.poll("?beta=true")).status).toBe(200)
    }).pipe(Effect.provide(layer))
  )

  it.scoped(
    "tells a secret from an access token, and an archived environment from one that is not there",
    () =>
      Effect.gen(function* () {
        const hub = yield* setup(1, 1)
        expect((yield* hub.poll("", "cwe_wrong")).status).toBe(401)
        expect((yield* hub.poll("", hub.access)).status).toBe(403)
        const unknown = { method: "GET", path: "/v1/environments/env_none/work/poll", token: hub.secret }
        expect((yield* call(unknown)).status).toBe(401)
        expect((yield* call({ method: "GET", path: `${hub.work}/poll` })).status).toBe(401)
        yield* call({ method: "DELETE", path: `/v1/environments/bridge/${hub.id}`, token: hub.access })
        const gone = yield* hub.poll()
        expect([gone.status, gone.json.error.type]).toEqual([410, "gone_error"])
      }).pipe(Effect.provide(layer))
  )

  it.scoped("at capacity new work waits", () =>
    Effect.gen(function* () {
      const hub = yield* setup(1, 2)
      const first = (yield* hub.poll()).json
      yield* hub.post(first.id, "ack")
      expect((yield* hub.poll("?reclaim_older_than_ms=0")).text).toBe("null")
      yield* hub.post(first.id, "stop", hub.secret, { force: true })
      expect((yield* hub.poll()).json.data.id).toBe(hub.sessions[1]?.replace("session_", "cse_"))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("polls of one moment get different items", () =>
    Effect.gen(function* () {
      const hub = yield* setup(10, 6)
      const answers = yield* Effect.all(
        Array.from({ length: 10 }, () => hub.poll()),
        { concurrency: "unbounded" }
      )
      const ids = answers.flatMap(({ json }) => (json === null ? [] : [json.id]))
      expect([ids.length, new Set(ids).size]).toEqual([6, 6])
    }).pipe(Effect.provide(layer))
  )
})

describe("a work item's life", () => {
  it.scoped(
    "as a published worker leads it: no bodies, the heartbeat in the query, the session's token",
    () =>
      Effect.gen(function* () {
        const hub = yield* setup(1, 1)
        const headers = { "anthropic-worker-id": "worker-1" }
        const item = (yield* hub.poll("?beta=true&block_ms=999", hub.secret, headers)).json
        const ingress = yield* tokenOf(item.secret)
        const acked = yield* hub.post(item.id, "ack?beta=true")
        expect(acked.json).toMatchObject({ state: "starting", secret: null })
        expect((yield* hub.post(item.id, "ack?beta=true")).json).toEqual(acked.json)

        const beat = (expected: string, more = "") =>
          hub.post(
            item.id,
            `heartbeat?beta=true&expected_last_heartbeat=${encodeURIComponent(expected)}${more}`,
            ingress
          )
        const first = yield* beat(NO_HEARTBEAT)
        expect(first.json).toEqual({
          type: "work_heartbeat",
          last_heartbeat: "1970-01-01T00:00:00.001Z",
          lease_extended: true,
          state: "active",
          ttl_seconds: 90
        })
        const moved = yield* beat(NO_HEARTBEAT)
        expect(moved.status).toBe(412)
        expect(moved.json.error.details).toEqual({
          error_code: "heartbeat_precondition_failed",
          current_state: {
            last_heartbeat: first.json.last_heartbeat,
            lease_extended: false,
            state: "active",
            ttl_seconds: 90
          }
        })
        expect((yield* beat(first.json.last_heartbeat, "&desired_ttl_seconds=5")).json.ttl_seconds).toBe(10)

        const stopped = yield* hub.post(item.id, "stop?beta=true", ingress, { force: true })
        expect(stopped.json.state).toBe("stopped")
        const again = yield* hub.post(item.id, "stop?beta=true", ingress, { force: true })
        expect([again.status, again.json.error.type]).toEqual([409, "conflict_error"])
        expect((yield* beat("x")).status).toBe(409)
        expect((yield* hub.post(item.id, "ack")).status).toBe(409)
      }).pipe(Effect.provide(layer))
  )

  it.scoped("the heartbeat in the body, the environment's secret; a stop that asks first", () =>
    Effect.gen(function* () {
      const hub = yield* setup(1, 1)
      const item = (yield* hub.poll()).json
      expect((yield* hub.post(item.id, "heartbeat")).status).toBe(409)
      yield* hub.post(item.id, "ack", hub.secret, {})
      const first = yield* hub.post(item.id, "heartbeat", hub.secret, {
        expected_last_heartbeat: NO_HEARTBEAT,
        desired_ttl_seconds: 30
      })
      expect(first.json).toMatchObject({ state: "active", ttl_seconds: 30 })
      // A person stops it with an access token.
      const asked = yield* hub.post(item.id, "stop", hub.access, {})
      expect(asked.json.state).toBe("stopping")
      const told = yield* hub.post(item.id, "heartbeat", hub.secret, {
        expected_last_heartbeat: first.json.last_heartbeat
      })
      expect(told.json).toMatchObject({ state: "stopping", lease_extended: true })
      expect((yield* hub.post(item.id, "stop", hub.secret, { force: true })).json.state).toBe("stopped")
    }).pipe(Effect.provide(layer))
  )

  it.scoped("an expired lease is offered again", () =>
    Effect.gen(function* () {
      const hub = yield* setup(1, 1)
      const item = (yield* hub.poll()).json
      yield* hub.post(item.id, "ack")
      yield* TestClock.adjust("90 seconds")
      const again = (yield* hub.poll()).json
      expect(again).toMatchObject({ id: item.id, state: "queued" })
    }).pipe(Effect.provide(layer))
  )

  it.scoped("the item of a session that is archived stops", () =>
    Effect.gen(function* () {
      const hub = yield* setup(1, 1)
      const item = (yield* hub.poll()).json
      yield* hub.post(item.id, "ack")
      yield* call({
        method: "POST",
        path: `/v1/sessions/${hub.sessions[0]}/archive`,
        token: hub.access,
        body: {}
      })
      const beat = yield* hub.post(item.id, "heartbeat", hub.secret)
      expect([beat.status, beat.json.error.details]).toEqual([409, { current_state: { state: "stopped" } }])
    }).pipe(Effect.provide(layer))
  )

  it.scoped("an ingress token of another session does not touch it", () =>
    Effect.gen(function* () {
      const hub = yield* setup(2, 2)
      const mine = (yield* hub.poll()).json
      const other = yield* tokenOf((yield* hub.poll()).json.secret)
      for (const verb of ["ack", "heartbeat", "stop"]) {
        const refused = yield* hub.post(mine.id, verb, other)
        expect([refused.status, refused.json.error.details]).toEqual([401, { reason: "other_session" }])
      }
      // It opens neither the list nor the poll.
      expect((yield* call({ method: "GET", path: hub.work, token: other })).status).toBe(401)
      expect((yield* hub.poll("", other)).status).toBe(401)
      expect((yield* hub.post("work_none", "ack", other)).status).toBe(404)
      expect((yield* hub.post("work_none", "ack")).status).toBe(404)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("refuses a heartbeat that does not decode", () =>
    Effect.gen(function* () {
      const hub = yield* setup(1, 1)
      const item = (yield* hub.poll()).json
      yield* hub.post(item.id, "ack")
      for (const body of [{ expected_last_heartbeat: 1 }, { desired_ttl_seconds: "x" }, [], "x"]) {
        expect((yield* hub.post(item.id, "heartbeat", hub.secret, body)).status).toBe(400)
      }
      const path = `${hub.work}/${item.id}/heartbeat`
      expect((yield* call({ method: "POST", path, token: hub.secret, text: "{" })).status).toBe(400)
      expect((yield* hub.post(item.id, "heartbeat?desired_ttl_seconds=x")).status).toBe(400)
      expect((yield* hub.post(item.id, "stop", hub.secret, { force: "yes" })).status).toBe(400)
    }).pipe(Effect.provide(layer))
  )
})

describe("looking at work", () => {
  it.scoped("lists page by page, shows one, counts, and takes metadata; never with a secret", () =>
    Effect.gen(function* () {
      const hub = yield* setup(2, 3)
      const item = (yield* hub.poll()).json
      const ids: Array<string> = []
      let cursor = ""
      do {
        const page = yield* call({ method: "GET", path: `${hub.work}?limit=2${cursor}`, token: hub.access })
        ids.push(...page.json.data.map((one: { id: string; secret: null }) => `${one.id} ${one.secret}`))
        cursor = page.json.next_cursor === null ? "" : `&cursor=${page.json.next_cursor}`
      } while (cursor !== "")
      expect([ids.length, new Set(ids).size, ids.at(-1)]).toEqual([3, 3, `${item.id} null`])
      const one = { method: "GET", path: `${hub.work}/${item.id}`, token: hub.secret }
      expect((yield* call(one)).json).toEqual({ ...item, secret: null })
      const patched = yield* call({ ...one, method: "POST", body: { metadata: { a: "b" } } })
      expect(patched.json.metadata).toEqual({ a: "b" })
      const stats = yield* call({ method: "GET", path: `${hub.work}/stats`, token: hub.secret })
      expect(stats.json).toEqual({
        type: "work_queue_stats",
        depth: 2,
        pending: 1,
        oldest_queued_at: item.created_at,
        workers_polling: 0
      })
    }).pipe(Effect.provide(layer))
  )
})

describe("a message for a session that nobody serves", () => {
  it.scoped("says what it waits for", () =>
    Effect.gen(function* () {
      const hub = yield* setup(1, 1)
      const sent = yield* call({
        method: "POST",
        path: `/v1/sessions/${hub.sessions[0]}/events`,
        token: hub.access,
        body: {
          events: [
            { type: "event", data: { type: "user", uuid: "u", message: { role: "user", content: "hi" } } }
          ]
        }
      })
      expect(sent.json.waiting_for).toContain("has not come online yet")
      const { id } = yield* session()
      const shown = yield* call({ method: "GET", path: `/v1/sessions/${id}`, token: hub.access })
      expect(shown.status).toBe(200)
    }).pipe(Effect.provide(layer))
  )
})
