/** The whole screen as rows: what the view draws. Pure. */
import * as Usage from "@causeway/transcript/Usage"
import * as Layout from "./Layout.ts"
import * as Model from "./Model.ts"
import { withCursor } from "./PanelRows.ts"
import * as Row from "./Row.ts"
import * as Scroll from "./Scroll.ts"
import { cleanLine } from "./Text.ts"

/** Part of the context from which it is shown as a warning, and from which it is urgent. */
export const CONTEXT_WARN = 0.6
export const CONTEXT_URGENT = 0.9

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

/** How full the context is, between 0 and 1 (more where the limit is wrong); null while nobody knows. */
export const contextFilling = (model: Model.Model): number | null => {
  const { contextTokens, model: name } = model.row
  return contextTokens === null ? null : contextTokens / Usage.contextLimit(name)
}

const context = (model: Model.Model): Row.Row => {
  const filling = contextFilling(model)
  if (filling === null) return []
  const percent = `context ${Math.round(filling * 100)} %`
  if (filling >= CONTEXT_URGENT) return [segment("  "), segment(`${percent} (almost full)`, "bad")]
  if (filling >= CONTEXT_WARN) return [segment("  "), segment(`${percent} (filling up)`, "warn")]
  return [segment(`  ${percent}`, "dim")]
}

const header = (model: Model.Model): ReadonlyArray<Row.Row> => {
  const { columns } = model.size
  const { row, agent } = model
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
    ...(agent.connected === false && !stale ? [segment("  agent not connected", "warn")] : [])
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
  const below = model.window.atEnd ? 0 : model.row.lastSeq - (model.window.entries.at(-1)?.seq ?? 0)
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
  const stop = Model.isRunning(model) ? "Esc stop  " : ""
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
