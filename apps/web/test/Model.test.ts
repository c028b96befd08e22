import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Ticket } from "../src/Credentials.ts"
import * as Model from "../src/Model.ts"
import type { Notice } from "../src/Notice.ts"
import * as Wire from "./Wire.ts"

const ID = "session_00000000000000000000000000000001"

const sessionOf = (more: Wire.Json = {}): Wire.Json => ({
  id: ID,
  title: "Work",
  status: "idle",
  last_sequence_num: 0,
  pending_approvals: [],
  ...more
})

/** A hub with one session, whose log holds what was appended. */
const run = (ticket: Ticket | null = { _tag: "Token", token: "secret" }) => {
  let away = false
  let session = sessionOf()
  /** What happens while the hub reads its list. */
  let meanwhile: (() => void) | undefined
  const appended: Array<Wire.Json> = []
  const refusals: Array<Wire.Json> = []
  const removed: Array<unknown> = []
  const at = Wire.world({
    open: (line) => (away ? line.close() : line.tell(Wire.challenge)),
    request: (line, request) => {
      const params = Wire.params(request)
      switch (request["method"]) {
        case "connect":
          return line.answer(request, Wire.hello())
        case "causeway.sessions.page": {
          const data = [session]
          meanwhile?.()
          return line.answer(request, { data, next_cursor: null })
        }
        case "causeway.sessions.waiting": {
          const waits = [session].filter((each) => [each["pending_approvals"]].flat().length > 0)
          return line.answer(request, { total: waits.length, data: waits })
        }
        case "causeway.sessions.show":
          return line.answer(request, { session })
        case "causeway.sessions.watch":
          return line.answer(request, { watch: "w", lastSeq: 0 })
        case "causeway.sessions.append": {
          const refusal = refusals.shift()
          if (refusal !== undefined) return line.refuse(request, refusal)
          appended.push(...[params["events"]].flat().map((each): Wire.Json => Object(each)))
          return line.answer(request, { events: [], waiting_for: null })
        }
        case "device.pair.list":
          return line.answer(request, { pending: [{ requestId: "r" }], paired: [] })
        case "device.pair.remove":
          removed.push(params["deviceId"])
          return line.answer(request, {})
        default:
          return line.answer(request, {})
      }
    }
  })
  if (ticket === null) at.credentials.keep({ deviceToken: "kept", scopes: [] })
  let uuids = 0
  let visible = true
  const out: Array<Model.SignedOut | null> = []
  const told: Array<Notice> = []
  const withdrawn: Array<string> = []
  const model = Model.make({
    gateway: at.gateway,
    credentials: at.credentials,
    ticket,
    displayName: "Test",
    uuid: () => `m${++uuids}`,
    store: at.store,
    outbox: { load: () => null, save: () => undefined },
    visible: () => visible,
    roomy: () => false,
    notify: (notice) => told.push(notice),
    withdraw: (tag) => withdrawn.push(tag),
    navigate: () => undefined,
    signOut: (why) => out.push(why)
  })
  return {
    ...at,
    model,
    out,
    told,
    withdrawn,
    appended,
    refusals,
    removed,
    setAway: (now: boolean) => {
      away = now
      if (now) at.lines.at(-1)?.close()
    },
    /** Frames of the one watch. */
    frames: (...frames: ReadonlyArray<Wire.Json>) =>
      at.lines.at(-1)?.tell({ type: "event", event: "session.frames", payload: { watch: "w", frames } }),
    setMeanwhile: (happens: () => void) => {
      meanwhile = happens
    },
    setVisible: (now: boolean) => {
      visible = now
    },
    change: (more: Wire.Json) => {
      session = sessionOf(more)
      at.lines.at(-1)?.tell({
        type: "event",
        event: "causeway.sessions.changed",
        payload: { sessions: [session] }
      })
    }
  }
}

const open = { _tag: "Session", id: ID, seq: null } as const

const said = (uuid: string): Wire.Json => ({
  event: "client_event",
  data: {
    event_id: uuid,
    sequence_num: 1,
    event_type: "user",
    source: "client",
    created_at: "2026-01-01T00:00:00.000Z",
    payload: { type: "user", uuid, message: { role: "user", content: uuid } }
  }
})

