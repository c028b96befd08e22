/** Text as people may safely see it: what terminals obey is taken out, what turns reading order around is made visible. */

// Built from text: the patterns consist of the control characters that they look for.
const escapes = new RegExp(
  [
    String.raw`\u001b\[[0-?]*[ -/]*[@-~]`,
    String.raw`\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?`,
    String.raw`\u001b[PX^_][^\u001b]*(?:\u001b\\)?`,
    String.raw`\u001b[@-Z\\-_a-z]`,
    String.raw`\u009b[0-?]*[ -/]*[@-~]`
  ].join("|"),
  "g"
)
// biome-ignore lint/complexity/useRegexLiterals: see above.
const controls = new RegExp(String.raw`[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]`, "g")
const turning = /[\u202a-\u202e\u2066-\u2069]/g

/** Without terminal escapes and control characters; line ends are `\n`; overrides of the reading order are spelled out. */
export const clean = (text: string): string =>
  text
    .replace(escapes, "")
    .replace(/\r\n?/g, "\n")
    .replace(controls, "")
    .replace(turning, (mark) => `⟦U+${mark.charCodeAt(0).toString(16).toUpperCase()}⟧`)

/** What shows nothing and may change what a text means; joiners and selectors inside of emoji are left. */
const unseen =
  /(?:(?!\ufe0f)(?!(?<=\p{Extended_Pictographic}|\ufe0f|[\u{1f3fb}-\u{1f3ff}])\u200d)[\p{Default_Ignorable_Code_Point}\u2028\u2029])+/gu
/** Marks that are spelled out one by one. */
const SPELLED = 8

/** What is going to be run or written, and names of files: {@link clean}, and nothing in it is invisible. */
export const exact = (text: string): string =>
  clean(text).replace(unseen, (run) => {
    const marks = [...run]
    return marks.length > SPELLED
      ? `⟦${marks.length} invisible characters⟧`
      : marks
          .map((mark) => `⟦U+${mark.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}⟧`)
          .join("")
  })

/** A name or a command on one line, as {@link exact} shows it. */
export const exactLine = (text: string, max = 200): string => line(exact(text.slice(0, max * 4)), max)

/** One line of at most `max` characters. */
export const line = (text: string, max = 200): string => {
  const whole = clean(text.slice(0, max * 4))
    .replace(/\s+/g, " ")
    .trim()
  return whole.length <= max ? whole : `${whole.slice(0, max - 1)}…`
}

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

/** JSON for people; a value nested deeper than the stack is nothing that a person could read. */
export const json = (value: unknown): string => {
  try {
    return JSON.stringify(value, null, 2) ?? ""
  } catch {
    return "[too deep to show]"
  }
}
