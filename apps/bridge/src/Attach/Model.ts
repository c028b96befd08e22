/**
 * Everything the view knows, and how it changes: a pure function from what happens (keys, frames of the stream, answers
 * of the hub, time) to the next state and to what is to be done. It never throws, whatever comes in whatever order.
 */
import type * as Viewer from "@causeway/client/Viewer"
import type * as Api from "@causeway/protocol/http/Sessions"
import type { SessionId } from "@causeway/protocol/Ids"
import * as Approvals from "@causeway/transcript/Approvals"
import * as FileChange from "@causeway/transcript/FileChange"
import * as Live from "@causeway/transcript/Live"
import { array, type JsonObject, object, type ReadableEvent, textOf } from "@causeway/transcript/Read"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as Composer from "./Composer.ts"
import * as Delivery from "./Delivery.ts"
import type { Key } from "./Keys.ts"
import * as Layout from "./Layout.ts"
import * as Panel from "./Panel.ts"
import * as PanelRows from "./PanelRows.ts"
import type { Row } from "./Row.ts"
import * as Scroll from "./Scroll.ts"
import { cleanLine } from "./Text.ts"
import * as Window from "./Window.ts"

// --- State ---

/** What is known of the way to the hub. Times are milliseconds since the epoch. */
export type Connection =
  | { readonly _tag: "Connecting" }
  /** `polling`: the stream is held back, and asked for piece by piece. */
  | { readonly _tag: "Connected"; readonly polling?: boolean }
  | {
      readonly _tag: "Reconnecting"
      readonly error: string
      readonly since: number
      readonly retryAt: number
    }
  /** Nobody tries any more. */
  | { readonly _tag: "Offline"; readonly error: string }

/** A message of this person, from here. */
export interface Sent {
  readonly uuid: string
  readonly text: string
  readonly stage: Delivery.Stage
  readonly reason: string | null
  /** Whether it has come back in the log, and stands in the conversation. */
  readonly logged: boolean
}

export interface Notice {
  readonly text: string
  readonly tone: "plain" | "good" | "warn" | "bad"
}

export interface Picker {
  readonly sessions: ReadonlyArray<Api.Session> | null
  readonly selected: number
  readonly error: string | null
}

export interface Model {
  readonly size: { readonly columns: number; readonly rows: number }
  readonly now: number
  readonly connection: Connection
  /** Shown while no session is chosen. */
  readonly picker: Picker | null
  readonly sessionId: SessionId | null
  /** What the hub says of the agent's side; null until it has. */
  readonly agent: { readonly connected: boolean | null; readonly waitingFor: string | null }
  readonly row: SessionRow.SessionRow
  readonly window: Window.Window
  readonly live: Live.Live
  /** What the open approvals ask, by request. */
  readonly requests: ReadonlyMap<string, Panel.Request>
  /** Requests whose answer from here is on its way or stored. */
  readonly answering: ReadonlySet<string>
  readonly sent: ReadonlyArray<Sent>
  /** How far messages have come, by uuid; of others, too. */
  readonly stages: ReadonlyMap<string, Delivery.Stage>
  readonly composer: Composer.Composer
  readonly focus: "composer" | "panel"
  readonly panel: Panel.Panel | null
  readonly folded: Layout.Folded
  readonly anchor: Scroll.Anchor
  readonly paging: "older" | "newer" | "top" | "end" | null
  readonly notice: Notice | null
  /** Ctrl-C was the last key: once more detaches. */
  readonly leaving: boolean
  /** When the last character was typed; a panel that opens does not take the next one. */
  readonly typedAt: number
  readonly detached: boolean
}

/** Messages from here, and stages, that are remembered. */
export const SENT_MAX = 200
export const STAGES_MAX = 4096
/** A panel that opens takes the keys when nothing was typed for this long. */
export const CALM_MILLIS = 1000

