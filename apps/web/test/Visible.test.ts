import * as Conversation from "@causeway/transcript/Conversation"
import { describe, expect, it } from "@effect/vitest"
import * as Visible from "../src/Visible.ts"

type Json = { readonly [key: string]: unknown }

const items = (...payloads: ReadonlyArray<Json>) =>
  Conversation.fold(
    payloads.map((json, i) => ({
      seq: i + 1,
      uuid: `u${i + 1}`,
      source: json["by"] === "client" ? "client" : "worker",
      createdAt: 0,
      payload: { type: "", json }
    }))
  ).items

const says = (text: string) => ({
  type: "assistant",
  message: { id: text, content: [{ type: "text", text }] }
})
const failed = { type: "result", is_error: true, result: "broken" }
const stopped = { type: "result", subtype: "error_during_execution", terminal_reason: "aborted_tools" }
const interrupted = { type: "user", message: { content: "[Request interrupted by user]" } }

const see = (...payloads: ReadonlyArray<Json>) =>
  Visible.of(items(...payloads), new Map([["u1", "processing" as const]]), 100).shown

describe("Visible", () => {
  it("leaves out what is told elsewhere", () => {
    expect(
      see(
        { type: "system", subtype: "init" },
        {
          type: "assistant",
          message: { id: "m", content: [{ type: "tool_use", id: "t", name: "X", input: {} }] }
        },
        { type: "user", message: { content: [{ type: "tool_result", tool_use_id: "t", content: "x" }] } },
        { type: "result", result: "fine" }
      ).map(({ item }) => item.kind)
    ).toEqual(["tool_call"])
  })

  it("tells of an interrupt once, and of a failure once", () => {
    expect(see(says("a"), interrupted, stopped).map(({ words }) => words)).toEqual([null, "Stopped"])
    expect(see(says("a"), stopped).map(({ words }) => words)).toEqual([null, "Stopped"])
    expect(see(says("broken"), failed).map(({ words }) => words)).toEqual([null, null])
    expect(see(says("a"), failed).map(({ words }) => words)).toEqual([null, "broken"])
  })

  it("shows how far a person's message has come, and that of nobody else", () => {
    const user = { type: "user", by: "client", message: { content: "hi" } }
    expect(see(user, user, says("a")).map(({ delivery }) => delivery)).toEqual([
      "processing",
      "accepted",
      null
    ])
  })

  it("shows the last ones first", () => {
    const all = items(says("a"), says("b"), says("c"))
    expect(Visible.of(all, new Map(), 2)).toMatchObject({ more: true, shown: [{}, {}] })
    expect(Visible.of(all, new Map(), 3).more).toBe(false)
  })
})
