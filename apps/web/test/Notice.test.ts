import { describe, expect, it } from "@effect/vitest"
import * as Frame from "../src/Frame.ts"
import type * as Hub from "../src/Hub.ts"
import * as Notice from "../src/Notice.ts"

const session = (more: Partial<Hub.Session> = {}): Hub.Session => ({
  id: "session_1",
  title: "Work",
  status: "running",
  environmentId: null,
  lastMessage: null,
  createdAt: "",
  updatedAt: "",
  archived: false,
  connected: true,
  approvals: [],
  waitingFor: null,
  lastSeq: 9,
  model: null,
  permissionMode: null,
  contextTokens: null,
  costUsd: null,
  turns: 1,
  worktree: false,
  ...more
})
const approval = (requestId: string): Hub.Pending => ({
  requestId,
  toolUseId: requestId,
  toolName: "Bash\u202e",
  input: {},
  seq: 1,
  createdAt: ""
})
const event = (payload: { readonly [key: string]: unknown }, source = "worker") =>
  [Frame.read({ event: "client_event", data: { event_id: "u", sequence_num: 1, source, payload } })].flatMap(
    (frame) => frame ?? []
  )

describe("Notice", () => {
  it("tells of the approval that a session begins to wait for, and of no other beside it", () => {
    const asking = session({ approvals: [approval("r1")] })
    expect(Notice.ofApproval(session(), asking)).toEqual({
      title: "Waits for approval",
      body: "Work: Bash\\u202e",
      tag: "session_1:approval",
      url: "#/session/session_1"
    })
    expect(
      Notice.ofApproval(asking, session({ approvals: [approval("r1"), approval("r2")] }))
    ).toBeUndefined()
    expect(Notice.ofApproval(asking, session({ approvals: [approval("r2")] }))).toBeDefined()
    expect(Notice.ofApproval(undefined, asking)).toBeUndefined()
    expect(Notice.settled(asking, session())).toBe("session_1:approval")
    expect(Notice.settled(session(), session())).toBeUndefined()
  })

  it("knows when a turn has ended", () => {
    const idle = session({ status: "idle" })
    expect(Notice.hasEnded(session(), idle)).toBe(true)
    expect(Notice.hasEnded(session({ status: "requires_action" }), idle)).toBe(true)
    expect(Notice.hasEnded(idle, idle)).toBe(false)
    expect(Notice.hasEnded(session(), session({ status: "idle", archived: true }))).toBe(false)
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
