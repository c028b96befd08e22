import type { PendingApproval, Session } from "@causeway/protocol/http/Sessions"
import { SessionId } from "@causeway/protocol/Ids"
import * as Frame from "@causeway/transcript/View/Frame"
import { describe, expect, it } from "@effect/vitest"
import * as Notice from "../src/Notice.ts"

const session = (more: Partial<Session> = {}): Session => ({
  id: SessionId.make("session_00000000000000000000000000000001"),
  title: "Work",
  status: "running",
  environment_id: null,
  session_context: {},
  created_at: "",
  updated_at: "",
  archived_at: null,
  connection_status: "connected",
  pending_approvals: [],
  last_sequence_num: 9,
  ...more
})
const approval = (request_id: string): PendingApproval => ({
  request_id,
  tool_use_id: request_id,
  tool_name: "Bash\u202e",
  input: {},
  sequence_num: 1,
  created_at: ""
})
const event = (payload: { readonly [key: string]: unknown }, source = "worker") =>
  [Frame.read({ event: "client_event", data: { event_id: "u", sequence_num: 1, source, payload } })].flatMap(
    (frame) => frame ?? []
  )

describe("Notice", () => {
  it("tells of the approval that a session begins to wait for, and of no other beside it", () => {
    const asking = session({ pending_approvals: [approval("r1")] })
    expect(Notice.ofApproval(session(), asking)).toEqual({
      title: "Waits for approval",
      body: "Work: Bash\\u202e",
      tag: "session_00000000000000000000000000000001:approval",
      url: "#/session/session_00000000000000000000000000000001"
    })
    expect(
      Notice.ofApproval(asking, session({ pending_approvals: [approval("r1"), approval("r2")] }))
    ).toBeUndefined()
    expect(Notice.ofApproval(asking, session({ pending_approvals: [approval("r2")] }))).toBeDefined()
    expect(Notice.ofApproval(undefined, asking)).toBeUndefined()
    expect(Notice.settled(asking, session())).toBe("session_00000000000000000000000000000001:approval")
    expect(Notice.settled(session(), session())).toBeUndefined()
  })

  it("knows when a turn has ended", () => {
    const idle = session({ status: "idle" })
    expect(Notice.hasEnded(session(), idle)).toBe(true)
    expect(Notice.hasEnded(session({ status: "requires_action" }), idle)).toBe(true)
    expect(Notice.hasEnded(idle, idle)).toBe(false)
    expect(Notice.hasEnded(session(), session({ status: "idle", archived_at: "2026-01-01T00:00:00Z" }))).toBe(
      false
    )
  })

  it("tells what the turn came to, and nothing of one that a person has stopped", () => {
    const of = (...frames: ReadonlyArray<ReadonlyArray<Frame.Frame>>) =>
      Notice.ofEnd(session(), frames.flat())?.title
    expect(of()).toBe("Turn ended")
    expect(of(event({ type: "result", is_error: false }))).toBe("Turn ended")
    expect(of(event({ type: "result", is_error: true }))).toBe("Turn failed")
    expect(of(event({ type: "result", is_error: true }), event({ type: "result" }))).toBe("Turn ended")
    expect(of(event({ type: "bridge_error" }))).toBe("Session failed")
    expect(of(event({ type: "result", is_error: true, terminal_reason: "aborted_tools" }))).toBeUndefined()
    // Neither a person's words nor a subagent's end are the turn's.
    expect(of(event({ type: "result", is_error: true }, "client"))).toBe("Turn ended")
    expect(of(event({ type: "result", is_error: true, parent_tool_use_id: "t" }))).toBe("Turn ended")
  })
})
