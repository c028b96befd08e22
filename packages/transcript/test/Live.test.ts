import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Live from "../src/Live.ts"
import type { JsonObject } from "../src/Read.ts"
import { anything } from "./events.ts"

const stream = (event: JsonObject): JsonObject => ({ type: "stream_event", event })
const start = (id: string) => stream({ type: "message_start", message: { id } })
const delta = (index: number, text: string) =>
  stream({ type: "content_block_delta", index, delta: { type: "text_delta", text } })
const whole = (id: string, text: string): JsonObject => ({
  type: "assistant",
  message: { id, content: [{ type: "text", text }] }
})
const fold = (payloads: ReadonlyArray<JsonObject>) => payloads.reduce(Live.step, Live.empty)
const tail = (live: Live.Live) => live.blocks.map((block) => block.text)

describe("Live", () => {
  it("grows with the deltas and gives way to the whole line", () => {
    const first = [start("m1"), delta(0, "Hel"), delta(0, "lo")]
    expect(tail(fold(first))).toEqual(["Hello"])
    const second = [...first, whole("m1", "Hello"), delta(1, "More")]
    expect(tail(fold(second))).toEqual(["More"])
    expect(tail(fold([...second, whole("m1", "More")]))).toEqual([])
  })

  it("shows thinking and the input of a tool as it is written", () => {
    const live = fold([
      start("m1"),
      stream({ type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "hm" } }),
      stream({ type: "content_block_start", index: 1, content_block: { type: "tool_use", name: "Bash" } }),
      stream({
        type: "content_block_delta",
        index: 1,
        delta: { type: "input_json_delta", partial_json: '{"c' }
      })
    ])
    expect(live.blocks).toEqual([
      { index: 0, kind: "thinking", name: null, text: "hm" },
      { index: 1, kind: "tool_use", name: "Bash", text: '{"c' }
    ])
  })

  it("ignores partial text that is late, of subagents, or between turns", () => {
    expect(tail(fold([start("m1"), whole("m1", "Hello"), delta(0, "late")]))).toEqual([])
    expect(tail(fold([whole("m1", "Hello"), start("m1"), delta(0, "late")]))).toEqual([])
    expect(tail(fold([start("m1"), delta(0, "x"), { type: "result" }, delta(0, "late")]))).toEqual([])
    expect(tail(fold([start("m1"), { ...delta(0, "x"), parent_tool_use_id: "t" }]))).toEqual([])
    expect(tail(fold([start("m1"), delta(0, "x"), { type: "result" }, start("m2"), delta(0, "y")]))).toEqual([
      "y"
    ])
  })

  it("begins in mid-sentence for a viewer that comes late", () => {
    expect(tail(fold([delta(0, "lo")]))).toEqual(["lo"])
    expect(tail(fold([delta(0, "lo"), whole("m1", "Hello")]))).toEqual([])
  })

  it("keeps a flood small", () => {
    const flood = "x".repeat(100_000)
    const live = fold([start("m"), ...Array.from({ length: 500 }, (_, i) => delta(i % 100, flood))])
    expect(live.blocks.length).toBeLessThanOrEqual(64)
    for (const block of live.blocks) expect(block.text.length).toBeLessThanOrEqual(Live.BLOCK_MAX)
  })

  it.prop(
    "with partial lines lost or late, nothing is shown twice and nothing is left at the end",
    [
      FastCheck.array(FastCheck.string({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 5 }),
      FastCheck.array(FastCheck.tuple(FastCheck.boolean(), FastCheck.nat(12)))
    ],
    ([texts, fates]) => {
      const arriving: Array<{ readonly at: number; readonly payload: JsonObject }> = []
      texts.forEach((text, i) => {
        const [lost, delay] = fates[i] ?? [false, 0]
        const id = `m${i}`
        if (!lost) {
          arriving.push({ at: i * 10, payload: start(id) })
          arriving.push({ at: i * 10 + 1 + Math.min(delay, 8), payload: delta(0, text) })
        }
        arriving.push({ at: i * 10 + 5, payload: whole(id, text) })
      })
      arriving.push({ at: texts.length * 10, payload: { type: "result" } })
      let live = Live.empty
      const said = new Set<string>()
      for (const { payload } of arriving.sort((a, b) => a.at - b.at)) {
        live = Live.step(live, payload)
        const message = payload["message"]
        if (
          payload["type"] === "assistant" &&
          typeof message === "object" &&
          message !== null &&
          "id" in message
        )
          said.add(String(message.id))
        if (live.messageId !== null && said.has(live.messageId)) expect(live.blocks).toEqual([])
      }
      expect(live.blocks).toEqual([])
    }
  )

  it.prop("never throws", [anything], ([events]) => {
    for (const block of fold(events.map((event) => event.payload.json)).blocks)
      expect(typeof block.text).toBe("string")
  })
})
