import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Turns from "../src/Turns.ts"
import { anything, init, log, prompt, result, says, type Written, worker } from "./events.ts"

const answer = (uuid: string, ...entries: Array<Written>) => Turns.answerOf(log(...entries), uuid)

describe("Turns", () => {
  it("is pending until the result, which tells the answer", () => {
    const turn = [prompt("hi", "p1"), init(), says("m", "hello")]
    expect(answer("p1", ...turn)).toEqual({ _tag: "pending" })
    expect(answer("p1", ...turn, result({ result: "hello!" }))).toMatchObject({
      _tag: "answered",
      text: "hello!",
      seq: 4
    })
    expect(answer("p1", ...turn, result({ result: undefined }))).toMatchObject({ text: "hello" })
  })

  it("does not take a result of an earlier prompt for its own", () => {
    const queue = [prompt("a", "p1"), prompt("b", "p2")]
    expect(answer("p2", ...queue, result())).toEqual({ _tag: "pending" })
    expect(answer("p2", ...queue, result({ result: "A" }), result({ result: "B" }))).toMatchObject({
      text: "B"
    })
    expect(answer("p1", ...queue, result({ user_message_uuid: "p2" }))).toEqual({ _tag: "pending" })
    expect(
      answer("p1", ...queue, result({ result: "both", user_message_uuids: ["p1", "p2"] }))
    ).toMatchObject({
      text: "both"
    })
  })

  it("fails as the turn does", () => {
    expect(answer("p1", prompt("a", "p1"), result({ is_error: true, result: "no" }))).toMatchObject({
      _tag: "failed",
      reason: "failed",
      text: "no"
    })
    expect(
      answer(
        "p1",
        prompt("a", "p1"),
        result({ subtype: "error_during_execution", terminal_reason: "aborted_streaming" })
      )
    ).toMatchObject({ reason: "stopped" })
  })

  it("fails where the prompt was dropped or swallowed", () => {
    const queue = [prompt("a", "p1"), prompt("b", "p2")]
    const dropped = worker({
      type: "control_response",
      response: { subtype: "success", request_id: "i", response: { still_queued: [], cancelled: ["p2"] } }
    })
    expect(answer("p2", ...queue, dropped)).toMatchObject({ _tag: "failed", reason: "dropped" })
    expect(answer("p1", ...queue, dropped, result())).toMatchObject({ _tag: "answered" })
    expect(
      answer("p1", ...queue, worker({ type: "command_lifecycle", command_uuid: "p1", state: "cancelled" }))
    ).toMatchObject({ reason: "dropped" })
    expect(
      answer("p1", ...queue, worker({ type: "bridge_error", message: "gone", user_message_uuid: "p1" }))
    ).toMatchObject({ reason: "dropped", text: "gone" })
  })

  it("does not answer with a subagent's words or result", () => {
    expect(
      answer(
        "p1",
        prompt("a", "p1"),
        says("m", "mine"),
        says("s", "theirs", { parent_tool_use_id: "t" }),
        result({ parent_tool_use_id: "t", result: "theirs" }),
        result({ result: undefined })
      )
    ).toMatchObject({ text: "mine" })
  })

  it.prop(
    "each prompt of a queue gets its own result, whether results name prompts or not",
    [FastCheck.array(FastCheck.boolean(), { minLength: 1, maxLength: 12 })],
    ([named]) => {
      const events = [
        ...named.map((_, i) => prompt(`q${i}`, `p${i}`)),
        ...named.map((name, i) =>
          result({ result: `a${i}`, ...(name ? { user_message_uuid: `p${i}` } : {}) })
        )
      ]
      named.forEach((_, i) => {
        expect(answer(`p${i}`, ...events)).toMatchObject({ _tag: "answered", text: `a${i}` })
      })
    }
  )

  it.prop("once it has an answer it keeps it, and never throws", [anything], ([events]) => {
    let state = Turns.follow("u1")
    for (const event of events) {
      const next = Turns.step(state, event)
      if (state.answer._tag !== "pending") expect(next).toBe(state)
      state = next
    }
  })
})
