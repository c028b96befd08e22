/** A worker whose token a newer one has replaced: it must stop at once, and not ask for another token for minutes. */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { call, layer, put, session } from "./harness.ts"

const assistant = (uuid: string) => ({ type: "assistant", uuid, message: { content: uuid } })

it.scoped("is told 409 on every route of a worker, and 401 where 409 means something else", () =>
  Effect.gen(function* () {
    const { access, id, ingress: old } = yield* session()
    yield* call({ method: "POST", path: `/v1/code/sessions/${id}/bridge`, token: access, body: {} })
    const worker = `/v1/code/sessions/${id}/worker`
    const events = (token: string) => ({
      method: "POST",
      path: `${worker}/events`,
      token,
      body: { worker_epoch: 9, events: [{ payload: assistant("a") }] }
    })
    for (const asked of [
      { method: "POST", path: `${worker}/register`, token: old, body: {} },
      { method: "POST", path: `${worker}/token`, token: old, body: {} },
      { method: "GET", path: worker, token: old },
      { method: "PUT", path: worker, token: old, body: { worker_status: "idle" } },
      { method: "POST", path: `${worker}/heartbeat`, token: old, body: { worker_epoch: 9 } },
      events(old),
      {
        method: "POST",
        path: `${worker}/events/delivery`,
        token: old,
        body: { worker_epoch: 9, updates: [] }
      },
      { method: "GET", path: `${worker}/events/stream`, token: old }
    ]) {
      const answer = yield* call(asked)
      expect([asked.path, answer.status, answer.json.error.details]).toEqual([
        asked.path,
        409,
        { reason: "superseded" }
      ])
    }
    // At the ingress 409 tells of a moved head, and a token that is no good is no good anywhere.
    expect((yield* put({ id, token: old, entry: assistant("b") })).status).toBe(401)
    const other = yield* session()
    for (const token of [other.ingress, "a.b.c", `${old}x`]) {
      expect((yield* call(events(token))).status).toBe(401)
    }
  }).pipe(Effect.provide(layer))
)
