import type { JsonObject, Payload } from "@causeway/protocol/Payload"
import * as ProtocolPayload from "@causeway/protocol/Payload"
import * as Conversation from "@causeway/transcript/Conversation"
import * as Live from "@causeway/transcript/Live"
import * as Read from "@causeway/transcript/Read"
import * as SessionRow from "@causeway/transcript/SessionRow"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Settings from "../../src/Acp/Settings.ts"
import * as Translate from "../../src/Acp/Translate.ts"

const opened = (run = "run-1"): Translate.State =>
  Translate.initial({
    sessionId: "0195d9f4-0000-4000-8000-000000000001",
    acpSessionId: "acp-session-1",
    run,
    cwd: "/project",
    agent: { name: "stub", version: "1" },
    mcpServers: [],
    settings: Settings.empty
  })

const run = (
  inputs: ReadonlyArray<Translate.Input>,
  from = opened()
): { readonly state: Translate.State; readonly lines: ReadonlyArray<Payload> } => {
  let state = from
  const lines: Array<Payload> = []
  for (const input of inputs) {
    const next = Translate.step(state, input)
    state = next.state
    lines.push(...next.lines)
  }
  return { state, lines }
}

const start = (prompt: string, words = "go"): Translate.Input => ({
  _tag: "TurnStarted",
  prompt,
  words,
  at: 1000
})
const stop = (stopReason = "end_turn", reply: JsonObject = {}): Translate.Input => ({
  _tag: "TurnEnded",
  end: { _tag: "Stopped", stopReason, reply },
  at: 2500,
  queued: 0
})
const update = (json: unknown): Translate.Input => ({ _tag: "Update", update: json })
const chunk = (text: string, kind = "agent_message_chunk", more: JsonObject = {}): Translate.Input =>
  update({ sessionUpdate: kind, content: { type: "text", text }, ...more })

const durable = (lines: ReadonlyArray<Payload>): ReadonlyArray<Payload> =>
  lines.filter((line) => !ProtocolPayload.isEphemeral(line))
const kinds = (lines: ReadonlyArray<Payload>): ReadonlyArray<string> =>
  durable(lines).map((line) =>
    typeof line.json["subtype"] === "string" ? `${line.type}/${line.json["subtype"]}` : line.type
  )
const blocks = (lines: ReadonlyArray<Payload>, type: string): ReadonlyArray<JsonObject> =>
  durable(lines).flatMap((line) =>
    Read.array(Read.object(line.json["message"])["content"])
      .map(Read.object)
      .filter((block) => block["type"] === type)
  )
const events = (lines: ReadonlyArray<Payload>) =>
  durable(lines)
    .filter((line) => line.json["isReplay"] !== true)
    .map((payload, index) => ({
      seq: index + 1,
      uuid: payload.uuid ?? "",
      source: "worker" as const,
      createdAt: index,
      payload
    }))

