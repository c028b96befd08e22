import type { Session } from "@causeway/protocol/http/Sessions"
import { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import type { ReadableEvent } from "../../src/Read.ts"
import * as SessionRow from "../../src/SessionRow.ts"
import type { Frame } from "../../src/View/Frame.ts"
import * as SessionView from "../../src/View/SessionView.ts"
import * as Window from "../../src/View/Window.ts"
import * as Events from "../events.ts"

const frames = (events: ReadonlyArray<ReadableEvent>): ReadonlyArray<Frame> =>
  events.map((event) => ({ _tag: "Event", event }))

/** The session as a hub that holds these events tells of it. */
const told = (events: ReadonlyArray<ReadableEvent>): Session => ({
  ...SessionRow.toSession(SessionRow.replay(events)),
  id: SessionId.make("session_00000000000000000000000000000001"),
  environment_id: null,
  session_context: {},
  created_at: "1970-01-01T00:00:00Z",
  updated_at: "1970-01-01T00:00:00Z"
})

/** Frames in portions of these sizes, then the rest. */
const inPortions = (
  view: SessionView.SessionView,
  all: ReadonlyArray<Frame>,
  sizes: ReadonlyArray<number>
): SessionView.SessionView => {
  let next = view
  let at = 0
  for (const size of [...sizes, all.length]) {
    next = SessionView.steps(next, all.slice(at, at + size))
    at += size
  }
  return next
}

/** What people see of a session. */
const seen = ({ deliveries, requests, row, turn, window }: SessionView.SessionView) => ({
  items: window.conversation.items,
  deliveries: new Map(deliveries),
  requests: new Map(requests.open),
  turn,
  lastSeq: row.lastSeq,
  approvals: row.approvals.pending,
  model: row.model,
  permissionMode: row.permissionMode,
  archived: row.archivedAt !== null,
  cost: row.totalCostUsd,
  turns: row.numTurns,
  context: row.contextTokens,
  error: row.lastError
})

/** Deliveries among the events, of messages that may be there or not. */
const withDeliveries = FastCheck.tuple(
  Events.lines,
  FastCheck.array(
    FastCheck.tuple(
      FastCheck.nat(40),
      FastCheck.integer({ min: 1, max: 40 }),
      FastCheck.constantFrom<Extract<Frame, { _tag: "Delivery" }>["status"]>(
        "received",
        "withdrawn",
        "processing",
        "processed"
      )
    ),
    { maxLength: 12 }
  )
).map(([events, deliveries]) => {
  const all: Array<Frame> = [...frames(events)]
  for (const [at, n, status] of deliveries) all.splice(at, 0, { _tag: "Delivery", uuid: `u${n}`, status })
  return { events, all }
})
const sizes = FastCheck.array(FastCheck.nat(12), { maxLength: 8 })

/** The same log without requests: of those, a hub tells only what is open, so that what was settled before is not known. */
const withoutRequests = (events: ReadonlyArray<ReadableEvent>): ReadonlyArray<ReadableEvent> =>
  events
    .filter(({ payload: { json } }) => !String(json["type"]).startsWith("control_"))
    .map((event, index) => ({ ...event, seq: index + 1 }))

describe("a view", () => {
  it.prop(
    "is the same for a page and a terminal, in whatever portions they get the log",
    { log: withDeliveries, page: sizes, terminal: sizes },
    ({ log: { all }, page, terminal }) => {
      const whole = seen(SessionView.steps(SessionView.empty(false), all))
      expect(seen(inPortions(SessionView.empty(false), all, page))).toEqual(whole)
      expect(seen(inPortions(SessionView.empty(true), all, terminal))).toEqual(whole)
      // What comes again changes nothing.
      const again = inPortions(inPortions(SessionView.empty(true), all, terminal), all, page)
      expect(seen(again)).toEqual(whole)
    }
  )

  it.prop(
    "that was built from pages of the log and what came since is that of the whole log",
    {
      events: Events.lines.map(withoutRequests),
      open: FastCheck.nat(40),
      tail: FastCheck.nat(40),
      pages: FastCheck.array(FastCheck.integer({ min: 1, max: 20 }), { maxLength: 6 }),
      live: sizes,
      isBounded: FastCheck.boolean()
    },
    ({ events, isBounded, live, open, pages, tail }) => {
      const head = events.slice(0, open)
      const after = Math.max(0, head.length - tail)
      const session = told(head)
      let view = SessionView.open(session, after, isBounded)
      // Requests that are open and stand before the window are read by themselves.
      const before = (session.pending_approvals ?? []).flatMap(({ sequence_num: seq = 0 }) =>
        seq <= after ? events.slice(Math.max(0, seq - 5), seq) : []
      )
      view = SessionView.asked(view, before)
      view = inPortions(view, frames(events.slice(after)), live)
      for (const size of [...pages, events.length]) {
        const from = Math.max(0, view.window.after - size)
        view = SessionView.paged(view, "older", from, frames(events.slice(from, view.window.after)))
      }
      expect(view.window.after).toBe(0)
      const whole = SessionView.steps(SessionView.empty(isBounded), frames(events))
      expect(seen(view)).toEqual({ ...seen(whole), error: seen(view).error })
      if (session.status !== "requires_action") expect(view.row.status).toBe(whole.row.status)
    }
  )

  it("goes to the beginning of a long log and back to its end", () => {
    const log = Events.log(...Array.from({ length: 3000 }, (_, n) => Events.says(`m${n}`, `line ${n}`)))
    const last = (view: SessionView.SessionView) => view.window.conversation.items.at(-1)?.seq
    let view = SessionView.steps(SessionView.empty(true), frames(log))
    expect(last(view)).toBe(3000)
    for (const direction of ["top", "newer", "end", "older"] as const) {
      const { after, upTo } = SessionView.range(view, direction)
      expect(upTo - after).toBe(Window.PAGE)
      view = SessionView.paged(view, direction, after, frames(log.slice(after, upTo)))
      expect(view.window.conversation.items.map(({ seq }) => seq)).toEqual(
        log.slice(view.window.after, view.window.last).map(({ seq }) => seq)
      )
    }
    expect(last(view)).toBe(3000)
    expect(view.window.after).toBe(2000)
  })
})
