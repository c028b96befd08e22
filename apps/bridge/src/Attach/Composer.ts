/** The composer: a text of several lines, a cursor between its graphemes, and what was sent before. Pure. */
import { boundary, clean, graphemes, next, previous, width } from "./Text.ts"

export interface Composer {
  readonly text: string
  /** UTF-16 offset of the cursor, always between two graphemes. */
  readonly cursor: number
  /** What was sent, oldest first. */
  readonly history: ReadonlyArray<string>
  /** Place in `history` that is shown; null while the draft is. */
  readonly recalled: number | null
  /** What was typed before history was looked at. */
  readonly draft: string
}

export const empty: Composer = { text: "", cursor: 0, history: [], recalled: null, draft: "" }

/** Sent texts that are remembered. */
export const HISTORY_MAX = 200
/** Characters that a message may have. */
export const TEXT_MAX = 1_048_576

const moveTo = (composer: Composer, cursor: number): Composer => ({
  ...composer,
  cursor: boundary(composer.text, cursor)
})

const splice = (composer: Composer, from: number, to: number, text: string): Composer => {
  const { text: before } = composer
  const whole = before.slice(0, from) + text + before.slice(to)
  if (whole.length > TEXT_MAX && whole.length > before.length) return composer
  // What is put in may join with what follows (a combining mark); the cursor then stands behind both.
  const at = from + text.length
  const floor = boundary(whole, at)
  return { ...composer, text: whole, cursor: floor === at ? at : next(whole, floor) }
}

export const insert = (composer: Composer, text: string): Composer =>
  splice(composer, composer.cursor, composer.cursor, text)

export const backspace = (composer: Composer): Composer =>
  splice(composer, previous(composer.text, composer.cursor), composer.cursor, "")

export const deleteForward = (composer: Composer): Composer =>
  splice(composer, composer.cursor, next(composer.text, composer.cursor), "")

// --- Moving ---

export const left = (composer: Composer): Composer =>
  moveTo(composer, previous(composer.text, composer.cursor))
export const right = (composer: Composer): Composer => moveTo(composer, next(composer.text, composer.cursor))

const lineStart = (text: string, at: number): number => text.slice(0, at).lastIndexOf("\n") + 1
const lineEnd = (text: string, at: number): number => {
  const end = text.indexOf("\n", at)
  return end < 0 ? text.length : end
}

export const home = (composer: Composer): Composer =>
  moveTo(composer, lineStart(composer.text, composer.cursor))
export const end = (composer: Composer): Composer => moveTo(composer, lineEnd(composer.text, composer.cursor))

const wordStart = (text: string, at: number): number => {
  const head = text.slice(0, at)
  const match = /(?:[^\s]+|\s+)\s*$/.exec(head)
  if (match === null) return 0
  const word = /[^\s]+\s*$/.exec(head)
  return word === null ? 0 : word.index
}

const wordEnd = (text: string, at: number): number => {
  const match = /^\s*[^\s]+/.exec(text.slice(at))
  return match === null ? text.length : at + match[0].length
}

export const wordLeft = (composer: Composer): Composer =>
  moveTo(composer, wordStart(composer.text, composer.cursor))
export const wordRight = (composer: Composer): Composer =>
  moveTo(composer, wordEnd(composer.text, composer.cursor))

export const deleteWord = (composer: Composer): Composer =>
  splice(composer, boundary(composer.text, wordStart(composer.text, composer.cursor)), composer.cursor, "")
export const deleteToStart = (composer: Composer): Composer =>
  splice(composer, lineStart(composer.text, composer.cursor), composer.cursor, "")
export const deleteToEnd = (composer: Composer): Composer => {
  const stop = lineEnd(composer.text, composer.cursor)
  // At the end of a line its new line goes.
  return splice(
    composer,
    composer.cursor,
    stop === composer.cursor ? next(composer.text, composer.cursor) : stop,
    ""
  )
}