describe("a turn", () => {
  it("is init, the acknowledgement, one line a block, and a result", () => {
    const { lines } = run([
      start("prompt-1"),
      chunk("let me ", "agent_thought_chunk"),
      chunk("see", "agent_thought_chunk"),
      chunk("Hello, "),
      chunk("world"),
      update({
        sessionUpdate: "usage_update",
        used: 1200,
        size: 200_000,
        cost: { amount: 0.5, currency: "USD" }
      }),
      stop("end_turn", { usage: { inputTokens: 10, outputTokens: 4, totalTokens: 14 } })
    ])
    expect(kinds(lines)).toEqual(["system/init", "user", "assistant", "assistant", "result/success"])
    expect(blocks(lines, "thinking")).toEqual([{ type: "thinking", thinking: "let me see", signature: "" }])
    expect(blocks(lines, "text")).toEqual([{ type: "text", text: "Hello, world" }])
    expect(lines.at(-1)?.json).toMatchObject({
      is_error: false,
      result: "Hello, world",
      stop_reason: "end_turn",
      duration_ms: 1500,
      total_cost_usd: 0.5,
      usage: { input_tokens: 10, output_tokens: 4 },
      user_message_uuid: "prompt-1"
    })
    expect(lines[1]?.json).toMatchObject({ isReplay: true, uuid: "prompt-1" })
    const row = SessionRow.replay(events(lines))
    expect(row).toMatchObject({ status: "idle", contextTokens: 1200, totalCostUsd: 0.5, numTurns: 1 })
    expect(row.lastMessage?.text).toBe("Hello, world")
  })

  it.each([
    ["end_turn", "success", false, null],
    ["max_tokens", "success", false, null],
    ["max_turn_requests", "error_max_turns", true, null],
    ["refusal", "success", true, null],
    ["cancelled", "error_during_execution", true, "aborted_streaming"],
    ["a_reason_of_the_future", "success", false, null]
  ])("stop reason %s is told as %s", (reason, subtype, isError, terminal) => {
    const result = run([start("p"), stop(reason)]).lines.at(-1)?.json ?? {}
    expect(result["subtype"]).toBe(subtype)
    expect(result["is_error"]).toBe(isError)
    expect(result["terminal_reason"] ?? null).toBe(terminal)
  })

  it("that failed says why", () => {
    const { lines } = run([
      start("p"),
      chunk("half"),
      { _tag: "TurnEnded", end: { _tag: "Failed", message: "no credit" }, at: 1, queued: 0 }
    ])
    expect(blocks(lines, "text")).toEqual([{ type: "text", text: "half" }])
    expect(SessionRow.replay(events(lines)).lastError?.text).toBe("no credit")
  })

  it("an echo of the prompt is not written, another message of the user's side is", () => {
    const { lines } = run([
      start("p", "the prompt"),
      chunk("the ", "user_message_chunk"),
      chunk("prompt", "user_message_chunk"),
      chunk("answer"),
      chunk("injected", "user_message_chunk"),
      stop()
    ])
    const users = durable(lines).filter((line) => line.json["isSynthetic"] === true)
    expect(users.map((line) => Read.object(line.json["message"])["content"])).toEqual(["injected"])
  })
})

