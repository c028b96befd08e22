/** Everything the page knows. What is shown is a function of it; the log of a session decides, never what was only asked for. */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { Environment, Hit, Totals, Waiting } from "@causeway/protocol/Gateway/Answers"
import type { PendingApproval, Session } from "@causeway/protocol/http/Sessions"
import * as Usage from "@causeway/transcript/Usage"
import * as SessionView from "@causeway/transcript/View/SessionView"
import type * as Devices from "./Devices.ts"
import type * as Gateway from "./Gateway.ts"
import type * as Outbox from "./Outbox.ts"
import type { Route } from "./Route.ts"
import type * as Watcher from "./Watcher.ts"

/** Where an answer to an approval stands that was given here. */
export interface Answering {
  readonly sending: boolean
  readonly problem: string | null
}

/** The session that is open. */
export interface Open {
  readonly id: string
  readonly view: SessionView.SessionView
  readonly connection: Watcher.Connection
  /** When the connection became what it is, in milliseconds since the epoch. */
  readonly connectionAt: number
  readonly loadingEarlier: boolean
  readonly notice: string | null
  /** The sessions that it goes on from and is gone on from in, as they were when it was opened. */
  readonly links: { readonly from: string | null; readonly into: ReadonlyArray<string> }
}

export interface State {
  readonly route: Route
  readonly connection: Gateway.Connection
  /** When the connection became what it is, in milliseconds since the epoch. */
  readonly connectionAt: number
  /** Whether the hub has let this device in, now or before. */
  readonly admitted: boolean
  /** Null where this device may not see them, or they are not read yet. */
  readonly devices: Devices.Listing | null
  readonly sessions: ReadonlyArray<Session>
  readonly environments: ReadonlyArray<Environment>
  readonly loaded: boolean
  readonly listProblem: string | null
  readonly more: boolean
  /** Whether archived sessions are looked at, in the place of the others. */
  readonly archived: boolean
  /** Who waits for a person, over all sessions of the hub. Null where that is not known, as while the hub is away. */
  readonly waiting: Waiting | null
  /** Null where they are not known. */
  readonly totals: Totals | null
  readonly open: Open | null
  readonly outbox: ReadonlyArray<Outbox.Entry>
  readonly answering: ReadonlyMap<string, Answering>
  readonly pinned: ReadonlySet<string>
  readonly hits: ReadonlyArray<Hit>
  readonly searching: boolean
  readonly searchProblem: string | null
  readonly models: ReadonlyArray<string>
}

/** Holds the state and tells of its changes. */
export interface Store {
  readonly state: () => State
  readonly set: (change: Partial<State>) => void
  /** Changes the open session, where it is still this one. */
  readonly setOpen: (id: string, change: Partial<Open>) => void
  readonly subscribe: (listener: () => void) => () => void
}

export const make = (initial: State): Store => {
  const listeners = new Set<() => void>()
  let state = initial
  const set = (change: Partial<State>): void => {
    state = { ...state, ...change }
    for (const listener of listeners) listener()
  }
  return {
    state: () => state,
    set,
    setOpen: (id, change) => {
      if (state.open?.id === id) set({ open: { ...state.open, ...change } })
    },
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}

/** A session that is opened now. */
export const opened = (id: string, now: number): Open => ({
  id,
  view: SessionView.empty(false),
  connection: { _tag: "connecting" },
  connectionAt: now,
  loadingEarlier: false,
  notice: null,
  links: { from: null, into: [] }
})

/** The row of the open session in the list, where it is known. */
export const listed = ({ sessions }: State, id: string): Session | undefined =>
  sessions.find((session) => session.id === id)

const environmentOf = ({ environments }: State, session: Session | undefined) =>
  environments.find(({ id }) => id === session?.environment_id)

/** Tools that only a person allows, each time, on the machine of a session. */
export const alwaysAsk = (state: State, session: Session | undefined): ReadonlyArray<string> =>
  environmentOf(state, session)?.offers.alwaysAsk ?? []

/** What is known of the open session: by what is read of its log, or else by its row in the list. */
export const about = (state: State, open: Open) => {
  const { row } = open.view
  const session = listed(state, open.id)
  const used = Usage.read(session?.usage)
  return {
    session,
    title: row.title ?? session?.title ?? null,
    isArchived: row.archivedAt !== null || session?.archived_at != null,
    model: row.model ?? session?.model ?? null,
    settings: AgentSettings.merge(AgentSettings.of(session?.agent_settings ?? {}), row.chosen),
    mode: row.permissionMode ?? session?.permission_mode ?? null,
    contextTokens: row.contextTokens ?? (used === null ? null : Usage.contextTokens(used)),
    costUsd: row.totalCostUsd ?? session?.total_cost_usd ?? null,
    environment: environmentOf(state, session)
  }
}

/** Messages of the open session that the hub has not confirmed and its log does not hold. */
export const unsent = ({ open, outbox }: State): ReadonlyArray<Outbox.Entry> =>
  open === null
    ? []
    : outbox.filter(
        ({ session, uuid }) => session === open.id && !open.view.window.conversation.seen.has(uuid)
      )

/** Open approvals of a session, oldest first. */
export const pending = (session: Session): ReadonlyArray<PendingApproval> => session.pending_approvals ?? []

/** Open approvals of all sessions, oldest first, with the session that each belongs to. None while they are not known. */
export const approvals = (
  state: State
): ReadonlyArray<{ readonly session: Session; readonly approval: PendingApproval }> =>
  (state.waiting?.data ?? [])
    .flatMap((session) => pending(session).map((approval) => ({ session, approval })))
    .sort((a, b) => a.approval.created_at.localeCompare(b.approval.created_at))

/** How many wait for a person: each approval of the sessions that were told of, each session of the others. */
export const waitingCount = ({ data, total }: Waiting): number =>
  data.reduce((sum, session) => sum + Math.max(1, pending(session).length), 0) + total - data.length

/** Who waits after these rows have changed; null where it has to be asked for, as more wait than were told of. */
export const waitingAfter = (waiting: Waiting, rows: ReadonlyArray<Session>): Waiting | null => {
  if (waiting.total > waiting.data.length) return null
  const data = new Map<string, Session>(waiting.data.map((session) => [session.id, session]))
  for (const row of rows) {
    if (row.archived_at == null && pending(row).length > 0) data.set(row.id, row)
    else data.delete(row.id)
  }
  return { total: data.size, data: [...data.values()] }
}
