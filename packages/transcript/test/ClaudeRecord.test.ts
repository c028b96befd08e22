import type * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as ClaudeRecord from "../src/ClaudeRecord.ts"
import { anything } from "./events.ts"

type Json = Payload.JsonObject

const target = (): ClaudeRecord.Target => {
  let made = 0
  return {
    agentSessionId: "0b8e8e8e-0000-4000-8000-000000000000",
    directory: "/home/me/code",
    gitBranch: "claude/topic",
    now: "2026-02-02T00:00:00Z",
    uuid: () => `made-${made++}`
  }
}

const convert = (...jsons: ReadonlyArray<Json>): ClaudeRecord.Converted =>
  ClaudeRecord.convert(
    jsons.map((json) => ({ json })),
    target()
  )
const uuids = ({ lines }: ClaudeRecord.Converted): ReadonlyArray<unknown> => lines.map(({ uuid }) => uuid)

const prompt = (uuid: string, more: Json = {}): Json => ({
  type: "user",
  uuid,
  message: { role: "user", content: "words" },
  ...more
})
const says = (uuid: string, more: Json = {}): Json => ({
  type: "assistant",
  uuid,
  message: { role: "assistant", content: [{ type: "text", text: "words" }] },
  ...more
})
const uses = (uuid: string, ...ids: ReadonlyArray<string>): Json => ({
  type: "assistant",
  uuid,
  message: {
    role: "assistant",
    content: ids.map((id) => ({ type: "tool_use", id, name: "Read", input: {} }))
  }
})
const results = (uuid: string, ...ids: ReadonlyArray<string>): Json => ({
  type: "user",
  uuid,
  message: { role: "user", content: ids.map((tool_use_id) => ({ type: "tool_result", tool_use_id })) }
})
const boundary = (uuid: string, more: Json = {}): Json => ({
  type: "system",
  subtype: "compact_boundary",
  uuid,
  compact_metadata: { pre_tokens: 1 },
  ...more
})

const blocksOf = (line: Json): ReadonlyArray<Json> => {
  const message = line["message"] as Json | undefined
  const content = message?.["content"]
  return Array.isArray(content) ? content : []
}
const idsOf = (line: Json, type: string, member: string): ReadonlyArray<unknown> =>
  blocksOf(line).flatMap((block) => (block?.["type"] === type ? [block[member]] : []))

describe("the folder", () => {
  it.each([
    ["/home/me/code", "-home-me-code"],
    ["/a/b.c_d e", "-a-b-c-d-e"],
    ["/tmp/é", "-tmp--"]
  ])("of %s is %s", (directory, folder) => {
    expect(ClaudeRecord.projectFolder(directory)).toBe(folder)
  })

  it("whose name is too long is the CLI's own, or the start of the name", () => {
    const directory = `/${"a".repeat(300)}`
    const start = `-${"a".repeat(199)}`
    expect(ClaudeRecord.projectFolder(directory)).toBe(start)
    expect(ClaudeRecord.projectFolder(directory, ["-b", `${start}-x1y2`])).toBe(`${start}-x1y2`)
    expect(ClaudeRecord.projectFolder("/a", ["-a-x1y2"])).toBe("-a")
  })
})

