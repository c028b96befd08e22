import * as MessageContent from "@causeway/protocol/MessageContent"
import * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as ClaudeRecord from "../src/ClaudeRecord.ts"
import type { JsonObject } from "../src/Read.ts"
import * as Repair from "../src/Repair.ts"
import * as Repairs from "../src/Repairs.ts"
import { anything } from "./events.ts"
import * as ModelApi from "./ModelApi.ts"

/** One pixel. */
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

const line = (
  type: "user" | "assistant",
  uuid: string,
  content: unknown,
  more: JsonObject = {}
): JsonObject => ({
  type,
  uuid,
  message: { role: type, content },
  ...more
})
const user = (uuid: string, ...content: ReadonlyArray<JsonObject>) => line("user", uuid, content)
const agent = (uuid: string, ...content: ReadonlyArray<JsonObject>) => line("assistant", uuid, content)
const text = (words: string): JsonObject => ({ type: "text", text: words })
const use = (id: string, more: JsonObject = {}): JsonObject => ({
  type: "tool_use",
  id,
  name: "Read",
  input: {},
  ...more
})
const result = (tool_use_id: string, more: JsonObject = {}): JsonObject => ({
  type: "tool_result",
  tool_use_id,
  content: "ok",
  ...more
})
const image = (data: string, media_type = "image/png"): JsonObject => ({
  type: "image",
  source: { type: "base64", media_type, data }
})

const mend = (...jsons: ReadonlyArray<JsonObject>) => {
  let made = 0
  const { lines, repairs } = Repair.transcript(
    jsons.map((json) => ({ json, uuid: json["uuid"] as string })),
    () => `made-${made++}`
  )
  return { lines: lines.map(({ json }) => json), repairs }
}
const contents = (lines: ReadonlyArray<JsonObject>) =>
  lines.map((json) => [json["uuid"], (json["message"] as JsonObject)["content"]])

