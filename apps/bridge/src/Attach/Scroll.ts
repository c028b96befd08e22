/**
 * Where in the transcript the reader is: at its end, which is followed, or at a row that stays at the top of the view
 * whatever comes. Only blocks near the view are laid out. Pure.
 */
import type { Block } from "./Layout.ts"
import type { Row } from "./Row.ts"

/** The row that stands at the top; null: the end is followed. */
export type Anchor = { readonly id: string; readonly row: number } | null

interface Place {
  readonly at: number
  readonly row: number
}

type Blocks = ReadonlyArray<Block>

const rowsAt = (blocks: Blocks, at: number, columns: number): ReadonlyArray<Row> =>
  blocks[at]?.rows(columns) ?? []

/** The top row of a view of `height` rows that shows the end. */
const topOfEnd = (blocks: Blocks, columns: number, height: number): Place => {
  let left = height
  for (let at = blocks.length - 1; at >= 0; at--) {
    const rows = rowsAt(blocks, at, columns).length
    if (rows >= left) return { at, row: rows - left }
    left -= rows
  }
  return { at: 0, row: 0 }
}

/**
 * A block that is gone has left at the beginning, where the window was cut; one that was not in the log yet has gone
 * over into an item at the end.
 */
const placeOf = (blocks: Blocks, anchor: Anchor, columns: number, height: number): Place => {
  if (anchor === null) return topOfEnd(blocks, columns, height)
  const at = blocks.findLastIndex((block) => block.id === anchor.id)
  if (at < 0) {
    return /^(?:live|waiting):/.test(anchor.id) ? topOfEnd(blocks, columns, height) : { at: 0, row: 0 }
  }
  return { at, row: Math.max(0, Math.min(anchor.row, rowsAt(blocks, at, columns).length - 1)) }
}

/** The rows that are seen, from the top. */
export const view = (blocks: Blocks, anchor: Anchor, columns: number, height: number): ReadonlyArray<Row> => {
  const from = placeOf(blocks, anchor, columns, height)
  const out: Array<Row> = []
  for (let at = from.at; at < blocks.length && out.length < height; at++) {
    const rows = rowsAt(blocks, at, columns)
    out.push(...rows.slice(at === from.at ? from.row : 0).slice(0, height - out.length))
  }
  return out
}

/** How a scroll ended: `top` when the first row there is was reached, `end` when the last one was. */
export interface Moved {
  readonly anchor: Anchor
  readonly reached: "top" | "end" | null
}

/** Moves the view by `by` rows, up where it is negative. */
export const move = (blocks: Blocks, anchor: Anchor, by: number, columns: number, height: number): Moved => {
  const from = placeOf(blocks, anchor, columns, height)
  const end = topOfEnd(blocks, columns, height)
  let { at, row } = from
  let left = Math.abs(by)
  if (by < 0) {
    // All of it is seen at once.
    if (end.at === 0 && end.row === 0) return { anchor: null, reached: "top" }
    while (left > 0) {
      if (row >= left) {
        row -= left
        left = 0
      } else if (at === 0) {
        row = 0
        break
      } else {
        left -= row
        at -= 1
        row = rowsAt(blocks, at, columns).length
      }
    }
    const reached = at === 0 && row === 0 ? "top" : null
    const block = blocks[at]
    return { anchor: block === undefined ? null : { id: block.id, row }, reached }
  }
  while (left > 0 && at < blocks.length) {
    const rows = rowsAt(blocks, at, columns).length
    if (row + left < rows) {
      row += left
      left = 0
    } else {
      left -= rows - row
      at += 1
      row = 0
    }
  }
  // A block without rows is no place to stand.
  while (at < blocks.length && rowsAt(blocks, at, columns).length === 0) {
    at += 1
    row = 0
  }
  if (at > end.at || (at === end.at && row >= end.row)) return { anchor: null, reached: "end" }
  const block = blocks[at]
  return { anchor: block === undefined ? null : { id: block.id, row }, reached: null }
}
