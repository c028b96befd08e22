import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { difference } from "../../src/Attach/Terminal.ts"

/** A terminal that knows what a difference is made of. */
const applied = (screen: ReadonlyArray<string>, out: string): ReadonlyArray<string> => {
  const lines = [...screen]
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it reads what is sent to a terminal
  for (const match of out.matchAll(/\u001b\[(\d+);1H\u001b\[2K([^\u001b]*)\u001b\[0m/g)) {
    lines[Number(match[1]) - 1] = match[2] ?? ""
  }
  return lines
}

const frame = FastCheck.array(FastCheck.constantFrom("", "one", "two", "three"), { maxLength: 8 })

describe("difference", () => {
  it.prop("makes the next frame of the one before", { before: frame, after: frame }, ({ after, before }) => {
    const lines = applied(before, difference(before, after))
    expect(lines.slice(0, after.length)).toEqual(after)
    expect(lines.slice(after.length).every((line) => line === "")).toBe(true)
  })

  it.prop("writes nothing where nothing has changed", { frame }, ({ frame }) => {
    expect(difference(frame, frame)).toBe("")
  })
})
