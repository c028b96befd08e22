/** The panel of an approval or a question as rows. Pure. */
import type * as Approvals from "@causeway/transcript/Approvals"
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
  request: Panel.Request | undefined,
  question: Approvals.Question | undefined,
  panel: Panel.Panel
): string => {
  if (panel.words !== null) {
    return panel.words.as === "deny"
      ? "Enter denies with these words, Esc goes back"
      : "Enter answers, Esc goes back"
  }
  if (question !== undefined) {
    return question.multiSelect
      ? "1-9 choose, Enter answers, o your own words, d deny"
      : "1-9 answer, o your own words, d deny"
  }
  if (approval.kind === "dialog") return "d decline"
  const always = (request?.suggestions.length ?? 0) > 0 ? ", A always" : ""
  return `a allow${always}, d deny`
}

/** The panel's rows: at most `most`, its rule, title and hints included, but never fewer than its words need. */
export const rows = (shown: {
  readonly approval: Approvals.Approval
  readonly request: Panel.Request | undefined
  readonly panel: Panel.Panel
  readonly focused: boolean
  /** Other approvals that are open, too. */
  readonly others: number
  readonly columns: number
  readonly most: number
}): ReadonlyArray<Row.Row> => {
  const { approval, request, panel: state, focused, others, columns, most } = shown
  const questions = Panel.questionsOf(approval, request)
  const question = questions[state.answers.length]
  const name = cleanLine(approval.displayName ?? approval.toolName)
  const title: Row.Row = [
    segment(
      question === undefined
        ? `The agent wants to use ${name}`
        : questions.length > 1
          ? `The agent asks (${state.answers.length + 1} of ${questions.length})`
          : "The agent asks",
      "warn"
    ),
    segment(others > 0 ? `  (${others} more)` : "", "dim")
  ]
  const description =
    approval.description === null || question !== undefined
      ? []
      : wrap(cleanLine(approval.description), columns).map((line) => Row.row(line))
  const body = [
    ...description,
    ...(question === undefined
      ? Layout.inputRows(request?.input ?? approval.input, columns)
      : questionRows(question, state, columns))
  ]
  const words: ReadonlyArray<Row.Row> =
    state.words === null
      ? []
      : Composer.lines(state.words.composer, columns - 8, 3).map(
          (line, n): Row.Row => [
            segment(n === 0 ? (state.words?.as === "deny" ? "deny:   " : "answer: ") : "        ", "dim"),
            ...(focused ? withCursor(line) : Row.row(line.text))
          ]
        )
  const hints: Row.Row = focused
    ? [segment(panelHints(approval, request, question, state), "strong")]
    : [segment("Tab to answer: ", "strong"), segment(panelHints(approval, request, question, state), "dim")]
  // Rule, title, words, hints; what is asked gets the rest and can be scrolled.
  const room = Math.max(1, most - 3 - words.length)
  const hidden = Math.max(0, body.length - room)
  const offset = Math.min(state.scroll, hidden)
  const seen = hidden === 0 ? body : body.slice(offset, offset + Math.max(1, room - 1))
  const below = body.length - offset - seen.length
  const more: ReadonlyArray<Row.Row> =
    hidden === 0 ? [] : [Row.row(`… ${offset} rows above, ${below} below: arrow keys`, "warn")]
  return [Row.rule(columns), title, ...seen, ...more, ...words, hints].map((each) => Row.fit(each, columns))
}
