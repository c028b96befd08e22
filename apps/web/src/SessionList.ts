/** The list of sessions: what of it is read and when, what a search finds, and who is told of what has changed in it. */
import type { Waiting } from "@causeway/protocol/Gateway/Answers"
import type { Session } from "@causeway/protocol/http/Sessions"
import type * as Gateway from "./Gateway.ts"
import type * as Hub from "./Hub.ts"
import * as Notice from "./Notice.ts"
import { type Store, waitingAfter } from "./State.ts"
import * as Watcher from "./Watcher.ts"

/** How often machines are looked for, which come and go without a word. */
const LOOK_MILLIS = 5000
/** How often all of the list is read: an agent's side that falls silent is no change that the hub tells. */
const LIST_MILLIS = 30_000
/** Between what makes the list out of date and the reading of it; at most once a second. */
const SOON_MILLIS = 120
const READ_MILLIS = 1000
/** Sessions that are asked for by name at most. */
const NAMED_MAX = 200
/** Events at the end of a log among which the last turn's result stands. */
const END = 20

/** The row was read before the other one of its session, as far as its log tells. */
const isOlder = (row: Session, other: Session): boolean =>
  (row.last_sequence_num ?? 0) < (other.last_sequence_num ?? 0)

export interface World {
  readonly gateway: Gateway.World
  readonly visible: () => boolean
  readonly notify: (notice: Notice.Notice) => void
  /** Takes back what was shown under a tag. */
  readonly withdraw: (tag: string) => void
  /** The list has been read. */
  readonly onRead: () => void
}

