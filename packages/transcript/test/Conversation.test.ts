import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Conversation from "../src/Conversation.ts"
import {
  answers,
  anything,
  asks,
  assistant,
  calls,
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

const items = (...entries: Array<Written>) =>
  Conversation.fold(log(...entries)).items.filter((item) => !(item.kind === "system" && item.quiet))

const only = <K extends Conversation.Item["kind"]>(list: ReadonlyArray<Conversation.Item>, kind: K) =>
  list.filter((item): item is Extract<Conversation.Item, { readonly kind: K }> => item.kind === kind)

describe("Conversation", () => {
  it("shows a turn with a tool", () => {
    const turn = items(
      prompt("read it", "p1"),
      init(),
      assistant("m1", { type: "thinking", thinking: "hm" }),
      says("m1", "I read."),
      calls("m1", "t1", "Read", { file_path: "/a" }),
      toolResult("t1", [{ type: "text", text: "one" }, { type: "image" }, { type: "text", text: "two" }]),
      says("m2", "It says one, two."),
      result({ duration_ms: 40 })
    )
    expect(turn.map((item) => item.kind)).toEqual([
      "message",
      "thinking",
      "message",
      "tool_call",
      "tool_result",
      "message",
      "turn"
    ])
    expect(only(turn, "message")[0]).toMatchObject({ role: "user", uuid: "p1", source: "client" })
    expect(only(turn, "tool_call")[0]).toMatchObject({
      name: "Read",
      completed: true,
      durationMs: 1000,
      result: { text: "one\n[image]\ntwo", isError: false }
    })
    expect(only(turn, "tool_result")[0]?.linked).toBe(true)
    expect(only(turn, "turn")[0]).toMatchObject({ isError: false, durationMs: 40, totalCostUsd: 0.5 })
  })

  it("joins the text blocks of one message that follow each other, and no others", () => {
    const said = only(
      items(
        says("m1", "a"),
        says("m1", "b"),
        calls("m1", "t1", "X", {}),
        says("m1", "c"),
        says("m2", "d"),
        says("m2", "e", { parent_tool_use_id: "t1" })
      ),
      "message"
    )
    expect(said.map((item) => item.text)).toEqual(["a\n\nb", "c", "d", "e"])
  })

  it("links a result that comes before its call", () => {
    const list = items(toolResult("t1", "out", true), calls("m1", "t1", "Bash", {}))
    expect(only(list, "tool_result")[0]?.linked).toBe(true)
    expect(only(list, "tool_call")[0]).toMatchObject({
      completed: true,
      result: { text: "out", isError: true }
    })
  })

  it("links an approval from whichever side comes first", () => {
    const call = calls("m1", "t1", "Bash", {})
    for (const order of [
      [call, asks("t1", "r1")],
      [asks("t1", "r1"), call]
    ]) {
      expect(only(items(...order), "tool_call")[0]?.approval).toEqual({ requestId: "r1", state: "pending" })
      expect(
        only(items(...order, answers("r1", { behavior: "deny" })), "tool_call")[0]?.approval?.state
      ).toBe("denied")
      expect(only(items(...order, result()), "tool_call")[0]?.approval?.state).toBe("cancelled")
    }
  })

  it("takes replaced lines out, whenever they come", () => {
    const old = says("m1", "old", { uuid: "a1" })
    const fresh = says("m2", "new", { uuid: "a2", supersedes: ["a1"] })
    for (const order of [
      [old, fresh],
      [fresh, old]
    ]) {
      const said = only(items(...order), "message").filter((item) => !item.superseded)
      expect(said.map((item) => item.text)).toEqual(["new"])
    }
    const part = only(items(says("m1", "kept"), says("m1", "old", { uuid: "a1" }), fresh), "message")
    expect(part.map((item) => item.text)).toEqual(["kept", "new"])
  })

  it("keeps a call in its place where a line that replaces another one tells of it again", () => {
    const list = items(
      calls("m1", "t1", "Bash", { command: "a" }, { uuid: "a1" }),
      toolResult("t1", "out"),
      calls("m2", "t1", "Bash", { command: "b" }, { uuid: "a2", supersedes: ["a1"] })
    )
    expect(only(list, "tool_call")).toMatchObject([
      { input: { command: "b" }, superseded: false, completed: true, result: { text: "out" } }
    ])
  })

  it("takes a call that is told twice for one", () => {
    const call = calls("m1", "t1", "Bash", {})
    expect(only(items(call, call), "tool_call")).toHaveLength(1)
  })

  it("drops echoes and shows what people did", () => {
    const list = items(
      prompt("hi", "p1"),
      worker({ type: "user", uuid: "e1", isReplay: true, message: { content: "hi" } }),
      says("m1", "par", { aborted: true }),
      worker({
        type: "user",
        message: { content: [{ type: "text", text: "[Request interrupted by user]" }] }
      }),
      result({ subtype: "error_during_execution", terminal_reason: "aborted_streaming", is_error: true })
    )
    expect(list.map((item) => item.kind)).toEqual(["message", "message", "system", "turn"])
    expect(only(list, "message")[1]?.aborted).toBe(true)
    expect(only(list, "system")[0]?.subtype).toBe("interrupted")
    expect(only(list, "turn")[0]).toMatchObject({ isError: true, stopped: true })
  })

  it("shows what a person sent, however it begins, and tells a program by its source", () => {
    const texts = [
      "<bash-completion> does not work",
      "<command-line> is parsed twice",
      "<command-name>/x</command-name>",
      "<system-reminder>mine</system-reminder>",
      "[Request interrupted by user]",
      "<task-list>"
    ]
    expect(only(items(...texts.map((text) => prompt(text))), "message").map(({ text }) => text)).toEqual(
      texts
    )
    const ofAgent = texts.map((text) => worker({ type: "user", message: { content: text } }))
    expect(only(items(...ofAgent), "message").map(({ text }) => text)).toEqual([
      "<bash-completion> does not work",
      "<command-line> is parsed twice",
      "<task-list>"
    ])
    // An element that is never closed hides nothing, and costs nothing.
    const open = "<task-a>".repeat(20_000)
    expect(only(items(worker({ type: "user", message: { content: open } })), "message")).toHaveLength(1)
  })

  it("a tool whose turn has ended without its result does not run any more", () => {
    const call = (...after: Array<Written>) =>
      only(
        items(prompt("go", "p1"), calls("m1", "t1", "Bash", { command: "sleep 9" }), ...after),
        "tool_call"
      )[0]
    expect(call()).toMatchObject({ completed: false, unfinished: false })
    const interrupted = worker({
      type: "user",
      message: { content: "[Request interrupted by user for tool use]" }
    })
    for (const end of [
      result(),
      result({ is_error: true, subtype: "error_during_execution", terminal_reason: "aborted_tools" }),
      interrupted,
      init(),
      worker({ type: "bridge_error", reason: "agent_unavailable", message: "gone" }),
      worker({ type: "system", subtype: "worker_shutting_down" })
    ]) {
      expect(call(end)).toMatchObject({ completed: false, unfinished: true })
      // One that comes all the same is shown.
      expect(call(end, toolResult("t1", "late"))).toMatchObject({ completed: true, unfinished: false })
    }
    expect(call(toolResult("t1", "x"), result())).toMatchObject({ completed: true, unfinished: false })
    // A subagent in the background goes on; the end of the agent ends it.
    const inner = calls("m2", "t2", "Read", {}, { parent_tool_use_id: "t1" })
    const background = (...after: Array<Written>) =>
      only(items(calls("m1", "t1", "Task", {}), toolResult("t1", "started"), inner, ...after), "tool_call")[1]
    expect(background(result())).toMatchObject({ unfinished: false })
    expect(background(worker({ type: "system", subtype: "worker_shutting_down" }))).toMatchObject({
      unfinished: true
    })
    expect(only(items(calls("m1", "t1", "Task", {}), inner, result()), "tool_call")[1]).toMatchObject({
      unfinished: true
    })
  })

  it("shows plans of every kind", () => {
    const plans = only(
      items(
        calls("m", "t1", "TodoWrite", {
          todos: [{ content: "a", status: "completed" }, { content: "b", status: "odd" }, 7]
        }),
        calls("m", "t2", "ExitPlanMode", { plan: "1. do" }),
        worker({ type: "system", subtype: "plan", entries: [{ content: "c", status: "in_progress" }] })
      ),
      "plan"
    )
    expect(plans.map((plan) => [plan.text, plan.steps.map((step) => `${step.text}:${step.status}`)])).toEqual(
      [
        [null, ["a:completed", "b:pending"]],
        ["1. do", []],
        [null, ["c:in_progress"]]
      ]
    )
  })

  it("shows a compaction with its summary", () => {
    const list = items(
      worker({
        type: "system",
        subtype: "compact_boundary",
        compact_metadata: { trigger: "auto", pre_tokens: 9 }
      }),
      worker({ type: "user", isCompactSummary: true, message: { content: "so far" } })
    )
    expect(list).toMatchObject([{ kind: "compaction", trigger: "auto", tokensBefore: 9, summary: "so far" }])
  })

  it("keeps lines and blocks that it does not know", () => {
    const list = items(
      worker({ type: "from_the_future", x: 1 }),
      worker({ type: "__proto__" }),
      assistant("m1", { type: "hologram" }),
      client({ type: "session_update", title: "x" })
    )
    expect(only(list, "unknown").map((item) => item.type)).toEqual([
      "from_the_future",
      "__proto__",
      "assistant/hologram"
    ])
    expect(list).toHaveLength(3)
  })

  it.prop(
    "event by event or in any portions, the same comes out",
    [anything, FastCheck.nat(80)],
    ([events, at]) => {
      const whole = Conversation.fold(events)
      expect(Conversation.steps(Conversation.fold(events.slice(0, at)), events.slice(at))).toEqual(whole)
      expect(events.reduce(Conversation.step, Conversation.empty)).toEqual(whole)
    }
  )

  it.prop("what comes again changes nothing", [lines, lines], ([events, more]) => {
    const once = Conversation.fold(events)
    expect(
      Conversation.steps(
        once,
        [...more].filter((e) => once.seen.has(e.uuid))
      )
    ).toEqual(once)
  })

  it.prop("a state that was handed out is never changed", [lines, lines], ([events, more]) => {
    const before = Conversation.fold(events)
    const copy = structuredClone(before)
    Conversation.steps(
      before,
      more.map((event) => ({ ...event, uuid: `n${event.uuid}` }))
    )
    expect(before).toEqual(copy)
  })

  it.prop("ids are unique, and every call knows its result wherever both are", [anything], ([events]) => {
    const { items } = Conversation.fold(events)
    expect(new Set(items.map((item) => item.id)).size).toBe(items.length)
    const called = new Set(only(items, "tool_call").map((item) => item.toolUseId))
    const done = new Set(only(items, "tool_result").map((item) => item.toolUseId))
    expect(called.size).toBe(only(items, "tool_call").length)
    for (const call of only(items, "tool_call")) expect(call.completed).toBe(done.has(call.toolUseId))
    for (const outcome of only(items, "tool_result")) {
      // Several results of one call may precede it; the first one is the one it shows.
      if (outcome.linked) expect(called.has(outcome.toolUseId)).toBe(true)
    }
  })
})
