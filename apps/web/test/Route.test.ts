import { describe, expect, it } from "@effect/vitest"
import * as Route from "../src/Route.ts"

describe("Route", () => {
  it("finds the token and the session", () => {
    expect(Route.tokenIn("#token=abc%2F")).toBe("abc/")
    expect(Route.tokenIn("#token=")).toBeNull()
    expect(Route.tokenIn("#/session/x")).toBeNull()
    expect(Route.of(Route.toSession("session_1-a"))).toEqual({
      _tag: "Session",
      id: "session_1-a",
      seq: null
    })
    expect(Route.of(Route.toEvent("session_1-a", 42))).toEqual({
      _tag: "Session",
      id: "session_1-a",
      seq: 42
    })
    expect(Route.of(Route.toApprovals)).toEqual({ _tag: "Approvals" })
    expect(Route.of(Route.toMetrics)).toEqual({ _tag: "Metrics" })
  })

  it("takes no path for a session", () => {
    for (const fragment of [
      "#/session/",
      "#/session/a/b",
      "#/session/..",
      "#/session/%2e",
      "#/session/a/0",
      "#token=x",
      ""
    ])
      expect(Route.of(fragment)).toEqual({ _tag: "List" })
  })
})
