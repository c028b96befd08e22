import type { Item } from "@causeway/transcript/Conversation"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Mention from "../src/Mention.ts"

const call = (name: string, input: unknown, output?: string, isError = false): Item => ({
  id: `${name}:${JSON.stringify(input)}`,
  seq: 1,
  at: 0,
  parentToolUseId: null,
  superseded: false,
  kind: "tool_call",
  toolUseId: "t",
  messageId: null,
  name,
  input,
  completed: output !== undefined,
  unfinished: false,
  before: null,
  result: output === undefined ? null : { text: output, isError, at: 1, attachments: [] },
  durationMs: null,
  approval: null
})

describe("what is being typed", () => {
  it("is a command behind a slash at the beginning, a file behind an at sign of its own", () => {
    expect(Mention.at("/com", 4)).toEqual({ kind: "command", word: "com", start: 0 })
    expect(Mention.at("see @src/a", 10)).toEqual({ kind: "file", word: "src/a", start: 4 })
    expect(Mention.at("@", 1)).toEqual({ kind: "file", word: "", start: 0 })
    expect(Mention.at("a /com", 6)).toBeNull()
    expect(Mention.at("ada@example.com", 15)).toBeNull()
    expect(Mention.at("/com pact", 9)).toBeNull()
  })

  it("is what stands before the caret, and only that is replaced", () => {
    const text = "read @a and go"
    const typing = Mention.at(text, 7)
    expect(typing).toEqual({ kind: "file", word: "a", start: 5 })
    if (typing === null) return
    const put = Mention.put(text, 7, typing, "src/a.ts")
    expect(put).toEqual({ text: "read @src/a.ts and go", caret: 15 })
  })

  it.prop(
    "keeps what stands before and behind it",
    [FastCheck.string(), FastCheck.stringMatching(/^[\w./-]{0,8}$/), FastCheck.string()],
    ([before, word, after]) => {
      const head = before === "" ? "" : `${before} `
      const text = `${head}@${word} ${after}`
      const caret = head.length + 1 + word.length
      const typing = Mention.at(text, caret)
      if (typing?.kind !== "file") return
      const put = Mention.put(text, caret, typing, "chosen.ts")
      expect(put.text).toBe(`${head}@chosen.ts ${after}`)
      expect(put.text.slice(0, put.caret)).toBe(`${head}@chosen.ts `)
    }
  )
})

describe("files that are offered", () => {
  it("are those that calls name and searches found, the latest first, each once", () => {
    const items = [
      call("Read", { file_path: "/w/a.ts" }),
      call("Glob", { pattern: "**" }, "src/b.ts\nsrc/c.ts\nNo files found"),
      call("Grep", { pattern: "x", path: "src" }, "src/d.ts:12:  const x = 1\nmatches: 3"),
      call("Bash", { command: "ls" }, "src/e.ts"),
      call("Read", { file_path: "/w/a.ts" }),
      call("Glob", {}, "src/f.ts", true)
    ]
    expect(Mention.files(items)).toEqual(["/w/a.ts", "src/d.ts", "src/b.ts", "src/c.ts"])
  })

  it("begin with those whose names begin with the word", () => {
    const names = ["/w/lib/main.ts", "/w/remain.ts", "main.c", "/w/b.ts"]
    const offers = Mention.offers(names, { kind: "file", word: "Main", start: 0 })
    expect(offers).toEqual(["main.c", "/w/lib/main.ts", "/w/remain.ts"])
  })

  it("are few", () => {
    const names = Array.from({ length: 100 }, (_, n) => `f${n}.ts`)
    expect(Mention.offers(names, { kind: "file", word: "", start: 0 })).toHaveLength(Mention.OFFERS_MAX)
  })
})

describe("commands that are offered", () => {
  it("are those that begin with the word", () => {
    const offers = Mention.offers(["compact", "context", "recompact"], {
      kind: "command",
      word: "comp",
      start: 0
    })
    expect(offers).toEqual(["compact"])
  })
})
