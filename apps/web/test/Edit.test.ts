import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Edit from "../src/Edit.ts"

const text = FastCheck.array(FastCheck.constantFrom("a", "b", "c", "", "long line"), { maxLength: 30 }).map(
  (lines) => lines.join("\n")
)

describe("Edit", () => {
  it("knows the changes that tools make", () => {
    expect(Edit.of({ file_path: "/a", old_string: "x", new_string: "y" })).toEqual([
      { path: "/a", before: "x", after: "y", isWhole: false }
    ])
    expect(Edit.of({ file_path: "/a", content: "new" })).toEqual([
      { path: "/a", before: "", after: "new", isWhole: false }
    ])
    expect(Edit.of({ file_path: "/a", edits: [{ old_string: "1", new_string: "2" }, null] })).toHaveLength(1)
    expect(Edit.of({ command: "ls" })).toEqual([])
  })

  it.prop("never throws, whatever the input", [FastCheck.anything()], ([input]) => {
    for (const edit of Edit.of(input)) Edit.lines(edit)
  })

  it.prop("tells every added and removed line", [text, text], ([before, after]) => {
    const lines = Edit.lines({ before, after })
    const { added, removed } = Edit.count(lines)
    const size = (whole: string) => (whole === "" ? 0 : whole.replace(/\n$/, "").split("\n").length)
    expect(added - removed).toBe(size(after) - size(before))
    if (before === after) expect(added + removed).toBe(0)
  })

  it("counts a last line that only got another one after it as unchanged", () => {
    const lines = Edit.lines({ before: "a\nb", after: "a\nb\nc" })
    expect(lines).toEqual([
      { kind: "same", text: "a" },
      { kind: "same", text: "b" },
      { kind: "add", text: "c" }
    ])
    expect(Edit.count(Edit.lines({ before: "a", after: "a\n" }))).toEqual({ added: 1, removed: 1 })
  })

  it("leaves out what is unchanged and far away, and bounds what is huge", () => {
    const many = Array.from({ length: 50 }, (_, i) => `line ${i}`).join("\n")
    const lines = Edit.lines({ before: many, after: `${many}\nmore` })
    expect(lines.length).toBeLessThan(10)
    expect(lines.some((line) => line.kind === "skip")).toBe(true)
    const huge = Edit.lines({ before: "", after: "x\n".repeat(200_000) })
    expect(huge).toHaveLength(Edit.LINES_MAX + 1)
  })

  it("clips a line that no person reads", () => {
    const edit = { before: "", after: "x".repeat(1_000_000) }
    const shown = Edit.lines(edit)
    const [line] = shown
    expect(line?.text.length).toBeLessThan(Edit.LINE_MAX + 60)
    expect(line?.text).toMatch(/… \(998,000 more characters\)$/)
    expect(Edit.isClipped(shown, edit)).toBe(true)
    expect(Edit.lines(edit, true)).toEqual([{ kind: "add", text: edit.after }])
  })
})
