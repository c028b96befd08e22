/** Items of a conversation as rows. Pure; what was laid out once is kept for as long as the item is. */
import * as Ansi from "@causeway/protocol/Ansi"
import * as Delivery from "@causeway/protocol/Delivery"
import * as Approvals from "@causeway/transcript/Approvals"
import type * as Conversation from "@causeway/transcript/Conversation"
import * as FileChange from "@causeway/transcript/FileChange"
import * as LineDiff from "@causeway/transcript/LineDiff"
import type * as Live from "@causeway/transcript/Live"
import * as Preview from "@causeway/transcript/Preview"
import { object, string } from "@causeway/transcript/Read"
import * as Row from "./Row.ts"
import { clean, cleanLine, wrap } from "./Text.ts"

/** What is shown folded. */
export interface Folded {
  readonly thinking: boolean
  readonly results: boolean
}

/** A message that is not in the conversation yet. */
export interface Waiting {
  readonly uuid: string
  readonly text: string
  readonly stage: Delivery.Stage
  readonly reason: string | null
}

/** A part of the transcript, laid out only when it is seen. */
export interface Block {
  /** Stable and unique. */
  readonly id: string
  readonly rows: (columns: number) => ReadonlyArray<Row.Row>
}

/** Characters of one text that are laid out; the log has the rest. */
export const TEXT_MAX = 100_000
/** Rows of an unfolded tool result that are shown. */
export const RESULT_ROWS_MAX = 400
/** Characters of the live tail that are laid out: more than any screen holds. */
const LIVE_MAX = 20_000

const clipped = (text: string, max = TEXT_MAX): string =>
  text.length <= max ? text : `${text.slice(0, max)}\n… (${text.length - max} more characters in the log)`

const seconds = (millis: number): string =>
  millis < 10_000
    ? `${(millis / 1000).toFixed(1)} s`
    : millis < 120_000
      ? `${Math.round(millis / 1000)} s`
      : `${Math.round(millis / 60_000)} min`

export const dollars = (value: number): string => `$${value < 1 ? value.toFixed(4) : value.toFixed(2)}`

/** A text's rows behind a mark; rows after the first are indented as far. */
const marked = (
  mark: string,
  text: string,
  tone: Row.Tone,
  columns: number,
  markTone = tone
): Array<Row.Row> =>
  wrap(text, columns - mark.length).map((line, n) =>
    line === ""
      ? Row.blank
      : [Row.segment(n === 0 ? mark : " ".repeat(mark.length), markTone), Row.segment(line, tone)]
  )

