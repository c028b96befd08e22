import type { JsonObject } from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as ClaudeTranscript from "../src/ClaudeTranscript.ts"
import * as Entry from "../src/Entry.ts"
import type { TranscriptEntry } from "../src/Teleport.ts"

const entry = (json: JsonObject & { readonly uuid: string }): TranscriptEntry => ({
  ...Entry.make(json),
  eventId: Option.some(json.uuid),
  createdAt: Option.some("2026-01-01T00:00:00Z"),
  isCompaction: false
})

const target: ClaudeTranscript.Target = {
  agentSessionId: "0b8e8e8e-0000-4000-8000-000000000000",
  directory: "/home/me/code",
  gitBranch: "claude/topic",
  version: "2.1.329",
  now: "2026-02-02T00:00:00Z",
  uuid: () => "made-up"
}

const convert = (...jsons: ReadonlyArray<JsonObject & { readonly uuid: string }>) =>
  ClaudeTranscript.convert(jsons.map(entry), target)

it.each([
  ["/home/me/code", "-home-me-code"],
  ["/a/b.c_d e", "-a-b-c-d-e"],
  ["/tmp/é", "-tmp--"]
])("the folder of %s is %s", (directory, folder) => {
  expect(ClaudeTranscript.projectFolder(directory)).toBe(folder)
})

it("a folder whose name is too long is the agent's own, or the start of the name", () => {
  const directory = `/${"a".repeat(300)}`
  const start = `-${"a".repeat(199)}`
  expect(ClaudeTranscript.projectFolder(directory)).toBe(start)
  expect(ClaudeTranscript.projectFolder(directory, ["-b", `${start}-x1y2`])).toBe(`${start}-x1y2`)
})

describe("lines of the output stream", () => {
  it("become lines of the file", () => {
    const { lines, skipped } = convert(
      {
        type: "user",
        uuid: "u1",
        session_id: "",
        parent_tool_use_id: null,
        message: { role: "user", content: "hi" }
      },
      {
        type: "assistant",
        uuid: "a1",
        session_id: "x",
        parent_tool_use_id: null,
        request_id: "req_1",
        message: { role: "assistant", content: [] }
      },
      {
        type: "user",
        uuid: "r1",
        tool_use_result: { stdout: "" },
        message: { role: "user", content: [{ type: "tool_result", tool_use_id: "t" }] }
      }
    )
    expect(skipped).toBe(0)
    expect(lines).toEqual([
      {
        type: "user",
        uuid: "u1",
        parentUuid: null,
        message: { role: "user", content: "hi" },
        userType: "external",
        entrypoint: "cli",
        isSidechain: false,
        version: "2.1.329",
        gitBranch: "claude/topic",
        sessionId: target.agentSessionId,
        cwd: "/home/me/code",
        timestamp: "2026-01-01T00:00:00Z"
      },
      expect.objectContaining({ type: "assistant", uuid: "a1", parentUuid: "u1", requestId: "req_1" }),
      expect.objectContaining({ uuid: "r1", parentUuid: "a1", toolUseResult: { stdout: "" } })
    ])
  })

  it("of a compaction begin a new chain that remembers the old", () => {
    const { lines } = convert(
      { type: "user", uuid: "u1", message: {} },
      {
        type: "system",
        subtype: "compact_boundary",
        uuid: "b1",
        session_id: "x",
        compact_metadata: {
          trigger: "auto",
          pre_tokens: 5,
          preserved_messages: { anchor_uuid: "u1", uuids: [] }
        }
      },
      { type: "user", uuid: "s1", isCompactSummary: true, message: {} }
    )
    expect(lines[1]).toMatchObject({
      parentUuid: null,
      logicalParentUuid: "u1",
      compactMetadata: { trigger: "auto", preTokens: 5, preservedMessages: { anchorUuid: "u1", uuids: [] } }
    })
    expect(lines[1]).not.toHaveProperty("compact_metadata")
    expect(lines[2]).toMatchObject({ parentUuid: "b1", isCompactSummary: true })
  })

  it("of subagents, replays, state and doubles stay out", () => {
    const { lines, skipped } = convert(
      { type: "user", uuid: "u1", message: {} },
      { type: "assistant", uuid: "x1", parent_tool_use_id: "t", message: {} },
      { type: "assistant", uuid: "x2", isSidechain: true, message: {} },
      { type: "user", uuid: "x3", isReplay: true, message: {} },
      { type: "system", subtype: "init", uuid: "x4" },
      { type: "result", uuid: "x5" },
      { type: "summary", uuid: "x6" },
      { type: "user", uuid: "u1", message: {} },
      { type: "assistant", uuid: "x7" }
    )
    expect(lines.map((line) => line["uuid"])).toEqual(["u1"])
    expect(skipped).toBe(8)
  })
})

it("lines of the agent's own file keep what they say but for session and directory", () => {
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
    message: { role: "assistant" }
  }
  const { lines } = convert(
    { type: "user", uuid: "u1", message: {} },
    { type: "user", uuid: "u2", message: {} },
    own
  )
  expect(lines[2]).toEqual({
    ...own,
    entrypoint: "cli",
    sessionId: target.agentSessionId,
    cwd: "/home/me/code"
  })
})

it.prop(
  "every line hangs on one before it, and each entry is there once",
  {
    entries: FastCheck.array(
      FastCheck.record({
        type: FastCheck.constantFrom("user", "assistant", "system", "attachment", "result"),
        subtype: FastCheck.constantFrom("compact_boundary", "init"),
        uuid: FastCheck.integer({ min: 0, max: 30 }).map((n) => `u${n}`),
        parentUuid: FastCheck.option(
          FastCheck.integer({ min: 0, max: 40 }).map((n) => `u${n}`),
          { nil: null }
        ),
        message: FastCheck.constant({})
      }),
      { maxLength: 40 }
    )
  },
  ({ entries }) => {
    const { lines, skipped } = convert(...entries)
    const seen = new Set<unknown>()
    for (const [at, line] of lines.entries()) {
      const boundary = line["type"] === "system"
      const parent = line["parentUuid"]
      if (at === 0 || boundary) expect(parent === null || seen.has(parent)).toBe(true)
      else expect(seen.has(parent)).toBe(true)
      expect(seen.has(line["uuid"])).toBe(false)
      seen.add(line["uuid"])
    }
    expect(lines.length + skipped).toBe(entries.length)
  }
)
