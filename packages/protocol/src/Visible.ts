/**
 * Text of others as a person may safely see it: whatever moves a cursor, drives a terminal, turns the reading order
 * around or shows nothing is written out (`\u001b`, `\u202e`, `\u{e0041}`).
 *
 * The one place where it is decided. Titles, names, errors and answers of peers pass through {@link text} or
 * {@link line}, JSON for programs through {@link json}, and output of tools through `Ansi`, which keeps its colours.
 */

/** Emoji, which may hold joiners, variation selectors and tags, and are shown whole. */
const EMOJI = [
  String.raw`\u{1f3f4}[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]{2,6}\u{e007f}`,
  String.raw`\p{Extended_Pictographic}[\ufe0e\ufe0f\p{Emoji_Modifier}]?(?:\u200d\p{Extended_Pictographic}[\ufe0e\ufe0f\p{Emoji_Modifier}]?)*`,
  String.raw`[0-9#*]\ufe0f\u20e3`
].join("|")

const JOINING = String.raw`[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Nko}\p{Script=Mongolian}]`
/** Joiners and non-joiners where writing needs them: between letters that join, and after a virama. */
const SPELLING = [
  String.raw`${JOINING}(?:\u200c(?=${JOINING}))`,
  String.raw`[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca\u17d2][\u200c\u200d]`
].join("|")

/** Control characters, marks without a shape, marks of the reading order, separators, half characters. */
const HIDDEN = String.raw`[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Cs}\u2028\u2029\ufff9-\ufffb]`

const either = new RegExp(`(${EMOJI}|${SPELLING})|${HIDDEN}`, "gu")
const breaks = /\r\n|[\u2028\u2029]/g
const plain = /^[\u0020-\u007e]*$/
const plainLines = /^[\t\n\u0020-\u007e]*$/

const hex = (code: number): string => code.toString(16).padStart(4, "0")

/** A character as it is written out: `\u001b`, `\u{e0041}`. */
const spelled = (character: string): string => {
  const code = character.codePointAt(0) ?? 0
  return code > 0xffff ? `\\u{${hex(code)}}` : `\\u${hex(code)}`
}

/** The text with every hidden character replaced by what `spell` makes of it. */
const reveal = (value: string, spell: (character: string) => string): string =>
  value.replace(either, (found, whole: string | undefined) => whole ?? spell(found))

/** Several lines: line ends (`\r\n`, line and paragraph separators too) are `\n`, tabs stay, all else is written out. */
export const text = (value: string): string =>
  plainLines.test(value)
    ? value
    : reveal(value.replace(breaks, "\n"), (character) =>
        character === "\n" || character === "\t" ? character : spelled(character)
      )

/** One line of at most `max` UTF-16 units, cut between characters as people see them; a run of white space is one space. */
export const line = (value: string, max = Number.POSITIVE_INFINITY): string => {
  // What lies far beyond cannot be shown; a cut in the middle of a character falls into what is cut off below.
  const head = max < value.length / 4 ? value.slice(0, max * 4) : value
  const whole = plain.test(head) ? head : text(head)
  return clip(whole.replace(/\s+/g, " ").trim() + (head === value ? "" : "…"), max)
}

/** The text without hidden characters; line ends and tabs stay. */
export const bare = (value: string): string =>
  plainLines.test(value)
    ? value
    : reveal(value.replace(breaks, "\n"), (character) =>
        character === "\n" || character === "\t" ? character : /\p{Cc}/u.test(character) ? " " : ""
      )

/** A JSON text that says the same and holds no hidden character; pairs of surrogates are written as two escapes. */
export const json = (value: string): string =>
  plain.test(value)
    ? value
    : reveal(value, (character) =>
        // Between the values of a JSON text white space stands for itself; within them it is escaped already.
        character === "\n" || character === "\t" || character === "\r"
          ? character
          : character
              .split("")
              .map((unit) => `\\u${hex(unit.charCodeAt(0))}`)
              .join("")
      )

// --- Characters as people see them ---

let segmenter: Intl.Segmenter | undefined

/** Characters as a person sees them (grapheme clusters): an emoji with its joiners is one. */
export const graphemes = (value: string): ReadonlyArray<string> => {
  if (plain.test(value)) return value.split("")
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" })
  return Array.from(segmenter.segment(value), (part) => part.segment)
}

/** The longest beginning of whole characters that has at most `max` UTF-16 units. */
export const beginning = (value: string, max: number): string => {
  if (value.length <= max) return value
  let out = ""
  // One unit more, so that what is cut through is seen to be too long.
  for (const grapheme of graphemes(value.slice(0, max + 64))) {
    if (out.length + grapheme.length > max) break
    out += grapheme
  }
  return out
}

/** At most `max` UTF-16 units of a text; a cut one ends in "…" after a whole character. */
export const clip = (value: string, max: number): string =>
  value.length <= max ? value : `${beginning(value, Math.max(0, max - 1)).trimEnd()}…`
