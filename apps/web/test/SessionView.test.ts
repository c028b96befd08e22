import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Frame from "../src/Frame.ts"
import * as SessionView from "../src/SessionView.ts"

type Json = { readonly [key: string]: unknown }

const event = (seq: number, source: "worker" | "client", payload: Json): Frame.Frame => {
  const frame = Frame.read({
    event: "client_event",
    id: String(seq),
    data: JSON.stringify({
      event_id: typeof payload["uuid"] === "string" ? payload["uuid"] : `u${seq}`,
      sequence_num: seq,
      event_type: payload["type"],
      source,
      created_at: "2026-01-01T00:00:00.000Z",
      payload
    })
  })
  if (frame === undefined) throw new Error("a frame")
  return frame
}
const delivery = (uuid: string, status: string): Frame.Frame => {
  const frame = Frame.read({
    event: "delivery_update",
    id: undefined,
    data: JSON.stringify({ event_id: uuid, status: `DELIVERY_STATUS_${status}`, timestamp: "" })
  })
  if (frame === undefined) throw new Error("a frame")
  return frame
}
const ask = event(3, "worker", {
  type: "control_request",
  request_id: "r1",
  request: {
    subtype: "can_use_tool",
    tool_name: "Write",
    tool_use_id: "t1",
    input: { content: "x".repeat(50_000) },
    permission_suggestions: [{ type: "addRules" }]
  }
})
const turn = [
  event(1, "client", { type: "user", uuid: "p1", message: { content: "hi" } }),
  event(2, "worker", { type: "system", subtype: "init" }),
  ask,
  event(4, "client", {
    type: "control_response",
    response: { request_id: "r1", response: { behavior: "allow" } }
  }),
  event(5, "worker", {
    type: "assistant",
    message: { id: "m", content: [{ type: "text", text: "hello" }] }
  }),
  event(6, "worker", { type: "result", result: "hello", user_message_uuid: "p1" })
]

describe("SessionView", () => {
  it("keeps the whole of an open request, and forgets it when it is settled", () => {
    const open = SessionView.steps(SessionView.empty, turn.slice(0, 3))
    expect(open.requests.get("r1")).toEqual({
      input: { content: "x".repeat(50_000) },
      suggestions: [{ type: "addRules" }]
    })
    expect(SessionView.steps(open, turn.slice(3)).requests.size).toBe(0)
  })

  it("never takes a delivery back, and takes a result for proof of an answer", () => {
    const view = SessionView.steps(SessionView.empty, [
      ...turn.slice(0, 1),
      delivery("p1", "PROCESSING"),
      delivery("p1", "RECEIVED")
    ])
    expect(view.deliveries.get("p1")).toBe("processing")
    expect(SessionView.steps(view, turn).deliveries.get("p1")).toBe("processed")
  })

  it("shows partial text until the whole line is there", () => {
    const partial: Frame.Frame = {
      _tag: "Ephemeral",
      payload: {
        type: "stream_event",
        event: { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "hel" } }
      }
    }
    const view = SessionView.steps(SessionView.empty, [partial])
    expect(view.live.blocks.map((block) => block.text)).toEqual(["hel"])
    expect(SessionView.steps(view, turn).live.blocks).toEqual([])
  })

  it.prop(
    "frames that come again, in any portions, change nothing",
    [FastCheck.array(FastCheck.nat(5)), FastCheck.nat(6)],
    ([again, cut]) => {
      const once = SessionView.steps(SessionView.empty, turn)
      const repeated = again.flatMap((i) => turn.slice(i, i + 1))
      const twice = SessionView.steps(SessionView.steps(SessionView.empty, turn.slice(0, cut)), [
        ...turn.slice(0, cut),
        ...turn.slice(cut),
        ...repeated
      ])
      expect(twice).toEqual(once)
      expect(SessionView.steps(once, repeated).conversation).toBe(once.conversation)
    }
  )
})

describe("Frame", () => {
  it("reads broken and unknown frames as nothing", () => {
    for (const data of ["", "{", "null", "[]", "1", '{"payload":7}', '{"payload":null}'])
      expect(Frame.read({ event: "client_event", id: undefined, data })).toBeUndefined()
    expect(Frame.read({ event: "catch_up_truncated", id: undefined, data: "" })).toEqual({
      _tag: "Truncated"
    })
    expect(
      Frame.read({ event: "client_event", id: undefined, data: '{"payload":{"type":"stream_event"}}' })?._tag
    ).toBe("Ephemeral")
  })

  it.prop("never throws", [FastCheck.string(), FastCheck.jsonValue()], ([event, data]) => {
    const frame = Frame.read({ event, id: undefined, data: JSON.stringify(data) })
    if (frame !== undefined) SessionView.steps(SessionView.empty, [frame, frame])
  })
})
