import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Composer from "../../src/Attach/Composer.ts"
import { boundary, graphemes, width } from "../../src/Attach/Text.ts"

const typed = (...texts: ReadonlyArray<string>) => texts.reduce(Composer.insert, Composer.empty)
const around = ({ cursor, text }: Composer.Composer) => `${text.slice(0, cursor)}|${text.slice(cursor)}`

const piece = FastCheck.oneof(
  FastCheck.constantFrom(
    "a",
    " ",
    "\n",
    "日本",
    "👨‍👩‍👧",
    "e\u0301",
    "\u0301",
    "🇩🇪",
    "words here",
    "\ud83d",
    "\u200d"
  ),
  FastCheck.fullUnicodeString({ maxLength: 8 })
)

type Edit = (composer: Composer.Composer) => Composer.Composer

const moves: ReadonlyArray<Edit> = [
  Composer.left,
  Composer.right,
  Composer.home,
  Composer.end,
  Composer.wordLeft,
  Composer.wordRight
]
const deletions: ReadonlyArray<Edit> = [
  Composer.backspace,
  Composer.deleteForward,
  Composer.deleteWord,
  Composer.deleteToStart,
  Composer.deleteToEnd
]
const edit: FastCheck.Arbitrary<Edit> = FastCheck.oneof(
  FastCheck.constantFrom(...moves, ...deletions, Composer.up, Composer.down, Composer.sent),
  piece.map(
    (text): Edit =>
      (composer) =>
        Composer.insert(composer, text)
  )
)
const composer = FastCheck.array(edit, { maxLength: 40 }).map((edits) =>
  edits.reduce((state, each) => each(state), Composer.empty)
)

describe("Composer", () => {
  it("edits by what a person sees as characters", () => {
    const state = typed("a日👨‍👩‍👧e\u0301")
    expect(around(Composer.backspace(state))).toBe("a日👨‍👩‍👧|")
    expect(around(Composer.backspace(Composer.left(state)))).toBe("a日|e\u0301")
    expect(around(Composer.deleteForward(Composer.home(state)))).toBe("|日👨‍👩‍👧e\u0301")
  })

  it("moves and deletes by words and lines", () => {
    const state = typed("one two\nthree four")
    expect(around(Composer.wordLeft(state))).toBe("one two\nthree |four")
    expect(around(Composer.deleteWord(state))).toBe("one two\nthree |")
    expect(around(Composer.home(state))).toBe("one two\n|three four")
    expect(around(Composer.deleteToStart(state))).toBe("one two\n|")
    expect(around(Composer.deleteToEnd(Composer.up(Composer.home(state))))).toBe("|\nthree four")
    expect(around(Composer.up(state))).toBe("one two|\nthree four")
    expect(around(Composer.down(Composer.home(Composer.up(state))))).toBe("one two\n|three four")
  })

  it("goes back in what was sent and forth to the draft", () => {
    const state = Composer.insert(Composer.sent(Composer.insert(Composer.sent(typed("one")), "two")), "draft")
    const back = Composer.up(state)
    expect(around(back)).toBe("two|")
    expect(around(Composer.up(back))).toBe("one|")
    expect(around(Composer.up(Composer.up(back)))).toBe("one|")
    expect(around(Composer.down(Composer.down(Composer.up(back))))).toBe("draft|")
    expect(around(Composer.down(state))).toBe("draft|")
  })

  it("makes a new line of a backslash and Enter", () => {
    expect(Composer.continues(typed("a\\"))).toBe(true)
    expect(Composer.continues(typed("a"))).toBe(false)
    expect(around(Composer.continueLine(typed("a\\")))).toBe("a\n|")
  })

  it.prop("keeps the cursor between two characters, whatever is pressed", { composer }, ({ composer }) => {
    expect(composer.cursor).toBeGreaterThanOrEqual(0)
    expect(composer.cursor).toBeLessThanOrEqual(composer.text.length)
    expect(boundary(composer.text, composer.cursor)).toBe(composer.cursor)
  })

  it.prop(
    "puts in exactly what was typed, where the cursor was",
    { composer, piece },
    ({ composer, piece }) => {
      const after = Composer.insert(composer, piece)
      const { cursor, text } = composer
      expect(after.text).toBe(text.slice(0, cursor) + piece + text.slice(cursor))
      expect(after.cursor).toBeGreaterThanOrEqual(cursor + piece.length)
    }
  )

  it.prop(
    "moves without a change of the text",
    { composer, move: FastCheck.constantFrom(...moves) },
    ({ composer, move }) => {
      expect(move(composer).text).toBe(composer.text)
    }
  )

  it.prop(
    "deletes one run of text at the cursor, and nothing else",
    { composer, deletion: FastCheck.constantFrom(...deletions) },
    ({ composer, deletion }) => {
      const { cursor, text } = composer
      const after = deletion(composer)
      const gone = text.length - after.text.length
      expect(gone).toBeGreaterThanOrEqual(0)
      const isBehind = after.text === text.slice(0, cursor) + text.slice(cursor + gone)
      const isBefore = after.text === text.slice(0, cursor - gone) + text.slice(cursor)
      expect(isBehind || isBefore).toBe(true)
    }
  )

  it("deletes nothing before the beginning, also where a line ends there", () => {
    const composer = { text: "\n", cursor: 0, history: [], recalled: null, draft: "" }
    for (const deletion of deletions.filter((each) => each(composer).text.length > 1)) {
      expect(deletion(composer).text).toBe("\n")
    }
  })

  it.prop("takes one character back for one typed", { composer }, ({ composer }) => {
    const after = Composer.backspace(Composer.insert(composer, "x"))
    // A mark that joined with the typed character goes with it: no mark, no difference.
    FastCheck.pre(!/^\p{M}|^\u200d|^\p{Emoji_Modifier}/u.test(composer.text.slice(composer.cursor)))
    expect(after.text).toBe(composer.text)
  })

  it.prop(
    "shows every row within its columns, and the cursor once",
    {
      composer,
      columns: FastCheck.integer({ min: 4, max: 40 }),
      most: FastCheck.integer({ min: 1, max: 9 })
    },
    ({ columns, composer, most }) => {
      const lines = Composer.lines(composer, columns, most)
      expect(lines.length).toBeGreaterThan(0)
      expect(lines.length).toBeLessThanOrEqual(most)
      expect(lines.filter((line) => line.cursor !== null)).toHaveLength(1)
      for (const line of lines) {
        // A character wider than the row stands alone in it.
        expect(width(line.text) <= columns || graphemes(line.text).length === 1).toBe(true)
        if (line.cursor !== null) expect(line.cursor).toBeLessThanOrEqual(line.text.length)
      }
    }
  )
})
