/**
 * The state of the page and what people do with it, without a document: what is shown is a function of a `State`, and every
 * change makes another one. The log of a session decides; what was only asked for is never shown as done.
 */
import { array, type JsonObject, object, string } from "@causeway/transcript/Read"
import type { Frame } from "./Frame.ts"
import * as Gateway from "./Gateway.ts"
import type * as Hub from "./Hub.ts"
import * as Outbox from "./Outbox.ts"
import type { Route } from "./Route.ts"
import * as SessionView from "./SessionView.ts"
import * as Watcher from "./Watcher.ts"

/** Events of a long log that are read at first; earlier ones come when they are asked for. */
export const TAIL = 3000
/** How often the list is read: while the hub tells of changes, and while it does not. */
const LIST_MILLIS = { told: 10_000, untold: 3000 } as const

/** Where an answer to an approval stands that was given here. */
export interface Answering {
  readonly sending: boolean
  readonly problem: string | null
}

export interface Hit {
  readonly sessionId: string
  readonly seq: number
  readonly excerpt: string
}

/** The session that is open. */
export interface Open {
  readonly id: string
  readonly view: SessionView.SessionView
  readonly connection: Watcher.Connection
  /** When the connection became what it is, in milliseconds since the epoch. */
  readonly connectionAt: number
  /** Events up to this one are not read yet; 0 where all are. */
  readonly start: number
  readonly loadingEarlier: boolean
  /** Another answer than one given here came first, by request id. */
  readonly notice: string | null
}

export interface State {
  readonly route: Route
  readonly sessions: ReadonlyArray<Hub.Session>
  readonly environments: ReadonlyArray<Hub.Environment>
  readonly loaded: boolean
  readonly listProblem: string | null
  readonly more: boolean
  readonly open: Open | null
  readonly outbox: ReadonlyArray<Outbox.Entry>
  readonly answering: ReadonlyMap<string, Answering>
  readonly pinned: ReadonlySet<string>
  readonly hits: ReadonlyArray<Hit>
  readonly searching: boolean
  readonly searchProblem: string | null
  /** Whether the gateway can be asked. */
  readonly gateway: boolean
  readonly models: ReadonlyArray<string>
  readonly agents: ReadonlyArray<string>
}

export interface World {
  readonly hub: (onUnauthenticated: () => void) => Hub.Hub
  readonly gateway: Gateway.World
  readonly watcher: Watcher.World
  readonly token: string
  readonly now: () => number
  readonly uuid: () => string
  readonly store: {
    readonly get: (key: string) => string | null
    readonly set: (key: string, value: string) => void
  }
  /** Kept for this tab alone: what is not sent yet is sent by one tab. */
  readonly outbox: { readonly load: () => string | null; readonly save: (text: string) => void }
  readonly visible: () => boolean
  readonly navigate: (route: Route) => void
  readonly signOut: (problem: string | null) => void
}

export interface Model {
  readonly state: () => State
  readonly subscribe: (listener: () => void) => () => void
  readonly go: (route: Route) => void
  readonly hurry: () => void
  readonly refresh: () => Promise<void>
  readonly loadMoreSessions: () => void
  readonly begin: (beginning: Hub.Beginning) => Promise<string | null>
  readonly send: (text: string, attachments: ReadonlyArray<JsonObject>, steer: boolean) => void
  readonly retry: (uuid: string) => void
  readonly discard: (uuid: string) => void
  readonly stop: () => void
  readonly setModel: (model: string) => void
  readonly setMode: (mode: string) => void
  /** `session` null: the open one. */
  readonly answer: (session: string, requestId: string, payload: JsonObject) => void
  /** The whole of a request that the list may have cut; null where the hub does not tell. */
  readonly request: (session: string, seq: number) => Promise<SessionView.Request | null>
  readonly earlier: () => Promise<void>
  readonly rename: (id: string, title: string) => Promise<string | null>
  readonly archive: (id: string) => Promise<string | null>
  readonly pin: (id: string) => void
  readonly search: (query: string) => Promise<void>
  readonly exportLog: (id: string) => Promise<string | null>
  readonly dismiss: () => void
  readonly signOut: () => void
  readonly close: () => void
}

const names = (text: string | null): ReadonlyArray<string> => {
  try {
    return array(JSON.parse(text ?? "[]")).flatMap((one) => (typeof one === "string" ? [one] : []))
  } catch {
    return []
  }
}

