import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Rule from "../src/Rule.ts"

describe("Rule", () => {
  it("tells tools, folders and modes, and where they hold", () => {
    expect(
      Rule.words([
        {
          type: "addRules",
          behavior: "allow",
          rules: [{ toolName: "Bash", ruleContent: "npm test:*" }, { toolName: "Read" }],
          destination: "session"
        },
        { type: "addDirectories", directories: ["/tmp"], destination: "userSettings" },
        { type: "setMode", mode: "acceptEdits" },
        { type: "somethingNew" }
      ])
    ).toEqual([
      "allow Bash(npm test:*), Read in this session",
      "work in /tmp everywhere, for you",
      "change permissions to acceptEdits",
      "somethingNew"
    ])
  })

  it.prop("has words for anything", [FastCheck.array(FastCheck.jsonValue())], ([suggestions]) => {
    const words = Rule.words(suggestions)
    expect(words).toHaveLength(suggestions.length)
    for (const line of words) expect(typeof line).toBe("string")
  })
})
