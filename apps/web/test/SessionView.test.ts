import * as Frame from "@causeway/transcript/View/Frame"
import * as SessionView from "@causeway/transcript/View/SessionView"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Attachment from "../src/Attachment.ts"
import * as Visible from "../src/Visible.ts"

const empty = SessionView.empty(false)

type Json = { readonly [key: string]: unknown }

const event = (seq: number, source: "worker" | "client", payload: Json): Frame.Frame => {
  const frame = Frame.read({
    event: "client_event",
    data: {
      event_id: typeof payload["uuid"] === "string" ? payload["uuid"] : `u${seq}`,
      sequence_num: seq,
      event_type: payload["type"],
      source,
      created_at: "2026-01-01T00:00:00.000Z",
      payload
    }
  })
  if (frame === undefined) throw new Error("a frame")
  return frame
}
const delivery = (uuid: string, status: string): Frame.Frame => {
  const frame = Frame.read({
    event: "delivery_update",
    data: { event_id: uuid, status: `DELIVERY_STATUS_${status}`, timestamp: "" }
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
    const open = SessionView.steps(empty, turn.slice(0, 3))
    expect(open.requests.open.get("r1")).toEqual({
      input: { content: "x".repeat(50_000) },
      suggestions: [{ type: "addRules" }],
      before: null
    })
    expect(SessionView.steps(open, turn.slice(3)).requests.open.size).toBe(0)
  })

  it("never takes a delivery back, and takes a result for proof of an answer", () => {
    const view = SessionView.steps(empty, [
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
    const view = SessionView.steps(empty, [partial])
    expect(view.live.blocks.map((block) => block.text)).toEqual(["hel"])
    expect(SessionView.steps(view, turn).live.blocks).toEqual([])
  })

  it.prop(
    "frames that come again, in any portions, change nothing",
    [FastCheck.array(FastCheck.nat(5)), FastCheck.nat(6)],
    ([again, cut]) => {
      const once = SessionView.steps(empty, turn)
      const repeated = again.flatMap((i) => turn.slice(i, i + 1))
      const twice = SessionView.steps(SessionView.steps(empty, turn.slice(0, cut)), [
        ...turn.slice(0, cut),
        ...turn.slice(cut),
        ...repeated
      ])
      expect(twice).toEqual(once)
      expect(SessionView.steps(once, repeated).window.conversation).toBe(once.window.conversation)
    }
  )
})

describe("Frame", () => {
  it("reads broken and unknown frames as nothing", () => {
    for (const data of [undefined, "", null, [], 1, { payload: 7 }, { payload: null }])
      expect(Frame.read({ event: "client_event", data })).toBeUndefined()
    for (const value of [undefined, null, 7, "x", [], {}]) expect(Frame.read(value)).toBeUndefined()
    expect(Frame.read({ event: "catch_up_truncated" })).toEqual({ _tag: "Truncated" })
    expect(Frame.read({ event: "client_event", data: { payload: { type: "stream_event" } } })?._tag).toBe(
      "Ephemeral"
    )
  })

  it.prop("never throws", [FastCheck.string(), FastCheck.jsonValue()], ([event, data]) => {
    const frame = Frame.read({ event, data })
    if (frame !== undefined) SessionView.steps(empty, [frame, frame])
  })
})

describe("SessionView, over anything", () => {
  const payload = FastCheck.oneof(
    FastCheck.record({
      type: FastCheck.constantFrom(
        "user",
        "assistant",
        "system",
        "result",
        "control_request",
        "control_response",
        "x"
      ),
      subtype: FastCheck.constantFrom("init", "interrupt", "success"),
      request_id: FastCheck.constantFrom("r1", "r2"),
      slash_commands: FastCheck.anything(),
      parent_tool_use_id: FastCheck.constantFrom(null, "t1", "t2"),
      request: FastCheck.oneof(
        FastCheck.constant({ subtype: "can_use_tool", tool_name: "Bash", tool_use_id: "t1", input: {} }),
        FastCheck.constant({ subtype: "interrupt" }),
        FastCheck.anything()
      ),
      message: FastCheck.oneof(
        FastCheck.record({
          id: FastCheck.constantFrom("m1", "m2"),
          content: FastCheck.oneof(
            FastCheck.string(),
            FastCheck.array(
              FastCheck.oneof(
                FastCheck.constant({
                  type: "tool_use",
                  id: "t1",
                  name: "Task",
                  input: { file_path: "/a", content: "x" }
                }),
                FastCheck.constant({ type: "tool_result", tool_use_id: "t1", content: [{ type: "image" }] }),
                FastCheck.constant({ type: "text", text: "words" }),
                FastCheck.anything()
              ),
              { maxLength: 3 }
            )
          )
        }),
        FastCheck.anything()
      )
    }),
    FastCheck.dictionary(FastCheck.string({ maxLength: 6 }), FastCheck.anything(), { maxKeys: 4 })
  )
  const frames = FastCheck.array(
    FastCheck.record({
      _tag: FastCheck.constant("Event" as const),
      event: FastCheck.record({
        seq: FastCheck.integer({ min: 1, max: 12 }),
        source: FastCheck.constantFrom("worker" as const, "client" as const),
        json: payload
      })
    }).map(
      ({ event: { seq, source, json } }): Frame.Frame => ({
        _tag: "Event",
        event: { seq, uuid: `u${seq}`, source, createdAt: seq, payload: { type: String(json["type"]), json } }
      })
    ),
    { maxLength: 24 }
  )

  it.prop(
    "never throws, shows each item once, and portions change nothing",
    [frames, FastCheck.nat(24)],
    ([all, cut]) => {
      const view = SessionView.steps(empty, all)
      const shown = Visible.of(view.window.conversation.items, view.deliveries)
      const ids: Array<string> = []
      const collect = (list: ReadonlyArray<Visible.Shown>): void => {
        for (const entry of list) {
          ids.push(entry.item.id)
          collect(entry.children)
        }
      }
      collect(shown)
      expect(new Set(ids).size).toBe(ids.length)
      const portions = SessionView.steps(SessionView.steps(empty, all.slice(0, cut)), all.slice(cut))
      expect(portions.window.conversation.items).toEqual(view.window.conversation.items)
      expect(portions.turn.isStopping).toBe(view.turn.isStopping)
      // What comes again changes nothing.
      expect(SessionView.steps(view, all).window.conversation.items).toEqual(view.window.conversation.items)
    }
  )

  it("knows after a reload that somebody has asked to stop, until the turn ends", () => {
    const stop = event(2, "client", {
      type: "control_request",
      request_id: "s",
      request: { subtype: "interrupt" }
    })
    const begun = [
      event(1, "worker", { type: "system", subtype: "init", slash_commands: ["review", 7, "/help"] })
    ]
    const view = SessionView.steps(empty, [...begun, stop])
    expect(view.turn.isStopping).toBe(true)
    expect(view.turn.commands).toEqual(["review", "help"])
    expect(
      SessionView.steps(view, [event(3, "worker", { type: "result", is_error: true })]).turn.isStopping
    ).toBe(false)
  })

  it("keeps images by whom they belong to, and only kinds that run nothing", () => {
    const block = (media_type: string, data: string) => ({
      type: "image",
      source: { type: "base64", media_type, data }
    })
    const view = SessionView.steps(empty, [
      event(1, "client", {
        type: "user",
        uuid: "p1",
        message: { content: [block("image/png", "aGk="), block("image/svg+xml", "aGk=")] }
      }),
      event(2, "worker", {
        type: "user",
        message: {
          content: [{ type: "tool_result", tool_use_id: "t1", content: [block("image/png", '"><script>')] }]
        }
      })
    ])
    const blocks = view.window.conversation.items.map((item) =>
      item.kind === "message" ? item.attachments : item.kind === "tool_result" ? item.outcome.attachments : []
    )
    expect(blocks.map((each) => each.flatMap(Attachment.urlOf))).toEqual([["data:image/png;base64,aGk="], []])
  })
})
