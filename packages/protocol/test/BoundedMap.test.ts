import { describe, expect, it } from "@effect/vitest"
import { BoundedMap } from "../src/BoundedMap.ts"

describe("BoundedMap", () => {
  it("keeps what was set last, and what is set again counts as new", () => {
    const map = new BoundedMap<string, number>(2)
    map.set("a", 1).set("b", 2).set("a", 3).set("c", 4)
    expect([...map]).toEqual([
      ["a", 3],
      ["c", 4]
    ])
    map.get("a")
    map.set("d", 5)
    expect([...map.keys()]).toEqual(["c", "d"])
  })
})