describe("a transcript on its way to a model", () => {
  it("passes as it is where a model takes it", () => {
    const lines = [
      user("u1", text("look"), image(PIXEL)),
      agent("a1", { type: "thinking", thinking: "", signature: "c2ln" }),
      agent("a2", use("t1")),
      agent("a3", use("t2")),
      user("r1", result("t1", { content: [text("one"), image(PIXEL)] })),
      user("r2", result("t2", { content: undefined })),
      agent("a4", { type: "redacted_thinking", data: "x" }, text("done"))
    ]
    const mended = mend(...lines)
    expect(mended.repairs).toEqual({})
    expect(mended.lines.every((json, at) => json === lines[at])).toBe(true)
    expect(Repairs.describe(mended.repairs)).toBe(null)
  })

  it("a tool that was cut off says so, at its place", () => {
    const { lines, repairs } = mend(
      user("u1", text("go")),
      agent("a1", use("t1"), use("t2")),
      user("r1", result("t1")),
      user("u2", text("go on")),
      agent("a2", use("t3"))
    )
    const lost = (tool_use_id: string) => ({
      type: "tool_result",
      tool_use_id,
      is_error: true,
      content: "[The tool was cut off: what it answered is not known.]"
    })
    expect(contents(lines)).toEqual([
      ["u1", [text("go")]],
      ["a1", [use("t1"), use("t2")]],
      ["r1", [result("t1")]],
      ["made-0", [lost("t2")]],
      ["u2", [text("go on")]],
      ["a2", [use("t3")]],
      ["made-1", [lost("t3")]]
    ])
    expect(repairs).toEqual({ unanswered_tool_use: 2 })
    expect(Repairs.describe(repairs)).toBe("2 tool calls without a result")
  })

  it("what no model takes is left out or said in words, and counted", () => {
    const { lines, repairs } = mend(
      line("user", "u0", "  "),
      user("u1", text(""), image(""), image("%%"), text("cut \ud99c")),
      user("u2", { type: "resource_link", uri: "file:///a", name: "a" }, { type: "sound" }),
      agent("a1", { type: "thinking", thinking: "hm", signature: "" }, text(" \n")),
      agent("a2", text("ok"), use("call:1/2", { name: "Read file", input: null })),
      user("r1", result("call:1/2", { is_error: true, content: "" }), result("nobody's"))
    )
    expect(contents(lines)).toEqual([
      [
        "u1",
        [
          text("[An attachment was left out: the image cannot be shown: its data is empty.]"),
          text(
            "[An attachment was left out: the image cannot be shown: its data is not base64 (the standard alphabet, padded, without line breaks).]"
          ),
          text("cut \ufffd")
        ]
      ],
      ["u2", [text("file:///a"), text("[A part of type sound was left out.]")]],
      ["a2", [text("ok"), use("call_1_2", { name: "Read_file", input: {} })]],
      ["r1", [result("call_1_2", { is_error: true, content: "[The tool failed and said nothing.]" })]]
    ])
    expect(repairs).toEqual({
      empty_message: 2,
      blank_text: 3,
      unusable_file: 2,
      half_character: 1,
      unknown_part: 2,
      unsigned_thinking: 1,
      renamed_tool: 1,
      orphan_tool_result: 1
    })
    expect(Repairs.describe(repairs)).toContain("2 images or documents that cannot be read")
  })

  it("results follow their calls, whatever came in between", () => {
    const { lines, repairs } = mend(
      user("u1", text("go")),
      agent("a1", use("t1")),
      user("u2", text("meanwhile")),
      agent("a2", use("t2")),
      user("r", text("both"), result("t2"), result("t1")),
      agent("a3", text("end"))
    )
    expect(ModelApi.refusal(ModelApi.messagesOf(lines))).toBe(undefined)
    expect(lines.map(({ uuid }) => uuid)).toEqual(["u1", "a1", "made-0", "u2", "a2", "made-1", "r", "a3"])
    expect(repairs).toEqual({ out_of_order: 2 })
  })

  it("a subagent's lines, reports and replays stay as they are", () => {
    const lines = [
      line("assistant", "x1", [use("t9")], { parent_tool_use_id: "t" }),
      line("user", "x2", "", { isReplay: true }),
      { type: "system", subtype: "init", uuid: "x3" },
      { type: "result", uuid: "x4" }
    ]
    expect(mend(...lines)).toEqual({ lines, repairs: {} })
  })

  it("a message without content says so to an agent, which has to answer it", () => {
    const json = line("user", "u", [])
    expect(Repair.message(json)).toEqual({
      json: { ...json, message: { role: "user", content: "[This message has no content.]" } },
      repairs: { empty_message: 1 }
    })
    const good = line("user", "u", "words")
    expect(Repair.message(good).json).toBe(good)
  })
})

// --- Whatever is accepted ---

