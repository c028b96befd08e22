/**
 * The part of a session's log that is kept in memory: some thousand events that follow each other, and the conversation
 * that they make. While its end is the log's end, what comes is added and what is old leaves; a reader who has gone back
 * keeps what is being read, and the window then lets go of the log's end.
 */
import * as Conversation from "@causeway/transcript/Conversation"
import type { ReadableEvent } from "@causeway/transcript/Read"

/** An event and the characters of its payload. */
export interface Entry extends ReadableEvent {
  readonly size: number
}

export interface Window {
  readonly entries: ReadonlyArray<Entry>
  readonly conversation: Conversation.Conversation
  /** Whether the last entry is the last of the log. */
  readonly atEnd: boolean
  /** Everything up to this number is before the window. */
  readonly after: number
}

/** Events that the window is cut back to, and how many more may gather until it is. */
export const EVENTS_MAX = 2000
export const SLACK = 500
/** Characters of payloads that the window is cut back to. */
export const SIZE_MAX = 16_777_216
/** Events that one page brings. */
export const PAGE = 500

export const empty = (after: number): Window => ({
  entries: [],
  conversation: Conversation.empty,
  atEnd: true,
  after
})

/** The number of the last event of the window. */
export const last = (window: Window): number => window.entries.at(-1)?.seq ?? window.after

const sizeOf = (entries: ReadonlyArray<Entry>): number => entries.reduce((sum, entry) => sum + entry.size, 0)

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

const isOver = (entries: ReadonlyArray<Entry>): boolean =>
  entries.length > EVENTS_MAX + SLACK || (entries.length > 1 && sizeOf(entries) > SIZE_MAX * 2)

const of = (entries: ReadonlyArray<Entry>, after: number, atEnd: boolean): Window => ({
  entries,
  conversation: Conversation.fold(entries),
  atEnd,
  after
})

/** Drops the oldest entries where there are too many. */
const cutBeginning = (window: Window): Window => {
  if (!isOver(window.entries)) return window
  const dropped = window.entries.length - fitting(window.entries, true)
  return of(window.entries.slice(dropped), window.entries[dropped - 1]?.seq ?? window.after, window.atEnd)
}

/** What the log has got, in order. `keep`: nothing that is in the window may leave it. */
export const arrive = (window: Window, events: ReadonlyArray<Entry>, keep: boolean): Window => {
  if (!window.atEnd) return window
  const from = last(window)
  const fresh = events.filter((event) => event.seq > from)
  if (fresh.length === 0) return window
  const entries = [...window.entries, ...fresh]
  if (keep && isOver(entries)) return { ...window, atEnd: false }
  return cutBeginning({ ...window, entries, conversation: Conversation.steps(window.conversation, fresh) })
}

/** A page of older events, which end where the window begins. */
export const prepend = (window: Window, after: number, events: ReadonlyArray<Entry>): Window => {
  if (after >= window.after) return window
  const fresh = events.filter((event) => event.seq > after && event.seq <= window.after)
  const entries = [...fresh, ...window.entries]
  if (!isOver(entries)) return of(entries, after, window.atEnd)
  const kept = entries.slice(0, Math.max(fitting(entries, false), fresh.length))
  return of(kept, after, window.atEnd && kept.length === entries.length)
}

/** A page of newer events, which begin where the window ends. `lastSeq`: the log's last number. */
export const append = (window: Window, events: ReadonlyArray<Entry>, lastSeq: number): Window => {
  const from = last(window)
  const fresh = events.filter((event) => event.seq > from)
  const next = cutBeginning({
    ...window,
    entries: [...window.entries, ...fresh],
    conversation: Conversation.steps(window.conversation, fresh)
  })
  return { ...next, atEnd: last(next) >= lastSeq }
}

/** A page in place of the window. */
export const replace = (after: number, events: ReadonlyArray<Entry>, lastSeq: number): Window => {
  const window = of(events, after, false)
  return { ...window, atEnd: last(window) >= lastSeq }
}