describe("lines of the output stream", () => {
  it("become lines of the record", () => {
    const { lines, messages, skipped } = ClaudeRecord.convert(
      [prompt("u1", { session_id: "", parent_tool_use_id: null }), uses("a1", "t"), results("r1", "t")].map(
        (json) => ({
          json: {
            ...json,
            ...(json["uuid"] === "a1" ? { request_id: "req_1" } : { tool_use_result: { n: 1 } })
          },
          createdAt: Option.some("2026-01-01T00:00:00Z")
        })
      ),
      target()
    )
    expect(skipped).toBe(0)
    expect(messages).toBe(3)
    expect(lines).toEqual([
      {
        type: "user",
        uuid: "u1",
        parentUuid: null,
        message: { role: "user", content: "words" },
        userType: "external",
        entrypoint: "cli",
        isSidechain: false,
        version: "2.1.329",
        gitBranch: "claude/topic",
        sessionId: target().agentSessionId,
        cwd: "/home/me/code",
        timestamp: "2026-01-01T00:00:00Z",
        toolUseResult: { n: 1 }
      },
      expect.objectContaining({ type: "assistant", uuid: "a1", parentUuid: "u1", requestId: "req_1" }),
      expect.objectContaining({ uuid: "r1", parentUuid: "a1", toolUseResult: { n: 1 } })
    ])
    for (const line of lines) {
      for (const name of ["session_id", "parent_tool_use_id", "request_id", "tool_use_result"]) {
        expect(line).not.toHaveProperty(name)
      }
    }
  })

  it("have the time of the line, else of its storing, else of now; and a name in any case", () => {
    const { lines } = ClaudeRecord.convert(
      [
        { json: prompt("u1", { timestamp: "t1" }), createdAt: Option.some("t2") },
        { json: prompt("u2"), createdAt: Option.some("t2") },
        { json: prompt("u3"), createdAt: Option.none() },
        { json: { type: "user", message: { content: "unnamed" } } }
      ],
      { ...target(), gitBranch: undefined, version: "9" }
    )
    expect(lines.map(({ timestamp }) => timestamp)).toEqual(["t1", "t2", target().now, target().now])
    expect(lines[3]).toMatchObject({ uuid: "made-0", version: "9" })
    expect(lines[3]).not.toHaveProperty("gitBranch")
  })

  it("of a compaction begin a new chain that remembers the old", () => {
    const { lines } = convert(
      prompt("u1"),
      boundary("b1", {
        session_id: "x",
        compact_metadata: {
          trigger: "auto",
          pre_tokens: 5,
          preserved_messages: { anchor_uuid: "u1", uuids: [], all_uuids: ["u1"] },
          pre_compact_artifact_read_versions: [{ some_slug: "s" }]
        }
      }),
      prompt("s1", { isCompactSummary: true })
    )
    expect(lines[1]).toMatchObject({
      parentUuid: null,
      logicalParentUuid: "u1",
      content: "Conversation compacted",
      level: "info",
      compactMetadata: {
        trigger: "auto",
        preTokens: 5,
        preservedMessages: { anchorUuid: "u1", uuids: [], allUuids: ["u1"] },
        preCompactArtifactReadVersions: [{ someSlug: "s" }]
      }
    })
    expect(lines[1]).not.toHaveProperty("compact_metadata")
    expect(lines[2]).toMatchObject({ parentUuid: "b1", isCompactSummary: true })
  })

  it("of a compaction's summary say that they are one; no other message does", () => {
    const { lines } = convert(
      prompt("m0", { isSynthetic: true }),
      boundary("b1"),
      prompt("meanwhile"),
      prompt("s1", { isSynthetic: true }),
      prompt("m1", { isSynthetic: true }),
      boundary("b2"),
      says("a1"),
      prompt("m2", { isSynthetic: true })
    )
    expect(lines.flatMap((line) => (line["isCompactSummary"] === true ? [line["uuid"]] : []))).toEqual(["s1"])
    expect(lines[3]).toMatchObject({ isMeta: false, isVisibleInTranscriptOnly: true })
    expect(lines.flatMap((line) => (line["isMeta"] === true ? [line["uuid"]] : []))).toEqual([
      "m0",
      "m1",
      "m2"
    ])
    expect(lines.filter((line) => "isSynthetic" in line)).toEqual([])
  })

  it("of subagents, replays, state and doubles stay out", () => {
    const converted = convert(
      prompt("u1"),
      says("x1", { parent_tool_use_id: "t" }),
      says("x2", { isSidechain: true }),
      prompt("x3", { isReplay: true }),
      { type: "system", subtype: "init", uuid: "x4" },
      { type: "system", subtype: "something_new", uuid: "x4b" },
      { type: "result", uuid: "x5" },
      { type: "summary", uuid: "x6" },
      { type: "session_update", uuid: "x7", title: "x" },
      prompt("u1"),
      { type: "assistant", uuid: "x8" },
      { type: "attachment", uuid: "x9" }
    )
    expect(uuids(converted)).toEqual(["u1"])
    expect(converted.skipped).toBe(11)
  })

  it("that a later line replaces stay out", () => {
    const converted = convert(
      prompt("u1"),
      says("a1"),
      says("a2", { supersedes: ["a1", "a2", "a3"] }),
      says("a3"),
      says("a4", { supersedes: ["a2"] })
    )
    expect(uuids(converted)).toEqual(["u1", "a3", "a4"])
  })

  it("with fields of any name keep them", () => {
    const json = JSON.parse(
      '{"type":"user","uuid":"u1","message":{"content":"x"},"__proto__":{"a":1},"constructor":1,"toString":2}'
    )
    const [line] = convert(json).lines
    expect(JSON.parse(JSON.stringify(line))).toMatchObject({ constructor: 1, toString: 2 })
    expect(JSON.stringify(line)).toContain('"__proto__":{"a":1}')
  })
})