const id = FastCheck.oneof(
  FastCheck.nat({ max: 5 }).map((n) => `tool${n}`),
  FastCheck.constantFrom("a:b", "a_b", "a/b", "", undefined, 7)
)
const words = FastCheck.oneof(
  FastCheck.constantFrom("", " ", "\n\t", "words", "cut \ud99c", "\udc00\ud800", "\u0000", "**bold**"),
  FastCheck.string16bits({ maxLength: 4 })
)
const data = FastCheck.constantFrom("", "%%", "aGVsbG8=", PIXEL, PIXEL.slice(1), undefined, 7, "JVBERi0xLjQK")
const source = FastCheck.record(
  {
    type: FastCheck.constantFrom("base64", "text", "url", "file", "content", "odd"),
    media_type: FastCheck.constantFrom(
      "image/png",
      "image/jpeg",
      "image/tiff",
      "application/pdf",
      "text/plain"
    ),
    data,
    url: FastCheck.constantFrom("https://example.com/a", "file:///a", ""),
    content: FastCheck.constantFrom("", "x", [], [{ type: "text", text: "" }])
  },
  { requiredKeys: [] }
)
const block: FastCheck.Arbitrary<unknown> = FastCheck.oneof(
  words.map((each) => ({ type: "text", text: each })),
  source.map((each) => ({ type: "image", source: each })),
  source.map((each) => ({ type: "document", source: each })),
  FastCheck.tuple(id, words, FastCheck.constantFrom({}, null, [], 7, { a: "\ud800" })).map(
    ([id, name, input]) => ({
      type: "tool_use",
      id,
      name,
      input
    })
  ),
  FastCheck.tuple(
    id,
    FastCheck.oneof(
      words,
      FastCheck.constantFrom(undefined, null, 7, {}, []),
      FastCheck.array(words.map((text) => ({ type: "text", text })))
    ),
    FastCheck.constantFrom(undefined, false, true)
  ).map(([tool_use_id, content, is_error]) => ({ type: "tool_result", tool_use_id, content, is_error })),
  FastCheck.tuple(words, FastCheck.constantFrom(undefined, "", "c2ln")).map(([thinking, signature]) => ({
    type: "thinking",
    thinking,
    signature
  })),
  id.map((id) => ({ type: "server_tool_use", id: `srv_${id}`, name: "web_search", input: {} })),
  id.map((id) => ({ type: "web_search_tool_result", tool_use_id: `srv_${id}`, content: [] })),
  FastCheck.constantFrom(null, 7, "x", { type: "odd" }, { type: "redacted_thinking" }, { type: "text" })
)
const content = FastCheck.oneof(
  words,
  FastCheck.array(block, { maxLength: 4 }),
  FastCheck.constantFrom(undefined, null, 7, {})
)

const message = (type: "user" | "assistant") =>
  FastCheck.tuple(
    FastCheck.nat({ max: 200 }),
    content,
    FastCheck.oneof(
      { weight: 6, arbitrary: FastCheck.constant({}) },
      FastCheck.constant({ isSynthetic: true })
    )
  ).map(([n, content, more]) => line(type, `u${n}`, content, more))

/** A log: what people send that is accepted, and whatever an agent's side writes. */
const log = FastCheck.array(
  FastCheck.oneof(
    message("user").filter(
      (json) => MessageContent.problemOf(Payload.make({ ...json, type: "user" })) === undefined
    ),
    message("user"),
    message("assistant"),
    FastCheck.nat({ max: 200 }).map(
      (n): JsonObject => ({ type: "system", subtype: "compact_boundary", uuid: `b${n}` })
    )
  ),
  { maxLength: 30, size: "max" }
)

describe("whatever is accepted", () => {
  it.prop(
    "makes a record that a model takes",
    { log },
    ({ log }) => {
      const { lines } = ClaudeRecord.convert(
        log.map((json) => ({ json })),
        { agentSessionId: "s", directory: "/d", now: "2026-01-01T00:00:00Z", uuid: () => crypto.randomUUID() }
      )
      expect(ModelApi.refusal(ModelApi.messagesOf(lines))).toBe(undefined)
      // What has been mended needs no mending.
      const again = Repair.transcript(
        lines.map((json) => ({ json })),
        () => crypto.randomUUID()
      )
      expect(again.repairs).toEqual({})
    },
    { fastCheck: { numRuns: 400 } }
  )

  it.prop("is mended without a failure, whatever it holds", { events: anything }, ({ events }) => {
    const { lines } = Repair.transcript(
      events.map(({ payload, uuid }) => ({ json: payload.json, uuid })),
      () => crypto.randomUUID()
    )
    expect(lines).toBeInstanceOf(Array)
  })

  it.prop(
    "a person's message that is accepted is given to an agent as it is",
    { json: message("user") },
    ({ json }) => {
      const accepted = MessageContent.problemOf(Payload.make({ ...json, type: "user" })) === undefined
      const mended = Repair.message(json)
      if (accepted) expect(mended.json).toBe(json)
      expect(ModelApi.refusal(ModelApi.messagesOf([mended.json]))).toBe(undefined)
    }
  )
})
