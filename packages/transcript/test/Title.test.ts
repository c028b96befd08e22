import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Preview from "../src/Preview.ts"
import * as Read from "../src/Read.ts"
import * as Title from "../src/Title.ts"
import * as Usage from "../src/Usage.ts"

describe("Title", () => {
  it("cuts between words", () => {
    expect(Title.derive("  fix\nthe build ")).toBe("fix the build")
    expect(Title.derive(`${"word ".repeat(20)}`)).toBe(`${"word ".repeat(12).trimEnd()}…`)
    expect(Title.derive("x".repeat(100))).toBe(`${"x".repeat(59)}…`)
    expect(Title.derive(" \n\u0000 ")).toBeNull()
    expect(Title.given("\u202eevil")).toBe("evil")
  })

  it("has no marks of markdown, and keeps the stars of a path", () => {
    expect(Title.derive("## **Fix** the `build`\n- and **all tests**")).toBe("Fix the build and all tests")
    expect(Title.derive("src/**/*.ts and test/**/*.ts, 2**3**4, **/*.js")).toBe(
      "src/**/*.ts and test/**/*.ts, 2**3**4, **/*.js"
    )
    expect(Title.derive("这是**重点**内容")).toBe("这是重点内容")
    expect(Title.derive(`${"word ".repeat(9)}**a long emphasis that is cut**`)).not.toContain("*")
    expect(Title.suggested("**Build** fixed")).toBe("Build fixed")
    expect(Title.given("**mine**")).toBe("**mine**")
  })

  it("is never cut within an emoji, a flag or a letter with marks", () => {
    const family = "👨‍👩‍👧‍👦"
    expect(Title.derive(`${"x".repeat(57)}${family} and more`)).toBe(`${"x".repeat(57)}…`)
    expect(Title.derive(`${"x".repeat(52)}${family}`)).toBe(`${"x".repeat(52)}${family}`)
    expect(Title.derive(`${"x".repeat(58)}🇩🇪🇫🇷`)).toBe(`${"x".repeat(58)}…`)
    expect(Title.derive(`${"x".repeat(58)}e\u0301e\u0301e\u0301`)).toBe(`${"x".repeat(58)}…`)
  })

  it("holds nothing hidden", () => {
    expect(Title.derive("a\u200bb\u061cc\ufeffd\u{e0041}\ud800e")).toBe("abcde")
    expect(Title.given("safe\u2066\u2029name")).toBe("safe name")
  })

  it.prop(
    "is one line of at most 60 characters, and the beginning of the text",
    [FastCheck.fullUnicodeString({ maxLength: 300 })],
    ([text]) => {
      const title = Title.derive(text)
      if (title === null) return
      expect(Array.from(title).length).toBeLessThanOrEqual(Title.DERIVED_MAX)
      expect(title).not.toMatch(/[\p{Cc}\n]/u)
      expect(Title.derive(title)).toBe(title)
    }
  )
})

describe("Read", () => {
  it.prop(
    "a bounded copy is within its budget, and the value itself where that fits",
    [FastCheck.jsonValue(), FastCheck.integer({ min: 1, max: 2000 })],
    ([value, budget]) => {
      const copy = Read.bounded(value, budget)
      expect(JSON.stringify(copy.value).length).toBeLessThan(budget * 8 + 64)
      if (!copy.truncated) expect(Read.digest(copy.value)).toBe(Read.digest(value))
    }
  )

  it.prop(
    "a digest tells values apart as JSON does",
    [FastCheck.jsonValue(), FastCheck.jsonValue()],
    ([a, b]) => {
      const sorted = (value: unknown): unknown =>
        typeof value !== "object" || value === null
          ? value
          : Array.isArray(value)
            ? value.map(sorted)
            : Object.entries(value)
                .sort(([x], [y]) => (x < y ? -1 : 1))
                .map(([key, member]) => [key, sorted(member)])
      const shape = (value: unknown) => JSON.stringify([Array.isArray(value), sorted(value)])
      expect(Read.digest(a)).toBe(Read.digest(JSON.parse(JSON.stringify(a))))
      if (Read.digest(a) === Read.digest(b)) expect(shape(a)).toBe(shape(b))
    }
  )

  it.prop(
    "a preview is one line within its bound",
    [FastCheck.fullUnicodeString(), FastCheck.integer({ min: 2, max: 40 })],
    ([text, max]) => {
      const line = Read.preview(text, max)
      expect(line.length).toBeLessThanOrEqual(max)
      expect(line).not.toMatch(/\n/)
    }
  )

  it("a digest knows where one text ends and the next begins", () => {
    expect(Read.digest(["ab", ""])).not.toBe(Read.digest(["a", "b"]))
    expect(Read.digest({ a: 1, b: 2 })).toBe(Read.digest({ b: 2, a: 1 }))
  })

  it("an amount survives JSON", () => {
    for (const value of [-0, 0, 1.5, -1, Number.NaN, Number.POSITIVE_INFINITY, "1", null]) {
      const amount = Read.amount(value)
      expect(JSON.parse(JSON.stringify(amount))).toBe(amount)
    }
  })

  it("a cut never splits a character", () => {
    expect(Read.clip("a😀b", 2)).toBe("a")
    expect(Read.clip("a😀b", 3)).toBe("a😀")
  })
})

describe("Preview", () => {
  it("says what a tool is called with", () => {
    expect(Preview.toolInput({ description: "d", command: "npm\n test" })).toBe("npm test")
    expect(Preview.toolInput({ questions: [{ question: "Which?" }] })).toBe("Which?")
    expect(Preview.toolInput({ odd: "x" })).toBe("odd: x")
    expect(Preview.toolInput(null)).toBe("")
  })
})

describe("Usage", () => {
  const line = (more: object) => ({
    type: "assistant",
    message: { model: "m", usage: { input_tokens: 1, cache_read_input_tokens: 2 } },
    ...more
  })

  it("is that of the main context, and of real messages", () => {
    expect(Usage.ofLine(line({}))).toEqual({
      inputTokens: 1,
      outputTokens: 0,
      cacheReadTokens: 2,
      cacheCreationTokens: 0
    })
    expect(Usage.ofLine(line({ parent_tool_use_id: "t" }))).toBeNull()
    expect(Usage.ofLine(line({ isSidechain: true }))).toBeNull()
    expect(Usage.ofLine(line({ type: "result" }))).toBeNull()
    expect(Usage.ofLine(line({ message: { model: "<synthetic>", usage: { input_tokens: 0 } } }))).toBeNull()
    expect(Usage.ofLine(line({ message: { usage: {} } }))).toBeNull()
  })

  it("leaves room for the answer", () => {
    expect(Usage.contextLimit(null)).toBe(168_000)
    expect(Usage.contextLimit("claude[1m]")).toBe(968_000)
  })
})
