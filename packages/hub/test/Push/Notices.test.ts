import { SessionBody } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Visible from "@causeway/protocol/Visible"
import type { ReadableEvent } from "@causeway/transcript/Read"
import * as SessionRow from "@causeway/transcript/SessionRow"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Notices from "../../src/Push/Notices.ts"

type Line = { readonly type: string; readonly [field: string]: unknown }

/** What the last of these lines is worth telling, once all are in the log. */
const told = (lines: ReadonlyArray<Line>, source: ReadableEvent["source"] = "worker", at = lines.length) => {
  const events = lines.map((line, i) => ({
    seq: i + 1,
    uuid: String(i),
    source,
    createdAt: 0,
    payload: Payload.make(line)
  }))
  const row = events.reduce(SessionRow.step, SessionRow.initial)
  const line = lines[at - 1] ?? { type: "" }
  return Notices.noticeOf(row, SessionBody.make("body"), { seq: at, source, type: line.type, json: line })
    ?.title
}

const asks = (id: string): Line => ({
  type: "control_request",
  request_id: id,
  request: { subtype: "can_use_tool", tool_name: "Bash", tool_use_id: id, input: {} }
})
const answers = (id: string): Line => ({
  type: "control_response",
  response: { subtype: "success", request_id: id, response: { behavior: "allow", toolUseID: id } }
})
const ends = (more: object = {}): Line => ({
  type: "result",
  subtype: "success",
  duration_ms: 10_000,
  ...more
})

describe("news", () => {
  it("are approvals that begin a wait, and are open still", () => {
    expect(told([asks("a")])).toBe("Waits for approval")
    expect(told([asks("a"), asks("b")])).toBeUndefined()
    expect(told([asks("a"), asks("b")], "worker", 1)).toBe("Waits for approval")
    expect(told([asks("a"), answers("a")], "worker", 1)).toBeUndefined()
    expect(told([asks("a")], "client")).toBeUndefined()
    expect(told([{ ...asks("a"), request: { subtype: "interrupt" } }])).toBeUndefined()
  })

  it("are turns that took a while, and failures", () => {
    expect(told([ends()])).toBe("Turn ended")
    expect(told([ends({ duration_ms: undefined })])).toBe("Turn ended")
    expect(told([ends({ duration_ms: 9_999 })])).toBeUndefined()
    expect(told([ends({ duration_ms: 1, is_error: true })])).toBe("Turn failed")
    expect(told([ends({ parent_tool_use_id: "toolu_1" })])).toBeUndefined()
    expect(told([ends({ is_error: true, terminal_reason: "aborted_by_user" })])).toBeUndefined()
    expect(told([ends()], "client")).toBeUndefined()
    expect(told([{ type: "bridge_error", message: "x" }])).toBe("Session failed")
    expect(told([{ type: "assistant" }])).toBeUndefined()
  })

  it.prop(
    "are one line of bounded length, without what hides or turns text",
    [
      FastCheck.array(
        FastCheck.oneof(
          FastCheck.string({ unit: "binary" }),
          FastCheck.constantFrom("\u202e", "\u2066", "\u200f", "\u200b", "\n", "\u0007", "\u2028", "👩‍👩‍👧")
        )
      ),
      FastCheck.integer({ min: 1, max: 100 })
    ],
    ([parts, max]) => {
      const line = Notices.plain(parts.join(""), max)
      expect([...line].length).toBeLessThanOrEqual(max)
      expect(line).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u)
      // Joined emoji are whole; nothing else is hidden in it.
      expect(Visible.text(line)).toBe(line)
    }
  )
})
