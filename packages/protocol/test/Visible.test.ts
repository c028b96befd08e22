import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Ansi from "../src/Ansi.ts"
import * as Visible from "../src/Visible.ts"

const ESC = "\u001b"
const family = "👨‍👩‍👧‍👦"
const scotland = "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}"

const hostile = FastCheck.array(
  FastCheck.oneof(
    FastCheck.fullUnicodeString({ maxLength: 10 }),
    FastCheck.string16bits({ maxLength: 6 }),
    FastCheck.string({ maxLength: 10 }),
    FastCheck.constantFrom(
      `${ESC}[2J`,
      `${ESC}[31m`,
      `${ESC}[38;5;200;1m`,
      `${ESC}[38:2::1:2:3m`,
      `${ESC}[8m`,
      `${ESC}[0`,
      `${ESC}]0;title\u0007`,
      `${ESC}]8;;http://x${ESC}\\`,
      `${ESC}P1;2q`,
      "\u009b31m",
      "\u007f",
      "\u202e",
      "\u2066",
      "\u061c",
      "\u200f",
      "\u200b",
      "\u200d",
      "\ufe0f",
      "\ufeff",
      "\u{e0041}",
      "\u{e0101}",
      "\ud800",
      "\udc00",
      "\r",
      "\r\n",
      "\t",
      "\u2028",
      family,
      scotland,
      "1️⃣",
      "e\u0301"
    )
  ),
  { maxLength: 20 }
).map((parts) => parts.join(""))

/** What moves a terminal's cursor, changes its state, turns the reading order around, or is half a character. */
const dangerous =
  /(?![\n\t])\p{Cc}|[\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]|[\u{e0100}-\u{e01ef}]|\p{Cs}/u

describe("Visible", () => {
  it("writes out what a terminal obeys, what turns the reading order around, and what shows nothing", () => {
    expect(Visible.text(`a${ESC}[31mb\u202ec\td\r\ne\u0000\u007f\u009b2J`)).toBe(
      "a\\u001b[31mb\\u202ec\td\ne\\u0000\\u007f\\u009b2J"
    )
    expect(Visible.text("pay\u200dload\u200b\u{e0041}\ud800")).toBe("pay\\u200dload\\u200b\\u{e0041}\\ud800")
    expect(Visible.text("100%\rdone")).toBe("100%\\u000ddone")
  })

  it("leaves letters, marks and emoji of all kinds whole", () => {
    const whole = `日本語 é e\u0301 שלום می‌خواهم क्‍ष 👩‍💻 ❤️ 👍🏽 🏳️‍⚧️ 🏳️‍🌈 1️⃣ 🇩🇪 ${scotland} ${family}`
    expect(Visible.text(whole)).toBe(whole)
    expect(Visible.json(JSON.stringify(whole))).toBe(JSON.stringify(whole))
  })

  it("makes one line, cut between characters as people see them", () => {
    expect(Visible.line("  two\n\tlines ")).toBe("two lines")
    expect(Visible.line("abcdefghij", 5)).toBe("abcd…")
    expect(Visible.line(`ab${family}cd`, 8)).toBe("ab…")
    expect(Visible.line(`a${"e\u0301".repeat(9)}`, 6)).toBe("ae\u0301e\u0301…")
    expect(Visible.line("🇩🇪🇫🇷🇮🇹", 10)).toBe("🇩🇪🇫🇷…")
    expect(Visible.clip("abc", 3)).toBe("abc")
  })

  it.prop(
    "leaves nothing dangerous, whatever comes, and doing it twice is doing it once",
    [hostile],
    ([value]) => {
      const shown = Visible.text(value)
      expect(shown).not.toMatch(dangerous)
      expect(Visible.text(shown)).toBe(shown)
      expect(Visible.line(value)).not.toMatch(dangerous)
      expect(Visible.line(value)).not.toMatch(/[\n\t]/)
    }
  )

  it.prop(
    "cuts to the length, and only at the end of a whole character",
    [hostile, FastCheck.integer({ min: 1, max: 60 })],
    ([value, max]) => {
      const whole = Visible.text(value)
      const cut = Visible.clip(whole, max)
      expect(cut.length).toBeLessThanOrEqual(max)
      if (cut !== whole) {
        const kept = Visible.beginning(whole, max - 1)
        expect(Visible.graphemes(whole).slice(0, Visible.graphemes(kept).length).join("")).toBe(kept)
      }
      expect(Visible.line(value, max).length).toBeLessThanOrEqual(max)
    }
  )

  it.prop("writes JSON that says the same and drives no terminal", [hostile], ([value]) => {
    for (const text of [JSON.stringify({ value }), JSON.stringify({ [value]: [value] }, null, 2)]) {
      const shown = Visible.json(text)
      expect(JSON.parse(shown)).toEqual(JSON.parse(text))
      expect(shown).not.toMatch(dangerous)
    }
  })
})