export const initial = (options: {
  readonly columns: number
  readonly rows: number
  readonly now: number
  /** Whether the session is still to be chosen. */
  readonly picking: boolean
}): Model => ({
  size: { columns: options.columns, rows: options.rows },
  now: options.now,
  connection: { _tag: "Connecting" },
  picker: options.picking ? { sessions: null, selected: 0, error: null } : null,
  sessionId: null,
  agent: { connected: null, waitingFor: null },
  row: SessionRow.initial,
  window: Window.empty(0),
  live: Live.empty,
  requests: new Map(),
  answering: new Set(),
  sent: [],
  stages: new Map(),
  composer: Composer.empty,
  focus: "composer",
  panel: null,
  folded: { thinking: true, results: true },
  anchor: null,
  paging: null,
  notice: null,
  leaving: false,
  typedAt: 0,
  detached: false
})

// --- What happens, and what is to be done ---

export type Message =
  | { readonly _tag: "Tick" }
  | { readonly _tag: "Resized"; readonly columns: number; readonly rows: number }
  /** `uuid`: a fresh one, for what the key may send. */
  | { readonly _tag: "Pressed"; readonly key: Key; readonly uuid: string }
  | { readonly _tag: "Listed"; readonly sessions: ReadonlyArray<Api.Session> }
  | { readonly _tag: "NotListed"; readonly error: string }
  /** The session is open; its log is read from after `after`. */
  | { readonly _tag: "Opened"; readonly session: Api.Session; readonly after: number }
  /** What the hub says of the session now. */
  | { readonly _tag: "Told"; readonly session: Api.Session }
  /** Requests of open approvals that stand before the window. */
  | { readonly _tag: "Asked"; readonly events: ReadonlyArray<Window.Entry> }
  | { readonly _tag: "Received"; readonly frames: ReadonlyArray<Viewer.Frame> }
  | { readonly _tag: "Connected"; readonly polling?: boolean }
  | { readonly _tag: "Disconnected"; readonly error: string; readonly delayMillis: number }
  | { readonly _tag: "Ended"; readonly error: string }
  | { readonly _tag: "Accepted"; readonly uuid: string; readonly waitingFor: string | null }
  | { readonly _tag: "NotSent"; readonly uuid: string; readonly refused: boolean; readonly reason: string }
  | { readonly _tag: "Answered"; readonly requestId: string }
  | {
      readonly _tag: "NotAnswered"
      readonly requestId: string
      readonly conflict: boolean
      readonly reason: string
    }
  | { readonly _tag: "Stopping" }
  | { readonly _tag: "NotStopped"; readonly reason: string }
  | {
      readonly _tag: "Paged"
      readonly kind: "older" | "newer" | "top" | "end"
      readonly after: number
      readonly events: ReadonlyArray<Window.Entry>
    }
  | { readonly _tag: "NotPaged"; readonly reason: string }

export type Command =
  | { readonly _tag: "Open"; readonly session: Api.Session }
  | { readonly _tag: "List" }
  | { readonly _tag: "Send"; readonly uuid: string; readonly text: string }
  | {
      readonly _tag: "Answer"
      readonly requestId: string
      readonly payload: JsonObject & { readonly uuid: string }
    }
  | { readonly _tag: "Interrupt"; readonly uuid: string }
  /** Events with numbers above `after`, up to `upTo`. */
  | {
      readonly _tag: "Page"
      readonly kind: "older" | "newer" | "top" | "end"
      readonly after: number
      readonly upTo: number
    }
  | { readonly _tag: "Redraw" }

export type Step = readonly [Model, ReadonlyArray<Command>]

const none: ReadonlyArray<Command> = []

const say = (model: Model, text: string, tone: Notice["tone"] = "plain"): Model => ({
  ...model,
  notice: { text, tone }
})

// --- Reading the model ---

/** The open approval that the panel is about: the oldest that has no answer from here. */
export const currentApproval = (model: Model): Approvals.Approval | undefined =>
  model.row.approvals.pending.find((each) => !model.answering.has(each.requestId))