describe("tool calls", () => {
  const edit = {
    toolCallId: "call_0123456789abcdef",
    title: "Edit a.txt",
    kind: "edit",
    content: [{ type: "diff", path: "/project/a.txt", oldText: "a", newText: "b" }],
    locations: [{ path: "/project/a.txt", line: 3 }]
  }

  it("are said once their input is whole, and answered once", () => {
    const { lines } = run([
      start("p"),
      update({ sessionUpdate: "tool_call", toolCallId: edit.toolCallId, title: "edit", rawInput: {} }),
      update({ sessionUpdate: "tool_call_update", ...edit, status: "in_progress" }),
      update({ sessionUpdate: "tool_call_update", toolCallId: edit.toolCallId, status: "completed" }),
      stop()
    ])
    expect(kinds(lines)).toEqual(["system/init", "user", "assistant", "user", "result/success"])
    expect(blocks(lines, "tool_use")).toEqual([
      {
        type: "tool_use",
        id: edit.toolCallId,
        name: "Edit",
        input: {
          file_path: "/project/a.txt",
          old_string: "a",
          new_string: "b",
          locations: [{ path: "/project/a.txt", line: 3 }],
          title: "Edit a.txt"
        }
      }
    ])
    const result = durable(lines).find((line) => line.json["tool_use_result"] !== undefined)
    expect(result?.json["tool_use_result"]).toMatchObject({
      kind: "edit",
      diffs: [{ path: "/project/a.txt", old_text: "a", new_text: "b" }],
      locations: [{ path: "/project/a.txt", line: 3 }]
    })
  })

  it("an input that changes after it was said stands in the result", () => {
    const call = { toolCallId: edit.toolCallId, title: "bash", kind: "execute" }
    const { lines } = run([
      start("p"),
      update({ sessionUpdate: "tool_call", ...call, rawInput: { cwd: "/project" } }),
      update({ sessionUpdate: "usage_update", used: 1, size: 2 }),
      update({ sessionUpdate: "tool_call_update", ...call, rawInput: { command: "ls", cwd: "/project" } }),
      update({ sessionUpdate: "tool_call_update", ...call, status: "completed", rawOutput: "a" }),
      stop()
    ])
    expect(blocks(lines, "tool_use")[0]?.["input"]).toEqual({ cwd: "/project" })
    const result = durable(lines).find((line) => line.json["tool_use_result"] !== undefined)
    expect(result?.json["tool_use_result"]).toEqual({
      kind: "execute",
      title: "bash",
      status: "completed",
      input: { command: "ls", cwd: "/project" }
    })
  })

  it("a call that waits for its input stands before the text that follows it", () => {
    const { lines } = run([
      start("p"),
      update({ sessionUpdate: "tool_call", toolCallId: edit.toolCallId, title: "t", rawInput: { x: 1 } }),
      chunk("after"),
      stop()
    ])
    expect(
      durable(lines).flatMap((line) => Read.array(Read.object(line.json["message"])["content"]))
    ).toMatchObject([
      { type: "tool_use" },
      { type: "text", text: "after" },
      { type: "tool_result", is_error: true }
    ])
  })

  it("of a subagent carry the call that started it", () => {
    const { lines } = run([
      start("p"),
      update({
        sessionUpdate: "tool_call",
        ...edit,
        status: "completed",
        _meta: { claudeCode: { toolName: "MultiEdit", parentToolUseId: "toolu_parent" } }
      }),
      stop()
    ])
    const both = durable(lines).filter((line) => line.json["parent_tool_use_id"] === "toolu_parent")
    expect(both.map((line) => line.type)).toEqual(["assistant", "user"])
    expect(blocks(lines, "tool_use")[0]?.["name"]).toBe("MultiEdit")
  })

  it("that come after the turn's end are answered and attributed; a later result names the one it replaces", () => {
    const first = run([
      start("p"),
      update({ sessionUpdate: "tool_call", ...edit, status: "in_progress" }),
      stop("cancelled")
    ])
    const closed = durable(first.lines).find((line) => line.json["tool_use_result"] !== undefined)
    const late = run(
      [
        update({
          sessionUpdate: "tool_call_update",
          toolCallId: edit.toolCallId,
          status: "completed",
          rawOutput: "done after all"
        })
      ],
      first.state
    )
    expect(late.lines).toHaveLength(1)
    expect(late.lines[0]?.json).toMatchObject({
      type: "user",
      user_message_uuid: "p",
      supersedes: [closed?.uuid]
    })
  })

  it("a terminal's output stands in the result", () => {
    const { lines } = run([
      start("p"),
      update({
        sessionUpdate: "tool_call",
        toolCallId: "t",
        title: "ls",
        kind: "execute",
        rawInput: { command: "ls" },
        content: [{ type: "terminal", terminalId: "term-1" }],
        status: "in_progress"
      }),
      { _tag: "TerminalOutput", terminalId: "term-1", output: "a.txt\n" },
      update({ sessionUpdate: "tool_call_update", toolCallId: "t", status: "completed" }),
      stop()
    ])
    expect(blocks(lines, "tool_result")[0]?.["content"]).toEqual([{ type: "text", text: "a.txt\n" }])
  })
})

