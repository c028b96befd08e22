/** Everything the terminal's view knows, what happens to it, and what is to be done. Pure; `Update` steps it. */
import type * as Viewer from "@causeway/client/Viewer"
import * as Delivery from "@causeway/protocol/Delivery"
import type * as Api from "@causeway/protocol/http/Sessions"
import type { SessionId } from "@causeway/protocol/Ids"
import type * as Approvals from "@causeway/transcript/Approvals"
import type { JsonObject } from "@causeway/transcript/Read"
import type { Frame } from "@causeway/transcript/View/Frame"
import * as SessionView from "@causeway/transcript/View/SessionView"
import * as Composer from "./Composer.ts"
import type { Key } from "./Keys.ts"
import * as Layout from "./Layout.ts"
import type * as Panel from "./Panel.ts"
import * as PanelRows from "./PanelRows.ts"
import type { Row } from "./Row.ts"
import type * as Scroll from "./Scroll.ts"

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

/** A message of this person, from here, that the log does not hold. */
export interface Sent {
  readonly uuid: string
  readonly text: string
  readonly stage: Delivery.Stage
  readonly reason: string | null
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
  readonly view: SessionView.SessionView
  /** Requests whose answer from here is on its way or stored. */
  readonly answering: ReadonlySet<string>
  readonly sent: ReadonlyArray<Sent>
  readonly composer: Composer.Composer
  readonly focus: "composer" | "panel"
  readonly panel: Panel.Panel | null
  readonly folded: Layout.Folded
  readonly anchor: Scroll.Anchor
  readonly paging: SessionView.Direction | null
  readonly notice: Notice | null
  /** Ctrl-C was the last key: once more detaches. */
  readonly leaving: boolean
  /** When the last character was typed; a panel that opens does not take the next one. */
  readonly typedAt: number
  readonly detached: boolean
}

/** Messages from here that are remembered. */
export const SENT_MAX = 200
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
  view: SessionView.empty(true),
  answering: new Set(),
  sent: [],
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
  | { readonly _tag: "Asked"; readonly frames: ReadonlyArray<Frame> }
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
      readonly kind: SessionView.Direction
      readonly after: number
      readonly frames: ReadonlyArray<Frame>
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
      readonly kind: SessionView.Direction
      readonly after: number
      readonly upTo: number
    }
  | { readonly _tag: "Redraw" }

export type Step = readonly [Model, ReadonlyArray<Command>]

export const none: ReadonlyArray<Command> = []

export const say = (model: Model, text: string, tone: Notice["tone"] = "plain"): Model => ({
  ...model,
  notice: { text, tone }
})

// --- Reading the model ---

/** Approvals that have no answer from here, oldest first. */
export const openApprovals = ({ answering, view }: Model): ReadonlyArray<Approvals.Approval> =>
  view.row.approvals.pending.filter((each) => !answering.has(each.requestId))

/** The approval that the panel is about. */
export const currentApproval = (model: Model): Approvals.Approval | undefined => openApprovals(model)[0]

/** The transcript's parts, from the oldest. Laid out only where they are seen. */
export const blocks = ({ folded, sent, view }: Model): ReadonlyArray<Layout.Block> => {
  const { conversation, atEnd } = view.window
  const items = conversation.items.map((item) => Layout.item(item, folded, SessionView.stageOf(view, item)))
  if (!atEnd) return items
  return [
    ...items,
    ...view.live.blocks.map((block) => Layout.live(block, folded)),
    ...sent.map((each) =>
      Layout.waiting({
        ...each,
        stage: Delivery.advance(each.stage, view.deliveries.get(each.uuid) ?? each.stage)
      })
    )
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
export const panelShown = (model: Model): PanelRows.Shown | undefined => {
  const [approval, ...others] = openApprovals(model)
  if (approval === undefined || model.panel === null) return undefined
  return {
    approval,
    request: model.view.requests.open.get(approval.requestId),
    panel: model.panel,
    focused: model.focus === "panel",
    others: others.length,
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

/** Messages that the hub has not confirmed, of which a person who leaves must know. */
export const unconfirmed = ({ sent, view }: Model): ReadonlyArray<Sent> =>
  sent.filter(({ stage, uuid }) => (stage === "sending" || stage === "unknown") && !view.deliveries.has(uuid))