export const isRunning = (model: Model): boolean =>
  model.row.status === "running" || model.row.status === "requires_action"

/** The transcript's parts, from the oldest. Laid out only where they are seen. */
export const blocks = (model: Model): ReadonlyArray<Layout.Block> => {
  const { conversation, atEnd } = model.window
  const own = new Map(model.sent.map((each) => [each.uuid, each.stage] as const))
  const items = conversation.items.map((item) =>
    Layout.item(
      item,
      model.folded,
      item.kind === "message" && item.role === "user"
        ? (own.get(item.uuid) ?? (item.source === "client" ? model.stages.get(item.uuid) : undefined))
        : undefined
    )
  )
  if (!atEnd) return items
  return [
    ...items,
    ...model.live.blocks.map((block) => Layout.live(block, model.folded)),
    ...model.sent.filter((each) => !each.logged).map(Layout.waiting)
  ]
}

/** The rows of the composer, behind its mark of two columns. */
export const composerLines = (model: Model): ReadonlyArray<Composer.Line> =>
  Composer.lines(
    model.composer,
    model.size.columns - 2,
    Math.max(1, Math.min(8, Math.floor(model.size.rows / 4)))
  )

/** What the panel shows; it takes half of the screen at most. Undefined while nothing is asked. */
const panelShown = (model: Model): PanelRows.Shown | undefined => {
  const approval = currentApproval(model)
  if (approval === undefined || model.panel === null) return undefined
  return {
    approval,
    request: model.requests.get(approval.requestId),
    panel: model.panel,
    focused: model.focus === "panel",
    others: model.row.approvals.pending.filter((each) => !model.answering.has(each.requestId)).length - 1,
    columns: model.size.columns,
    most: Math.max(5, Math.min(20, Math.floor(model.size.rows / 2)))
  }
}

export const panelRows = (model: Model): ReadonlyArray<Row> => {
  const shown = panelShown(model)
  return shown === undefined ? [] : PanelRows.rows(shown)
}

/** Header and its rule, the notice's row, the composer's rule, the hints' row; one row stays free for the cursor. */
const FRAME_ROWS = 7

export const transcriptRows = (model: Model): number =>
  Math.max(1, model.size.rows - FRAME_ROWS - composerLines(model).length - panelRows(model).length)

// --- The hub's side ---

const keep = (stages: ReadonlyMap<string, Delivery.Stage>, uuid: string, to: Delivery.Stage) => {
  const next = new Map(stages)
  next.set(uuid, Delivery.advance(stages.get(uuid), to))
  for (const oldest of next.keys()) {
    if (next.size <= STAGES_MAX) break
    next.delete(oldest)
  }
  return next
}

const advance = (model: Model, uuid: string, to: Delivery.Stage, reason: string | null = null): Model => ({
  ...model,
  stages: Delivery.isConfirmed(to) ? keep(model.stages, uuid, to) : model.stages,
  sent: model.sent.map((each) => {
    if (each.uuid !== uuid) return each
    const stage = Delivery.advance(each.stage, to)
    return { ...each, stage, reason: stage === to ? reason : each.reason }
  })
})

const logged = (model: Model, uuid: string): Model =>
  model.sent.some((each) => each.uuid === uuid)
    ? { ...model, sent: model.sent.map((each) => (each.uuid === uuid ? { ...each, logged: true } : each)) }
    : model

export const entryOf = (event: {
  readonly sequence_num: number
  readonly event_id: string
  readonly source: "worker" | "client"
  readonly created_at: string
  readonly event_type: string
  readonly payload: JsonObject
  readonly payloadText: string
}): Window.Entry => ({
  seq: event.sequence_num,
  uuid: event.event_id,
  source: event.source,
  createdAt: Date.parse(event.created_at),
  payload: { type: event.event_type, json: event.payload },
  size: event.payloadText.length
})

