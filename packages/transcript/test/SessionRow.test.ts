import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Approvals from "../src/Approvals.ts"
import type { ReadableEvent } from "../src/Read.ts"
import * as SessionRow from "../src/SessionRow.ts"
import {
  answers,
  anything,
  asks,
  assistant,
  cancels,
  client,
  init,
  lines,
  log,
  prompt,
  result,
  says,
  toolResult,
  type Written,
  worker
} from "./events.ts"

const replay = (...entries: Array<Written>) => SessionRow.replay(log(...entries))

const usage = (input: number, output: number) => ({
  usage: {
    input_tokens: input,
    output_tokens: output,
    cache_read_input_tokens: 7,
    cache_creation_input_tokens: 3
  }
})

describe("SessionRow", () => {
  it("shows a turn from its prompt to its result", () => {
    const events = log(
      prompt("Fix the   build,\nplease"),
      init(),
      says("m1", "Looking", {}, { model: "claude-opus-2", ...usage(10, 1) }),
      says("m1", "Done.", {}, { model: "claude-opus-2", ...usage(10, 5) }),
      result({ total_cost_usd: 0.25 })
    )
    const statuses = events.map((_, i) => SessionRow.replay(events.slice(0, i + 1)).status)
    expect(statuses).toEqual(["pending", "running", "running", "running", "idle"])
    expect(SessionRow.replay(events)).toMatchObject({
      lastSeq: 5,
      createdAt: 1_000_000,
      updatedAt: 1_004_000,
      title: "Fix the build, please",
      titleOrigin: "derived",
      model: "claude-opus-2",
      permissionMode: "default",
      agentSessionId: "agent-1",
      workingDirectory: "/p",
      usage: { inputTokens: 10, outputTokens: 5, cacheReadTokens: 7, cacheCreationTokens: 3 },
      contextTokens: 25,
      totalCostUsd: 0.25,
      numTurns: 1,
      firstPrompt: "Fix the build, please",
      lastMessage: { role: "assistant", text: "Done.", at: 1_003_000 },
      counts: { events: 5, prompts: 1, answers: 1, toolCalls: 0, compactions: 0 }
    })
  })

  it("waits as pending for a worker that has never come, and runs when it comes", () => {
    expect(replay(prompt("hi")).status).toBe("pending")
    expect(replay(prompt("hi"), worker({ type: "keep_alive" })).status).toBe("running")
    expect(replay(worker({ type: "keep_alive" })).status).toBe("idle")
    expect(replay(init(), result(), prompt("hi")).status).toBe("running")
    const aside = client({ type: "user", shouldQuery: false, message: { content: "by the way" } })
    expect(replay(init(), result(), aside).status).toBe("idle")
  })

  it("keeps running while results say that prompts are queued", () => {
    expect(replay(init(), result({ queued_turn_count: 1 })).status).toBe("running")
    expect(replay(init(), result({ queued_turn_count: 0 })).status).toBe("idle")
  })

  it("is idle once the agent is gone for good, and not after any other trouble", () => {
    const trouble = (reason: string) => worker({ type: "bridge_error", reason, message: "trouble" })
    expect(replay(init(), trouble("agent_unavailable")).status).toBe("idle")
    expect(replay(init(), trouble("agent_ended")).status).toBe("running")
    expect(replay(init(), worker({ type: "system", subtype: "worker_shutting_down" })).status).toBe("idle")
  })

  it("takes the agent's own word for its state", () => {
    const state = (s: string) => worker({ type: "system", subtype: "session_state_changed", state: s })
    expect(replay(init(), state("requires_action")).status).toBe("requires_action")
    expect(replay(init(), state("idle")).status).toBe("idle")
    expect(replay(init(), state("nonsense")).status).toBe("running")
  })

  it("never hides a given title behind a derived or suggested one", () => {
    expect(replay(client({ type: "session_update", title: " Mine " }), prompt("other"))).toMatchObject({
      title: "Mine",
      titleOrigin: "given"
    })
    expect(
      replay(client({ type: "session_update", title: "Mine" }), worker({ type: "summary", summary: "S" }))
        .title
    ).toBe("Mine")
    expect(
      replay(prompt("first"), worker({ type: "custom-title", customTitle: "A" }), prompt("second")).title
    ).toBe("A")
    expect(
      replay(
        prompt("first"),
        client({ type: "session_update", title: "A" }),
        client({ type: "session_update", title: "" })
      )
    ).toMatchObject({ title: "first", titleOrigin: "derived" })
  })

  it("is never older than its newest event, whatever the clocks say", () => {
    const [first, second] = log(init(), result())
    if (first === undefined || second === undefined) throw new Error("two events")
    const row = SessionRow.replay([first, { ...second, createdAt: 5 }])
    expect(row).toMatchObject({ createdAt: 1_000_000, updatedAt: 1_000_000 })
  })

  it("archives and takes back", () => {
    const archive = client({ type: "session_update", archived: true })
    expect(replay(archive).archivedAt).toBe(1_000_000)
    expect(replay(archive, archive).archivedAt).toBe(1_000_000)
    expect(replay(archive, client({ type: "session_update", archived: false })).archivedAt).toBeNull()
    expect(replay(archive).status).toBe("pending")
  })

  it("takes the latest cost, never a sum, and never a closing zero", () => {
    expect(replay(result({ total_cost_usd: 1 }), result({ total_cost_usd: 1.5 })).totalCostUsd).toBe(1.5)
    expect(
      replay(result({ total_cost_usd: 1 }), result({ total_cost_usd: 0, num_turns: 0 })).totalCostUsd
    ).toBe(1)
  })

  it("shows what a failed turn says, until one goes well", () => {
    const failed = result({ is_error: true, result: "API Error: overloaded" })
    expect(replay(failed).lastError?.text).toBe("API Error: overloaded")
    expect(
      replay(
        result({ subtype: "error_during_execution", is_error: true, result: undefined, errors: ["a", "b"] })
      ).lastError?.text
    ).toBe("a; b")
    expect(replay(failed, result()).lastError).toBeNull()
    expect(
      replay(result({ subtype: "error_during_execution", terminal_reason: "aborted_streaming" })).lastError
    ).toBeNull()
    expect(replay(worker({ type: "bridge_error", message: "line too long" })).lastError?.text).toBe(
      "line too long"
    )
  })

  it("takes a mode and a model over once the worker has agreed", () => {
    const ask = client({
      type: "control_request",
      request_id: "r1",
      request: { subtype: "set_permission_mode", mode: "plan" }
    })
    const reply = (subtype: string) =>
      worker({ type: "control_response", response: { subtype, request_id: "r1" } })
    expect(replay(init(), ask).permissionMode).toBe("default")
    expect(replay(init(), ask, reply("success")).permissionMode).toBe("plan")
    expect(replay(init(), ask, reply("error")).permissionMode).toBe("default")
  })

  it("keeps what was set of the agent, whoever set it, and reads a row from before it did", () => {
    const row = replay(
      init(),
      client({ type: "session_update", model: "opus", max_thinking_tokens: 4000 }),
      worker({ type: "session_update", permission_mode: "plan", config_options: { effort: "high" } }),
      worker({ type: "session_update", config_options: { fast: true }, max_thinking_tokens: null }),
      init({ model: "claude-opus-4", permissionMode: "default" })
    )
    expect(row.chosen).toEqual({
      model: "opus",
      permission_mode: "plan",
      max_thinking_tokens: null,
      config_options: { effort: "high", fast: true }
    })
    const { chosen: _, ...old } = row
    expect(
      SessionRow.fromJson(JSON.stringify({ ...old, settings: [{ requestId: "r", model: "x" }] }))
    ).toEqual({
      ...row,
      chosen: {}
    })
  })

  it("does not take the hub's spelling of a session for the agent's own", () => {
    expect(replay(init({ session_id: "cse_abc" })).agentSessionId).toBeNull()
  })

  it("is called after what the person wrote, not after what a program put before it", () => {
    const ide = "<ide_opened_file>The user opened the file /a/b.ts in the IDE.</ide_opened_file>"
    const selection = "<ide_selection>lines 1 to 3\nof b.ts</ide_selection>"
    const first = (content: unknown, write = client) =>
      replay(write({ type: "user", message: { role: "user", content } }))
    for (const write of [client, worker]) {
      const blocks = [ide, selection, "fix the **flaky** test"].map((text) => ({ type: "text", text }))
      expect(first(blocks, write).title).toBe("fix the flaky test")
      expect(first(blocks, write).lastMessage?.text).toBe("fix the **flaky** test")
      expect(first(`${ide}\n${selection}\n\nfix it`, write).title).toBe("fix it")
      expect(first(`<task-notification>\n<id>1</id>\n</task-notification> go on`, write).title).toBe("go on")
      expect(first("<bash-completion> does not work", write).title).toBe("<bash-completion> does not work")
      expect(first("<command-line> is parsed twice", write).title).toBe("<command-line> is parsed twice")
      expect(first("<div>x</div> is red", write).title).toBe("<div>x</div> is red")
    }
    // All of it was sent by a person.
    expect(first("<task>fix the build</task>").title).toBe("fix the build")
    expect(first("<task>fix the build</task>").counts.prompts).toBe(1)
    expect(first("[Request interrupted by user]").lastMessage?.text).toBe("[Request interrupted by user]")
    expect(first(ide, worker).title).toBeNull()
  })

  it("leaves echoes, machine text and tool results out of prompts and last message", () => {
    const row = replay(
      prompt("real"),
      worker({ type: "user", isReplay: true, message: { content: "echo" } }),
      worker({ type: "user", message: { content: "<command-name>/x</command-name>" } }),
      worker({ type: "user", isCompactSummary: true, message: { content: "summary" } }),
      toolResult("t", "out")
    )
    expect(row.lastMessage?.text).toBe("real")
    expect(row.counts.prompts).toBe(1)
  })

  it.prop(
    "replaying a log equals going on from any stored row",
    [anything, FastCheck.nat(80)],
    ([events, at]) => {
      const stored = SessionRow.fromJson(SessionRow.toJson(SessionRow.replay(events.slice(0, at))))
      if (stored === undefined) throw new Error("a stored row must be readable")
      expect(SessionRow.replay(events.slice(at), stored)).toEqual(SessionRow.replay(events))
    }
  )

  it.prop("never throws, and its status always tells of open approvals", [anything], ([events]) => {
    const row = SessionRow.replay(events)
    if (row.approvals.pending.length > 0) expect(row.status).toBe("requires_action")
    expect(SessionRow.toJson(row).length).toBeLessThan(100_000)
    expect(SessionRow.toSession(row).status).toBe(row.status)
  })

  it.prop(
    "subagents leave the main context's usage, model and words alone",
    [lines, FastCheck.array(FastCheck.nat(40), { maxLength: 5 })],
    ([events, places]) => {
      const mixed: Array<ReadableEvent> = [...events]
      places.forEach((place, i) => {
        const [line] = log(
          says(
            "sub",
            "from a subagent",
            { parent_tool_use_id: "tool9" },
            { model: "haiku", usage: { input_tokens: 999 } }
          )
        )
        if (line !== undefined) mixed.splice(place, 0, { ...line, uuid: `s${i}`, createdAt: 0 })
      })
      const pick = ({
        usage,
        contextTokens,
        model,
        lastMessage,
        totalCostUsd,
        answerId
      }: SessionRow.SessionRow) => ({
        usage,
        contextTokens,
        model,
        lastMessage,
        totalCostUsd,
        answerId
      })
      expect(pick(SessionRow.replay(mixed))).toEqual(pick(SessionRow.replay(events)))
    }
  )

  it.prop(
    "cost is the latest that a result told",
    [FastCheck.array(FastCheck.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1 })],
    ([costs]) => {
      const row = replay(...costs.map((total_cost_usd) => result({ total_cost_usd })))
      expect(row.totalCostUsd).toBe(costs.at(-1))
      expect(row.numTurns).toBe(costs.length)
    }
  )

  it("stays small under a long and hostile log", () => {
    const huge = "x".repeat(100_000)
    let row = SessionRow.initial
    for (let i = 0; i < 270; i++) {
      const [one, two, three] = log(
        asks(`t${i}`, `r${i}`, {
          input: { [huge]: huge, command: huge, deep: [[[[huge]]]] },
          description: huge
        }),
        client({ type: "session_update", title: huge }),
        assistant(`${huge}${i}`, { type: "text", text: huge })
      )
      if (one === undefined || two === undefined || three === undefined) throw new Error("three events")
      row = SessionRow.step(SessionRow.step(SessionRow.step(row, one), two), three)
    }
    expect(row.approvals.pending).toHaveLength(Approvals.PENDING_MAX)
    expect(SessionRow.toJson(row).length).toBeLessThan(Approvals.PENDING_MAX * 2 * Approvals.INPUT_MAX)
  })

  it("copies inputs of any depth without overflowing", () => {
    const deep: unknown = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`)
    const row = replay(
      asks("t", "r", { input: deep }),
      answers("r", { behavior: "allow", updatedInput: deep })
    )
    expect(row.approvals.settled[0]?.outcome).toBe("allowed")
  })

  it("refuses texts that are no row of this version", () => {
    for (const text of ["", "{", "null", "[]", "{}", '{"version":1}', '{"version":99}'])
      expect(SessionRow.fromJson(text)).toBeUndefined()
  })
})

describe("approvals in the row", () => {
  const allow = { behavior: "allow" }
  const deny = { behavior: "deny", message: "no" }

  it("opens, shows and settles", () => {
    const open = replay(init(), asks("t1", "r1", { display_name: "Shell", permission_suggestions: [{}] }))
    expect(open.status).toBe("requires_action")
    expect(SessionRow.pendingApprovals(open)).toEqual([
      {
        tool_use_id: "t1",
        request_id: "r1",
        tool_name: "Bash",
        input: { command: "ls" },
        sequence_num: 2,
        created_at: "1970-01-01T00:16:41.000Z"
      }
    ])
    expect(open.approvals.pending[0]).toMatchObject({ displayName: "Shell", hasSuggestions: true })
    const settled = replay(init(), asks("t1", "r1"), answers("r1", deny))
    expect(settled.status).toBe("running")
    expect(settled.approvals.settled[0]).toMatchObject({ toolUseId: "t1", outcome: "denied" })
  })

  it.each([
    ["a cancel", cancels("r1")],
    ["the result", result()],
    ["the tool's own result", toolResult("t1", "x")],
    ["the next turn", init()],
    ["an idle agent", worker({ type: "system", subtype: "session_state_changed", state: "idle" })],
    ["an agent that cannot run any more", worker({ type: "bridge_error", reason: "agent_unavailable" })],
    ["a worker that leaves", worker({ type: "system", subtype: "worker_shutting_down" })]
  ])("%s cancels what is open, and an answer after it is late", (_, end) => {
    const row = replay(init(), asks("t1", "r1"), end)
    expect(row.approvals.pending).toEqual([])
    expect(row.approvals.settled[0]?.outcome).toBe("cancelled")
    expect(
      Approvals.judge(row.approvals, {
        type: "control_response",
        response: { request_id: "r1", response: allow }
      })
    ).toMatchObject({ verdict: "unknown", settled: { outcome: "cancelled" } })
    expect(SessionRow.replay(log(answers("r1", allow)), row).approvals).toEqual(row.approvals)
  })

  it("keeps a background subagent's question open past the turn that started it", () => {
    const row = replay(init(), asks("t1", "r1", { agent_id: "a1" }), result())
    expect(row.approvals.pending).toHaveLength(1)
    expect(row.status).toBe("requires_action")
  })

  it("is asked again after a crash under the same tool use and a new request", () => {
    const row = replay(init(), asks("t1", "r1"), init(), asks("t1", "r2"))
    expect(row.approvals.pending.map((p) => p.requestId)).toEqual(["r2"])
  })

  it("is open again where the same request comes after it was cancelled", () => {
    const row = replay(asks("t1", "r1"), cancels("r1"), asks("t1", "r1"))
    expect(row.approvals).toMatchObject({ pending: [{ requestId: "r1" }], settled: [] })
  })

  it("stays settled where the same request comes again after its answer", () => {
    const settled = replay(asks("t1", "r1"), answers("r1", allow))
    expect(SessionRow.replay(log(asks("t1", "r1")), settled).approvals).toEqual(settled.approvals)
  })

  it("keeps its outcome where a restarted agent asks again and the bridge repeats the answer", () => {
    const row = replay(asks("t1", "r1"), answers("r1", allow), asks("t1", "r2"), toolResult("t1", "ok"))
    expect(row.approvals.pending).toEqual([])
    expect(row.approvals.settled.map((s) => s.outcome)).toEqual(["allowed", "allowed"])
  })

  it("another answer among several leaves the rest open", () => {
    const row = replay(init(), asks("t1", "r1"), asks("t2", "r2"), answers("r1", allow))
    expect(row.status).toBe("requires_action")
    expect(row.approvals.pending.map((p) => p.toolUseId)).toEqual(["t2"])
  })
})
