/** The panel of an approval or a question as rows. Pure. */
import type * as Approvals from "@causeway/transcript/Approvals"
import type { Request } from "@causeway/transcript/View/Requests"
import * as Composer from "./Composer.ts"
import * as Layout from "./Layout.ts"
import * as Panel from "./Panel.ts"
import * as Row from "./Row.ts"
import { clean, cleanLine, wrap } from "./Text.ts"

const { segment } = Row

/** A row of text with the cursor in it, where it is there. */
export const withCursor = (line: Composer.Line): Row.Row => {
  if (line.cursor === null) return Row.row(line.text)
  const at = line.cursor
  const under = Array.from(line.text.slice(at))[0] ?? " "
  return [
    segment(line.text.slice(0, at)),
    segment(under, "cursor"),
    segment(under === " " && at >= line.text.length ? "" : line.text.slice(at + under.length))
  ].filter((each) => each.text !== "")
}

const questionRows = (
  question: Approvals.Question,
  panel: Panel.Panel,
  columns: number
): ReadonlyArray<Row.Row> => [
  ...wrap(clean(question.question), columns).map((line) => Row.row(line, "strong")),
  ...question.options.flatMap((option, n) => {
    const sign = question.multiSelect ? (panel.chosen.includes(n) ? "[x] " : "[ ] ") : ""
    const label = cleanLine(option.label)
    const description = option.description === null ? "" : cleanLine(option.description)
    return [
      Row.fit(
        [
          segment(`${n < 9 ? n + 1 : " "} ${sign}${label}`),
          segment(description === "" || description === label ? "" : `  ${description}`, "dim")
        ],
        columns
      )
    ]
  })
]

const panelHints = (
  approval: Approvals.Approval,
  request: Request | undefined,
  question: Approvals.Question | undefined,
  panel: Panel.Panel
): string => {
  if (panel.words !== null) {
    return panel.words.as === "deny"
      ? "Enter denies with these words, Esc goes back"
      : "Enter answers, Esc goes back"
  }
  if (question !== undefined) {
    const no = approval.kind === "dialog" ? "d decline" : "d deny"
    if (question.options.length === 0) return `o answer, ${no}`
    return question.multiSelect
      ? `1-9 choose, Enter answers, o your own words, ${no}`
      : `1-9 answer, o your own words, ${no}`
  }
  if (approval.kind === "dialog") {
    return Panel.formOf(approval, request) === null ? "d decline" : "a accept, d decline"
  }
  const always = (request?.suggestions.length ?? 0) > 0 ? ", A always" : ""
  return `a allow${always}, d deny`
}

/** What the panel shows, and in how much room. */
export interface Shown {
  readonly approval: Approvals.Approval
  readonly request: Request | undefined
  readonly panel: Panel.Panel
  readonly focused: boolean
  /** Other approvals that are open, too. */
  readonly others: number
  readonly columns: number
  /** Rows of the panel: its rule, title and hints included. */
  readonly most: number
}

/** What is asked, in full. */
const bodyRows = ({ approval, columns, panel, request }: Shown): ReadonlyArray<Row.Row> => {
  const question = Panel.questionsOf(approval, request)[panel.answers.length]
  if (question !== undefined) {
    const message = Panel.formOf(approval, request)?.message ?? ""
    return [
      ...(message === "" ? [] : wrap(clean(message), columns).map((line) => Row.row(line, "dim"))),
      ...questionRows(question, panel, columns)
    ]
  }
  const form = Panel.formOf(approval, request)
  if (form !== null) {
    return [form.message, form.url ?? ""]
      .filter((text) => text !== "")
      .flatMap((text) => wrap(clean(text), columns).map((line) => Row.row(line)))
  }
  const asked = Layout.inputRows(request?.input ?? approval.input, columns, request?.before ?? null)
  const description =
    approval.description === null
      ? []
      : wrap(cleanLine(approval.description), columns).map((line) => Row.row(line))
  // A description that only repeats the command says nothing.
  const repeats = description.every((each, n) => Row.textOf(each) === Row.textOf(asked[n] ?? Row.blank))
  return repeats ? asked : [...description, ...asked]
}

const wordRows = ({ columns, focused, panel }: Shown): ReadonlyArray<Row.Row> => {
  if (panel.words === null) return []
  const mark = panel.words.as === "deny" ? "deny:   " : "answer: "
  return Composer.lines(panel.words.composer, columns - mark.length, 3).map(
    (line, n): Row.Row => [
      segment(n === 0 ? mark : " ".repeat(mark.length), "dim"),
      ...(focused ? withCursor(line) : Row.row(line.text))
    ]
  )
}

/** Rows of `body` that are seen at once: all of them, or as many as leave room for the row that counts the others. */
const seenRows = (shown: Shown, body: number, words: number): number => {
  const room = Math.max(1, shown.most - 3 - words)
  return body <= room ? body : Math.max(1, room - 1)
}

/** How far what is asked can be scrolled. */
export const scrollMax = (shown: Shown): number => {
  const body = bodyRows(shown).length
  return body - seenRows(shown, body, wordRows(shown).length)
}

export const rows = (shown: Shown): ReadonlyArray<Row.Row> => {
  const { approval, request, panel, focused, others, columns } = shown
  const questions = Panel.questionsOf(approval, request)
  const question = questions[panel.answers.length]
  const title: Row.Row = [
    segment(
      approval.kind === "dialog"
        ? questions.length > 1
          ? `A program of the agent asks (${panel.answers.length + 1} of ${questions.length})`
          : "A program of the agent asks"
        : question === undefined
          ? `The agent wants to use ${cleanLine(approval.displayName ?? approval.toolName)}`
          : questions.length > 1
            ? `The agent asks (${panel.answers.length + 1} of ${questions.length})`
            : "The agent asks",
      "warn"
    ),
    segment(others > 0 ? `  (${others} more)` : "", "dim")
  ]
  const keys = panelHints(approval, request, question, panel)
  const hints: Row.Row = focused
    ? [segment(keys, "strong")]
    : [segment("Tab to answer: ", "strong"), segment(keys, "dim")]
  const body = bodyRows(shown)
  const words = wordRows(shown)
  const room = seenRows(shown, body.length, words.length)
  const above = Math.max(0, Math.min(panel.scroll, body.length - room))
  const seen = body.slice(above, above + room)
  const more: ReadonlyArray<Row.Row> =
    seen.length === body.length
      ? []
      : [Row.row(`… ${above} rows above, ${body.length - above - room} below: arrow keys`, "warn")]
  return [Row.rule(columns), title, ...seen, ...more, ...words, hints].map((each) => Row.fit(each, columns))
}
