/**
 * A session as people see it, in the page and in the terminal: what its log says, and what travels beside the log. Pure: a
 * view becomes the next one by the frames that come, and by pages of the log that are read because somebody looks back.
 */
import type * as Delivery from "@causeway/protocol/Delivery"
import type { Session } from "@causeway/protocol/http/Sessions"
import * as Approvals from "../Approvals.ts"
import type { Item } from "../Conversation.ts"
import * as Live from "../Live.ts"
import { object, type ReadableEvent } from "../Read.ts"
import * as SessionRow from "../SessionRow.ts"
import * as Deliveries from "./Deliveries.ts"
import { events, type Frame } from "./Frame.ts"
import * as Requests from "./Requests.ts"
import * as Turn from "./Turn.ts"
import * as Window from "./Window.ts"

export interface SessionView {
  /** Up to event `known` it is what the hub has told, but for the approvals; 0 where all of it comes from the log. */
  readonly row: SessionRow.SessionRow
  readonly known: number
  /** What is read of the log. */
  readonly window: Window.Window
  readonly live: Live.Live
  readonly deliveries: Deliveries.Deliveries
  readonly requests: Requests.Requests
  readonly turn: Turn.Turn
  /** Whether the hub said that older events are missing here. */
  readonly isTruncated: boolean
  /** What no event tells of the agent's side; null until the hub has said it. */
  readonly agent: { readonly isConnected: boolean | null; readonly waitingFor: string | null }
}

/** The view of a log that is read from its beginning. `isBounded`: old events leave it when there are many. */
export const empty = (isBounded: boolean): SessionView => ({
  row: SessionRow.initial,
  known: 0,
  window: Window.empty(0, isBounded),
  live: Live.empty,
  deliveries: new Map(),
  requests: Requests.empty,
  turn: Turn.unknown,
  isTruncated: false,
  agent: { isConnected: null, waitingFor: null }
})

/** The view of a session whose log is read from after `after` on: until then it is what the hub says it is. */
export const open = (session: Session, after: number, isBounded: boolean): SessionView => {
  const row = SessionRow.ofSession(session)
  const { model, permissionMode, status, title } = row
  return told(
    {
      ...empty(isBounded),
      row:
        after === 0
          ? // The log tells all of it soon.
            { ...SessionRow.initial, model, permissionMode, status, title }
          : { ...row, lastSeq: after },
      known: after === 0 ? 0 : row.lastSeq,
      window: Window.empty(after, isBounded)
    },
    session
  )
}

/** The view after the hub has told of its session. Returns the same view where nothing changed. */
export const told = (view: SessionView, session: Session): SessionView => {
  const status = session.connection_status
  const isConnected = status === undefined ? null : status === "connected"
  const waitingFor = session.waiting_for ?? null
  // Of a log that is read in part, the hub alone knows where its title came from.
  const title = view.window.after > 0 ? session.title : view.row.title
  return isConnected === view.agent.isConnected &&
    waitingFor === view.agent.waitingFor &&
    title === view.row.title
    ? view
    : { ...view, row: { ...view.row, title }, agent: { isConnected, waitingFor } }
}

/** The view while the stream is away: what the agent was writing goes on elsewhere, and the log tells the whole of it. */
export const interrupted = (view: SessionView): SessionView => ({ ...view, live: Live.empty })

/** How far a person's message has come; undefined for all else. */
export const stageOf = (view: Pick<SessionView, "deliveries">, item: Item): Delivery.Stage | undefined =>
  item.kind === "message" && item.role === "user" && item.source === "client"
    ? (view.deliveries.get(item.uuid) ?? "accepted")
    : undefined

export const isRunning = ({ row }: SessionView): boolean =>
  row.status === "running" || row.status === "requires_action"

/** What frames tell of deliveries. */
const news = (frames: ReadonlyArray<Frame>) =>
  frames.flatMap(
    (frame): ReadonlyArray<readonly [string, Delivery.Stage]> =>
      frame._tag === "Delivery"
        ? [[frame.uuid, frame.status]]
        : frame._tag === "Event"
          ? Deliveries.provedBy(frame.event).map((uuid) => [uuid, "processed"])
          : []
  )

