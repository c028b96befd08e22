import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as HotRoutes from "../src/HotRoutes.ts"
import * as RouteTable from "../src/RouteTable.ts"
import * as EventStream from "../src/Streams/EventStream.ts"

const answer = () => Effect.succeed(HotRoutes.json(200, {}))
const table = RouteTable.make([
  HotRoutes.route({ method: "GET", path: "/" }, answer),
  HotRoutes.route({ method: "GET", path: "/a/:id" }, answer),
  HotRoutes.route({ method: "PUT", path: "/a/:id" }, answer),
  HotRoutes.route({ method: "GET", path: "/a/fixed" }, answer),
  HotRoutes.route({ method: "GET", path: "/a/:id/b/:other" }, answer)
])

describe("the route table", () => {
  it("finds routes, a literal before a parameter", () => {
    const of = (method: string, path: string) => {
      const match = table.match(method, path)
      return match._tag === "Found" ? [match.route.path, match.params] : match
    }
    expect(of("GET", "/")).toEqual(["/", {}])
    expect(of("GET", "/a/x")).toEqual(["/a/:id", { id: "x" }])
    expect(of("GET", "/a/fixed")).toEqual(["/a/fixed", {}])
    expect(of("GET", "/a/x/b/y")).toEqual(["/a/:id/b/:other", { id: "x", other: "y" }])
    expect(of("PATCH", "/a/x")).toEqual({ _tag: "OtherMethod", allow: ["GET", "PUT"] })
    expect(of("GET", "/a")).toEqual({ _tag: "NotFound" })
    expect(of("GET", "/a/x/")).toEqual({ _tag: "NotFound" })
    expect(of("GET", "/a/%2e%2e")).toEqual({ _tag: "InvalidParameter", name: "id" })
  })

  it.prop(
    "never hands a parameter to a handler that could name another path",
    [FastCheck.string({ maxLength: 40 })],
    ([segment]) => {
      const match = table.match("GET", `/a/${segment}`)
      if (match._tag === "Found" && match.route.path !== "/a/fixed") {
        for (const value of Object.values(match.params)) expect(value).toMatch(/^[A-Za-z0-9_-]{1,128}$/)
      }
    }
  )

  it("refuses to be made with two routes of one address", () => {
    expect(() =>
      RouteTable.make([
        HotRoutes.route({ method: "GET", path: "/x" }, answer),
        HotRoutes.route({ method: "GET", path: "/x" }, answer)
      ])
    ).toThrow("GET /x is routed twice")
  })
})

describe("frames", () => {
  it.prop(
    "any JSON text, with line breaks between its tokens, arrives as what it means",
    [FastCheck.jsonValue(), FastCheck.constantFrom("\n", "\r\n", "\r", "  ")],
    ([value, space]) => {
      const text = JSON.stringify({ value }, undefined, 2).replaceAll("\n", space)
      const lines = EventStream.frame({ event: "e", id: 3, data: text })
        .split(/\r\n|\r|\n/)
        .filter((line) => line.startsWith("data: "))
        .map((line) => line.slice("data: ".length))
      expect(JSON.parse(lines.join("\n"))).toEqual(JSON.parse(text))
    }
  )
})

describe("bearer", () => {
  it("reads a token and nothing else", () => {
    expect(HotRoutes.bearer({ authorization: "Bearer abc" })).toBe("abc")
    expect(HotRoutes.bearer({ authorization: "bearer  abc " })).toBe("abc")
    expect(HotRoutes.bearer({ authorization: "Basic abc" })).toBe(undefined)
    expect(HotRoutes.bearer({ authorization: "Bearer " })).toBe(undefined)
    expect(HotRoutes.bearer({})).toBe(undefined)
  })
})
