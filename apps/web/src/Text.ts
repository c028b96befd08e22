/** Text as people may safely see it, and figures in words. */
import * as Visible from "@causeway/protocol/Visible"

/** Line ends are `\n`; what shows nothing, drives a terminal or turns the reading order around is written out. */
export const clean = (text: string): string => Visible.text(text.replace(/\r\n?/g, "\n"))

/** What is going to be run or written, and names of files: as {@link clean} shows it, a carriage return included. */
export const exact = (text: string): string => Visible.text(text)

/** One line of at most `max` characters, cut after a whole one. */
export const line = (text: string, max = 200): string => Visible.line(text, max)

export const seconds = (millis: number): string =>
  millis < 1000
    ? `${Math.round(millis)} ms`
    : millis < 60_000
      ? `${(millis / 1000).toFixed(1)} s`
      : `${Math.floor(millis / 60_000)} min ${Math.round((millis % 60_000) / 1000)} s`

/** How long ago, in words; `now` and `then` in milliseconds since the epoch. */
export const ago = (then: number, now: number): string => {
  const passed = Math.max(0, now - then)
  if (!Number.isFinite(passed)) return ""
  if (passed < 60_000) return "now"
  if (passed < 3_600_000) return `${Math.floor(passed / 60_000)} min`
  if (passed < 86_400_000) return `${Math.floor(passed / 3_600_000)} h`
  return `${Math.floor(passed / 86_400_000)} d`
}

/** The same for what has happened then: "just now", "5 min ago". */
export const since = (then: number, now: number): string =>
  now - then < 60_000 ? "just now" : `${ago(then, now)} ago`

/** An amount of US dollars; what is less than a cent is not shown as nothing. */
export const dollars = (usd: number): string => `$${usd.toFixed(usd > 0 && usd < 0.01 ? 4 : 2)}`

/** A size in bytes, for people. */
export const bytes = (count: number): string =>
  count < 1000
    ? `${count} B`
    : count < 1_000_000
      ? `${(count / 1000).toFixed(count < 10_000 ? 1 : 0)} kB`
      : `${(count / 1e6).toFixed(1)} MB`

export const tokens = (count: number): string =>
  count < 1000
    ? String(count)
    : count < 1_000_000
      ? `${(count / 1000).toFixed(1)}k`
      : `${(count / 1e6).toFixed(2)}M`

export { json } from "@causeway/transcript/Preview"