/** What an event asks, kept while it is open. */
const noteRequest = (
  requests: Map<string, Panel.Request>,
  files: Map<string, FileChange.Before>,
  event: ReadableEvent
): void => {
  const told = FileChange.told(event)
  if (told !== null) files.set(told.toolUseId, told)
  const request = Approvals.requestOf(event)
  if (request === null) return
  const asked = object(event.payload.json["request"])
  requests.set(request.requestId, {
    input: request.kind === "tool" ? (asked["input"] ?? null) : asked,
    suggestions: array(asked["permission_suggestions"]),
    before: files.get(request.toolUseId) ?? null
  })
}

/** What a person is told of approvals that were open and are not any more. */
const settledElsewhere = (before: Model, after: SessionRow.SessionRow): Notice | null => {
  for (const approval of before.row.approvals.pending) {
    if (after.approvals.pending.some((each) => each.requestId === approval.requestId)) continue
    if (before.answering.has(approval.requestId)) continue
    const settled = after.approvals.settled.findLast((each) => each.requestId === approval.requestId)
    const name = cleanLine(approval.displayName ?? approval.toolName)
    if (settled === undefined || settled.outcome === "cancelled") {
      return { text: `${name} is no longer asked`, tone: "plain" }
    }
    return { text: `${name} was ${settled.outcome} by someone else`, tone: "warn" }
  }
  return null
}

/** The panel and the focus that go with the approvals. */
const follow = (model: Model): Model => {
  const approval = currentApproval(model)
  if (approval === undefined) {
    return model.panel === null && model.focus === "composer"
      ? model
      : { ...model, panel: null, focus: "composer" }
  }
  if (model.panel?.requestId === approval.requestId) return model
  const calm = model.composer.text === "" && model.now - model.typedAt >= CALM_MILLIS
  return {
    ...model,
    panel: Panel.open(approval.requestId),
    focus: calm || (model.panel !== null && model.focus === "panel") ? "panel" : "composer"
  }
}

/** The model after approvals may have changed: what is settled needs no request and no answer. */
const withRow = (
  model: Model,
  row: SessionRow.SessionRow,
  requests: ReadonlyMap<string, Panel.Request>
): Model => {
  const open = new Set(row.approvals.pending.map((each) => each.requestId))
  // What was said of a turn that has ended is over.
  const notice = row.numTurns > model.row.numTurns && model.notice?.tone === "plain" ? null : model.notice
  return follow({
    ...model,
    row,
    notice: settledElsewhere(model, row) ?? notice,
    requests: new Map([...requests].filter(([id]) => open.has(id))),
    answering: new Set([...model.answering].filter((id) => open.has(id)))
  })
}

const onFrames = (model: Model, frames: ReadonlyArray<Viewer.Frame>): Model => {
  let next = model
  let { row, live } = model
  const requests = new Map(model.requests)
  const files = new Map<string, FileChange.Before>()
  const entries: Array<Window.Entry> = []
  let { composer } = model
  for (const frame of frames) {
    switch (frame._tag) {
      case "Event": {
        const entry = entryOf(frame.event)
        if (entry.seq <= row.lastSeq) continue
        entries.push(entry)
        row = SessionRow.step(row, entry)
        noteRequest(requests, files, entry)
        if (entry.source === "worker") live = Live.step(live, entry.payload.json)
        else if (entry.payload.type === "user") {
          next = logged(advance(next, entry.uuid, "accepted"), entry.uuid)
          composer = Composer.remember(
            composer,
            textOf(object(entry.payload.json["message"])["content"]) ?? ""
          )
        }
        break
      }
      case "Ephemeral":
        live = Live.step(live, frame.payload)
        break
      case "Delivery":
        next = advance(next, frame.update.event_id, Delivery.ofStatus(frame.update.status))
        break
      case "CatchUpTruncated":
        next = say(next, "the hub left out a part of what was missed; `logs` has all of it", "warn")
        break
      case "Unknown":
        break
    }
  }
  const window = Window.arrive(next.window, entries, next.anchor !== null)
  return withRow({ ...next, live, window, composer }, row, requests)
}