describe("permissions", () => {
  const ask = (requestId: string, toolCallId: string): Translate.Input => ({
    _tag: "PermissionAsked",
    requestId,
    toolCall: { toolCallId, title: "rm x", kind: "execute", rawInput: { command: "rm x" } },
    options: [
      { optionId: "a", name: "Allow", kind: "allow_once" },
      { optionId: "b", name: "Always", kind: "allow_always" },
      { optionId: "c", name: "Reject", kind: "reject_once" }
    ]
  })

  it("are approvals of the call, which is said first", () => {
    const { lines, state } = run([start("p"), ask("req-1", "call-1")])
    expect(kinds(lines)).toEqual(["system/init", "user", "assistant", "control_request"])
    const row = SessionRow.replay(events(lines))
    expect(row.status).toBe("requires_action")
    expect(row.approvals.pending[0]).toMatchObject({
      requestId: "req-1",
      toolName: "Bash",
      input: { command: "rm x" },
      hasSuggestions: true
    })
    expect(blocks(lines, "tool_use")[0]?.["id"]).toBe(row.approvals.pending[0]?.toolUseId)
    expect(state.permissions.has("req-1")).toBe(true)
  })

  it("that are open when the turn ends are withdrawn", () => {
    const { lines, state } = run([start("p"), ask("req-1", "call-1"), stop("cancelled")])
    expect(state.permissions.size).toBe(0)
    const row = SessionRow.replay(events(lines))
    expect(row.approvals.pending).toEqual([])
    expect(row.status).toBe("idle")
    expect(lines.at(-1)?.json["terminal_reason"]).toBe("aborted_tools")
  })

  it("that were denied are listed in the result", () => {
    const { lines } = run([
      start("p"),
      ask("req-1", "call-1"),
      { _tag: "PermissionAnswered", requestId: "req-1", allowed: false },
      stop()
    ])
    expect(lines.at(-1)?.json["permission_denials"]).toMatchObject([{ tool_name: "Bash" }])
  })
})

describe("the rest", () => {
  it("plans, commands, titles, notices and compaction have their lines; an unknown update is passed on", () => {
    const unknown = { sessionUpdate: "of_the_future", value: 1 }
    const { lines } = run([
      start("p"),
      update({ sessionUpdate: "plan", entries: [{ content: "do it", priority: "high", status: "pending" }] }),
      update({ sessionUpdate: "plan", entries: [{ content: "do it", priority: "high", status: "pending" }] }),
      update({
        sessionUpdate: "available_commands_update",
        availableCommands: [{ name: "init", description: "d", input: { hint: "h" } }]
      }),
      update({ sessionUpdate: "session_info_update", title: "A title" }),
      update({ sessionUpdate: "notice", severity: "warning", title: "slow", description: "very" }),
      update({ sessionUpdate: "compaction_update", compactionId: "c", status: "in_progress" }),
      update({
        sessionUpdate: "compaction_summary_chunk",
        compactionId: "c",
        content: { type: "text", text: "sum" }
      }),
      update({ sessionUpdate: "compaction_update", compactionId: "c", status: "completed" }),
      update(unknown),
      stop()
    ])
    expect(kinds(lines).slice(2)).toEqual([
      "system/plan",
      "system/commands_changed",
      "ai-title",
      "system/notification",
      "system/compact_boundary",
      "user",
      "system/acp_update",
      "result/success"
    ])
    const conversation = Conversation.fold(events(lines))
    expect(conversation.items.find((item) => item.kind === "plan")).toMatchObject({
      steps: [{ text: "do it", status: "pending" }]
    })
    expect(conversation.items.find((item) => item.kind === "compaction")).toMatchObject({ summary: "sum" })
    expect(durable(lines).find((line) => line.json["subtype"] === "acp_update")?.json["update"]).toEqual(
      unknown
    )
  })
})

// --- Properties ---