/** Words of the agent: code blocks stand out, all else is as it was written. */
const prose = (text: string, columns: number): Array<Row.Row> => {
  const out: Array<Row.Row> = []
  let fenced = false
  for (const line of text.split("\n")) {
    const fence = /^\s*(```|~~~)/.test(line)
    const tone: Row.Tone = fence ? "dim" : fenced ? "code" : /^#{1,6} /.test(line) ? "strong" : "plain"
    for (const each of wrap(line, columns)) out.push(Row.row(each, tone))
    if (fence) fenced = !fenced
  }
  return out
}

// --- Tools ---

/** A tool's input on one line: what it is about. */
export const gist = (input: unknown): string => {
  const members = object(input)
  for (const key of ["command", "file_path", "path", "pattern", "query", "url", "description", "prompt"]) {
    const value = string(members[key])
    if (value !== null) return cleanLine(value.slice(0, 400))
  }
  return cleanLine(Preview.json(input, 0).slice(0, 400))
}

/** Unchanged lines that are shown around a change. */
const CONTEXT = 2

const changeLine = {
  same: ["dim", "  "],
  add: ["good", "+ "],
  remove: ["bad", "- "],
  skip: ["dim", "  … "]
} as const

/** A change as what goes and what comes, with a little around it. */
const change = (of: FileChange.Change): ReadonlyArray<readonly [Row.Tone, string]> =>
  LineDiff.around(LineDiff.of(clean(of.before), clean(of.after)), CONTEXT).map(({ kind, text }) => {
    const [tone, sign] = changeLine[kind]
    return [tone, sign + text]
  })

/** Members of a tool's input that are shown in a form of their own. */
const formed = new Set([
  "command",
  "file_path",
  "path",
  "old_string",
  "new_string",
  "content",
  "edits",
  "plan"
])

/** A tool's input in full: a command as it is, a file's change as what goes and what comes, else JSON. */
export const inputRows = (
  input: unknown,
  columns: number,
  before: FileChange.Before | null = null
): ReadonlyArray<Row.Row> => {
  const members = object(input)
  const command = string(members["command"])
  const path = string(members["file_path"]) ?? string(members["path"])
  const lines: Array<readonly [Row.Tone, string]> = []
  const plan = string(members["plan"])
  const changes = FileChange.of(input, before)
  if (command !== null) lines.push(["code", clean(command)])
  if (path !== null) {
    const counts = FileChange.countsOf(input, before)
    lines.push(["strong", clean(path) + (counts === null ? "" : `  +${counts.added} -${counts.removed}`)])
  }
  const words = changes.length === 0 ? null : FileChange.words(input, before)
  if (words !== null) lines.push(["warn", words])
  for (const each of changes) lines.push(...change(each))
  if (plan !== null) lines.push(["plain", clean(plan)])
  const rest = Object.entries(members).filter(
    ([key, value]) => !formed.has(key) || (typeof value !== "string" && key !== "edits")
  )
  if (rest.length > 0) lines.push(["dim", clean(Preview.json(Object.fromEntries(rest), 2))])
  if (lines.length === 0) lines.push(["dim", clean(Preview.json(input, 2))])
  return lines.flatMap(([tone, text]) => wrap(clipped(text), columns).map((line) => Row.row(line, tone)))
}

/** What a tool wrote, as characters with their colours. */
const written = (text: string): ReadonlyArray<Ansi.Span> =>
  Ansi.spans(text).map((span) => ({ ...span, text: clean(span.text) }))

/** A row of a wrapped text in the colours of its characters, from `at` on; wrapping leaves out white space only. */
const coloured = (
  row: string,
  spans: ReadonlyArray<Ansi.Span>,
  place: { span: number; at: number },
  tone: Row.Tone
): Row.Row => {
  const out: Array<{ text: string; style: Ansi.Style }> = []
  for (const character of row) {
    while (place.span < spans.length && !(spans[place.span]?.text.startsWith(character, place.at) ?? false)) {
      place.at++
      if (place.at >= (spans[place.span]?.text.length ?? 0)) {
        place.span++
        place.at = 0
      }
    }
    const style = spans[place.span]?.style ?? Ansi.unstyled
    place.at += character.length
    const last = out.at(-1)
    if (last?.style === style) last.text += character
    else out.push({ text: character, style })
  }
  return out.map(({ style, text }) =>
    style === Ansi.unstyled ? Row.segment(text, tone) : { ...Row.segment(text, tone), style }
  )
}

const outcomeRows = (outcome: Conversation.Outcome, folded: boolean, columns: number): Array<Row.Row> => {
  const spans = written(clipped(outcome.text))
  const text = spans
    .map((span) => span.text)
    .join("")
    .trimEnd()
  const tone: Row.Tone = outcome.isError ? "bad" : "dim"
  if (text === "") return []
  const lines = text.split("\n")
  if (folded) {
    const more = lines.length > 1 ? ` (+${lines.length - 1} lines, Ctrl-O)` : ""
    return [
      Row.fit(
        [
          Row.segment("  | ", "dim"),
          ...coloured(lines[0] ?? "", spans, { span: 0, at: 0 }, tone),
          Row.segment(more, "dim")
        ],
        columns
      )
    ]
  }
  const place = { span: 0, at: 0 }
  const rows = wrap(text, columns - 4)
    .slice(0, RESULT_ROWS_MAX)
    .map(
      (line, n): Row.Row => [
        Row.segment(n === 0 ? "  | " : "    ", "dim"),
        ...coloured(line, spans, place, tone)
      ]
    )
  return rows.length < RESULT_ROWS_MAX ? rows : [...rows, Row.row("  | … the log has the rest", "dim")]
}

const callRows = (call: Conversation.ToolCall, folded: Folded, columns: number): Array<Row.Row> => {
  const failed = call.result?.isError === true
  const state: Row.Segment =
    call.approval?.state === "pending" && !call.completed
      ? Row.segment("  waits for you", "warn")
      : call.completed
        ? Row.segment(
            `  ${failed ? "failed" : "done"}${call.durationMs === null ? "" : ` ${seconds(call.durationMs)}`}` +
              `${call.approval === null ? "" : `, ${Approvals.stateWords[call.approval.state]}`}`,
            failed ? "bad" : "dim"
          )
        : call.unfinished
          ? Row.segment("  not finished", "dim")
          : Row.segment("  running", "warn")
  const left: Row.Row = [
    Row.segment("* ", failed ? "bad" : call.completed ? "good" : call.unfinished ? "dim" : "warn"),
    Row.segment(cleanLine(call.name), "strong"),
    Row.segment(` ${gist(call.input)}`)
  ]
  const head = Row.fit(left, Math.max(8, columns - Row.widthOf([state])))
  const input = folded.results
    ? []
    : inputRows(call.input, columns - 2, call.before).map((each): Row.Row => [Row.segment("  "), ...each])
  return [
    Row.fit([...head, state], columns),
    ...input,
    ...(call.result === null ? [] : outcomeRows(call.result, folded.results, columns))
  ]
}

// --- Items ---

const rule = (words: string, tone: Row.Tone): Row.Row => [Row.segment(`-- ${words}`, tone)]

const deliveryRow = (stage: Delivery.Stage, reason: string | null): Row.Row =>
  Row.row(
    `  ${Delivery.words[stage]}${stage === "unknown" ? ": Ctrl-R sends it again" : ""}${reason === null ? "" : `: ${cleanLine(reason)}`}`,
    stage === "refused" ? "bad" : stage === "unknown" ? "warn" : "dim"
  )

const message = (
  item: Conversation.Message,
  stage: Delivery.Stage | undefined,
  columns: number
): Array<Row.Row> => {
  const attachments = item.attachments.map(({ type }) => Row.row(`  [${cleanLine(String(type))}]`, "dim"))
  const text = clean(clipped(item.text))
  if (item.role === "user") {
    return [
      Row.blank,
      ...(text === "" ? [] : marked("> ", text, "you", columns)),
      ...attachments,
      ...(stage === undefined ? [] : [deliveryRow(stage, null)])
    ]
  }
  return [
    ...(text === "" ? [] : [Row.blank, ...prose(text, columns)]),
    ...attachments,
    ...(item.aborted ? [Row.row("[cut short]", "warn")] : []),
    ...(item.error === null ? [] : [Row.row(cleanLine(item.error), "bad")])
  ]
}

const signs = { pending: "[ ]", in_progress: "[>]", completed: "[x]" } as const

const turn = (item: Conversation.Turn): Row.Row => {
  const facts = [
    ...(item.durationMs === null ? [] : [seconds(item.durationMs)]),
    ...(item.totalCostUsd === null ? [] : [`${dollars(item.totalCostUsd)} so far`])
  ].join(", ")
  if (item.stopped) return rule(`stopped${facts === "" ? "" : `, ${facts}`}`, "warn")
  if (item.isError) return rule(`failed: ${cleanLine(item.text ?? "")}`, "bad")
  return rule(`done${facts === "" ? "" : `, ${facts}`}`, "dim")
}

const itemRows = (
  item: Conversation.Item,
  folded: Folded,
  stage: Delivery.Stage | undefined,
  columns: number
): Array<Row.Row> => {
  switch (item.kind) {
    case "message":
      return message(item, stage, columns)
    case "thinking": {
      const text = clean(clipped(item.text)).trim()
      if (item.redacted || text === "") return [Row.row("~ thinking", "dim")]
      return folded.thinking
        ? [Row.row(`~ thinking, ${item.text.length} characters (Ctrl-T)`, "dim")]
        : marked("~ ", text, "dim", columns)
    }
    case "tool_call":
      return callRows(item, folded, columns)
    case "tool_result":
      return item.linked ? [] : outcomeRows(item.outcome, folded.results, columns)
    case "system":
      return item.quiet
        ? []
        : marked(
            "- ",
            cleanLine(`${item.subtype}${item.text === null ? "" : `: ${item.text}`}`),
            "dim",
            columns
          )
    case "plan":
      return item.text !== null
        ? [Row.blank, Row.row("Plan", "strong"), ...prose(clean(clipped(item.text)), columns)]
        : item.steps.flatMap((step) =>
            marked(
              `${signs[step.status]} `,
              cleanLine(step.text),
              step.status === "completed" ? "dim" : "plain",
              columns
            )
          )
    case "compaction":
      return [rule("the conversation was compacted", "dim")]
    case "error":
      return marked("! ", clean(clipped(item.text)), "bad", columns)
    case "turn":
      return [turn(item)]
    case "unknown":
      return [Row.row(`[${cleanLine(item.type)}]`, "dim")]
  }
}

/** Rows by what else they depend on, for each item. */
const laidOut = new WeakMap<
  Conversation.Item,
  { readonly key: string; readonly rows: ReadonlyArray<Row.Row> }
>()

export const item = (of: Conversation.Item, folded: Folded, stage: Delivery.Stage | undefined): Block => ({
  id: of.id,
  rows: (columns) => {
    if (of.superseded) return []
    const key = `${columns} ${folded.thinking} ${folded.results} ${stage}`
    const known = laidOut.get(of)
    if (known?.key === key) return known.rows
    const nested = of.parentToolUseId !== null
    const rows = itemRows(of, folded, stage, nested ? columns - 2 : columns)
    const whole = (nested ? rows.map((each): Row.Row => [Row.segment("| ", "dim"), ...each]) : rows).map(
      (each) => Row.fit(each, columns)
    )
    laidOut.set(of, { key, rows: whole })
    return whole
  }
})

export const waiting = (of: Waiting): Block => ({
  id: `waiting:${of.uuid}`,
  rows: (columns) =>
    [
      Row.blank,
      ...marked("> ", clean(clipped(of.text)), "you", columns),
      deliveryRow(of.stage, of.reason)
    ].map((each) => Row.fit(each, columns))
})

const tail = (text: string): string => (text.length <= LIVE_MAX ? text : `…${text.slice(-LIVE_MAX)}`)

export const live = (of: Live.Block, folded: Folded): Block => ({
  id: `live:${of.index}`,
  rows: (columns) => {
    const rows =
      of.kind === "text"
        ? [Row.blank, ...prose(clean(tail(of.text)), columns)]
        : of.kind === "thinking"
          ? folded.thinking
            ? [Row.row(`~ thinking, ${of.text.length} characters so far (Ctrl-T)`, "dim")]
            : marked("~ ", clean(tail(of.text)), "dim", columns)
          : [Row.row(`* ${cleanLine(of.name ?? "tool")} …`, "warn")]
    return rows.map((each) => Row.fit(each, columns))
  }
})