const iso = (text: string | null | undefined): number => {
  const at = Date.parse(text ?? "")
  return Number.isFinite(at) ? at : 0
}

/** A row to begin with, from what the hub says; the events after it make it exact. */
const seed = (session: Api.Session, after: number): SessionRow.SessionRow => {
  const usage =
    session.usage === undefined
      ? null
      : {
          inputTokens: session.usage.input_tokens,
          outputTokens: session.usage.output_tokens,
          cacheReadTokens: session.usage.cache_read_input_tokens,
          cacheCreationTokens: session.usage.cache_creation_input_tokens
        }
  return {
    ...SessionRow.initial,
    lastSeq: after,
    createdAt: iso(session.created_at),
    updatedAt: iso(session.updated_at),
    title: session.title,
    titleOrigin: session.title === null ? "none" : "given",
    status: session.status === "requires_action" ? "running" : session.status,
    activity: session.status === "requires_action" ? "running" : session.status,
    archivedAt: session.archived_at === null ? null : iso(session.archived_at),
    model: session.model ?? null,
    permissionMode: session.permission_mode ?? null,
    usage,
    contextTokens:
      usage === null
        ? null
        : usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheCreationTokens,
    totalCostUsd: session.total_cost_usd ?? null,
    numTurns: session.num_turns ?? 0
  }
}

const told = (model: Model, session: Api.Session): Model => ({
  ...model,
  agent: {
    connected: session.connection_status === undefined ? null : session.connection_status === "connected",
    waitingFor: session.waiting_for ?? null
  }
})

const opened = (model: Model, session: Api.Session, after: number): Model =>
  told(
    {
      ...initial({ ...model.size, now: model.now, picking: false }),
      sessionId: session.id,
      row: seed(session, after),
      window: Window.empty(after),
      folded: model.folded
    },
    session
  )

// --- Scrolling ---

/** Reads on after the window. */
const newer = (model: Model): Step => {
  const after = Window.last(model.window)
  const upTo = Math.min(model.row.lastSeq, after + Window.PAGE)
  return [{ ...model, paging: "newer" }, [{ _tag: "Page", kind: "newer", after, upTo }]]
}

const scroll = (model: Model, by: number): Step => {
  const moved = Scroll.move(blocks(model), model.anchor, by, model.size.columns, transcriptRows(model))
  const next = { ...model, anchor: moved.anchor }
  if (model.paging !== null) return [next, none]
  if (moved.reached === "top" && model.window.after > 0) {
    const upTo = model.window.after
    const after = Math.max(0, upTo - Window.PAGE)
    return [{ ...next, paging: "older" }, [{ _tag: "Page", kind: "older", after, upTo }]]
  }
  if (moved.reached === "end" && !model.window.atEnd) {
    return newer({ ...next, anchor: model.anchor })
  }
  return [next, none]
}

const toEnd = (model: Model): Step => {
  if (model.window.atEnd) return [{ ...model, anchor: null }, none]
  if (model.paging !== null) return [model, none]
  const upTo = model.row.lastSeq
  const after = Math.max(0, upTo - Window.PAGE)
  return [{ ...model, paging: "end" }, [{ _tag: "Page", kind: "end", after, upTo }]]
}

const toTop = (model: Model): Step => {
  if (model.paging !== null) return [model, none]
  const first = blocks(model)[0]
  if (model.window.after === 0) {
    return [{ ...model, anchor: first === undefined ? null : { id: first.id, row: 0 } }, none]
  }
  const upTo = Math.min(Window.PAGE, model.row.lastSeq)
  return [{ ...model, paging: "top" }, [{ _tag: "Page", kind: "top", after: 0, upTo }]]
}

