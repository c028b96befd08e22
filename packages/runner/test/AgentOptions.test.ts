import { inspect } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as AgentOptions from "../src/AgentOptions.ts"

const stored = {
  model: "big",
  mcpServers: {
    one: { command: "probe", env: { KEY: "secret" } },
    two: { type: "http", url: "http://127.0.0.1/", headers: { authorization: "secret" } }
  },
  settings: { apiKeyHelper: "secret" }
}

describe("options of an agent", () => {
  it.effect("show no secret in a log, and all of them when they are encoded", () =>
    Effect.gen(function* () {
      const options = yield* Schema.decodeUnknown(AgentOptions.AgentOptions)(stored)
      for (const text of [JSON.stringify(options), inspect(options, { depth: 9 }), `${options.mcpServers}`]) {
        expect(text).not.toContain("secret")
      }
      expect(yield* Schema.encode(AgentOptions.AgentOptions)(options)).toEqual(stored)
    })
  )

  it("are merged one by one", () => {
    const settings = Redacted.make({ a: 1 })
    const merged = AgentOptions.merge(
      { model: "big", maxTurns: 3, settings },
      { model: "small", maxTurns: undefined, allowedTools: ["Read"] }
    )
    expect(merged).toEqual({ model: "small", maxTurns: 3, settings, allowedTools: ["Read"] })
  })

  it("tell MCP servers that are commands which session they serve", () => {
    const options = { mcpServers: Redacted.make(stored.mcpServers) }
    expect(AgentOptions.mcpServers(options, { runId: "r", sessionId: "s" })).toEqual({
      one: { command: "probe", env: { KEY: "secret", CAUSEWAY_RUN_ID: "r", CAUSEWAY_SESSION_ID: "s" } },
      two: stored.mcpServers.two
    })
    expect(AgentOptions.mcpServers({}, { runId: "r", sessionId: "s" })).toEqual({})
  })
})
