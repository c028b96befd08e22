/**
 * The part of a session's log that a view holds: events that follow each other, and the conversation that they make. While
 * its end is the log's end, what comes is added and, in a bounded window, what is old leaves; a reader who has gone back
 * keeps what is being read, and the window then lets go of the log's end.
 */
import * as Conversation from "../Conversation.ts"
import type { ReadableEvent } from "../Read.ts"

/** An event and, where it is known, the characters of its payload. */
export interface Entry extends ReadableEvent {
  readonly size?: number
}

export interface Window {
  /** Empty where nothing has to be computed anew: an unbounded window that begins at the log's beginning. */
  readonly entries: ReadonlyArray<Entry>
  readonly conversation: Conversation.Conversation
  /** Whether the last entry is the last of the log. */
  readonly atEnd: boolean
  /** Everything up to this number is before the window. */
  readonly after: number
  /** The number of the last event of the window; `after` where it has none. */
  readonly last: number
  readonly isBounded: boolean
}

/** Events that the window is cut back to, and how many more may gather until it is. */
export const EVENTS_MAX = 2000
export const SLACK = 500
/** Characters of payloads that the window is cut back to. */
export const SIZE_MAX = 16_777_216
/** Events that one page brings. */
export const PAGE = 500

export const empty = (after: number, isBounded = true): Window => ({
  entries: [],
  conversation: Conversation.empty,
  atEnd: true,
  after,
  last: after,
  isBounded
})

const sizeOf = (entries: ReadonlyArray<Entry>): number => entries.reduce((sum, { size = 0 }) => sum + size, 0)

/** How many of the entries, from the end where `fromEnd`, stay within the bounds; at least one. */
const fitting = (entries: ReadonlyArray<Entry>, fromEnd: boolean): number => {
  let size = 0
  let count = 0
  while (count < entries.length && count < EVENTS_MAX) {
    size += entries[fromEnd ? entries.length - 1 - count : count]?.size ?? 0
    if (size > SIZE_MAX && count > 0) break
    count += 1
  }
  return count
}

const isOver = ({ isBounded }: Window, entries: ReadonlyArray<Entry>): boolean =>
  isBounded && (entries.length > EVENTS_MAX + SLACK || (entries.length > 1 && sizeOf(entries) > SIZE_MAX * 2))

/** The window with these entries, its conversation computed anew. */
const anew = (window: Window, entries: ReadonlyArray<Entry>, after: number, atEnd: boolean): Window => ({
  ...window,
  entries: window.isBounded || after > 0 ? entries : [],
  conversation: Conversation.fold(entries),
  atEnd,
  after,
  last: entries.at(-1)?.seq ?? after
})

/** With events that follow the last one; the oldest are dropped where there are too many. */
const extended = (window: Window, fresh: ReadonlyArray<Entry>): Window => {
  const entries = window.isBounded || window.after > 0 ? [...window.entries, ...fresh] : []
  if (isOver(window, entries)) {
    const dropped = entries.length - fitting(entries, true)
    return anew(window, entries.slice(dropped), entries[dropped - 1]?.seq ?? window.after, window.atEnd)
  }
  const conversation = Conversation.steps(window.conversation, fresh)
  return { ...window, entries, conversation, last: fresh.at(-1)?.seq ?? window.last }
}

/** With what the log has got, in order. `keep`: nothing that is in the window may leave it. */
export const arrive = (window: Window, events: ReadonlyArray<Entry>, keep: boolean): Window => {
  const fresh = events.filter((event) => event.seq > window.last)
  if (!window.atEnd || fresh.length === 0) return window
  if (keep && isOver(window, [...window.entries, ...fresh])) return { ...window, atEnd: false }
  return extended(window, fresh)
}

/** With a page of older events, which end where the window begins. */
export const prepend = (window: Window, after: number, events: ReadonlyArray<Entry>): Window => {
  if (after >= window.after) return window
  const fresh = events.filter((event) => event.seq > after && event.seq <= window.after)
  const entries = [...fresh, ...window.entries]
  if (!isOver(window, entries)) return anew(window, entries, after, window.atEnd)
  const kept = entries.slice(0, Math.max(fitting(entries, false), fresh.length))
  return anew(window, kept, after, window.atEnd && kept.length === entries.length)
}

/** With a page of newer events, which begin where the window ends. `lastSeq`: the log's last number. */
export const append = (window: Window, events: ReadonlyArray<Entry>, lastSeq: number): Window => {
  const next = extended(
    window,
    events.filter((event) => event.seq > window.last)
  )
  return { ...next, atEnd: next.last >= lastSeq }
}

/** A page in place of the window. */
export const replace = (after: number, events: ReadonlyArray<Entry>, lastSeq: number): Window =>
  anew(empty(after), events, after, (events.at(-1)?.seq ?? after) >= lastSeq)