const withPage = (
  model: Model,
  kind: "older" | "newer" | "top" | "end",
  after: number,
  events: ReadonlyArray<Window.Entry>
): Model => {
  switch (kind) {
    case "older": {
      // The row that was at the top stays there.
      const first = blocks(model)[0]
      const anchor = model.anchor ?? (first === undefined ? null : { id: first.id, row: 0 })
      return { ...model, window: Window.prepend(model.window, after, events), anchor }
    }
    case "newer":
      return { ...model, window: Window.append(model.window, events, model.row.lastSeq) }
    case "top": {
      const window = Window.replace(after, events, model.row.lastSeq)
      const first = window.conversation.items[0]
      return { ...model, window, anchor: first === undefined ? null : { id: first.id, row: 0 } }
    }
    case "end":
      return { ...model, window: Window.replace(after, events, model.row.lastSeq), anchor: null }
  }
}

const paged = (model: Model, page: Extract<Message, { readonly _tag: "Paged" }>): Step => {
  // A page that nobody waits for any more (another session was opened) has nothing to join.
  if (model.paging !== page.kind) return [model, none]
  const next = withPage({ ...model, paging: null }, page.kind, page.after, page.events)
  // Who follows the end gets what has come while the page was read.
  const behind = next.anchor === null && !next.window.atEnd && page.events.length > 0
  return behind ? newer(next) : [next, none]
}

// --- Keys ---

const submit = (model: Model, uuid: string): Step => {
  const { composer } = model
  if (Composer.continues(composer)) return [{ ...model, composer: Composer.continueLine(composer) }, none]
  const text = composer.text.trimEnd()
  if (text.trim() === "") return [model, none]
  const own: Sent = { uuid, text, stage: "sending", reason: null, logged: false }
  const next = {
    ...model,
    composer: Composer.sent(composer),
    sent: [...model.sent, own].slice(-SENT_MAX),
    notice: null,
    // What was typed has been sent; the next key may be for a panel.
    typedAt: 0
  }
  const [shown, commands] = toEnd(next)
  return [shown, [...commands, { _tag: "Send", uuid, text }]]
}

const resend = (model: Model): Step => {
  const unknown = model.sent.filter((each) => each.stage === "unknown")
  if (unknown.length === 0) return [say(model, "every message has an answer from the hub"), none]
  const again = new Set(unknown.map((each) => each.uuid))
  return [
    {
      ...model,
      sent: model.sent.map((each) =>
        again.has(each.uuid) ? { ...each, stage: "sending", reason: null } : each
      )
    },
    unknown.map(({ uuid, text }) => ({ _tag: "Send", uuid, text }))
  ]
}

const stop = (model: Model, uuid: string): Step =>
  isRunning(model)
    ? [say(model, "asking the agent to stop…"), [{ _tag: "Interrupt", uuid }]]
    : [{ ...model, notice: null }, none]

const leave = (model: Model): Step => [say({ ...model, detached: true }, "leaving…"), none]

const inPicker = (model: Model, picker: Picker, key: Key): Step => {
  const sessions = picker.sessions ?? []
  const select = (selected: number): Step => [
    {
      ...model,
      picker: { ...picker, selected: Math.max(0, Math.min(sessions.length - 1, selected)) }
    },
    none
  ]
  const name = key._tag === "Named" ? key.name : key._tag === "Text" ? key.text : ""
  switch (name) {
    case "up":
    case "k":
      return select(picker.selected - 1)
    case "down":
    case "j":
      return select(picker.selected + 1)
    case "page-up":
      return select(picker.selected - model.size.rows)
    case "page-down":
      return select(picker.selected + model.size.rows)
    case "home":
      return select(0)
    case "end":
      return select(sessions.length - 1)
    case "r":
      return [{ ...model, picker: { ...picker, error: null } }, [{ _tag: "List" }]]
    case "enter": {
      const session = sessions[picker.selected]
      return session === undefined ? [model, none] : [model, [{ _tag: "Open", session }]]
    }
    case "q":
    case "escape":
      return leave(model)
    default:
      return [model, none]
  }
}

