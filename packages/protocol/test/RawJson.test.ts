import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { elements, isDeeperThan, member, upTo } from "../src/RawJson.ts"

/** Writes a value with spaces wherever JSON allows them, so that slices are told from re-encodings. */
const spaced = (value: unknown): string => {
  if (Array.isArray(value)) return `[ ${value.map(spaced).join(" ,\n")} ]`
  if (typeof value === "object" && value !== null) {
    return `{\t${Object.entries(value)
      .map(([k, v]) => `${JSON.stringify(k)} :  ${spaced(v)}`)
      .join(" , ")} }`
  }
  return JSON.stringify(value)
}

describe("raw JSON slices", () => {
  it.prop(
    "the elements of an array are its elements' own texts",
    [FastCheck.array(FastCheck.jsonValue())],
    ([values]) => {
      expect(elements(spaced(values))).toEqual(values.map(spaced))
    }
  )

  it.prop(
    "a member is its value's own text",
    [FastCheck.dictionary(FastCheck.string(), FastCheck.jsonValue())],
    ([object]) => {
      const text = spaced(object)
      for (const [key, value] of Object.entries(object)) expect(member(text, key)).toBe(spaced(value))
      expect(member(text, "\u0000absent")).toBe(
        object["\u0000absent"] === undefined ? undefined : spaced(object["\u0000absent"])
      )
    }
  )

  it("keeps spellings that a round trip would lose", () => {
    const text = '{"events":[{"payload":{"n":1.0,"big":12345678901234567890,"e":"\\u00e9"}}]}'
    const event = elements(member(text, "events") ?? "")[0] ?? ""
    expect(member(event, "payload")).toBe('{"n":1.0,"big":12345678901234567890,"e":"\\u00e9"}')
  })

  it("takes the last of several members of one name, as JSON.parse does", () => {
    expect(member('{"a":1,"b":2,"a":3}', "a")).toBe("3")
  })
})

describe("depth", () => {
  const depthOf = (value: unknown): number =>
    typeof value === "object" && value !== null
      ? 1 + Math.max(0, ...Object.values(value).map((each) => depthOf(each)))
      : 0

  it.prop(
    "is told as the value's own, whatever its strings hold",
    [FastCheck.jsonValue({ maxDepth: 6 }), FastCheck.integer({ min: 0, max: 7 })],
    ([value, limit]) => {
      expect(isDeeperThan(spaced(value), limit)).toBe(depthOf(value) > limit)
    }
  )

  it.prop(
    "up to a limit, a text says what it said; beyond, what lies deeper is left out",
    [FastCheck.jsonValue({ maxDepth: 6 }), FastCheck.integer({ min: 1, max: 7 })],
    ([value, limit]) => {
      const text = upTo(spaced(value), limit)
      if (depthOf(value) <= limit) expect(text).toBe(spaced(value))
      else expect(depthOf(JSON.parse(text))).toBe(limit)
    }
  )

  it("of a million levels is told without a stack", () => {
    expect(isDeeperThan("[".repeat(1_000_000), 256)).toBe(true)
    expect(isDeeperThan(`["${"[".repeat(1_000_000)}\\"["]`, 256)).toBe(false)
  })
})