/** One line up, in the same place of it; in the first line one step back in history. */
export const up = (composer: Composer): Composer => {
  const start = lineStart(composer.text, composer.cursor)
  if (start === 0) return recall(composer, -1)
  const above = lineStart(composer.text, start - 1)
  return moveTo(composer, Math.min(above + (composer.cursor - start), start - 1))
}

export const down = (composer: Composer): Composer => {
  const stop = lineEnd(composer.text, composer.cursor)
  if (stop === composer.text.length) return recall(composer, 1)
  const start = lineStart(composer.text, composer.cursor)
  return moveTo(composer, Math.min(stop + 1 + (composer.cursor - start), lineEnd(composer.text, stop + 1)))
}

// --- History ---

const recall = (composer: Composer, by: -1 | 1): Composer => {
  const { history, recalled } = composer
  if (recalled === null && (by === 1 || history.length === 0)) return composer
  const to = (recalled ?? history.length) + by
  if (to < 0) return composer
  const draft = recalled === null ? composer.text : composer.draft
  const text = to >= history.length ? draft : (history[to] ?? "")
  return {
    ...composer,
    text,
    cursor: text.length,
    draft: to >= history.length ? "" : draft,
    recalled: to >= history.length ? null : to
  }
}

/** Adds what was sent, here or elsewhere; the same text twice in a row is remembered once. */
export const remember = (composer: Composer, text: string): Composer => {
  if (text.trim() === "" || composer.history.at(-1) === text) return composer
  const history = [...composer.history, text]
  const dropped = Math.max(0, history.length - HISTORY_MAX)
  return {
    ...composer,
    history: history.slice(dropped),
    recalled: composer.recalled === null ? null : Math.max(0, composer.recalled - dropped)
  }
}

/** Empties the composer; what stood in it is remembered. */
export const sent = (composer: Composer): Composer => ({
  ...remember(composer, composer.text),
  text: "",
  cursor: 0,
  recalled: null,
  draft: ""
})

/** Whether Enter makes a new line here rather than sending: the character before the cursor is a backslash. */
export const continues = (composer: Composer): boolean => composer.text[composer.cursor - 1] === "\\"

/** Puts a new line in place of the backslash before the cursor. */
export const continueLine = (composer: Composer): Composer =>
  splice(composer, composer.cursor - 1, composer.cursor, "\n")

// --- Showing ---

/** Characters on each side of the cursor that are laid out: more than the rows of a composer hold. */
const NEAR = 4000

/** A row of the composer; `cursor` is the place of the cursor in it, in UTF-16 units, where it stands there. */
export interface Line {
  readonly text: string
  readonly cursor: number | null
}

/** At most `most` rows of at most `columns` columns, the one with the cursor among them. Nothing is left out of a row. */
export const lines = (composer: Composer, columns: number, most: number): ReadonlyArray<Line> => {
  const { text, cursor } = composer
  const from = boundary(text, Math.max(0, cursor - NEAR))
  const to = boundary(text, Math.min(text.length, cursor + NEAR))
  const room = Math.max(2, columns)
  const out: Array<Line> = []
  let row = ""
  let taken = 0
  let found: number | null = null
  let at = from
  const push = () => {
    out.push({ text: row, cursor: found })
    row = ""
    taken = 0
    found = null
  }
  for (const grapheme of graphemes(text.slice(from, to))) {
    const written = grapheme === "\n" ? "" : clean(grapheme)
    // What is written out and has no room is a sign that something stands there.
    const shown = written !== grapheme && width(written) >= room ? "\ufffd" : written
    const more = width(shown)
    // The cursor needs a column of its own behind the last character of a row.
    if (taken + more >= room && row !== "") push()
    if (at >= cursor && found === null && !out.some((line) => line.cursor !== null)) found = row.length
    at += grapheme.length
    if (grapheme === "\n") push()
    else {
      row += shown
      taken += more
    }
  }
  if (!out.some((line) => line.cursor !== null) && found === null) found = row.length
  push()
  const current = out.findIndex((line) => line.cursor !== null)
  const first = Math.max(0, Math.min(current - Math.floor(most / 2), out.length - most))
  return out.slice(first, first + most)
}