const words = FastCheck.string({ maxLength: 12 })
const toolId = FastCheck.constantFrom("call-a", "call-b", "call_0123456789abcdef")
const junk = FastCheck.oneof(
  FastCheck.jsonValue({ maxDepth: 2 }),
  FastCheck.constantFrom(null, undefined, 0, "", [], {})
)
const toolFields = FastCheck.record(
  {
    title: FastCheck.oneof(words, junk),
    kind: FastCheck.oneof(FastCheck.constantFrom("read", "edit", "execute", "other"), junk),
    status: FastCheck.oneof(FastCheck.constantFrom("pending", "in_progress", "completed", "failed"), junk),
    content: FastCheck.oneof(
      FastCheck.array(
        FastCheck.oneof(
          FastCheck.record({
            type: FastCheck.constant("content"),
            content: FastCheck.record({ type: FastCheck.constant("text"), text: words })
          }),
          FastCheck.record({ type: FastCheck.constant("diff"), path: words, newText: words }),
          FastCheck.record({ type: FastCheck.constant("terminal"), terminalId: words }),
          junk
        ),
        { maxLength: 3 }
      ),
      junk
    ),
    locations: FastCheck.oneof(FastCheck.array(FastCheck.record({ path: words }), { maxLength: 2 }), junk),
    rawInput: junk,
    rawOutput: junk
  },
  { requiredKeys: [] }
)
const anyUpdate: FastCheck.Arbitrary<Translate.Input> = FastCheck.oneof(
  FastCheck.tuple(
    FastCheck.constantFrom("agent_message_chunk", "agent_thought_chunk"),
    words,
    FastCheck.constantFrom({}, { messageId: "m1" }, { messageId: "m2" })
  ).map(([kind, text, more]) => chunk(text, kind, more)),
  FastCheck.tuple(FastCheck.constantFrom("tool_call", "tool_call_update"), toolId, toolFields).map(
    ([sessionUpdate, toolCallId, fields]) => update({ ...fields, sessionUpdate, toolCallId })
  ),
  FastCheck.tuple(
    FastCheck.constantFrom(
      "plan",
      "available_commands_update",
      "current_mode_update",
      "config_option_update",
      "session_info_update",
      "usage_update",
      "notice",
      "compaction_update",
      "compaction_summary_chunk",
      "user_message_chunk",
      "agent_message_chunk",
      "tool_call",
      "of_the_future"
    ),
    FastCheck.dictionary(
      FastCheck.constantFrom(
        "entries",
        "content",
        "status",
        "title",
        "used",
        "compactionId",
        "configOptions"
      ),
      junk
    )
  ).map(([sessionUpdate, fields]) => update({ ...fields, sessionUpdate })),
  junk.map(update)
)
const anyInput: FastCheck.Arbitrary<Translate.Input> = FastCheck.oneof(
  { weight: 8, arbitrary: anyUpdate },
  {
    weight: 1,
    arbitrary: FastCheck.tuple(FastCheck.constantFrom("r1", "r2", "r3"), toolId, toolFields, junk).map(
      ([requestId, toolCallId, fields, options]): Translate.Input => ({
        _tag: "PermissionAsked",
        requestId,
        toolCall: { ...fields, toolCallId },
        options
      })
    )
  },
  {
    weight: 1,
    arbitrary: FastCheck.tuple(FastCheck.constantFrom("r1", "r2", "r3"), FastCheck.boolean()).map(
      ([requestId, allowed]): Translate.Input => ({ _tag: "PermissionAnswered", requestId, allowed })
    )
  },
  { weight: 1, arbitrary: FastCheck.constant<Translate.Input>({ _tag: "Quiet" }) },
  {
    weight: 1,
    arbitrary: FastCheck.constantFrom("p1", "p2").map((prompt) => start(prompt))
  },
  {
    weight: 1,
    arbitrary: FastCheck.constantFrom("end_turn", "cancelled", "refusal").map((reason) => stop(reason))
  }
)

const openCalls = (lines: ReadonlyArray<Payload>): ReadonlyArray<unknown> => {
  const open = new Set<unknown>()
  for (const line of durable(lines)) {
    for (const block of Read.array(Read.object(line.json["message"])["content"]).map(Read.object)) {
      if (block["type"] === "tool_use") {
        expect(open.has(block["id"])).toBe(false)
        open.add(block["id"])
      }
      if (block["type"] === "tool_result") open.delete(block["tool_use_id"])
    }
  }
  return [...open]
}