describe("entries of the CLI's own record", () => {
  it("keep what they say but for session and directory", () => {
    const own = {
      type: "assistant",
      uuid: "a1",
      parentUuid: "u1",
      sessionId: "old",
      cwd: "/elsewhere",
      version: "2.0.0",
      gitBranch: "main",
      timestamp: "2025-05-05T00:00:00Z",
      userType: "external",
      isSidechain: false,
      promptId: "p",
      message: { role: "assistant", content: "words" }
    }
    const { lines } = convert(prompt("u1", { parentUuid: null }), prompt("u2", { parentUuid: "u1" }), own)
    expect(lines[2]).toEqual({
      ...own,
      entrypoint: "cli",
      sessionId: target().agentSessionId,
      cwd: "/home/me/code"
    })
  })

  it("keep their parents where these are here, and hang on the entry before where they are not", () => {
    const { lines } = convert(
      prompt("u1", { parentUuid: "not-here" }),
      prompt("u2", { parentUuid: "u1" }),
      prompt("u3", { parentUuid: "u1" }),
      prompt("u4", { parentUuid: "x1" }),
      says("x1", { parentUuid: "u4", isSidechain: true }),
      prompt("u5", { parentUuid: "x1" }),
      prompt("u6", { parentUuid: "u6" }),
      { type: "system", subtype: "local_command", uuid: "s1", parentUuid: "u6", content: "x" }
    )
    expect(lines.map(({ parentUuid, uuid }) => [uuid, parentUuid])).toEqual([
      ["u1", null],
      ["u2", "u1"],
      ["u3", "u1"],
      ["u4", "u3"],
      ["u5", "u4"],
      ["u6", "u5"],
      ["s1", "u6"]
    ])
  })

  it("do not cut off lines of the stream that the record's order has not told of", () => {
    const { lines } = convert(
      prompt("u1"),
      says("a1"),
      { type: "attachment", uuid: "late", parentUuid: "u1", attachment: { type: "file" } },
      prompt("u2", { parentUuid: "late" }),
      says("a2")
    )
    expect(lines.map(({ parentUuid }) => parentUuid)).toEqual([null, "u1", "a1", "late", "u2"])
  })

  it("of a compaction remember the entry that they name", () => {
    const { lines } = convert(
      prompt("u1", { parentUuid: null }),
      prompt("u2", { parentUuid: "u1" }),
      {
        type: "system",
        subtype: "compact_boundary",
        uuid: "b1",
        parentUuid: null,
        logicalParentUuid: "u1",
        content: "own"
      },
      boundary("b2", { logical_parent_uuid: "not-here" })
    )
    expect(lines[2]).toMatchObject({ logicalParentUuid: "u1", content: "own", parentUuid: null })
    expect(lines[3]).toMatchObject({ logicalParentUuid: "b1", parentUuid: null })
    expect(lines[3]).not.toHaveProperty("logical_parent_uuid")
  })

  it("that are titles and tags are kept, out of the chain", () => {
    const { lines, messages, skipped } = convert(
      prompt("u1"),
      { type: "custom-title", customTitle: "named", sessionId: "old" },
      says("a1"),
      { type: "tag", tag: "t" },
      { type: "last-prompt", lastPrompt: "secret" }
    )
    const { agentSessionId: sessionId } = target()
    expect(lines[1]).toEqual({ type: "custom-title", customTitle: "named", sessionId })
    expect(lines[2]).toMatchObject({ parentUuid: "u1" })
    expect(lines[3]).toEqual({ type: "tag", tag: "t", sessionId })
    expect([messages, skipped]).toEqual([2, 1])
    expect(convert({ type: "tag", tag: "t" }).messages).toBe(0)
  })
})

