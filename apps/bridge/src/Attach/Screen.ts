/** The whole screen as rows: what the view draws. Pure. */
import * as Usage from "@causeway/transcript/Usage"
import * as SessionView from "@causeway/transcript/View/SessionView"
import * as Layout from "./Layout.ts"
import * as Model from "./Model.ts"
import { withCursor } from "./PanelRows.ts"
import * as Row from "./Row.ts"
import * as Scroll from "./Scroll.ts"
import { cleanLine } from "./Text.ts"

const { segment } = Row

// --- Header ---

const connection = (model: Model.Model): Row.Row => {
  const { connection: state, now } = model
  switch (state._tag) {
    case "Connecting":
      return [segment("connecting…", "warn")]
    case "Connected":
      return state.polling === true
        ? [
            segment("connected", "good"),
            segment(" (a proxy holds the stream back; asking again and again)", "warn")
          ]
        : [segment("connected", "good")]
    case "Reconnecting": {
      const wait = Math.ceil((state.retryAt - now) / 1000)
      const since = Math.floor((now - state.since) / 1000)
      return [
        segment("reconnecting", "warn"),
        segment(wait > 0 ? ` in ${wait} s` : " now", "warn"),
        segment(since >= 5 ? ` (lost ${since} s ago)` : "", "dim")
      ]
    }
    case "Offline":
      return [segment(`offline: ${cleanLine(state.error)}`, "bad")]
  }
}

const statusTone = { pending: "warn", idle: "good", running: "warn", requires_action: "warn" } as const
const statusWords = {
  pending: "waits for a worker",
  idle: "idle",
  running: "running",
  requires_action: "asks you"
} as const

const fillingWords = { ok: "", warn: " (filling up)", urgent: " (almost full)" } as const
const fillingTone = { ok: "dim", warn: "warn", urgent: "bad" } as const

const context = ({ view: { row } }: Model.Model): Row.Row => {
  if (row.contextTokens === null) return []
  const { level, percent } = Usage.filling(row.contextTokens, row.model)
  return [segment("  "), segment(`context ${percent} %${fillingWords[level]}`, fillingTone[level])]
}

const header = (model: Model.Model): ReadonlyArray<Row.Row> => {
  const { columns } = model.size
  const { row, agent } = model.view
  // A status that may be old is not shown as the present one.
  const stale = model.connection._tag !== "Connected"
  const status: Row.Row = [
    segment(`${stale ? "was " : ""}${statusWords[row.status]}`, stale ? "dim" : statusTone[row.status])
  ]
  const facts: Row.Row = [
    ...(row.archivedAt === null ? [] : [segment("  archived", "warn")]),
    ...(row.model === null ? [] : [segment(`  ${cleanLine(row.model)}`, "dim")]),
    ...(row.permissionMode === null || row.permissionMode === "default"
      ? []
      : [segment(`  ${cleanLine(row.permissionMode)}`, "dim")]),
    ...(row.totalCostUsd === null ? [] : [segment(`  ${Layout.dollars(row.totalCostUsd)}`, "dim")]),
    ...context(model),
    ...(agent.isConnected === false && !stale ? [segment("  agent not connected", "warn")] : [])
  ]
  const id = model.sessionId ?? ""
  return [
    Row.spread(
      [segment(cleanLine(row.title ?? "(no title)"), "strong"), segment(`  ${id.slice(0, 16)}`, "dim")],
      connection(model),
      columns
    ),
    Row.fit([...status, ...facts], columns),
    Row.rule(columns)
  ]
}

// --- The rest ---

const notice = (model: Model.Model): Row.Row => {
  const below = model.view.window.atEnd ? 0 : model.view.row.lastSeq - model.view.window.last
  const place: Row.Row =
    model.paging !== null
      ? [segment("reading…", "dim")]
      : below > 0
        ? [segment(`${below} events below: Ctrl-End`, "warn")]
        : model.anchor !== null
          ? [segment("scrolled back: Ctrl-End goes to the end", "warn")]
          : []
  const words: Row.Row = model.notice === null ? [] : Row.row(cleanLine(model.notice.text), model.notice.tone)
  return Row.spread(words, place, model.size.columns)
}

const hints = (model: Model.Model): string => {
  const unknown = model.sent.some((each) => each.stage === "unknown") ? "Ctrl-R send again  " : ""
  const stop = SessionView.isRunning(model.view) ? "Esc stop  " : ""
  return `${unknown}${stop}Enter send  Alt-Enter new line  PgUp/PgDn scroll  Ctrl-O results  Ctrl-T thinking  Ctrl-D detach`
}

const composer = (model: Model.Model): ReadonlyArray<Row.Row> => {
  const focused = model.focus === "composer"
  const shown = Model.composerLines(model)
  return shown.map((line, n): Row.Row => {
    const mark = segment(n === 0 ? "> " : "  ", focused ? "strong" : "dim")
    if (model.composer.text === "" && n === 0) {
      return [mark, ...(focused ? [segment(" ", "cursor")] : []), segment(" message the agent", "dim")]
    }
    return [mark, ...(focused ? withCursor(line) : Row.row(line.text, "dim"))]
  })
}

const session = (model: Model.Model): ReadonlyArray<Row.Row> => {
  const { columns } = model.size
  const height = Model.transcriptRows(model)
  const rows = Scroll.view(Model.blocks(model), model.anchor, columns, height)
  return [
    ...header(model),
    ...rows,
    ...Array.from({ length: Math.max(0, height - rows.length) }, () => Row.blank),
    notice(model),
    ...Model.panelRows(model),
    Row.rule(columns),
    ...composer(model),
    Row.row(hints(model), "dim")
  ]
}

const picking = (model: Model.Model, picker: Model.Picker): ReadonlyArray<Row.Row> => {
  const { columns, rows } = model.size
  const room = Math.max(1, rows - 5)
  const { sessions, selected, error } = picker
  const first = Math.max(0, Math.min(selected - Math.floor(room / 2), (sessions?.length ?? 0) - room))
  const list: ReadonlyArray<Row.Row> =
    sessions === null
      ? [Row.row(error === null ? "reading the sessions…" : "", "dim")]
      : sessions.length === 0
        ? [Row.row("there are no sessions; `node apps/bridge` begins one", "dim")]
        : sessions.slice(first, first + room).map((each, n): Row.Row => {
            const here = first + n === selected
            return [
              segment(here ? "> " : "  ", "strong"),
              segment(cleanLine(each.title ?? "(no title)"), here ? "strong" : "plain"),
              segment(`  ${statusWords[each.status]}`, statusTone[each.status]),
              segment(`  ${each.updated_at.slice(0, 16).replace("T", " ")}  ${each.id.slice(0, 16)}`, "dim")
            ]
          })
  const body = list.slice(0, room)
  return [
    [segment("Which session?", "strong")],
    Row.rule(columns),
    ...body,
    ...Array.from({ length: Math.max(0, room - body.length) }, () => Row.blank),
    error !== null
      ? Row.row(cleanLine(error), "bad")
      : Row.row(model.notice === null ? "" : model.notice.text),
    Row.row("Up/Down choose  Enter open  r read again  q leave", "dim")
  ]
}

/** The rows of the screen: one fewer than the terminal has, none wider than it. */
export const rows = (model: Model.Model): ReadonlyArray<Row.Row> => {
  const all = model.picker === null ? session(model) : picking(model, model.picker)
  // In a terminal with too few rows the end is what a person types in.
  return all.slice(-Math.max(1, model.size.rows - 1)).map((each) => Row.fit(each, model.size.columns))
}
