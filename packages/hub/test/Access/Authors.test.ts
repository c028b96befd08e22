import { Tokens } from "@causeway/store/Tokens"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Hub from "../../src/Hub.ts"
import { connected, Device, layer, target, worker } from "../Gateway/harness.ts"
import { call, type Frame, open } from "../harness.ts"

it.scopedLive("what people send names who they were, and an agent is not told", () =>
  Effect.gen(function* () {
    const at = yield* target
    const hub = yield* Hub.Hub
    const laptop = yield* (yield* Tokens).create({
      organizationId: hub.organizationId,
      name: "laptop",
      role: "operator"
    })
    const token = Redacted.value(laptop.token)
    const made = yield* call({ method: "POST", path: "/v1/sessions", token, body: { title: "t" } })
    const id: string = made.json.id
    const prompt = { type: "user", message: { role: "user", content: "hi" } }
    const body = { events: [{ type: "event", data: prompt }] }
    yield* call({ method: "POST", path: `/v1/sessions/${id}/events`, token, body })
    yield* (yield* worker(id))({
      type: "control_request",
      request_id: "r1",
      request: { subtype: "can_use_tool", tool_name: "Bash", tool_use_id: "t1", input: {} }
    })
    const device = new Device()
    const client = yield* connected(
      at,
      {
        scopes: ["operator.read", "operator.write", "operator.approvals"],
        client: { id: "cli", version: "1", platform: "linux", mode: "cli", displayName: "phone" }
      },
      device
    )
    const listed = yield* Effect.promise(() => client.call("sessions.list", {}))
    const key: string = listed["sessions"][0].key
    yield* Effect.promise(() => client.call("causeway.approvals.answer", { key, decision: "allow" }))
    yield* Effect.promise(() => client.call("causeway.sessions.rename", { sessionId: id, title: "new" }))
    const token_ = { kind: "token", id: laptop.record.id, name: "laptop", role: "operator" }
    const phone = { kind: "device", id: device.id, name: "phone", role: "operator" }
    const expected = [
      ["session_update", token_],
      ["user", token_],
      ["control_request", null],
      ["control_response", phone],
      ["session_update", phone]
    ]
    const replayed = yield* Effect.promise(() => client.call("causeway.events.replay", { key, afterSeq: 0 }))
    expect(replayed["events"].map((event: Frame["data"]) => [event.payload.type, event.author])).toEqual(
      expected
    )
    const read = (path: string, bearer: string, count: number) =>
      Effect.gen(function* () {
        const stream = yield* open({ path, token: bearer })
        return yield* Effect.replicateEffect(stream.next, count)
      })
    const viewed = (query: string, count: number) =>
      Effect.map(read(`/v1/code/sessions/${id}/events/stream${query}`, token, count), (frames) =>
        frames
          .filter(({ event }) => event === "client_event")
          .map(({ data }) => [data.event_type, data.author ?? null])
      )
    expect(yield* viewed("?session_updates=true", 5)).toEqual(expected)
    // A published viewer is told nothing that it does not know.
    expect(new Set((yield* viewed("", 3)).map(([, author]) => author))).toEqual(new Set([null]))
    const credentials = yield* call({
      method: "POST",
      path: `/v1/code/sessions/${id}/bridge`,
      token: at.token,
      body: {}
    })
    const [first] = yield* read(
      `/v1/code/sessions/${id}/worker/events/stream`,
      credentials.json.worker_jwt,
      1
    )
    expect(first?.data).toMatchObject({ event_type: "user" })
    expect(JSON.stringify(first)).not.toContain("laptop")
    const { lines } = yield* Effect.promise(() => client.call("causeway.export", { key }))
    expect(lines.map((line: string) => JSON.parse(line).author ?? null)).toContainEqual(token_)
  }).pipe(Effect.provide(layer()))
)
