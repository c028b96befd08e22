import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { clean, cleanLine, truncate, width, wrap } from "../../src/Attach/Text.ts"

const hostile = FastCheck.array(
  FastCheck.oneof(
    FastCheck.fullUnicodeString({ maxLength: 10 }),
    FastCheck.string16bits({ maxLength: 6 }),
    FastCheck.constantFrom(
      "\u001b[2J",
      "\u001b]0;title\u0007",
      "\u009b31m",
      "\u202e",
      "\u2066",
      "\u061c",
      "\u200f",
      "\u200b",
      "\ufeff",
      "\u{e0041}",
      "\ud800",
      "\r",
      "\r\n",
      "\t",
      "\u2028",
      "日本語",
      "👨‍👩‍👧",
      "a long line of words that has to be broken somewhere"
    )
  ),
  { maxLength: 20 }
).map((parts) => parts.join(""))

/** What moves a terminal's cursor, changes its state, reorders text, or is no character. */
const dangerous =
  /(?!\n)\p{Cc}|[\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|[\u{e0000}-\u{e007f}]|\p{Cs}/u

describe("Text", () => {
  it("shows control characters and bidi marks instead of sending them", () => {
    expect(clean("a\u001b[31mb\u202ec\td\r\ne")).toBe("a\\u001b[31mb\\u202ec    d\ne")
    expect(cleanLine("two\n  lines")).toBe("two lines")
  })

  it("breaks between words, and within one that is too long", () => {
    expect(wrap("one two three", 8)).toEqual(["one two", "three"])
    expect(wrap("abcdefghij", 4)).toEqual(["abcd", "efgh", "ij"])
    expect(wrap("日本語日本", 5)).toEqual(["日本", "語日", "本"])
    expect(wrap("a\n\nb", 5)).toEqual(["a", "", "b"])
  })

  it.prop("leaves nothing dangerous, whatever comes", { text: hostile }, ({ text }) => {
    expect(clean(text)).not.toMatch(dangerous)
    expect(cleanLine(text)).not.toMatch(/\n/)
  })

  it.prop(
    "wraps within the columns and loses nothing but spaces",
    { text: hostile, columns: FastCheck.integer({ min: 2, max: 60 }) },
    ({ columns, text }) => {
      const whole = clean(text)
      const rows = wrap(whole, columns)
      for (const row of rows) expect(width(row)).toBeLessThanOrEqual(columns)
      expect(rows.join("").replace(/\s/g, "")).toBe(whole.replace(/\s/g, ""))
    }
  )

  it.prop(
    "cuts to the columns",
    { text: hostile, columns: FastCheck.integer({ min: 0, max: 60 }) },
    ({ columns, text }) => {
      expect(width(truncate(cleanLine(text), columns))).toBeLessThanOrEqual(columns)
    }
  )
})