describe("Model", () => {
  it.effect("is let in once the hub has said so, and reads what there is", () =>
    Effect.promise(async () => {
      const at = run()
      expect(at.model.state().admitted).toBe(false)
      await Wire.settle()
      const { admitted, connection, sessions, devices } = at.model.state()
      expect([admitted, connection._tag]).toEqual([true, "connected"])
      expect(sessions.map(({ id }) => id)).toEqual([ID])
      expect(devices?.requests).toHaveLength(1)
      at.model.close()
      await at.pass(60_000)
      expect(at.size()).toBe(0)
    })
  )

  it.effect("opened while the hub is away: says so, and follows the session as soon as it is back", () =>
    Effect.promise(async () => {
      const at = run(null)
      at.setAway(true)
      at.model.go(open)
      await at.pass(2000)
      expect(at.model.state().admitted).toBe(true)
      expect(at.model.state().open?.connection._tag).toMatch(/^(reconnecting|connecting)$/)
      expect(at.model.state().listProblem).toBeNull()
      at.setAway(false)
      await at.pass(5000)
      expect(at.model.state().open?.connection._tag).toBe("connected")
      expect(at.asked("causeway.sessions.watch")).toHaveLength(1)
      at.model.close()
    })
  )

  it.effect("sends again under the same uuid what was not confirmed, as soon as the hub is back", () =>
    Effect.promise(async () => {
      const at = run()
      at.model.go(open)
      await Wire.settle()
      at.setAway(true)
      await Wire.settle()
      at.model.send("typed while away", [], false)
      await at.pass(4000)
      expect(at.model.state().outbox).toMatchObject([{ uuid: "m1", state: "waiting" }])
      at.setAway(false)
      await at.pass(15_000)
      expect(at.appended.map(({ uuid }) => uuid)).toEqual(["m1"])
      expect(at.model.state().outbox).toEqual([])
      at.refusals.push(
        { code: "UNAVAILABLE", message: "busy" },
        { code: "INVALID_REQUEST", message: "too large" }
      )
      at.model.send("passes later", [], false)
      await Wire.settle()
      expect(at.model.state().outbox).toMatchObject([{ uuid: "m2", state: "waiting", reason: "busy" }])
      await at.pass(2000)
      expect(at.model.state().outbox).toMatchObject([{ uuid: "m2", state: "failed", reason: "too large" }])
      at.model.close()
    })
  )

  it.effect("says that somebody else has answered first", () =>
    Effect.promise(async () => {
      const at = run()
      at.model.go(open)
      await Wire.settle()
      at.refusals.push({ code: "CONFLICT", message: "already answered" })
      at.model.answer(ID, "r1", { type: "control_response" })
      await Wire.settle()
      expect(at.model.state().answering.get("r1")?.problem).toBe("Somebody else has answered first.")
      at.model.close()
    })
  )

  it.effect("tells of an approval once while nobody looks, and takes it back when it is answered", () =>
    Effect.promise(async () => {
      const at = run()
      await Wire.settle()
      const asking = {
        status: "requires_action",
        pending_approvals: [{ request_id: "r1", tool_name: "Bash" }]
      }
      at.change(asking)
      await at.pass(2000)
      expect(at.told).toEqual([])
      at.setVisible(false)
      at.change({ status: "running" })
      await at.pass(2000)
      at.change(asking)
      await at.pass(2000)
      at.change({ ...asking, last_message: "more" })
      await at.pass(2000)
      expect(at.told.map(({ title, tag }) => [title, tag])).toEqual([
        ["Waits for approval", `${ID}:approval`]
      ])
      at.withdrawn.length = 0
      at.change({ status: "running" })
      await at.pass(2000)
      expect(at.withdrawn).toEqual([`${ID}:approval`])
      at.change({ status: "idle" })
      await at.pass(2000)
      // The end of the log is read for what the turn came to; this hub's never comes.
      expect(Wire.params(at.asked("causeway.sessions.watch")[0])).toMatchObject({ untilSeq: 0 })
      at.model.close()
    })
  )

  it.effect("applies the rows that it is told, and lists nothing again for them", () =>
    Effect.promise(async () => {
      const at = run()
      await Wire.settle()
      const listed = at.asked("causeway.sessions.page").length
      at.change({ title: "Renamed", pending_approvals: [{ request_id: "r1", created_at: "" }] })
      await at.pass(2000)
      expect(at.model.state().sessions.map(({ title }) => title)).toEqual(["Renamed"])
      expect(at.model.state().waiting).toMatchObject({ total: 1, data: [{ id: ID }] })
      at.change({ id: "session_00000000000000000000000000000002", title: "Another" })
      await at.pass(2000)
      expect(at.model.state().sessions.map(({ title }) => title)).toEqual(["Another", "Renamed"])
      expect(at.model.state().waiting?.total).toBe(1)
      expect(at.asked("causeway.sessions.page")).toHaveLength(listed)
      at.model.close()
    })
  )

  it.effect("keeps a row that it was told while an older list was on its way", () =>
    Effect.promise(async () => {
      const at = run()
      await Wire.settle()
      at.change({ last_sequence_num: 1, pending_approvals: [{ request_id: "r1", created_at: "" }] })
      await Wire.settle()
      expect(at.model.state().waiting?.total).toBe(1)
      at.setMeanwhile(() => at.change({ last_sequence_num: 2 }))
      const listed = at.asked("causeway.sessions.page").length
      await at.pass(30_000)
      expect(at.asked("causeway.sessions.page").length).toBeGreaterThan(listed)
      expect(at.model.state().waiting).toEqual({ total: 0, data: [] })
      expect(at.model.state().sessions.map(({ last_sequence_num: last }) => last)).toEqual([2])
      at.model.close()
    })
  )

  it.effect("shows what came of a session while the one before it was about to be drawn", () =>
    Effect.promise(async () => {
      const at = run()
      at.model.go(open)
      await Wire.settle()
      at.frames(said("of the first"))
      await Wire.settle()
      at.model.go({ ...open, id: "session_00000000000000000000000000000002" })
      await Wire.settle()
      at.frames(said("of the second"))
      await at.pass(2000)
      expect(at.model.state().open?.view.row.firstPrompt).toBe("of the second")
      at.model.close()
    })
  )

  it.effect("signs out: forgets, has the device removed, and stops", () =>
    Effect.promise(async () => {
      const at = run()
      await Wire.settle()
      at.model.signOut()
      expect(at.credentials.grant()).toBeNull()
      await Wire.settle()
      expect(at.removed).toEqual([at.credentials.device().id])
      expect(at.out).toEqual([null])
      await at.pass(60_000)
      expect(at.lines.length).toBe(1)
    })
  )

  it.effect("signs out without the hub, and says that it could not be told", () =>
    Effect.promise(async () => {
      const at = run(null)
      at.setAway(true)
      await at.pass(1000)
      at.model.signOut()
      await Wire.settle()
      expect(at.out).toMatchObject([{ refusal: "kept" }])
      expect(at.credentials.grant()).toBeNull()
    })
  )
})
