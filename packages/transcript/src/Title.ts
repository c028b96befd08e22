/** A session's title, where nobody gave one. */
import { clip } from "./Read.ts"

/** Longest derived title, in characters (code points). */
export const DERIVED_MAX = 60
/** Longest given title that is kept, in UTF-16 units. */
export const GIVEN_MAX = 512

/** Text that an agent's host puts among a person's messages; it says nothing about the session. */
const machineText = /^\s*(?:<(?:command-|local-command-|system-reminder|bash-)|\[Request interrupted by user)/

/** Whether a user message's text was written by a program rather than by a person. */
export const isMachineText = (text: string): boolean => machineText.test(text.slice(0, 200))

/** On one line, without control and direction characters. */
const oneLine = (text: string): string =>
  text
    .replace(/[\p{Cc}\s]+/gu, " ")
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "")
    .trim()

/**
 * A title from a first message: at most 60 characters, cut between words where a word ends in its second half, and
 * then ending in "…". Null where the text holds nothing to show.
 */
export const derive = (text: string): string | null => {
  const line = oneLine(clip(text, 2000))
  if (line.length === 0) return null
  const characters = Array.from(line)
  if (characters.length <= DERIVED_MAX) return line
  const head = characters.slice(0, DERIVED_MAX - 1)
  const space = head.lastIndexOf(" ")
  const atWord = characters[DERIVED_MAX - 1] === " " || space < DERIVED_MAX / 2
  return `${(atWord ? head : head.slice(0, space)).join("").trimEnd()}…`
}

/** A title as somebody gave it, on one line and bounded; null where it is empty or no text. */
export const given = (value: unknown): string | null => {
  if (typeof value !== "string") return null
  const line = oneLine(clip(value, GIVEN_MAX))
  return line.length === 0 ? null : line
}
