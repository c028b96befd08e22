import * as Conversation from "@causeway/transcript/Conversation"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
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
  Visible.of(items(...payloads), new Map([["u1", "processing" as const]]))

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

  it("shows the figures of a turn that told them", () => {
    expect(
      see(says("a"), { type: "result", result: "a", duration_ms: 1200, total_cost_usd: 0.5 }).map(
        ({ item }) => item.kind
      )
    ).toEqual(["message", "turn"])
  })

  const calls = (id: string, parent: string | null, name = "Task", input: Json = {}) => ({
    type: "assistant",
    parent_tool_use_id: parent,
    message: { id: `m-${id}`, content: [{ type: "tool_use", id, name, input }] }
  })
  const count = (shown: ReadonlyArray<Visible.Shown>): number =>
    shown.reduce((sum, { children }) => sum + 1 + count(children), 0)

  it("puts what a subagent did inside the call that started it", () => {
    const shown = see(calls("t1", null), calls("t2", "t1"), calls("t3", "t2"), says("after"))
    expect(shown).toHaveLength(2)
    expect(shown[0]?.children[0]?.children).toHaveLength(1)
  })

  it.prop(
    "shows each call once, whatever names whatever as its parent",
    [
      FastCheck.array(FastCheck.tuple(FastCheck.nat(6), FastCheck.option(FastCheck.nat(6))), {
        maxLength: 14
      })
    ],
    ([pairs]) => {
      const named = new Map(pairs.map(([id, parent]) => [id, parent]))
      const shown = see(
        ...[...named].map(([id, parent]) => calls(`t${id}`, parent === null ? null : `t${parent}`))
      )
      expect(count(shown)).toBe(named.size)
    }
  )

  it("finds the next approval, error and edit, and begins anew at the end", () => {
    const shown = see(
      says("a"),
      calls("t1", null, "Edit", { file_path: "/a", old_string: "1", new_string: "2" }),
      calls("t2", null, "Bash", { command: "false" }),
      {
        type: "user",
        message: { content: [{ type: "tool_result", tool_use_id: "t2", content: "x", is_error: true }] }
      },
      says("b")
    )
    expect(Visible.next(shown, 0, "edit")).toBe(1)
    expect(Visible.next(shown, 1, "edit")).toBe(1)
    expect(Visible.next(shown, 0, "error")).toBe(2)
    expect(Visible.next(shown, 0, "approval")).toBe(-1)
    expect(Visible.next([], 0, "edit")).toBe(-1)
    expect(Visible.indexOf(shown, 3)).toBe(2)
    expect(Visible.indexOf(shown, 99)).toBe(3)
  })

  it("tells what each turn has cost by itself, also after an agent that counts anew", () => {
    const turn = (total: number) => ({
      type: "result",
      subtype: "success",
      duration_ms: 5,
      total_cost_usd: total
    })
    const turns = items(turn(0.5), turn(0.75), turn(0.25))
    const costs = (whole: boolean) => Visible.of(turns, new Map(), whole).map(({ costUsd }) => costUsd)
    expect(costs(true)).toEqual([0.5, 0.25, 0.25])
    expect(costs(false)).toEqual([null, 0.25, 0.25])
  })
})
