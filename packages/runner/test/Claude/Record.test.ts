import * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Record from "../../src/Claude/Record.ts"

const record = { sessionId: "conversation", cwd: "/code", now: "2026-01-01T00:00:00.000Z" }

interface Entry {
  readonly type: string
  readonly uuid?: string
  readonly parentUuid?: string | null
  readonly message?: { readonly content?: unknown }
  readonly [key: string]: unknown
}

const made = (transcript: ReadonlyArray<Payload.Payload>): ReadonlyArray<Entry> =>
  Record.fromTranscript(transcript, record).map((line) => JSON.parse(line))

let next = 0
const line = (json: Payload.JsonObject & { readonly type: string }) =>
  Payload.make({ uuid: `u${next++}`, ...json })

const says = (content: ReadonlyArray<unknown>, more: Payload.JsonObject = {}) =>
  line({ type: "assistant", message: { role: "assistant", content }, ...more })
const prompt = (text: string) => line({ type: "user", message: { role: "user", content: text } })
const result = (id: string) =>
  line({
    type: "user",
    message: { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: "ok" }] }
  })

const event = FastCheck.oneof(
  FastCheck.string().map(prompt),
  FastCheck.string().map((text) => says([{ type: "text", text }])),
  FastCheck.nat({ max: 5 }).map((id) =>
    says([{ type: "tool_use", id: `tool${id}`, name: "Read", input: {} }])
  ),
  FastCheck.nat({ max: 5 }).map((id) => result(`tool${id}`)),
  FastCheck.constant(0).map(() =>
    line({ type: "system", subtype: "compact_boundary", compact_metadata: { pre_tokens: 1 } })
  ),
  FastCheck.constant(0).map(() => line({ type: "attachment", attachment: { type: "file" } })),
  FastCheck.constant(0).map(() => line({ type: "session_update", title: "x" })),
  FastCheck.constant(0).map(() =>
    says([{ type: "text", text: "by a subagent" }], { parent_tool_use_id: "tool9" })
  )
)

const idsOf = (entry: Entry, type: string, member: string): ReadonlyArray<string> => {
  const content = entry.message?.content
  return Array.isArray(content)
    ? content.flatMap((block: Payload.JsonObject) => (block["type"] === type ? [String(block[member])] : []))
    : []
}

describe("the record that is made of a transcript", () => {
  it.prop(
    "is one chain, broken only by compaction, of the main conversation",
    [FastCheck.array(event)],
    ([events]) => {
      let parent: string | null = null
      for (const entry of made(events)) {
        expect(entry.parentUuid).toBe(entry["subtype"] === "compact_boundary" ? null : parent)
        if (entry["subtype"] === "compact_boundary") expect(entry["logicalParentUuid"]).toBe(parent)
        expect(entry).toMatchObject({ sessionId: "conversation", cwd: "/code", isSidechain: false })
        expect(entry["parent_tool_use_id"] ?? null).toBeNull()
        parent = entry.uuid ?? null
      }
    }
  )

  it.prop(
    "lets no prompt stand between a tool use and its result, and no tool use without one",
    [FastCheck.array(event)],
    ([events]) => {
      const open = new Set<string>()
      const all = made(events)
      const resolved = new Set(all.flatMap((entry) => idsOf(entry, "tool_result", "tool_use_id")))
      for (const entry of all) {
        const results = idsOf(entry, "tool_result", "tool_use_id")
        for (const id of idsOf(entry, "tool_use", "id")) {
          expect(resolved.has(id)).toBe(true)
        }
        if (entry.type === "user" && results.length === 0) expect(open.size).toBe(0)
        for (const id of idsOf(entry, "tool_use", "id")) open.add(id)
        for (const id of results) open.delete(id)
      }
    }
  )

  it("keeps the order after a tool use that a killed process left without a result", () => {
    const [ask, left, again, said, more] = [
      prompt("ask"),
      says([{ type: "tool_use", id: "left", name: "Read", input: {} }]),
      prompt("again"),
      says([{ type: "text", text: "said" }]),
      prompt("more")
    ]
    expect(made([ask, left, again, said, more]).map(({ uuid }) => uuid)).toEqual(
      [ask, again, said, more].map(({ uuid }) => uuid)
    )
  })

  it("puts a prompt that came during a tool behind the tool's result", () => {
    const [first, use, meanwhile, done, last] = [
      prompt("first"),
      says([{ type: "tool_use", id: "t", name: "Read", input: {} }]),
      prompt("meanwhile"),
      result("t"),
      says([{ type: "text", text: "last" }])
    ]
    expect(made([first, use, meanwhile, done, last]).map(({ uuid }) => uuid)).toEqual(
      [first, use, done, meanwhile, last].map(({ uuid }) => uuid)
    )
  })

  it("takes of the mirror what no other line shows, and not what is made anew", () => {
    const mirror = line({
      type: "transcript_mirror",
      entries: [
        { type: "user", uuid: "p", message: {} },
        { type: "assistant", uuid: "a", message: {} },
        { type: "attachment", uuid: "file", attachment: { type: "file" } },
        { type: "attachment", uuid: "prompt", attachment: { type: "prompt_snapshot" } },
        { type: "attachment", uuid: "side", isSidechain: true, attachment: { type: "file" } },
        { type: "user", uuid: "meta", isMeta: true, message: {} },
        { type: "custom-title", customTitle: "named" },
        { type: "last-prompt", lastPrompt: "secret" },
        "torn"
      ]
    })
    expect(Record.mirrored(mirror).map(({ type, uuid }) => uuid ?? type)).toEqual([
      "file",
      "meta",
      "custom-title"
    ])
  })
})
