/** Changes of files that tools make, as lines to look at. */
import * as FileChange from "@causeway/transcript/FileChange"
import * as LineDiff from "@causeway/transcript/LineDiff"

/** One replacement in one file. */
export type Edit = FileChange.Change

/** What a call's input changes; none where it is no change of files that this page knows. */
export const { of } = FileChange

/** Whether what goes is known: it is all that stands there, or what the agent says it replaces. */
export const isKnown = (edit: Edit): boolean => edit.isWhole || edit.before !== ""

/** Unchanged lines that are shown around a change. */
const CONTEXT = 3
/** Lines that are shown at most. */
export const LINES_MAX = 400
/** Longest line that is shown, in UTF-16 units. */
export const LINE_MAX = 2000

const clip = (line: LineDiff.Line): LineDiff.Line =>
  line.text.length <= LINE_MAX
    ? line
    : {
        ...line,
        text: `${line.text.slice(0, LINE_MAX)}… (${(line.text.length - LINE_MAX).toLocaleString("en")} more characters)`
      }

/** The lines of an edit; `whole`: all of them, and each to its end. */
export const lines = (
  { before, after }: Pick<Edit, "before" | "after">,
  whole = false
): ReadonlyArray<LineDiff.Line> => {
  const all = LineDiff.around(LineDiff.of(before, after), CONTEXT)
  if (whole) return all
  const shown = all.slice(0, LINES_MAX).map(clip)
  return all.length <= LINES_MAX
    ? shown
    : [...shown, { kind: "skip", text: `${all.length - LINES_MAX} more lines` }]
}

/** Whether `shown` leaves something out that is not merely unchanged. */
export const isClipped = (
  shown: ReadonlyArray<LineDiff.Line>,
  edit: Pick<Edit, "before" | "after">
): boolean =>
  shown.length > LINES_MAX ||
  [edit.before, edit.after].some(
    (text) => text.length > LINE_MAX && text.split("\n").some((one) => one.length > LINE_MAX)
  )

export { count } from "@causeway/transcript/LineDiff"
