/** A session's title, where nobody gave one. */
import * as Visible from "@causeway/protocol/Visible"
import { clip } from "./Read.ts"

/** Longest derived title, in characters (code points). */
export const DERIVED_MAX = 60
/** Longest given title that is kept, in UTF-16 units. */
export const GIVEN_MAX = 512

/** On one line, without what shows nothing, moves a cursor or turns the reading order around. */
const oneLine = (text: string): string => Visible.bare(text).replace(/\s+/g, " ").trim()

/** Marks of markdown that stand for emphasis and headings; not the stars of a path or a product. */
const withoutMarks = (text: string): string =>
  text
    .replace(/^[ \t]*(?:#{1,6}|>|[-*+])[ \t]+/gm, "")
    .replace(/(?<![\w*/])\*\*(?=[^\s*/])([^\n]*?[^\s*/])\*\*(?![\w*/])/g, "$1")
    .replace(/(?<!`)`([^`\n]+)`(?!`)/g, "$1")

/**
 * A title from a first message: at most 60 characters, cut between words where a word ends in its second half, and
 * then ending in "…". Never cut within what a person sees as one character. Null where the text holds nothing to show.
 */
export const derive = (text: string): string | null => {
  const line = oneLine(withoutMarks(clip(text, 2000)))
  if (line.length === 0) return null
  if (Array.from(line).length <= DERIVED_MAX) return line
  let head = ""
  let taken = 0
  let next = ""
  for (const grapheme of Visible.graphemes(line)) {
    const more = Array.from(grapheme).length
    if (taken + more > DERIVED_MAX - 1) {
      next = grapheme
      break
    }
    head += grapheme
    taken += more
  }
  const space = head.lastIndexOf(" ")
  const atWord = next === " " || space < DERIVED_MAX / 2
  return `${(atWord ? head : head.slice(0, space)).trimEnd()}…`
}

const named = (value: unknown, read: (text: string) => string): string | null => {
  if (typeof value !== "string") return null
  const line = oneLine(read(clip(value, GIVEN_MAX)))
  return line.length === 0 ? null : line
}

/** A title as somebody gave it, on one line and bounded; null where it is empty or no text. */
export const given = (value: unknown): string | null => named(value, (text) => text)

/** A title that a program suggests, without the marks of markdown; null where it is empty or no text. */
export const suggested = (value: unknown): string | null => named(value, withoutMarks)