const inPanel = (model: Model, key: Key, uuid: string): Step | null => {
  const approval = currentApproval(model)
  if (approval === undefined || model.panel === null) return null
  const { requestId } = approval
  const outcome = Panel.press(model.panel, approval, model.requests.get(requestId), key)
  if (!outcome.taken) return null
  const next: Model = {
    ...model,
    panel: outcome.panel,
    notice: outcome.hint === null ? null : { text: outcome.hint, tone: "warn" }
  }
  if (outcome.answer === null) {
    const shown = outcome.panel.scroll > model.panel.scroll ? panelShown(next) : undefined
    if (shown === undefined) return [next, none]
    const scroll = Math.min(outcome.panel.scroll, PanelRows.scrollMax(shown))
    return [{ ...next, panel: { ...outcome.panel, scroll } }, none]
  }
  // Whoever has been writing may go on to type: that is no answer to what is asked next.
  const { words } = model.panel
  const after: Model = words === null ? next : { ...next, focus: "composer", typedAt: model.now }
  return [
    follow({ ...after, answering: new Set([...model.answering, requestId]) }),
    [{ _tag: "Answer", requestId, payload: { ...outcome.answer, uuid } }]
  ]
}

const inComposer = (model: Model, key: Key, uuid: string): Step => {
  if (key._tag === "Named" && key.name === "enter") return submit(model, uuid)
  const composer = Panel.edit(model.composer, key)
  return [composer === model.composer ? model : { ...model, composer, typedAt: model.now }, none]
}

const global = (model: Model, name: string): Step | null => {
  const half = Math.max(1, Math.floor(transcriptRows(model) / 2))
  switch (name) {
    case "page-up":
      return scroll(model, -half)
    case "page-down":
      return scroll(model, half)
    case "line-up":
      return scroll(model, -1)
    case "line-down":
      return scroll(model, 1)
    case "top":
      return toTop(model)
    case "bottom":
      return toEnd(model)
    case "end":
      // In an empty composer there is no line to go to the end of.
      return model.composer.text === "" && model.focus === "composer" ? toEnd(model) : null
    case "ctrl-t":
      return [{ ...model, folded: { ...model.folded, thinking: !model.folded.thinking } }, none]
    case "ctrl-o":
      return [{ ...model, folded: { ...model.folded, results: !model.folded.results } }, none]
    case "ctrl-r":
      return resend(model)
    case "ctrl-l":
      return [model, [{ _tag: "Redraw" }]]
    case "tab":
      return currentApproval(model) === undefined
        ? [model, none]
        : [{ ...model, focus: model.focus === "panel" ? "composer" : "panel" }, none]
    default:
      return null
  }
}

const pressed = (before: Model, key: Key, uuid: string): Step => {
  const name = key._tag === "Named" ? key.name : ""
  if (name === "ctrl-c") {
    if (before.leaving) return leave(before)
    return [
      say(
        { ...before, leaving: true, composer: Composer.sent(before.composer) },
        before.sessionId === null ? "Ctrl-C again leaves" : "Ctrl-C again detaches; the agent goes on"
      ),
      none
    ]
  }
  const model: Model = before.leaving ? { ...before, leaving: false, notice: null } : before
  if (name === "ctrl-d" && (model.composer.text === "" || model.focus === "panel")) return leave(model)
  if (model.picker !== null) return inPicker(model, model.picker, key)
  const handled = global(model, name) ?? (model.focus === "panel" ? inPanel(model, key, uuid) : null)
  if (handled !== null) return handled
  if (name === "escape") return stop(model, uuid)
  if (name === "ctrl-d") return [{ ...model, composer: Composer.deleteForward(model.composer) }, none]
  // Keys that mean nothing in the panel are not text for the composer, which does not show the cursor now.
  if (model.focus === "panel") return [say(model, "Tab goes to the composer"), none]
  return inComposer(model, key, uuid)
}

