import { describe, expect, it } from "@effect/vitest"
import * as Route from "../src/Route.ts"

describe("Route", () => {
  it("finds the token and the session", () => {
    expect(Route.tokenIn("#token=abc%2F")).toBe("abc/")
    expect(Route.tokenIn("#token=")).toBeNull()
    expect(Route.tokenIn("#/session/x")).toBeNull()
    expect(Route.sessionIn(Route.toSession("session_1-a"))).toBe("session_1-a")
  })

  it("takes no path for a session", () => {
    for (const fragment of ["#/session/", "#/session/a/b", "#/session/..", "#/session/%2e", "#token=x", ""])
      expect(Route.sessionIn(fragment)).toBeNull()
  })
})
