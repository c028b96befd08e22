/** The options of a session as an ACP agent is given them. */
import { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Settings from "../../src/Acp/Settings.ts"
import * as Surroundings from "../../src/Acp/Surroundings.ts"
import type { AgentOptions } from "../../src/AgentOptions.ts"

const given = (options: AgentOptions, capabilities: ReadonlyArray<string> = []) =>
  Surroundings.make(
    {
      name: "Agent",
      version: "",
      authMethods: [],
      capabilities: {
        mcpCapabilities: { http: true },
        sessionCapabilities: Object.fromEntries(capabilities.map((each) => [each, {}]))
      }
    },
    { cwd: "/work", options, runId: "r", sessionId: SessionId.make("session_s") }
  )

describe("an ACP agent is given", () => {
  it("its directory and nothing else where no option is set", () => {
    expect(given({})).toEqual({ params: { cwd: "/work", mcpServers: [] }, warnings: [] })
  })

  it("additional directories where it takes them", () => {
    const options = { additionalDirectories: ["/a", "/b"] }
    expect(given(options, ["additionalDirectories"])).toEqual({
      params: { cwd: "/work", mcpServers: [], additionalDirectories: ["/a", "/b"] },
      warnings: []
    })
    expect(given(options).warnings).toEqual(["Agent takes no additional directories: /a, /b"])
  })

  it("system prompts, tool lists and the limit of turns as an extension, of which a person is told", () => {
    const { params, warnings } = given({
      systemPrompt: "be terse",
      appendSystemPrompt: "and kind",
      allowedTools: ["Read"],
      disallowedTools: ["Bash"],
      maxTurns: 3
    })
    expect(params["_meta"]).toEqual({
      systemPrompt: "be terse\n\nand kind",
      claudeCode: { options: { maxTurns: 3, allowedTools: ["Read"], disallowedTools: ["Bash"] } }
    })
    expect(warnings).toEqual([
      "Agent may not follow these options, which ACP does not define: systemPrompt, maxTurns, allowedTools, disallowedTools"
    ])
    expect(given({ appendSystemPrompt: "and kind" }).params["_meta"]).toEqual({
      systemPrompt: { append: "and kind" }
    })
  })

  it("the MCP servers that it can use", () => {
    const { params, warnings } = given({
      mcpServers: Redacted.make({
        command: { command: "probe", args: ["-x", 1], env: { KEY: "secret" } },
        http: { type: "http", url: "http://127.0.0.1/", headers: { a: "b" } },
        sse: { type: "sse", url: "http://127.0.0.1/" },
        neither: { what: 1 }
      })
    })
    expect(params["mcpServers"]).toEqual([
      {
        name: "command",
        command: "probe",
        args: ["-x"],
        env: [
          { name: "KEY", value: "secret" },
          { name: "CAUSEWAY_RUN_ID", value: "r" },
          { name: "CAUSEWAY_SESSION_ID", value: "session_s" }
        ]
      },
      { type: "http", name: "http", url: "http://127.0.0.1/", headers: [{ name: "a", value: "b" }] }
    ])
    expect(warnings).toEqual(["Agent cannot use these MCP servers: sse"])
  })

  it("model, mode and settings by requests, each judged by what holds by then", () => {
    const configOptions = [
      { id: "llm", category: "model", type: "select", options: [{ value: "big" }] },
      { id: "web", type: "boolean" }
    ]
    const settings = { ...Settings.opened({ configOptions }), modes: [{ value: "plan", name: "Plan" }] }
    const options = { model: "big", permissionMode: "plan", settings: Redacted.make({ web: true, no: 1 }) }
    expect(
      Settings.chosen(options).map((choose) => {
        const change = choose(settings)
        return change._tag === "Right" ? change.right : change.left
      })
    ).toEqual([
      { method: "session/set_config_option", params: { configId: "llm", value: "big" } },
      { method: "session/set_mode", params: { modeId: "plan" } },
      { method: "session/set_config_option", params: { configId: "web", type: "boolean", value: true } },
      "this agent has no option no; it has llm, web"
    ])
  })
})
