import * as Conversation from "@causeway/transcript/Conversation"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Layout from "../../src/Attach/Layout.ts"
import * as Row from "../../src/Attach/Row.ts"

const ESC = "\u001b"

const event = (seq: number, json: { readonly type: string }) => ({
  seq,
  uuid: `u${seq}`,
  source: "worker" as const,
  createdAt: seq,
  payload: { type: json.type, json }
})

/** The rows of a call whose tool wrote this. */
const rows = (output: string, columns: number, results: boolean) => {
  const call = {
    type: "assistant",
    message: { content: [{ type: "tool_use", id: "t", name: "Bash", input: { command: "ls" } }] }
  }
  const result = {
    type: "user",
    message: { content: [{ type: "tool_result", tool_use_id: "t", content: output }] }
  }
  const [item] = Conversation.fold([event(1, call), event(2, result)]).items
  if (item === undefined) throw new Error("no item")
  return Layout.item(item, { thinking: true, results }, undefined).rows(columns)
}

describe("what a tool wrote", () => {
  it("is shown in its colours, and drives no terminal", () => {
    const shown = rows(`plain ${ESC}[1;31mred words here${ESC}[0m ${ESC}[2Jend`, 22, false)
    const segments = shown.flat().filter(({ text }) => /red|words|here|end/.test(text))
    expect(segments.map(({ style, text }) => [text.trim(), style])).toEqual([
      ["red words", { bold: true, foreground: 1 }],
      ["here", { bold: true, foreground: 1 }],
      ["\\u001b[2Jend", undefined]
    ])
    expect(rows(`${ESC}[32mok${ESC}[0m\nmore`, 80, true).flat()).toContainEqual({
      text: "ok",
      tone: "dim",
      style: { foreground: 2 }
    })
  })

  it.prop(
    "loses no character by its colours",
    {
      parts: FastCheck.array(
        FastCheck.oneof(
          FastCheck.fullUnicodeString({ maxLength: 12 }),
          FastCheck.constantFrom(
            `${ESC}[31m`,
            `${ESC}[0m`,
            `${ESC}[44;1m`,
            `${ESC}[2J`,
            "\n",
            "\t",
            "word word word"
          )
        ),
        { maxLength: 12 }
      ),
      columns: FastCheck.integer({ min: 12, max: 60 })
    },
    ({ columns, parts }) => {
      const bare = (text: string) => text.replace(/[\s|]/g, "")
      const output = parts.join("")
      const withColours = rows(output, columns, false)
      const without = rows(
        output.replaceAll(`${ESC}[31m`, "").replaceAll(`${ESC}[0m`, "").replaceAll(`${ESC}[44;1m`, ""),
        columns,
        false
      )
      expect(bare(withColours.map(Row.textOf).join(""))).toBe(bare(without.map(Row.textOf).join("")))
      for (const row of withColours) expect(Row.widthOf(row)).toBeLessThanOrEqual(columns)
    }
  )
})
