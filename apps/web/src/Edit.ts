/** Changes of files that tools make, as lines to look at. */
import * as FileChange from "@causeway/transcript/FileChange"
import { diffLines } from "diff"

/** One replacement in one file. */
export type Edit = FileChange.Change

/** What a call's input changes; none where it is no change of files that this page knows. */
export const { of } = FileChange

/** Whether what goes is known: it is all that stands there, or what the agent says it replaces. */
export const isKnown = (edit: Edit): boolean => edit.isWhole || edit.before !== ""

/** `skip` stands for unchanged lines that are left out; its text says how many. */
export interface Line {
  readonly kind: "same" | "add" | "remove" | "skip"
  readonly text: string
}

/** Unchanged lines that are shown around a change. */
const CONTEXT = 3
/** Lines that are shown at most, and characters that are compared at most. */
export const LINES_MAX = 400
const COMPARED_MAX = 200_000
/** Longest line that is shown, in UTF-16 units. */
export const LINE_MAX = 2000

const split = (text: string): ReadonlyArray<string> => {
  const lines = text.split("\n")
  if (lines.at(-1) === "") lines.pop()
  return lines
}

const clip = (line: Line): Line =>
  line.text.length <= LINE_MAX
    ? line
    : {
        ...line,
        text: `${line.text.slice(0, LINE_MAX)}… (${(line.text.length - LINE_MAX).toLocaleString("en")} more characters)`
      }

/** The lines of an edit; `whole`: all of them, and each to its end. Texts that are too large or too different to compare are shown as removed and added whole. */
export const lines = (
  { before, after }: Pick<Edit, "before" | "after">,
  whole = false
): ReadonlyArray<Line> => {
  // A last line without an end is the same line wherever it stands; only where the two differ in that, it is a change.
  const ended = before.endsWith("\n") || after.endsWith("\n")
  const ending = (text: string): string => (ended || text === "" ? text : `${text}\n`)
  const parts =
    before.length + after.length > COMPARED_MAX
      ? undefined
      : diffLines(ending(before), ending(after), { maxEditLength: 2000, timeout: 200 })
  const all: Array<Line> = []
  if (parts === undefined) {
    for (const text of split(before)) all.push({ kind: "remove", text })
    for (const text of split(after)) all.push({ kind: "add", text })
  } else {
    parts.forEach((part, n) => {
      const texts = split(part.value)
      if (part.added || part.removed) {
        for (const text of texts) all.push({ kind: part.added ? "add" : "remove", text })
        return
      }
      const head = n === 0 ? 0 : CONTEXT
      const tail = n === parts.length - 1 ? 0 : CONTEXT
      const left = texts.length - head - tail
      texts.forEach((text, i) => {
        if (left <= 1 || i < head || i >= texts.length - tail) all.push({ kind: "same", text })
        else if (i === head) all.push({ kind: "skip", text: `${left} unchanged lines` })
      })
    })
  }
  if (whole) return all
  const shown = all.slice(0, LINES_MAX).map(clip)
  return all.length <= LINES_MAX
    ? shown
    : [...shown, { kind: "skip", text: `${all.length - LINES_MAX} more lines` }]
}

/** Whether `shown` leaves something out that is not merely unchanged. */
export const isClipped = (shown: ReadonlyArray<Line>, edit: Pick<Edit, "before" | "after">): boolean =>
  shown.length > LINES_MAX ||
  [edit.before, edit.after].some(
    (text) => text.length > LINE_MAX && text.split("\n").some((one) => one.length > LINE_MAX)
  )

export { count } from "@causeway/transcript/LineDiff"
