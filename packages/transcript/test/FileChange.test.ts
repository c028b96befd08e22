import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Approvals from "../src/Approvals.ts"
import * as Conversation from "../src/Conversation.ts"
import * as FileChange from "../src/FileChange.ts"
import * as LineDiff from "../src/LineDiff.ts"
import * as SessionRow from "../src/SessionRow.ts"
import { asks, calls, client, log, prompt, worker } from "./events.ts"

const before = (text: string): FileChange.Before => ({
  toolUseId: "t",
  path: "/a",
  state: "text",
  text,
  bytes: text.length
})
const without = (state: FileChange.State): FileChange.Before => ({
  toolUseId: "t",
  path: "/a",
  state,
  text: state === "missing" ? "" : null,
  bytes: 300_000
})

describe("a change of a file", () => {
  it.each<readonly [string, object, string, string]>([
    ["Write", { file_path: "/a", content: "new\n" }, "a\nb\n", "new\n"],
    ["Edit", { file_path: "/a", old_string: "b", new_string: "$&" }, "a\nb\nb\n", "a\n$&\nb\n"],
    ["Edit of all", { file_path: "/a", old_string: "b", new_string: "c", replace_all: true }, "b b", "c c"],
    [
      "MultiEdit",
      {
        file_path: "/a",
        edits: [
          { old_string: "a", new_string: "b" },
          { old_string: "b", new_string: "c" }
        ]
      },
      "a\n",
      "c\n"
    ],
    ["NotebookEdit", { notebook_path: "/a", new_source: "x" }, "y", "x"],
    ["NotebookEdit that deletes", { notebook_path: "/a", new_source: "", edit_mode: "delete" }, "y", ""]
  ])("of %s is told as a whole where the file is known", (_, input, text, after) => {
    expect(FileChange.of(input, before(text))).toEqual([{ path: "/a", before: text, after, isWhole: true }])
  })

  it("that overwrites says what goes, and one of a new file that it is new", () => {
    const write = { file_path: "/a", content: "one\n" }
    expect(FileChange.countsOf(write, before("a\nb\nc\n"))).toEqual({ added: 1, removed: 3 })
    expect(FileChange.words(write, before("a\n"))).toBe(null)
    expect(FileChange.countsOf(write, without("missing"))).toEqual({ added: 1, removed: 0 })
    expect(FileChange.words(write, without("missing"))).toBe("a new file")
    for (const state of ["binary", "too_large", "unreadable", "outside"] as const) {
      expect(FileChange.countsOf(write, without(state))).toBe(null)
      expect(FileChange.words(write, without(state))).toMatch(/^the file .*what is overwritten/)
    }
  })

  it("that does not fit what the file holds says so", () => {
    const edit = { file_path: "/a", old_string: "x", new_string: "y" }
    expect(FileChange.of(edit, before("nothing of it"))).toEqual([
      { path: "/a", before: "x", after: "y", isWhole: false }
    ])
    expect(FileChange.words(edit, before("nothing of it"))).toBe(
      "the file does not hold what is to be replaced"
    )
  })

  it("of several files comes with what the agent says of each", () => {
    const diffs = [
      { path: "/a", old_text: "1", new_text: "2" },
      { path: "/b", old_text: null, new_text: "3" }
    ]
    expect(FileChange.of({ diffs })).toEqual([
      { path: "/a", before: "1", after: "2", isWhole: true },
      { path: "/b", before: "", after: "3", isWhole: true }
    ])
  })

  it("is asked of what changes a file and of nothing else", () => {
    expect(FileChange.fileOf("Write", { file_path: "/a", content: "" })).toBe("/a")
    expect(FileChange.fileOf("Read", { file_path: "/a", content: "x" })).toBe(null)
    expect(FileChange.fileOf("Bash", { command: "x" })).toBe(null)
    expect(FileChange.fileOf("Read", { file_path: "/a" })).toBe(null)
  })

  it.prop("is read of any input", [FastCheck.anything(), FastCheck.string()], ([input, text]) => {
    for (const each of [null, before(text), without("outside")]) {
      FileChange.words(input, each)
      if (each !== null) FileChange.countsOf(input, each)
    }
  })
})

describe("what stands in a file", () => {
  const input = { file_path: "/a", content: "one\n" }
  const told = FileChange.payload(before("a\nb\n"), { added: 1, removed: 2 })
  const events = log(
    prompt("write", "p"),
    calls("m", "t", "Write", input),
    worker({ ...told, uuid: "f" }),
    asks("t", "r", { tool_name: "Write", input })
  )

  it("is told before the request, which stays as the agent said it, and shown beside it", () => {
    const row = SessionRow.fromJson(SessionRow.toJson(SessionRow.replay(events)))
    expect(row?.approvals.pending[0]).toMatchObject({
      input,
      change: { path: "/a", state: "text", counts: { added: 1, removed: 2 } }
    })
    expect(JSON.stringify(row)).not.toContain("a\\nb")
    expect(row && SessionRow.toSession(row).pending_approvals?.[0]?.change).toEqual({
      path: "/a",
      state: "text",
      added: 1,
      removed: 2
    })
    const { items } = Conversation.fold(events)
    expect(items.find((item) => item.kind === "tool_call")).toMatchObject({
      input,
      before: { text: "a\nb\n" }
    })
    expect(items.filter((item) => item.kind === "unknown")).toEqual([])
  })

  it("is believed of the agent's side only", () => {
    const [event] = log(client({ ...told }))
    expect(event && FileChange.told(event)).toBe(null)
    expect(SessionRow.replay(log(client({ ...told }))).approvals).toBe(Approvals.empty)
  })
})

const text = FastCheck.array(FastCheck.constantFrom("a", "b", "c", "", "d\r"), { maxLength: 14 }).map(
  (lines) => lines.join("\n")
)

/** Length of the longest common subsequence. */
const common = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): number => {
  let row = new Array<number>(b.length + 1).fill(0)
  for (const one of a) {
    const next = [0]
    for (const [n, two] of b.entries()) {
      next.push(one === two ? (row[n] ?? 0) + 1 : Math.max(row[n + 1] ?? 0, next[n] ?? 0))
    }
    row = next
  }
  return row.at(-1) ?? 0
}

describe("a difference of lines", () => {
  it.prop("leads from one text to the other, on the shortest way", [text, text], ([a, b]) => {
    const lines = LineDiff.of(`${a}\n`, `${b}\n`)
    const side = (kind: string) => lines.filter((line) => line.kind !== kind).map((line) => line.text)
    expect(side("add")).toEqual(a.split("\n"))
    expect(side("remove")).toEqual(b.split("\n"))
    expect(lines.filter(({ kind }) => kind === "same").length).toBe(common(a.split("\n"), b.split("\n")))
  })

  it("of texts that have little in common is made all the same", () => {
    const many = (prefix: string) => Array.from({ length: 3000 }, (_, n) => `${prefix}${n}`).join("\n")
    const lines = LineDiff.of(many("a"), many("b"))
    expect(LineDiff.count(lines)).toEqual({ added: 3000, removed: 3000 })
    expect(LineDiff.count(LineDiff.of("a", "a\n"))).toEqual({ added: 1, removed: 1 })
    expect(LineDiff.count(LineDiff.of("a", "a\nb"))).toEqual({ added: 1, removed: 0 })
  })
})