export const make = (world: World): Model => {
  const listeners = new Set<() => void>()
  let state: State
  let watcher: Watcher.Watcher | undefined
  let generation = 0
  let pages = 1
  let closed = false

  const set = (change: Partial<State>): void => {
    state = { ...state, ...change }
    for (const listener of listeners) listener()
  }
  const setOpen = (id: string, change: Partial<Open>): void => {
    if (state.open?.id === id) set({ open: { ...state.open, ...change } })
  }

  /** The hub refuses the token. */
  const refused = (): void => {
    if (closed) return
    close()
    world.signOut("The token is not accepted any more.")
  }
  const hub = world.hub(refused)

  const outbox = Outbox.make({
    send: async (entry) => {
      const content =
        entry.attachments.length === 0
          ? entry.text
          : [...entry.attachments, ...(entry.text === "" ? [] : [{ type: "text", text: entry.text }])]
      const result = await hub.send(entry.session, [
        {
          type: "user",
          uuid: entry.uuid,
          session_id: "",
          parent_tool_use_id: null,
          message: { role: "user", content }
        }
      ])
      if (result.ok) return { _tag: "stored", waitingFor: result.value }
      const mayPass =
        result.status === 0 || result.status === 401 || result.status === 429 || result.status >= 500
      return { _tag: mayPass ? "unreachable" : "refused", reason: result.message }
    },
    save: world.outbox.save,
    load: world.outbox.load,
    sleep: (millis) => new Promise((resolve) => world.watcher.after(millis, resolve)),
    onChange: () => {
      // Called while the outbox is being made, too.
      if (state !== undefined) set({ outbox: outbox.entries() })
    },
    onStored: (entry, waitingFor) => {
      setOpen(entry.session, { notice: waitingFor })
      soon()
    }
  })

  state = {
    route: { _tag: "List" },
    sessions: [],
    environments: [],
    loaded: false,
    listProblem: null,
    more: false,
    open: null,
    outbox: outbox.entries(),
    answering: new Map(),
    pinned: new Set(names(world.store.get("pinned"))),
    hits: [],
    searching: false,
    searchProblem: null,
    gateway: false,
    models: [],
    agents: []
  }

  // --- The list ---

  let reading = false
  let again = false
  const refresh = async (): Promise<void> => {
    if (reading) {
      again = true
      return
    }
    reading = true
    try {
      const places = await hub.environments()
      const found = new Map<string, Hub.Session>()
      let cursor: string | null = null
      let problem = places.ok ? null : places.message
      for (let n = 0; n < pages; n++) {
        const page: Hub.Result<Hub.Page<Hub.Session>> = await hub.sessions(cursor)
        if (!page.ok) {
          problem = page.message
          break
        }
        // A session that moves up between two pages is told twice.
        for (const session of page.value.data) found.set(session.id, session)
        cursor = page.value.nextCursor
        if (cursor === null) break
      }
      if (closed) return
      const before = new Map(state.sessions.map((session) => [session.id, session]))
      const sessions = [...found.values()].map((session) => {
        const known = before.get(session.id)
        return known !== undefined && JSON.stringify(known) === JSON.stringify(session) ? known : session
      })
      set({
        ...(places.ok ? { environments: places.value.data } : {}),
        ...(problem === null ? { sessions, more: cursor !== null } : {}),
        loaded: state.loaded || problem === null,
        listProblem: problem
      })
      const current = sessions.find((session) => session.id === state.open?.id)
      if (state.open !== null && current?.waitingFor === null && state.open.notice !== null) {
        if (state.open.notice.includes("wait")) setOpen(state.open.id, { notice: null })
      }
    } finally {
      reading = false
      if (again) {
        again = false
        soon()
      }
    }
  }
  let planned = false
  /** One reading for changes that come in a row. */
  const soon = (): void => {
    if (planned || closed) return
    planned = true
    world.watcher.after(120, () => {
      planned = false
      void refresh()
    })
  }
  const tick = (): void => {
    world.watcher.after(state.gateway ? LIST_MILLIS.told : LIST_MILLIS.untold, () => {
      if (closed) return
      if (world.visible()) void refresh()
      tick()
    })
  }

  const gateway = Gateway.open(world.gateway, {
    token: world.token,
    onChanged: soon,
    onReady: (ready) => {
      set({ gateway: ready })
      if (ready) void offers()
    }
  })
  const offers = async (): Promise<void> => {
    const [models, agents] = await Promise.all([
      gateway.call("models.list", {}),
      gateway.call("agents.list", {})
    ])
    const ids = (list: unknown, field: string) => [
      ...new Set(array(list).flatMap((one) => string(object(one)[field]) ?? []))
    ]
    set({
      models: models.ok ? ids(models.value["models"], "id") : [],
      agents: agents.ok ? ids(agents.value["agents"], "driver") : []
    })
  }

  const keyOf = async (session: string): Promise<Hub.Result<string>> => {
    const found = await gateway.call("sessions.resolve", { sessionId: Gateway.fromSessionId(session) })
    const key = found.ok ? string(found.value["key"]) : null
    return key !== null
      ? { ok: true, value: key }
      : found.ok
        ? { ok: false, status: 404, message: "the hub does not know this session" }
        : found
  }

  // --- The open session ---

  /** Frames that wait for the next step: one takes them all, however fast a long log comes in. */
  let arrived: Array<Frame> = []
  let stepping = false
  let cost = 0
  /** Frames of a log whose beginning is not read, so that it can be computed anew once more of it is. */
  let kept: Array<Frame> = []
  const step = (id: string, mine: number): void => {
    if (stepping) return
    stepping = true
    // A timer rather than an animation frame: a page in the background keeps its title true.
    world.watcher.after(Math.max(16, Math.min(1000, cost * 2)), () => {
      stepping = false
      if (mine !== generation || state.open === null) {
        arrived = []
        return
      }
      const began = world.now()
      const frames = arrived
      arrived = []
      setOpen(id, { view: SessionView.steps(state.open.view, frames) })
      cost = world.now() - began
    })
  }

  const openSession = (id: string, seq: number | null): void => {
    watcher?.stop()
    watcher = undefined
    const mine = ++generation
    arrived = []
    kept = []
    set({
      open: {
        id,
        view: SessionView.empty,
        connection: { _tag: "connecting" },
        connectionAt: world.now(),
        start: 0,
        loadingEarlier: false,
        notice: null
      }
    })
    const watch = (start: number): void => {
      if (mine !== generation) return
      setOpen(id, { start })
      watcher = Watcher.watch(world.watcher, {
        url: `/v1/code/sessions/${encodeURIComponent(id)}/events/stream`,
        token: world.token,
        from: start,
        onFrames: (frames) => {
          if (mine !== generation) return
          for (const frame of frames) {
            arrived.push(frame)
            if (start > 0 && frame._tag !== "Ephemeral") kept.push(frame)
          }
          step(id, mine)
        },
        onConnection: (connection) => {
          if (mine !== generation) return
          setOpen(id, { connection, connectionAt: world.now() })
          if (connection._tag === "ended" && connection.reason === "unauthenticated") refused()
        }
      })
    }
    // How long the log is decides where reading begins; where the hub does not tell, all of it is read.
    void hub.session(id).then((result) => {
      if (!result.ok) {
        watch(0)
        return
      }
      const { lastSeq, approvals } = result.value
      const wanted = Math.min(
        lastSeq - TAIL,
        ...approvals.map((approval) => (approval.seq > 0 ? approval.seq - 1 : lastSeq)),
        ...(seq === null ? [] : [seq - 1 - TAIL / 10])
      )
      watch(lastSeq > TAIL * 1.5 ? Math.max(0, Math.floor(wanted)) : 0)
    })
  }

  const earlier = async (): Promise<void> => {
    const { open } = state
    if (open === null || open.start === 0 || open.loadingEarlier) return
    const mine = generation
    setOpen(open.id, { loadingEarlier: true })
    // Each time twice as much, so that reading all of a log stays proportional to its length.
    const from = Math.max(0, open.start - Math.max(TAIL, kept.length))
    const older = await hub.events(open.id, from, open.start)
    if (mine !== generation) return
    if (!older.ok) {
      setOpen(open.id, { loadingEarlier: false, notice: `not loaded: ${older.message}` })
      return
    }
    kept = [...older.value, ...kept]
    const { live } = state.open?.view ?? SessionView.empty
    arrived = []
    const view = SessionView.steps(SessionView.empty, kept)
    if (from === 0) kept = []
    setOpen(open.id, { view: { ...view, live }, start: from, loadingEarlier: false })
  }

  // --- What people do ---

  const tell = async (id: string, payload: JsonObject, what: string): Promise<void> => {
    const result = await hub.send(id, [payload])
    if (!result.ok) setOpen(id, { notice: `${what}: ${result.message}` })
  }
  const control = (request: JsonObject, what: string): Promise<void> => {
    const id = state.open?.id
    if (id === undefined) return Promise.resolve()
    const uuid = world.uuid()
    return tell(id, { type: "control_request", uuid, request_id: uuid, request }, what)
  }

  const setAnswering = (requestId: string, now: Answering | null): void => {
    const answering = new Map(state.answering)
    if (now === null) answering.delete(requestId)
    else answering.set(requestId, now)
    set({ answering })
  }

  function close(): void {
    closed = true
    generation++
    watcher?.stop()
    gateway.stop()
  }

  void refresh()
  tick()

  let searches = 0
  return {
    state: () => state,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    go: (route) => {
      const id = route._tag === "Session" ? route.id : null
      set({ route })
      if (id === (state.open?.id ?? null)) return
      if (id !== null) {
        openSession(id, route._tag === "Session" ? route.seq : null)
        return
      }
      generation++
      watcher?.stop()
      watcher = undefined
      set({ open: null })
    },
    hurry: () => {
      watcher?.hurry()
      for (const entry of outbox.entries()) if (entry.state === "waiting") outbox.retry(entry.uuid)
      soon()
    },
    refresh,
    loadMoreSessions: () => {
      pages++
      void refresh()
    },
    begin: async (beginning) => {
      const result = await hub.createSession(beginning)
      if (!result.ok) return result.message
      set({ sessions: [result.value, ...state.sessions.filter(({ id }) => id !== result.value.id)] })
      world.navigate({ _tag: "Session", id: result.value.id, seq: null })
      soon()
      return null
    },
    send: (text, attachments, steer) => {
      const id = state.open?.id
      if (id === undefined) return
      const add = () => outbox.add({ uuid: world.uuid(), session: id, text, attachments })
      if (steer) void control({ subtype: "interrupt" }, "not interrupted").then(add)
      else add()
    },
    retry: outbox.retry,
    discard: outbox.discard,
    stop: () => void control({ subtype: "interrupt" }, "not stopped"),
    setModel: (model) => void control({ subtype: "set_model", model }, "model not changed"),
    setMode: (mode) => void control({ subtype: "set_permission_mode", mode }, "mode not changed"),
    answer: (session, requestId, payload) => {
      setAnswering(requestId, { sending: true, problem: null })
      void hub.send(session, [{ ...payload, uuid: world.uuid() }]).then((result) => {
        // The card goes when the log tells that it is settled, here or elsewhere.
        if (result.ok) soon()
        else if (result.status === 409) {
          setOpen(session, { notice: "Somebody else has answered first." })
          setAnswering(requestId, { sending: false, problem: "Somebody else has answered first." })
          soon()
        } else setAnswering(requestId, { sending: false, problem: result.message })
      })
    },
    request: async (session, seq) => {
      if (seq < 1) return null
      const found = await hub.events(session, seq - 1, seq)
      const frame = found.ok ? found.value.find((each) => each._tag === "Event") : undefined
      const request = frame?._tag === "Event" ? object(frame.event.payload.json["request"]) : {}
      return "input" in request
        ? { input: request["input"], suggestions: array(request["permission_suggestions"]) }
        : null
    },
    earlier,
    rename: async (id, title) => {
      const result = await hub.rename(id, title)
      soon()
      return result.ok ? null : result.message
    },
    archive: async (id) => {
      const result = await hub.archive(id)
      soon()
      return result.ok ? null : result.message
    },
    pin: (id) => {
      const pinned = new Set(state.pinned)
      if (!pinned.delete(id)) pinned.add(id)
      world.store.set("pinned", JSON.stringify([...pinned]))
      set({ pinned })
    },
    search: async (query) => {
      const mine = ++searches
      if (query === "" || !gateway.ready()) {
        set({ hits: [], searching: false, searchProblem: null })
        return
      }
      set({ searching: true })
      const result = await gateway.call("sessions.search", { query, limit: 30 })
      if (mine !== searches) return
      set({
        searching: false,
        searchProblem: result.ok ? null : result.message,
        hits: !result.ok
          ? []
          : array(result.value["hits"]).flatMap((value) => {
              const hit = object(value)
              const sessionId = string(hit["sessionId"])
              const seq = hit["seq"]
              return sessionId === null || typeof seq !== "number"
                ? []
                : [{ sessionId: Gateway.toSessionId(sessionId), seq, excerpt: string(hit["excerpt"]) ?? "" }]
            })
      })
    },
    exportLog: async (id) => {
      const key = await keyOf(id)
      if (!key.ok) return null
      const lines: Array<string> = []
      let after: unknown = 0
      while (typeof after === "number") {
        const page = await gateway.call("sessions.export", { key: key.value, afterSeq: after, limit: 5000 })
        if (!page.ok) return null
        for (const line of array(page.value["lines"])) if (typeof line === "string") lines.push(line)
        after = page.value["nextAfterSeq"]
      }
      return `${lines.join("\n")}\n`
    },
    dismiss: () => {
      if (state.open !== null) setOpen(state.open.id, { notice: null })
    },
    signOut: () => {
      close()
      world.signOut(null)
    },
    close
  }
}

/** Messages of the open session that the hub has not confirmed and its log does not hold. */
export const unsent = (state: State): ReadonlyArray<Outbox.Entry> => {
  const { open } = state
  return open === null
    ? []
    : state.outbox.filter(
        (entry) => entry.session === open.id && !open.view.conversation.seen.has(entry.uuid)
      )
}

/** Every open approval, oldest first, with the session that it belongs to. The open session's log knows best. */
export const approvals = (
  state: State
): ReadonlyArray<{ readonly session: Hub.Session; readonly approval: Hub.Pending }> =>
  state.sessions
    .filter((session) => !session.archived)
    .flatMap((session) => session.approvals.map((approval) => ({ session, approval })))
    .sort((a, b) => a.approval.createdAt.localeCompare(b.approval.createdAt))
