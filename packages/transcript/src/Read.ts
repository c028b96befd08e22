/**
 * Tolerant readers over payloads. A payload is whatever somebody sent: nothing here throws, refuses or decodes a whole
 * message; each reader answers what it can make of one value. Kept free of heavy imports: the page and the hub's append
 * path run it for every event.
 */

import * as Visible from "@causeway/protocol/Visible"

/** Any JSON object. */
export type JsonObject = { readonly [key: string]: unknown }

/**
 * What the rules of this package need of a log event; every `LogEvent` of the protocol is one. `createdAt` is in
 * milliseconds since the epoch.
 */
export interface ReadableEvent {
  readonly seq: number
  readonly uuid: string
  readonly source: "worker" | "client"
  readonly createdAt: number
  readonly payload: { readonly type: string; readonly json: JsonObject }
}

const nothing: JsonObject = {}

/** The object that `value` is, or an empty one. */
export const object = (value: unknown): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : nothing

/** The array that `value` is, or an empty one. */
export const array = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

/** The string that `value` is, or null. */
export const string = (value: unknown): string | null => (typeof value === "string" ? value : null)

/** The string that `value` is, cut to `max` UTF-16 units, or null where it is none or empty. */
export const name = (value: unknown, max = 256): string | null =>
  typeof value === "string" && value.length > 0 ? clip(value, max) : null

/** The finite, non-negative number that `value` is, or null. Never `-0`, so that it survives JSON. */
export const amount = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? value + 0 : null

/** The first `max` UTF-16 units of `text`, never ending within a surrogate pair. */
export const clip = (text: string, max: number): string => {
  if (text.length <= max) return text
  const last = text.charCodeAt(max - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? max - 1 : max)
}

/** `text` on one line and at most `max` UTF-16 units long; a cut one ends in "…" after a whole character. */
export const preview = (text: string, max: number): string => {
  // Four units a character of room for runs of white space; what lies beyond cannot be shown anyway.
  const head = clip(text, max * 4)
    .replace(/\s+/g, " ")
    .trim()
  return head.length <= max && text.length <= max * 4
    ? head
    : `${Visible.beginning(head, max - 1).trimEnd()}…`
}

/** The text parts of a message's content (a string or blocks), joined by newlines; null where there is none. */
export const textOf = (content: unknown): string | null => {
  if (typeof content === "string") return content.length > 0 ? content : null
  const parts: Array<string> = []
  for (const block of array(content)) {
    const { type, text } = object(block)
    if (type === "text" && typeof text === "string" && text.length > 0) parts.push(text)
  }
  return parts.length === 0 ? null : parts.join("\n")
}

/** Whether a line belongs to a subagent rather than to the session's main context. Source: spec 4 §1. */
export const isSubagent = (json: JsonObject): boolean =>
  typeof json["parent_tool_use_id"] === "string" || json["isSidechain"] === true

/** Milliseconds since the epoch of an event, or 0 where its writer had no usable clock. */
export const timeOf = (event: ReadableEvent): number => amount(event.createdAt) ?? 0

// --- Bounded copies ---

/** Deepest level that {@link bounded} keeps. */
const MAX_DEPTH = 12
/** Longest string that {@link bounded} keeps whole. */
const MAX_STRING = 2048

/**
 * A copy of a JSON value that costs at most about `budget` characters: long strings are cut, what is too deep or too
 * much is replaced by "…". `truncated` tells whether anything was.
 */
export const bounded = (
  value: unknown,
  budget: number
): { readonly value: unknown; readonly truncated: boolean } => {
  let left = budget
  let truncated = false
  const cut = (): string => {
    truncated = true
    return "…"
  }
  const copy = (at: unknown, depth: number): unknown => {
    if (left <= 0) return cut()
    if (typeof at === "string") {
      const kept = clip(at, Math.min(MAX_STRING, left))
      left -= kept.length + 2
      if (kept.length === at.length) return kept
      truncated = true
      return `${kept}…`
    }
    if (typeof at === "number") {
      left -= 8
      return Number.isFinite(at) ? at + 0 : null
    }
    if (typeof at === "boolean") {
      left -= 5
      return at
    }
    if (typeof at !== "object" || at === null) {
      left -= 4
      return null
    }
    if (depth >= MAX_DEPTH) return cut()
    left -= 2
    if (Array.isArray(at)) {
      const out: Array<unknown> = []
      for (const item of at) {
        if (left <= 0) {
          out.push(cut())
          break
        }
        out.push(copy(item, depth + 1))
        left -= 1
      }
      return out
    }
    const out: { [key: string]: unknown } = {}
    for (const key of Object.keys(at)) {
      if (left <= 0 || key.length > MAX_STRING || key === "__proto__") {
        out["…"] = cut()
        if (left <= 0) break
        continue
      }
      left -= key.length + 4
      out[key] = copy((at as JsonObject)[key], depth + 1)
    }
    return out
  }
  const result = copy(value, 0)
  return { value: result, truncated }
}

/** Deepest level that tells two values apart in {@link digest}. */
const MAX_DIGEST_DEPTH = 64

/** Sixteen hex digits that are equal for values that are equal as JSON, whatever the order of their members. */
export const digest = (value: unknown): string => {
  let h1 = 0xdeadbeef
  let h2 = 0x41c6ce57
  const feed = (text: string): void => {
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i)
      h1 = Math.imul(h1 ^ c, 2654435761)
      h2 = Math.imul(h2 ^ c, 1597334677)
    }
  }
  const walk = (at: unknown, depth: number): void => {
    if (typeof at === "string") feed(`s${at.length}:${at}`)
    else if (typeof at === "number") feed(`n${at + 0};`)
    else if (typeof at === "boolean") feed(at ? "t" : "f")
    else if (typeof at !== "object" || at === null) feed("0")
    else if (depth >= MAX_DIGEST_DEPTH) feed("…")
    else if (Array.isArray(at)) {
      feed("[")
      for (const item of at) walk(item, depth + 1)
      feed("]")
    } else {
      feed("{")
      for (const key of Object.keys(at).sort()) {
        feed(`k${key.length}:${key}`)
        walk((at as JsonObject)[key], depth + 1)
      }
      feed("}")
    }
  }
  walk(value, 0)
  h1 = Math.imul(h1 ^ (h1 >>> 16), 2246822507) ^ Math.imul(h2 ^ (h2 >>> 13), 3266489909)
  h2 = Math.imul(h2 ^ (h2 >>> 16), 2246822507) ^ Math.imul(h1 ^ (h1 >>> 13), 3266489909)
  return (h2 >>> 0).toString(16).padStart(8, "0") + (h1 >>> 0).toString(16).padStart(8, "0")
}