// --- The step ---

/** The state after a message, and what is to be done. `now`: milliseconds since the epoch. */
export const update = (before: Model, message: Message, now: number): Step => {
  const model = before.now === now ? before : { ...before, now }
  switch (message._tag) {
    case "Tick":
      return [model, none]
    case "Resized":
      return [{ ...model, size: { columns: message.columns, rows: message.rows } }, none]
    case "Pressed":
      return model.detached ? [model, none] : pressed(model, message.key, message.uuid)
    case "Listed":
      return [
        model.picker === null
          ? model
          : {
              ...model,
              picker: {
                sessions: message.sessions,
                selected: Math.max(0, Math.min(model.picker.selected, message.sessions.length - 1)),
                error: null
              }
            },
        none
      ]
    case "NotListed":
      return [
        model.picker === null ? model : { ...model, picker: { ...model.picker, error: message.error } },
        none
      ]
    case "Opened":
      return [opened(model, message.session, message.after), none]
    case "Told":
      return [message.session.id === model.sessionId ? told(model, message.session) : model, none]
    case "Asked": {
      const requests = new Map(model.requests)
      const files = new Map<string, FileChange.Before>()
      let { approvals } = model.row
      for (const event of message.events) {
        // Answered meanwhile, in what came after it.
        if (approvals.settled.some((each) => each.requestId === event.payload.json["request_id"])) continue
        approvals = Approvals.step(approvals, event)
        noteRequest(requests, files, event)
      }
      const status = approvals.pending.length > 0 ? "requires_action" : model.row.status
      return [withRow(model, { ...model.row, approvals, status }, requests), none]
    }
    case "Received":
      return [onFrames(model, message.frames), none]
    case "Connected":
      return [{ ...model, connection: message }, none]
    case "Disconnected":
      return [
        {
          ...model,
          // What the agent was writing goes on elsewhere; the log tells the whole of it.
          live: Live.empty,
          connection: {
            _tag: "Reconnecting",
            error: cleanLine(message.error),
            since: model.connection._tag === "Reconnecting" ? model.connection.since : now,
            retryAt: now + message.delayMillis
          }
        },
        none
      ]
    case "Ended":
      return [{ ...model, connection: { _tag: "Offline", error: cleanLine(message.error) } }, none]
    case "Accepted": {
      const accepted = advance(model, message.uuid, "accepted")
      return [
        message.waitingFor === null ? accepted : say(accepted, cleanLine(message.waitingFor), "warn"),
        none
      ]
    }
    case "NotSent":
      return [advance(model, message.uuid, message.refused ? "refused" : "unknown", message.reason), none]
    case "Answered":
      return [model, none]
    case "NotAnswered": {
      const answering = new Set([...model.answering].filter((id) => id !== message.requestId))
      return [
        message.conflict
          ? // It stays out of the panel: the answer that won settles it as soon as it comes.
            say(model, "someone else answered first; that answer holds", "warn")
          : follow(
              say({ ...model, answering }, `the answer did not arrive: ${cleanLine(message.reason)}`, "bad")
            ),
        none
      ]
    }
    case "Stopping":
      return [say(model, "asked the agent to stop"), none]
    case "NotStopped":
      return [say(model, `the agent could not be asked to stop: ${cleanLine(message.reason)}`, "bad"), none]
    case "Paged":
      return paged(model, message)
    case "NotPaged":
      return [say({ ...model, paging: null }, `not read: ${cleanLine(message.reason)}`, "bad"), none]
  }
}

/** What a person who leaves must know: messages that the hub has not confirmed. */
export const unconfirmed = (model: Model): ReadonlyArray<Sent> =>
  model.sent.filter((each) => each.stage === "sending" || each.stage === "unknown")
