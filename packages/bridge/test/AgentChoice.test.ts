import * as EnvironmentCapabilities from "@causeway/protocol/EnvironmentCapabilities"
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as AgentChoice from "../src/AgentChoice.ts"

const agent = FastCheck.oneof(
  FastCheck.constantFrom("claude", "scripted", "acp:npx -y one", "acp:npx -y two", "acp:/a,b/x --key s3cret"),
  FastCheck.string({ minLength: 1 }).map((command) => `acp:${command}`)
)

describe("the agents that a bridge offers", () => {
  it.prop(
    "have names of their own, which survive the environment's metadata and tell no argument",
    [FastCheck.array(agent, { minLength: 1 })],
    ([agents]) => {
      const offered = AgentChoice.offer(agents)
      const names = offered.map(({ name }) => name)
      expect(offered.map((each) => each.agent)).toEqual([...new Set(agents)])
      expect(new Set(names).size).toBe(names.length)
      expect(names.join()).not.toContain("s3cret")
      const capabilities = {
        agents: names,
        worktrees: true,
        sessions: false,
        standIn: true,
        notAllowed: ["plan", "skip_permissions"],
        alwaysAsk: ["Bash", "mcp__*"]
      }
      expect(EnvironmentCapabilities.fromMetadata(EnvironmentCapabilities.toMetadata(capabilities))).toEqual(
        capabilities
      )
      for (const { name, agent } of offered) {
        expect(AgentChoice.chosen(offered, AgentChoice.entered(offered, name))).toEqual(Either.right(agent))
      }
    }
  )

  it.prop(
    "are never stood in for by another: a name that is not offered chooses nothing",
    [FastCheck.array(agent, { minLength: 1 }), FastCheck.string()],
    ([agents, name]) => {
      const offered = AgentChoice.offer(agents)
      FastCheck.pre(!offered.some((each) => each.name === name || each.agent === name))
      const choice = AgentChoice.chosen(offered, AgentChoice.entered(offered, name))
      expect(Either.isLeft(choice)).toBe(true)
    }
  )

  it("metadata of others names none", () => {
    expect(EnvironmentCapabilities.fromMetadata({ worker_type: "x", agents: 7, worktrees: true })).toEqual({
      agents: [],
      worktrees: false,
      sessions: true,
      standIn: false,
      notAllowed: [],
      alwaysAsk: []
    })
  })
})