describe("tool uses and results", () => {
  it("keep the order after a use that a killed process left without a result, which says so", () => {
    const { lines, repairs } = convert(
      prompt("ask"),
      uses("left", "t"),
      prompt("again"),
      says("said"),
      prompt("more")
    )
    expect(lines.map(({ uuid }) => uuid)).toEqual(["ask", "left", "made-0", "again", "said", "more"])
    expect(lines[2]).toMatchObject({
      type: "user",
      parentUuid: "left",
      message: { content: [{ type: "tool_result", tool_use_id: "t", is_error: true }] }
    })
    expect(lines[3]).toMatchObject({ parentUuid: "made-0" })
    expect(repairs).toEqual({ unanswered_tool_use: 1 })
  })

  it("let a prompt that came during a tool follow the tool's result", () => {
    expect(
      uuids(
        convert(prompt("first"), uses("use", "t"), prompt("meanwhile"), results("done", "t"), says("last"))
      )
    ).toEqual(["first", "use", "done", "meanwhile", "last"])
  })

  it("without each other are answered, or leave with their block only", () => {
    const { lines } = convert(
      prompt("ask"),
      uses("both", "t1", "left"),
      results("done", "unknown", "t1"),
      results("again", "t1"),
      uses("reused", "t1")
    )
    expect(lines.map((line) => [line["uuid"], blocksOf(line).length])).toEqual([
      ["ask", 0],
      ["both", 2],
      ["done", 1],
      ["made-0", 1]
    ])
  })

  it("do not meet across a compaction", () => {
    expect(uuids(convert(prompt("u"), uses("use", "t"), boundary("b"), results("done", "t")))).toEqual([
      "u",
      "use",
      "made-0",
      "b"
    ])
  })

  it("that run side by side stay as they are", () => {
    expect(
      uuids(
        convert(
          prompt("u"),
          uses("a", "t1"),
          uses("b", "t2"),
          results("r2", "t2"),
          prompt("p"),
          results("r1", "t1")
        )
      )
    ).toEqual(["u", "a", "b", "r2", "r1", "p"])
  })

  it("of a conversation that an agent began follow a word that its beginning is not there", () => {
    const { lines, repairs } = convert(says("a"), prompt("p"))
    expect(lines.map(({ type, uuid }) => [type, uuid])).toEqual([
      ["user", "made-0"],
      ["assistant", "a"],
      ["user", "p"]
    ])
    expect(repairs).toEqual({ no_beginning: 1 })
  })
})

describe("the mirror", () => {
  it("gives what no other line shows, and not what is made anew", () => {
    const mirror = {
      json: {
        type: "transcript_mirror",
        entries: [
          { type: "user", uuid: "p", message: {} },
          { type: "assistant", uuid: "a", message: {} },
          { type: "attachment", uuid: "file", attachment: { type: "file" } },
          { type: "attachment", uuid: "prompt", attachment: { type: "prompt_snapshot" } },
          { type: "attachment", uuid: "side", isSidechain: true, attachment: { type: "file" } },
          { type: "attachment", uuid: "empty" },
          { type: "user", uuid: "meta", isMeta: true, message: {} },
          { type: "custom-title", customTitle: "named" },
          { type: "last-prompt", lastPrompt: "secret" },
          "torn",
          null
        ]
      }
    }
    expect(ClaudeRecord.mirrored(mirror).map(({ type, uuid }) => uuid ?? type)).toEqual([
      "file",
      "meta",
      "custom-title"
    ])
    expect(ClaudeRecord.mirrored({ json: { type: "transcript_mirror" } })).toEqual([])
  })
})

// --- Any transcript ---

const few = (prefix: string, max: number) => FastCheck.nat({ max }).map((n) => `${prefix}${n}`)
const tools = FastCheck.array(few("tool", 5), { minLength: 1, maxLength: 3 })
const uuid = few("u", 60)

/** Entries of the stream and of records, over so few ids that they meet, come twice and name each other. */
const entry: FastCheck.Arbitrary<Json> = FastCheck.tuple(
  FastCheck.oneof(
    uuid.map((id) => prompt(id)),
    uuid.map((id) => says(id)),
    FastCheck.tuple(uuid, tools).map(([id, ids]) => uses(id, ...ids)),
    FastCheck.tuple(uuid, tools).map(([id, ids]) => results(id, ...ids)),
    uuid.map((id) => boundary(id)),
    uuid.map((id): Json => ({ type: "attachment", uuid: id, attachment: { type: "file" } })),
    uuid.map((id): Json => ({ type: "system", subtype: "turn_duration", uuid: id })),
    uuid.map((id): Json => ({ type: "session_update", uuid: id, title: "x" })),
    FastCheck.constant<Json>({ type: "custom-title", customTitle: "x" }),
    FastCheck.constant<Json>({ type: "user", message: { content: "unnamed" } })
  ),
  FastCheck.oneof(
    { weight: 5, arbitrary: FastCheck.constant<Json>({}) },
    uuid.map((parentUuid): Json => ({ parentUuid })),
    FastCheck.constant<Json>({ parentUuid: null }),
    FastCheck.constant<Json>({ parent_tool_use_id: "tool9" }),
    FastCheck.constant<Json>({ isSynthetic: true }),
    uuid.map((id): Json => ({ supersedes: [id] }))
  )
).map(([json, more]) => ({ ...json, ...more }))

