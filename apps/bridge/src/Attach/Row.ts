/** Rows of the screen: clean text in tones, cut to the width that they are for. */
import type * as Ansi from "@causeway/protocol/Ansi"
import { truncate, width } from "./Text.ts"

export type Tone = "plain" | "dim" | "strong" | "good" | "warn" | "bad" | "you" | "code" | "cursor"

export interface Segment {
  readonly text: string
  readonly tone: Tone
  /** Of what a tool wrote: its own colours, over those of the tone. */
  readonly style?: Ansi.Style
}

export type Row = ReadonlyArray<Segment>

export const blank: Row = []

export const segment = (text: string, tone: Tone = "plain"): Segment => ({ text, tone })

export const row = (text: string, tone: Tone = "plain"): Row => (text === "" ? blank : [segment(text, tone)])

export const widthOf = (of: Row): number => of.reduce((sum, each) => sum + width(each.text), 0)

/** The row in at most `columns` columns. */
export const fit = (of: Row, columns: number): Row => {
  if (widthOf(of) <= columns) return of
  const out: Array<Segment> = []
  let room = columns
  for (const each of of) {
    if (room <= 0) break
    const wide = width(each.text)
    if (wide <= room) {
      out.push(each)
      room -= wide
      continue
    }
    out.push({ ...each, text: truncate(each.text, room) })
    break
  }
  return out
}

/** Two rows as one: `left` at the beginning, `right` at the end; `left` gives way. */
export const spread = (left: Row, right: Row, columns: number): Row => {
  const end = fit(right, columns)
  const room = columns - widthOf(end)
  const begin = fit(left, Math.max(0, room - 1))
  const gap = columns - widthOf(begin) - widthOf(end)
  return gap > 0 ? [...begin, segment(" ".repeat(gap)), ...end] : [...begin, ...end]
}

export const textOf = (of: Row): string => of.map((each) => each.text).join("")

/** A line across the screen. */
export const rule = (columns: number): Row => [segment("─".repeat(Math.max(0, columns)), "dim")]