/** The row after an event; of what the hub has told already it tells only the approvals. */
const rowAfter =
  (known: number) =>
  (row: SessionRow.SessionRow, event: ReadableEvent): SessionRow.SessionRow => {
    if (event.seq > known) return SessionRow.step(row, event)
    const approvals = Approvals.step(row.approvals, event)
    return { ...row, lastSeq: event.seq, approvals, status: SessionRow.statusOf(row.activity, approvals) }
  }

/** The view after frames, in the order in which they came; events that were seen change nothing. `keep`: see `Window`. */
export const steps = (view: SessionView, frames: ReadonlyArray<Frame>, keep = false): SessionView => {
  let { live } = view
  let lastSeq = view.row.lastSeq
  const fresh = frames.filter((frame) => {
    if (frame._tag !== "Event") {
      if (frame._tag === "Ephemeral") live = Live.step(live, frame.payload)
      return true
    }
    const { seq, source, payload } = frame.event
    if (seq <= lastSeq) return false
    lastSeq = seq
    if (source === "worker") live = Live.step(live, payload.json)
    return true
  })
  const arrived = events(fresh)
  const row = arrived.reduce(rowAfter(view.known), view.row)
  return {
    ...view,
    row,
    live,
    window: Window.arrive(view.window, arrived, keep),
    deliveries: Deliveries.step(view.deliveries, news(fresh)),
    requests: Requests.retain(Requests.steps(view.requests, arrived), row.approvals),
    turn: Turn.steps(view.turn, arrived),
    isTruncated: view.isTruncated || fresh.some(({ _tag }) => _tag === "Truncated")
  }
}

/** The view after requests of open approvals that stand before the window were read, with what was told of their files. */
export const asked = (view: SessionView, before: ReadonlyArray<ReadableEvent>): SessionView => {
  // What was settled meanwhile, in what came after them, stays settled.
  const { settled } = view.row.approvals
  const still = before.filter(
    ({ payload }) => !settled.some(({ requestId }) => requestId === object(payload.json)["request_id"])
  )
  const approvals = still.reduce(Approvals.step, view.row.approvals)
  const status = SessionRow.statusOf(view.row.activity, approvals)
  return {
    ...view,
    row: { ...view.row, approvals, status },
    requests: Requests.retain(Requests.steps(view.requests, still), approvals)
  }
}

// --- Reading back ---

export type Direction = "older" | "newer" | "top" | "end"

/** The events that a reader who goes there gets next: those above `after`, up to `upTo`. */
export const range = (
  { row, window }: SessionView,
  direction: Direction
): { readonly after: number; readonly upTo: number } => {
  switch (direction) {
    case "older":
      return { after: Math.max(0, window.after - Window.PAGE), upTo: window.after }
    case "newer":
      return { after: window.last, upTo: Math.min(row.lastSeq, window.last + Window.PAGE) }
    case "top":
      return { after: 0, upTo: Math.min(Window.PAGE, row.lastSeq) }
    case "end":
      return { after: Math.max(0, row.lastSeq - Window.PAGE), upTo: row.lastSeq }
  }
}

/** The view with a page of the log, whose events stand above `after`. */
export const paged = (
  view: SessionView,
  direction: Direction,
  after: number,
  frames: ReadonlyArray<Frame>
): SessionView => {
  const page = events(frames)
  const { lastSeq } = view.row
  const window =
    direction === "older"
      ? Window.prepend(view.window, after, page)
      : direction === "newer"
        ? Window.append(view.window, page, lastSeq)
        : Window.replace(after, page, lastSeq)
  return {
    ...view,
    window,
    deliveries: Deliveries.step(view.deliveries, news(frames)),
    turn: direction === "older" ? Turn.before(view.turn, Turn.steps(Turn.unknown, page)) : view.turn
  }
}