describe("Ansi", () => {
  it("keeps colours, in their own form, and ends each", () => {
    expect(Ansi.coloured(`${ESC}[1;31mred${ESC}[m plain`)).toBe(`${ESC}[1;31mred${ESC}[0m plain`)
    expect(Ansi.coloured(`${ESC}[38;5;200mpink`)).toBe(`${ESC}[38;5;200mpink${ESC}[0m`)
    expect(Ansi.coloured(`${ESC}[48;2;1;2;3mx`)).toBe(`${ESC}[48;2;1;2;3mx${ESC}[0m`)
    expect(Ansi.coloured(`${ESC}[38:2::1:2:3mx`)).toBe(`${ESC}[38;2;1;2;3mx${ESC}[0m`)
    expect(Ansi.coloured(`${ESC}[38:2:1:2:3mx`)).toBe(`${ESC}[38;2;1;2;3mx${ESC}[0m`)
    expect(Ansi.coloured(`${ESC}[4:3mwavy${ESC}[4:0m`)).toBe(`${ESC}[4mwavy${ESC}[0m`)
    expect(Ansi.coloured(`${ESC}[97;104mx${ESC}[39;49m y`)).toBe(`${ESC}[97;104mx${ESC}[0m y`)
    expect(Ansi.coloured(`${ESC}[1m${ESC}[2m${ESC}[3m${ESC}[22mx`)).toBe(`${ESC}[3mx${ESC}[0m`)
  })

  it("makes every other sequence visible", () => {
    expect(Ansi.coloured(`${ESC}[2J${ESC}]0;t\u0007${ESC}[31`)).toBe("\\u001b[2J\\u001b]0;t\\u0007\\u001b[31")
    expect(Ansi.coloured("\u009b31mred")).toBe("\\u009b31mred")
    expect(Ansi.plain(`${ESC}[32mgood${ESC}[K${ESC}[0m\r\n10%\r20%`)).toBe("good\n10%\n20%")
  })

  it("shows what was written not to be seen", () => {
    expect(Ansi.coloured(`${ESC}[8mrm -rf /${ESC}[28m`)).toBe("rm -rf /")
    expect(Ansi.spans(`${ESC}[31;41mhidden`)).toEqual([{ text: "hidden", style: { foreground: 1 } }])
    expect(Ansi.spans(`${ESC}[38;2;9;9;9;48;2;9;9;9mhidden`)).toEqual([
      { text: "hidden", style: { foreground: [9, 9, 9] } }
    ])
  })

  it.prop("says what the text says, and holds no other sequence than colours", [hostile], ([value]) => {
    const coloured = Ansi.coloured(value)
    const bare = coloured.replace(new RegExp(`${ESC}\\[[\\d;]+m`, "g"), "")
    expect(bare).not.toMatch(dangerous)
    expect(bare).toBe(Ansi.plain(value))
    if (coloured.includes(ESC)) expect(coloured.lastIndexOf(`${ESC}[0m`)).toBe(coloured.lastIndexOf(ESC))
  })
})
