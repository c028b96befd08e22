/**
 * Text as cells of a terminal: made harmless, cut into graphemes, measured, wrapped. Everything that others wrote goes
 * through {@link clean} before it is laid out, so nothing else of the view has to think of control characters.
 */
import * as Visible from "@causeway/protocol/Visible"
import stringWidth from "string-width"

export { graphemes } from "@causeway/protocol/Visible"

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" })

const plain = /^[\u0020-\u007e]*$/

/** Columns between tab stops. */
const TAB = "    "

/**
 * Foreign text without anything that moves the cursor, changes the terminal or reorders what is shown. New lines stay,
 * tabs become spaces; what is not shown by itself is written as an escape.
 */
export const clean = (text: string): string => Visible.text(text).replaceAll("\t", TAB)

/** The same on one line. */
export const cleanLine = (text: string): string => clean(text).replace(/\s+/g, " ").trim()

/** Columns that a clean text takes. */
export const width = (text: string): number => (plain.test(text) ? text.length : stringWidth(text))

/** The place of the grapheme boundary at or before `at`. */
export const boundary = (text: string, at: number): number => {
  if (at <= 0) return 0
  if (at >= text.length) return text.length
  return segmenter.segment(text).containing(at)?.index ?? at
}

/** The boundary after `at`, and the one before it. */
export const next = (text: string, at: number): number => {
  if (at >= text.length) return text.length
  const part = segmenter.segment(text).containing(Math.max(0, at))
  return part === undefined ? text.length : part.index + part.segment.length
}
export const previous = (text: string, at: number): number => (at <= 0 ? 0 : boundary(text, at - 1))

/** At most `columns` of a clean line; a cut one ends in "…". */
export const truncate = (text: string, columns: number): string => {
  if (columns <= 0) return ""
  // A grapheme is at least a quarter of a column wide on average; what is far beyond needs no measuring.
  if (text.length <= columns * 8 && width(text) <= columns) return text
  let out = ""
  let taken = 0
  for (const grapheme of Visible.graphemes(text.slice(0, columns * 8))) {
    const more = width(grapheme)
    if (taken + more > columns - 1) break
    out += grapheme
    taken += more
  }
  return `${out}…`
}

const wrapLine = (line: string, columns: number, out: Array<string>): void => {
  if (plain.test(line) && line.length <= columns) {
    out.push(line)
    return
  }
  let row = ""
  let taken = 0
  /** Where the row may be broken: after its last space. */
  let breakAt = 0
  for (const grapheme of Visible.graphemes(line)) {
    const more = width(grapheme)
    if (taken + more > columns && row !== "") {
      if (grapheme === " ") {
        out.push(row)
        row = ""
        taken = 0
        breakAt = 0
        continue
      }
      const rest = breakAt > 0 ? row.slice(breakAt) : ""
      out.push(breakAt > 0 ? row.slice(0, breakAt).trimEnd() : row)
      row = rest
      taken = width(rest)
      breakAt = 0
    }
    row += grapheme
    taken += more
    if (grapheme === " " && row.trim() !== "") breakAt = row.length
  }
  out.push(row)
}

/** A clean text as rows of at most `columns` columns, broken between words where it can be. */
export const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  const out: Array<string> = []
  for (const line of text.split("\n")) wrapLine(line, Math.max(2, columns), out)
  return out
}
