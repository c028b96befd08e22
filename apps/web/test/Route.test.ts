import { describe, expect, it } from "@effect/vitest"
import * as Route from "../src/Route.ts"

describe("Route", () => {
  it("finds a token and a code, in an address and in what was typed", () => {
    expect(Route.ticketIn("#token=abc%2F")).toEqual({ _tag: "Token", token: "abc/" })
    expect(Route.ticketIn("#code=a-b")).toEqual({ _tag: "Code", code: "a-b" })
    for (const fragment of ["#token=", "#code=", "#/session/x", ""])
      expect(Route.ticketIn(fragment)).toBeNull()
    expect(Route.ticketOf(" cw_1 ")).toEqual({ _tag: "Token", token: "cw_1" })
    expect(Route.ticketOf("http://127.0.0.1:4750/#token=cw_1")).toEqual({ _tag: "Token", token: "cw_1" })
    expect(Route.ticketOf(Route.toCode("https://x.example/", "a/b#c"))).toEqual({
      _tag: "Code",
      code: "a/b#c"
    })
    expect(Route.ticketOf(" ")).toBeNull()
  })

  it("finds what is shown, and its way back", () => {
    const routes: ReadonlyArray<Route.Route> = [
      { _tag: "List" },
      { _tag: "Approvals" },
      { _tag: "Metrics" },
      { _tag: "Devices" },
      { _tag: "Session", id: "session_1-a", seq: null },
      { _tag: "Session", id: "session_1-a", seq: 42 }
    ]
    for (const route of routes) expect(Route.of(Route.to(route))).toEqual(route)
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
