import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as LineSplitter from "../../src/Process/LineSplitter.ts"

const split = (chunks: ReadonlyArray<Uint8Array>, limit?: number): ReadonlyArray<LineSplitter.Line> => {
  const splitter = LineSplitter.make(limit)
  return [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()]
}

const text = FastCheck.string({ unit: "grapheme", maxLength: 40 }).map((each) =>
  each.replaceAll(/[\r\n]/g, "·")
)

/** The bytes cut at places that any generated numbers name. */
const cut = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

describe("LineSplitter", () => {
  it.prop(
    "any way of cutting the bytes gives the same lines, characters whole",
    [FastCheck.array(text), FastCheck.array(FastCheck.nat(), { maxLength: 20 })],
    ([lines, places]) => {
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""))
      expect(split(cut(bytes, places))).toEqual(lines.map((line) => ({ _tag: "Line", text: line })))
    }
  )

  it.prop(
    "a line above the limit is told by its size, and the lines around it are whole",
    [FastCheck.integer({ min: 0, max: 64 }), FastCheck.array(FastCheck.nat(), { maxLength: 20 })],
    ([size, places]) => {
      const bytes = Buffer.from(`before\n${"x".repeat(size)}\nafter`)
      expect(split(cut(bytes, places), 16)).toEqual([
        { _tag: "Line", text: "before" },
        size > 16
          ? { _tag: "TooLong", bytes: size, start: expect.stringMatching(/^x{17,}$/) }
          : { _tag: "Line", text: "x".repeat(size) },
        { _tag: "Line", text: "after" }
      ])
    }
  )

  it("holds no more than its limit of a line that never ends", () => {
    const splitter = LineSplitter.make(1000)
    for (let index = 0; index < 1000; index++) {
      splitter.push(new Uint8Array(100))
      expect(splitter.held()).toBeLessThanOrEqual(1000)
    }
    expect(splitter.end()).toEqual([{ _tag: "TooLong", bytes: 100_000, start: expect.any(String) }])
  })

  it("takes a carriage return before the line feed for a line break, and no other", () => {
    expect(split([Buffer.from("a\rb\r\nc")])).toEqual([
      { _tag: "Line", text: "a\rb" },
      { _tag: "Line", text: "c" }
    ])
  })
})
