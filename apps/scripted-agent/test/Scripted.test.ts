/** What the scripted agent shows, kind by kind: whoever draws a transcript is tried with these. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type AgentSessionSpec, AgentSessions } from "../../../packages/runner/src/Agent.ts"
import * as Scripted from "../../../packages/runner/test/support/Scripted.ts"
import * as Talk from "../../../packages/runner/test/support/Talk.ts"
import { parse } from "../src/Directive.ts"
import { commands } from "../src/Directives.ts"

const scriptedAgentPath = await Scripted.bundle()
const layer = Scripted.layer({ scriptedAgentPath })

/** The lines of one turn, and how it ended. */
const turn = (text: string, more: Partial<AgentSessionSpec> = {}) =>
  Effect.gen(function* () {
    const cwd = yield* Scripted.directory
    const session = yield* (yield* AgentSessions).open(Talk.spec({ cwd, ...more }))
    const talk = yield* Talk.listen(session)
    const prompt = Talk.prompt(text)
    yield* session.input(prompt)
    const result = yield* talk.result(prompt)
    return {
      lines: talk.lines(),
      result: result.json["result"],
      json: JSON.stringify(talk.lines().map((each) => each.json))
    }
  })

describe("slash commands", () => {
  it("do what the directive of that name does, at the start of a prompt alone", () => {
    for (const name of commands) expect(parse(`/${name} x`)).toEqual(parse(`!${name} x`))
    expect(parse("/home/ada")).toEqual({ name: "say", rest: "echo: /home/ada" })
    expect(parse("/crash")).toEqual({ name: "say", rest: "echo: /crash" })
    expect(parse("see /think")).toEqual({ name: "say", rest: "echo: see /think" })
  })
})

describe("the scripted agent shows", () => {
  it.scopedLive("what it offers", () =>
    Effect.gen(function* () {
      const { lines, result } = yield* turn("/say as a command")
      const init = lines.find(({ json }) => json["subtype"] === "init")
      expect(init?.json["slash_commands"]).toEqual(commands)
      expect(result).toBe("as a command")
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("a plan in steps, of which one is done and one is at hand", () =>
    Effect.gen(function* () {
      const { json, result } = yield* turn("!todo one | two | three")
      expect(result).toBe("planned: 3")
      for (const [content, status] of [
        ["one", "completed"],
        ["two", "in_progress"],
        ["three", "pending"]
      ])
        expect(json).toContain(JSON.stringify({ content, activeForm: content, status }))
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("an image as a tool's result", () =>
    Effect.gen(function* () {
      const { json, result } = yield* turn("!image")
      expect(result).toBe("done: an image")
      const data = /"media_type":"image\/png","data":"([^"]+)"/.exec(json)?.[1] ?? ""
      expect(Buffer.from(data, "base64").subarray(1, 4).toString()).toBe("PNG")
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("a subagent's lines under the call that started it", () =>
    Effect.gen(function* () {
      const { lines, result } = yield* turn("!subagent count the files")
      expect(result).toBe("done: subagent")
      const task = /"id":"(toolu_\w+)","name":"Task"/.exec(JSON.stringify(lines.map(({ json }) => json)))?.[1]
      const inside = lines.filter(({ json }) => json["parent_tool_use_id"] === task)
      expect(inside.map(({ type }) => type)).toEqual(["assistant", "user", "assistant"])
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("a context that fills", () =>
    Effect.gen(function* () {
      const { json } = yield* turn("!usage 130000")
      expect(json).toContain('"input_tokens":130000')
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("all words of a stream", () =>
    Effect.gen(function* () {
      const { result } = yield* turn("!stream 50 1000")
      expect(result).toBe(Array.from({ length: 50 }, (_, index) => `word${index} `).join(""))
    }).pipe(Effect.provide(layer))
  )
})

describe("the scripted agent follows", () => {
  const options = {
    model: "scripted-2",
    permissionMode: "acceptEdits",
    maxTurns: 3,
    systemPrompt: "--terse",
    appendSystemPrompt: "and kind",
    allowedTools: ["Bash"],
    disallowedTools: ["Write"],
    additionalDirectories: ["/a", "/b"],
    mcpServers: Redacted.make({ probe: { command: "probe", env: { KEY: "secret" } } }),
    settings: Redacted.make({ effortLevel: "high" })
  }

  it.scopedLive("every option that it is started with", () =>
    Effect.gen(function* () {
      const { json, result } = yield* turn("!options", { options })
      expect(JSON.parse(String(result))).toEqual({
        model: "scripted-2",
        permission_mode: "acceptEdits",
        max_turns: 3,
        system_prompt: "--terse",
        append_system_prompt: "and kind",
        allowed_tools: ["Bash"],
        disallowed_tools: ["Write"],
        additional_directories: ["/a", "/b"],
        mcp_servers: ["probe"],
        settings: { effortLevel: "high" }
      })
      expect(json).not.toContain("secret")
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("tool lists and the limit of turns", () =>
    Effect.gen(function* () {
      expect((yield* turn("!bash echo ran", { options })).result).toBe("done: ran")
      expect((yield* turn("!write a b", { options })).result).toBe("denied: Write is not to be used")
      const { lines } = yield* turn("!flood 9", { options })
      expect(lines.at(-1)?.json).toMatchObject({ subtype: "error_max_turns", num_turns: 3 })
    }).pipe(Effect.provide(layer))
  )
})