export const make = (world: World, gateway: Gateway.Gateway, hub: Hub.Hub, store: Store) => {
  const { set, state } = store
  /** Pages that are shown. */
  let pages = 1
  /** Sessions that the search has found. */
  let matches: ReadonlyArray<string> = []
  let searches = 0
  let stopped = false
  const isConnected = (): boolean => gateway.connection()._tag === "connected"

  const tellOf = (before: Session | undefined, session: Session): void => {
    if (before === session) return
    const over = Notice.settled(before, session)
    if (over !== undefined) world.withdraw(over)
    if (world.visible()) return
    const approval = Notice.ofApproval(before, session)
    if (approval !== undefined) world.notify(approval)
    if (!Notice.hasEnded(before, session)) return
    const { id, last_sequence_num: last = 0 } = session
    void Watcher.read(world.gateway, gateway, id, Math.max(0, last - END), last).then((end) => {
      const notice = end.ok ? Notice.ofEnd(session, end.value) : undefined
      if (notice !== undefined) world.notify(notice)
    })
  }

  /** The pages that are shown, and whether there are more. */
  const readPages = async (): Promise<Hub.Result<Hub.Page<Session>>> => {
    const { archived } = state()
    const data: Array<Session> = []
    let nextCursor: string | null = null
    for (let n = 0; n < pages; n++) {
      const page: Hub.Result<Hub.Page<Session>> = await hub.sessions(nextCursor, archived)
      if (!page.ok) return page
      data.push(...page.value.data)
      nextCursor = page.value.nextCursor
      if (nextCursor === null) break
    }
    return { ok: true, value: { data, nextCursor } }
  }

  /** Rows that were told while the list was being read: some of it may have been read before them. */
  const meanwhile = new Map<string, Session>()

  const read = async (): Promise<void> => {
    meanwhile.clear()
    const [places, asked, totals] = await Promise.all([
      hub.environments(),
      hub.waiting(),
      state().route._tag === "Metrics" ? hub.totals() : undefined
    ])
    const page: Hub.Result<Hub.Page<Session>> = places.ok ? await readPages() : places
    // A session that moves up between two pages is told twice.
    const found = new Map<string, Session>(page.ok ? page.value.data.map((each) => [each.id, each]) : [])
    // What is shown is not only what was updated last: pins, what is open, what a search has found.
    const named = [...new Set([...state().pinned, state().open?.id, ...matches])].flatMap((id) =>
      id === undefined || found.has(id) ? [] : [id]
    )
    if (page.ok && named.length > 0) {
      const others = await hub.find({ sessionIds: named.slice(0, NAMED_MAX) })
      for (const session of others.ok ? others.value : []) found.set(session.id, session)
    }
    // What a lost connection has left half read is read again with the next one.
    if (stopped || !isConnected()) return
    for (const row of meanwhile.values()) {
      const read = found.get(row.id)
      if (read === undefined || !isOlder(row, read)) found.set(row.id, row)
      else meanwhile.delete(row.id)
    }
    const waiting: Hub.Result<Waiting | null> = asked.ok
      ? { ok: true, value: waitingAfter(asked.value, [...meanwhile.values()]) }
      : asked
    if (waiting.ok && waiting.value === null) soon()
    const before = new Map<string, Session>(state().sessions.map((session) => [session.id, session]))
    const sessions = [...found.values()].map((session) => {
      const known = before.get(session.id)
      return known !== undefined && JSON.stringify(known) === JSON.stringify(session) ? known : session
    })
    const wasLoaded = state().loaded
    set({
      ...(places.ok ? { environments: places.value } : {}),
      waiting: waiting.ok ? waiting.value : null,
      ...(totals === undefined ? {} : { totals: totals.ok ? totals.value : null }),
      ...(page.ok ? { sessions, more: page.value.nextCursor !== null } : {}),
      loaded: wasLoaded || page.ok,
      listProblem: page.ok ? (waiting.ok ? null : waiting.message) : page.message
    })
    if (!page.ok) return
    world.onRead()
    if (wasLoaded) for (const session of sessions) tellOf(before.get(session.id), session)
  }

  /** Rows of sessions that something has happened to. */
  const apply = (rows: ReadonlyArray<Session>): void => {
    if (reading) for (const row of rows) meanwhile.set(row.id, row)
    const before = new Map<string, Session>(state().sessions.map((session) => [session.id, session]))
    const { loaded, route, waiting } = state()
    const waitingNow = waiting === null ? null : waitingAfter(waiting, rows)
    if (route._tag === "Metrics" || waitingNow === null) soon()
    const changed = new Map<string, Session>(rows.map((row) => [row.id, row]))
    set({
      sessions: [
        ...rows.filter(({ id }) => !before.has(id)),
        ...state().sessions.map((session) => changed.get(session.id) ?? session)
      ],
      ...(waitingNow === null ? {} : { waiting: waitingNow })
    })
    if (!loaded) return
    world.onRead()
    for (const row of rows) tellOf(before.get(row.id), row)
  }

  let reading = false
  let again = false
  const refresh = async (): Promise<void> => {
    if (reading) {
      again = true
      return
    }
    if (!isConnected()) return
    reading = true
    try {
      await read()
    } finally {
      reading = false
      if (again) {
        again = false
        soon()
      }
    }
  }

  let planned = false
  let readAt = Number.NEGATIVE_INFINITY
  const soon = (): void => {
    if (planned || stopped) return
    planned = true
    const wait = Math.min(READ_MILLIS, readAt + READ_MILLIS - world.gateway.now())
    world.gateway.after(Math.max(SOON_MILLIS, wait), () => {
      planned = false
      readAt = world.gateway.now()
      void refresh()
    })
  }
  const look = async (): Promise<void> => {
    const places = await hub.environments()
    if (places.ok && !stopped) set({ environments: places.value })
  }
  const every = (millis: number, then: () => Promise<void>): void => {
    world.gateway.after(millis, () => {
      if (stopped) return
      if (world.visible() && isConnected()) void then()
      every(millis, then)
    })
  }
  every(LOOK_MILLIS, look)
  every(LIST_MILLIS, refresh)

  const search = async (query: string, archived: boolean): Promise<void> => {
    const mine = ++searches
    if (query === "" || !isConnected()) {
      matches = []
      set({ hits: [], searching: false, searchProblem: null })
      return
    }
    set({ searching: true })
    const [titles, texts] = await Promise.all([hub.find({ query, archived }), hub.search(query)])
    if (mine !== searches) return
    const found = titles.ok ? titles.value : []
    const hits = texts.ok ? texts.value : []
    matches = [...found.map(({ id }) => id), ...hits.map(({ sessionId }) => sessionId)]
    const known = new Set<string>(state().sessions.map(({ id }) => id))
    const problem = [titles, texts].find((read) => !read.ok)
    set({
      searching: false,
      searchProblem: problem?.ok === false ? problem.message : null,
      sessions: [...state().sessions, ...found.filter(({ id }) => !known.has(id))],
      hits
    })
    // The titles of sessions whose words were found.
    if (matches.some((id) => !state().sessions.some((session) => session.id === id))) void refresh()
  }

  return {
    refresh,
    apply,
    /** Reads it soon. */
    soon,
    more: (): void => {
      pages++
      void refresh()
    },
    /** Shows archived sessions, or all others. */
    showArchived: (archived: boolean): void => {
      pages = 1
      set({ archived, more: false, loaded: false })
      void refresh()
    },
    search,
    stop: (): void => {
      stopped = true
    }
  }
}
