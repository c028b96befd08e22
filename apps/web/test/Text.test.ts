import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Text from "../src/Text.ts"

const ESC = "\u001b"
const piece = FastCheck.oneof(
  FastCheck.fullUnicodeString({ maxLength: 8 }),
  FastCheck.constantFrom(
    `${ESC}[31m`,
    `${ESC}]0;title\u0007`,
    `${ESC}P1;2q`,
    ESC,
    "\u009b1m",
    "\u202e",
    "\u2066",
    "\r",
    "\0"
  )
)

describe("Text", () => {
  it("writes out what terminals obey, and what turns the reading order around", () => {
    expect(Text.clean(`${ESC}[1;31mred${ESC}[0m`)).toBe("\\u001b[1;31mred\\u001b[0m")
    expect(Text.clean("photo\u202egpj.exe")).toBe("photo\\u202egpj.exe")
    expect(Text.clean("a\r\nb\rc\td")).toBe("a\nb\nc\td")
  })

  it.prop(
    "leaves nothing of the kind, of any text, and cleaning twice is cleaning once",
    [FastCheck.array(piece)],
    ([parts]) => {
      const cleaned = Text.clean(parts.join(""))
      const left = [...cleaned].filter((character) => {
        const code = character.codePointAt(0) ?? 0
        return (
          (code < 32 && code !== 9 && code !== 10) ||
          (code >= 127 && code < 160) ||
          (code >= 0x202a && code <= 0x202e) ||
          (code >= 0x2066 && code <= 0x2069)
        )
      })
      expect(left).toEqual([])
      expect(Text.clean(cleaned)).toBe(cleaned)
    }
  )

  it.prop(
    "makes one line of at most so many characters",
    [FastCheck.string(), FastCheck.integer({ min: 1, max: 50 })],
    ([text, max]) => {
      const line = Text.line(text, max)
      expect(line.length).toBeLessThanOrEqual(max)
      expect(line).not.toContain("\n")
    }
  )

  it("says how long and how much", () => {
    expect(Text.seconds(12)).toBe("12 ms")
    expect(Text.seconds(1234)).toBe("1.2 s")
    expect(Text.seconds(125_000)).toBe("2 min 5 s")
    expect(Text.tokens(999)).toBe("999")
    expect(Text.tokens(1500)).toBe("1.5k")
    expect(Text.ago(0, 59_000)).toBe("now")
    expect(Text.ago(0, 7_200_000)).toBe("2 h")
    expect(Text.ago(Number.NaN, 0)).toBe("")
  })

  it("shows what is invisible in commands and names, and leaves emoji whole", () => {
    expect(Text.exact("rm -rf \u200b/ # \u202ecod")).toBe("rm -rf \\u200b/ # \\u202ecod")
    expect(Text.exact("a\u200fb\u00adc\ufeff")).toBe("a\\u200fb\\u00adc\\ufeff")
    expect(Text.exact("👩‍💻 ❤️ 👍🏽")).toBe("👩‍💻 ❤️ 👍🏽")
    expect(Text.exact("pay\u200dload")).toBe("pay\\u200dload")
  })

  it.prop(
    "leaves nothing invisible in what is going to be run",
    [FastCheck.string({ unit: "binary" })],
    ([text]) => {
      expect(Text.exact(text.replaceAll(/[\u200d\ufe0f]/g, ""))).not.toMatch(
        /[\p{Default_Ignorable_Code_Point}\u2028\u2029]/u
      )
    }
  )

  it("tells small amounts and sizes", () => {
    expect([0, 0.0042, 0.25, 12].map(Text.dollars)).toEqual(["$0.00", "$0.0042", "$0.25", "$12.00"])
    expect([12, 1500, 25_000, 3_000_000].map(Text.bytes)).toEqual(["12 B", "1.5 kB", "25 kB", "3.0 MB"])
  })
})