/** A session as it goes: turns of prompts, tools and answers, with prompts and compactions in between. */
const turns = FastCheck.array(FastCheck.tuple(FastCheck.nat({ max: 3 }), FastCheck.boolean()), {
  maxLength: 8
}).map(
  (plan): ReadonlyArray<Json> =>
    plan.flatMap(([count, compacts], turn) => {
      const ids = Array.from({ length: count }, (_, n) => `tool${turn}-${n}`)
      return [
        prompt(`p${turn}`),
        ...ids.map((id) => uses(`use-${id}`, id)),
        ...(compacts ? [prompt(`meanwhile${turn}`)] : []),
        ...ids.map((id) => results(`result-${id}`, id)),
        says(`a${turn}`),
        ...(compacts ? [boundary(`b${turn}`), prompt(`s${turn}`, { isSynthetic: true })] : [])
      ]
    })
)

const shuffled = turns.chain((all) => FastCheck.shuffledSubarray([...all, ...all], { minLength: 0 }))
const transcript = FastCheck.oneof(FastCheck.array(entry, { maxLength: 60, size: "max" }), shuffled)

describe("the record of any transcript", () => {
  it.prop(
    "is made, whatever an entry holds, and has each entry at most once",
    { events: anything },
    ({ events }) => {
      const entries = events.map(({ payload, uuid }) => ({ json: payload.json, uuid }))
      const { lines, messages, skipped } = ClaudeRecord.convert(entries, target())
      expect(skipped).toBeGreaterThanOrEqual(0)
      expect(skipped).toBeLessThanOrEqual(entries.length)
      expect(messages).toBeLessThanOrEqual(lines.length)
      for (const { json } of entries) expect(ClaudeRecord.mirrored({ json })).toBeInstanceOf(Array)
    }
  )

  it.prop(
    "hangs every link on one before it but the first and compactions, and has each uuid once",
    { transcript },
    ({ transcript }) => {
      const { lines, skipped } = convert(...transcript)
      const seen = new Set<unknown>()
      for (const line of lines) {
        expect(line).toMatchObject({ sessionId: target().agentSessionId })
        if (line["type"] === "custom-title") continue
        if (seen.size === 0 || line["subtype"] === "compact_boundary") expect(line["parentUuid"]).toBeNull()
        else expect(seen).toContain(line["parentUuid"])
        expect(seen).not.toContain(line["uuid"])
        expect(line).toMatchObject({ cwd: "/home/me/code", isSidechain: false })
        expect(line).not.toHaveProperty("parent_tool_use_id")
        seen.add(line["uuid"])
      }
      expect(skipped).toBeGreaterThanOrEqual(0)
      expect(skipped).toBeLessThanOrEqual(transcript.length)
    }
  )

  it.prop(
    "is one chain, broken only by compaction, where only the log tells the order",
    { transcript },
    ({ transcript }) => {
      const stream = transcript.map(({ parentUuid: _, ...json }) => json)
      let parent: unknown = null
      for (const line of convert(...stream).lines) {
        if (line["type"] === "custom-title") continue
        const compacted = line["subtype"] === "compact_boundary"
        expect(line["parentUuid"]).toBe(compacted ? null : parent)
        if (compacted) expect(line["logicalParentUuid"]).toBe(parent)
        parent = line["uuid"]
      }
    }
  )

  it.prop(
    "has for every tool use one result behind it, for every result its use, and no prompt or compaction between them",
    { transcript },
    ({ transcript }) => {
      const open = new Set<unknown>()
      const used = new Set<unknown>()
      for (const line of convert(...transcript).lines) {
        const answered = idsOf(line, "tool_result", "tool_use_id")
        if (line["type"] === "user" && answered.length === 0) expect(open.size).toBe(0)
        if (line["subtype"] === "compact_boundary") expect(open.size).toBe(0)
        for (const id of answered) expect(open.delete(id)).toBe(true)
        for (const id of idsOf(line, "tool_use", "id")) {
          expect(used).not.toContain(id)
          used.add(id)
          open.add(id)
        }
      }
      expect(open.size).toBe(0)
    }
  )

  it.prop("loses nothing of a session that went well", { turns }, ({ turns }) => {
    expect(new Set(uuids(convert(...turns)))).toEqual(new Set(turns.map(({ uuid }) => uuid)))
  })

  it.prop("of a beginning is there, and says the same again of itself", { transcript }, ({ transcript }) => {
    for (const length of [0, 1, Math.floor(transcript.length / 2)]) {
      const once = convert(...transcript.slice(0, length))
      expect(convert(...once.lines)).toEqual({ ...once, skipped: 0, repairs: {} })
    }
  })
})
