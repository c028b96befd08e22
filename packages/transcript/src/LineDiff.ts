/** What differs between two texts, line by line. */
import { diffLines } from "diff"

/** `skip` stands for unchanged lines that are left out; its text says how many. */
export interface Line {
  readonly kind: "same" | "add" | "remove" | "skip"
  readonly text: string
}

/** Differences that are looked for at most; texts that differ more are told as replaced. */
const EDITS_MAX = 1000

const linesOf = (text: string): ReadonlyArray<string> =>
  (text.match(/[^\n]*\n|[^\n]+/g) ?? []).map((line) => (line.endsWith("\n") ? line.slice(0, -1) : line))

export const of = (before: string, after: string): ReadonlyArray<Line> => {
  // A last line without an end is the same line wherever it stands; only where the two differ in that, it is a change.
  const ended = before.endsWith("\n") || after.endsWith("\n")
  const whole = (text: string): string => (ended || text === "" ? text : `${text}\n`)
  const parts = diffLines(whole(before), whole(after), { maxEditLength: EDITS_MAX }) ?? [
    { added: false, removed: true, value: before },
    { added: true, removed: false, value: after }
  ]
  return parts.flatMap(({ added, removed, value }) =>
    linesOf(value).map((text): Line => ({ kind: added ? "add" : removed ? "remove" : "same", text }))
  )
}

/** The lines without those that are unchanged and further than `context` lines from a change. */
export const around = (lines: ReadonlyArray<Line>, context: number): ReadonlyArray<Line> => {
  const out: Array<Line> = []
  for (let at = 0; at < lines.length; ) {
    const changed = lines.findIndex(({ kind }, n) => n >= at && kind !== "same")
    const end = changed < 0 ? lines.length : changed
    const head = at === 0 ? 0 : context
    const tail = end === lines.length ? 0 : context
    const left = end - at - head - tail
    if (left <= 1) out.push(...lines.slice(at, end))
    else {
      out.push(...lines.slice(at, at + head), { kind: "skip", text: `${left} unchanged lines` })
      out.push(...lines.slice(end - tail, end))
    }
    for (at = end; at < lines.length && lines[at]?.kind !== "same"; at++) out.push(...lines.slice(at, at + 1))
  }
  return out
}

/** Lines added and removed. */
export const count = (lines: ReadonlyArray<Line>): { readonly added: number; readonly removed: number } => ({
  added: lines.filter(({ kind }) => kind === "add").length,
  removed: lines.filter(({ kind }) => kind === "remove").length
})