describe("whatever comes, in whatever order", () => {
  it.prop(
    "nothing throws, lines have distinct uuids, and no call or approval is open after a turn",
    [FastCheck.array(anyInput, { maxLength: 60 })],
    ([inputs]) => {
      const { lines } = run([start("first"), ...inputs, start("last"), stop()])
      const uuids = durable(lines)
        .filter((line) => line.json["isReplay"] !== true)
        .map((line) => line.uuid)
      expect(uuids).not.toContain(undefined)
      expect(new Set(uuids).size).toBe(uuids.length)
      expect(openCalls(lines)).toEqual([])
      const row = SessionRow.replay(events(lines))
      expect(row.approvals.pending).toEqual([])
      expect(row.status).toBe("idle")
      const conversation = Conversation.fold(events(lines))
      for (const item of conversation.items) if (item.kind === "tool_call") expect(item.completed).toBe(true)
    },
    { fastCheck: { numRuns: 300 } }
  )

  it.prop(
    "the same inputs give the same lines",
    [FastCheck.array(anyInput, { maxLength: 30 })],
    ([inputs]) => {
      const texts = (): ReadonlyArray<string> =>
        run([start("p"), ...inputs, stop()]).lines.map((line) => line.text)
      expect(texts()).toEqual(texts())
    }
  )

  it.prop(
    "the written text is the chunks' text, in their order, each kind",
    [FastCheck.array(anyUpdate, { maxLength: 60 }), FastCheck.array(anyUpdate, { maxLength: 20 })],
    ([during, late]) => {
      const { lines } = run([start("p"), ...during, stop(), ...late, { _tag: "Quiet" }])
      for (const [kind, type, field] of [
        ["agent_message_chunk", "text", "text"],
        ["agent_thought_chunk", "thinking", "thinking"]
      ] as const) {
        const sent = [...during, ...late]
          .map((input) => Read.object(input._tag === "Update" ? input.update : null))
          .filter((each) => each["sessionUpdate"] === kind)
          .map((each) => Read.object(each["content"]))
          .filter((content) => content["type"] === "text")
          .map((content) => Read.string(content["text"]) ?? "")
        const written = durable(lines)
          .filter((line) => line.type === "assistant")
          .flatMap((line) => Read.array(Read.object(line.json["message"])["content"]).map(Read.object))
          .filter((block) => block["type"] === type)
          .map((block) => String(block[field]))
          // What is no text is written as a name in brackets.
          .filter((text) => !/^\[[a-z]+\]$/.test(text) || sent.includes(text))
        expect(written.join("")).toBe(sent.join(""))
      }
    },
    { fastCheck: { numRuns: 300 } }
  )

  it.prop(
    "what comes after a turn's end is attributed to that turn",
    [FastCheck.array(anyUpdate, { minLength: 1, maxLength: 20 })],
    ([late]) => {
      const turn = run([start("the-prompt"), stop()])
      const { lines } = run([...late, { _tag: "Quiet" }], turn.state)
      for (const line of durable(lines)) {
        if (line.type !== "assistant" && line.type !== "user") continue
        expect(
          line.json["user_message_uuid"] ?? (line.json["isCompactSummary"] === true ? "the-prompt" : null)
        ).toBe("the-prompt")
      }
    }
  )

  it.prop(
    "a viewer's live tail is the text that is not written yet",
    [FastCheck.array(anyUpdate, { maxLength: 40 })],
    ([inputs]) => {
      let state = run([start("p")]).state
      let live = Live.empty
      for (const input of inputs) {
        const next = Translate.step(state, input)
        state = next.state
        for (const line of next.lines) live = Live.step(live, line.json)
        const begun = state.segment?.kind === "user" ? null : state.segment
        expect(live.blocks.at(-1)?.text ?? "").toBe(begun === null ? "" : begun.text)
      }
    },
    { fastCheck: { numRuns: 300 } }
  )
})
