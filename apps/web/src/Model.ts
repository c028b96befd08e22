/**
 * The state of the page and what people do with it, without a document: what is shown is a function of a `State`, and every
 * change makes another one. The log of a session decides; what was only asked for is never shown as done.
 */
import * as FileChange from "@causeway/transcript/FileChange"
import { array, type JsonObject, object, string } from "@causeway/transcript/Read"
import type { Credentials, Ticket } from "./Credentials.ts"
import * as Devices from "./Devices.ts"
import type { Frame } from "./Frame.ts"
import * as Gateway from "./Gateway.ts"
import * as Hub from "./Hub.ts"
import * as Left from "./Left.ts"
import * as Notice from "./Notice.ts"
import * as Outbox from "./Outbox.ts"
import type { Route } from "./Route.ts"
import * as SessionView from "./SessionView.ts"
import * as Watcher from "./Watcher.ts"

/** Events of a long log that are read at first; earlier ones come when they are asked for. */
export const TAIL = 3000
/** How often the list is read beside what the hub tells: machines come and go without a word. */
const LIST_MILLIS = 5000
/** Sessions that are asked for by name at most. */
const NAMED_MAX = 200

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
  readonly connection: Gateway.Connection
  /** When the connection became what it is, in milliseconds since the epoch. */
  readonly connectionAt: number
  /** Whether the hub has let this device in, now or before. */
  readonly admitted: boolean
  /** Null where this device may not see them, or they are not read yet. */
  readonly devices: Devices.Listing | null
  readonly sessions: ReadonlyArray<Hub.Session>
  readonly environments: ReadonlyArray<Hub.Environment>
  readonly loaded: boolean
  readonly listProblem: string | null
  readonly more: boolean
  /** Whether archived sessions are looked at, in the place of the others. */
  readonly archived: boolean
  /** Who waits for a person, over all sessions of the hub. Null where that is not known, as while the hub is away. */
  readonly waiting: Hub.Waiting | null
  /** Null where they are not known. */
  readonly totals: Hub.Totals | null
  readonly open: Open | null
  readonly outbox: ReadonlyArray<Outbox.Entry>
  readonly answering: ReadonlyMap<string, Answering>
  readonly pinned: ReadonlySet<string>
  readonly hits: ReadonlyArray<Hit>
  readonly searching: boolean
  readonly searchProblem: string | null
  readonly models: ReadonlyArray<string>
}

export interface World {
  readonly gateway: Gateway.World
  readonly credentials: Credentials
  /** What a person has brought to be let in; null to come with what is kept. */
  readonly ticket: Ticket | null
  /** What people know this browser by. */
  readonly displayName: string
  readonly uuid: () => string
  readonly store: {
    readonly get: (key: string) => string | null
    readonly set: (key: string, value: string) => void
  }
  /** Kept for this tab alone: what is not sent yet is sent by one tab. */
  readonly outbox: { readonly load: () => string | null; readonly save: (text: string) => void }
  readonly visible: () => boolean
  /** Whether a session has room beside the list. */
  readonly roomy: () => boolean
  readonly notify: (notice: Notice.Notice) => void
  /** Takes back what was shown under a tag. */
  readonly withdraw: (tag: string) => void
  readonly navigate: (route: Route) => void
  /** The page is signed out: by the hub, which says why, or by a person (null). */
  readonly signOut: (why: SignedOut | null) => void
}

export interface SignedOut {
  /** `kept`: a person has signed out, and the hub could not be told or would not: the device is still on its list. */
  readonly refusal: Gateway.Refusal | "kept"
  readonly message: string
}

export interface Model {
  readonly state: () => State
  readonly subscribe: (listener: () => void) => () => void
  readonly go: (route: Route) => void
  readonly hurry: () => void
  readonly refresh: () => Promise<void>
  readonly loadMoreSessions: () => void
  /** Shows archived sessions, or all others. */
  readonly showArchived: (archived: boolean) => void
  readonly begin: (beginning: Hub.Beginning) => Promise<string | null>
  readonly send: (text: string, attachments: ReadonlyArray<JsonObject>, steer: boolean) => void
  readonly retry: (uuid: string) => void
  readonly discard: (uuid: string) => void
  /** Takes a message back that waits for the agent. */
  readonly withdraw: (session: string, uuid: string) => void
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
  readonly search: (query: string, archived: boolean) => Promise<void>
  readonly exportLog: (id: string) => Promise<string | null>
  readonly dismiss: () => void
  readonly devices: Omit<Devices.Devices, "list">
  readonly files: Hub.Hub["files"]
  readonly metrics: Hub.Hub["metrics"]
  readonly tokens: Hub.Hub["tokens"]
  /** For what is no part of the state: the browser's push subscription. */
  readonly call: Gateway.Gateway["call"]
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

  const gateway = Gateway.open(world.gateway, {
    credentials: world.credentials,
    ticket: world.ticket,
    displayName: world.displayName
  })
  const hub = Hub.make(gateway)
  const devices = Devices.make(gateway, () => world.credentials.device().id)
  const isConnected = (): boolean => gateway.connection()._tag === "connected"

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
      return { _tag: Gateway.mayPass(result) ? "unreachable" : "refused", reason: result.message }
    },
    save: world.outbox.save,
    load: world.outbox.load,
    sleep: (millis) => new Promise((resolve) => world.gateway.after(millis, resolve)),
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
    connection: gateway.connection(),
    connectionAt: world.gateway.now(),
    admitted: world.ticket === null,
    devices: null,
    sessions: [],
    environments: [],
    loaded: false,
    listProblem: null,
    more: false,
    archived: false,
    waiting: null,
    totals: null,
    open: null,
    outbox: outbox.entries(),
    answering: new Map(),
    pinned: new Set(names(world.store.get("pinned"))),
    hits: [],
    searching: false,
    searchProblem: null,
    models: []
  }

  // --- The list ---

  /** Events at the end of a log among which the last turn's result stands. */
  const END = 20
  const tellOf = (before: Hub.Session | undefined, session: Hub.Session): void => {
    if (before === session) return
    const over = Notice.settled(before, session)
    if (over !== undefined) world.withdraw(over)
    if (world.visible()) return
    const approval = Notice.ofApproval(before, session)
    if (approval !== undefined) world.notify(approval)
    if (!Notice.hasEnded(before, session)) return
    const { id, lastSeq } = session
    void Watcher.read(world.gateway, gateway, id, Math.max(0, lastSeq - END), lastSeq).then((end) => {
      const notice = end.ok ? Notice.ofEnd(session, end.value) : undefined
      if (notice !== undefined) world.notify(notice)
    })
  }

  /** Sessions that the search has found. */
  let matches: ReadonlyArray<string> = []
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
      const [places, waiting, totals] = await Promise.all([
        hub.environments(),
        hub.waiting(),
        state.route._tag === "Metrics" ? hub.totals() : undefined
      ])
      const found = new Map<string, Hub.Session>()
      const { archived } = state
      let cursor: string | null = null
      let problem = places.ok ? null : places.message
      for (let n = 0; n < pages && problem === null; n++) {
        const page: Gateway.Result<Hub.Page<Hub.Session>> = await hub.sessions(cursor, archived)
        if (!page.ok) {
          problem = page.message
          break
        }
        // A session that moves up between two pages is told twice.
        for (const session of page.value.data) found.set(session.id, session)
        cursor = page.value.nextCursor
        if (cursor === null) break
      }
      // What is shown is not only what was updated last: pins, what is open, what a search has found.
      const named = [...new Set([...state.pinned, state.open?.id, ...matches])].flatMap((id) =>
        id === undefined || found.has(id) ? [] : [id]
      )
      if (problem === null && named.length > 0) {
        const others = await hub.find({ sessionIds: named.slice(0, NAMED_MAX) })
        for (const session of others.ok ? others.value : []) found.set(session.id, session)
      }
      // What a lost connection has left half read is read again with the next one.
      if (closed || !isConnected()) return
      const before = new Map(state.sessions.map((session) => [session.id, session]))
      const sessions = [...found.values()].map((session) => {
        const known = before.get(session.id)
        return known !== undefined && JSON.stringify(known) === JSON.stringify(session) ? known : session
      })
      const wasLoaded = state.loaded
      set({
        ...(places.ok ? { environments: places.value } : {}),
        waiting: waiting.ok ? waiting.value : null,
        ...(totals === undefined ? {} : { totals: totals.ok ? totals.value : null }),
        ...(problem === null ? { sessions, more: cursor !== null } : {}),
        loaded: state.loaded || problem === null,
        listProblem: problem ?? (waiting.ok ? null : waiting.message)
      })
      if (problem === null) beginSomewhere()
      if (problem === null && wasLoaded) {
        for (const session of sessions) tellOf(before.get(session.id), session)
      }
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
  let begun = false
  /** Who has never been here, and has not said where to go, sees the session that a machine has begun. */
  const beginSomewhere = (): void => {
    if (begun || state.route._tag !== "List") return
    const here = state.sessions.filter((session) => !session.archived)
    const first = here.find((session) => session.connected) ?? here[0]
    if (first === undefined) return
    begun = true
    if (state.open === null && world.roomy()) openSession(first.id, null)
  }
  let planned = false
  let readAt = Number.NEGATIVE_INFINITY
  /** One reading for changes that come in a row: soon after the first, and then at most once a second. */
  const soon = (): void => {
    if (planned || closed) return
    planned = true
    const now = world.gateway.now()
    world.gateway.after(Math.max(120, Math.min(1000, readAt + 1000 - now)), () => {
      planned = false
      readAt = world.gateway.now()
      void refresh()
    })
  }
  const tick = (): void => {
    world.gateway.after(LIST_MILLIS, () => {
      if (closed) return
      if (world.visible()) void refresh()
      tick()
    })
  }

  const offers = async (): Promise<void> => {
    const models = await gateway.call("models.list", {})
    if (!models.ok) return
    const ids = array(models.value["models"]).flatMap((one) => string(object(one)["id"]) ?? [])
    set({ models: [...new Set(ids)] })
  }

  const readDevices = async (): Promise<void> => {
    const listing = await devices.list()
    if (listing.ok) set({ devices: listing.value })
    else if (!Gateway.mayPass(listing)) set({ devices: null })
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
    world.gateway.after(Math.max(16, Math.min(1000, cost * 2)), () => {
      stepping = false
      if (mine !== generation || state.open === null) {
        arrived = []
        return
      }
      const began = world.gateway.now()
      const frames = arrived
      arrived = []
      setOpen(id, { view: SessionView.steps(state.open.view, frames) })
      cost = world.gateway.now() - began
    })
  }

  /** Begins to follow the open session as soon as there is a connection. */
  let begin: (() => Promise<void>) | undefined
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
        connectionAt: world.gateway.now(),
        start: 0,
        loadingEarlier: false,
        notice: null
      }
    })
    const watch = (start: number): void => {
      setOpen(id, { start })
      watcher = Watcher.watch(world.gateway, gateway, {
        session: id,
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
          if (connection._tag === "ended" && connection.reason === "not-found") Left.forget(world.store, id)
          setOpen(id, { connection, connectionAt: world.gateway.now() })
        }
      })
    }
    // How long the log is decides where reading begins.
    begin = async () => {
      const result = await hub.session(id)
      if (mine !== generation || (!result.ok && !isConnected())) return
      begin = undefined
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
    }
    if (isConnected()) void begin()
    else setOpen(id, { connection: Watcher.shown(gateway.connection()) })
  }

  const earlier = async (): Promise<void> => {
    const { open } = state
    if (open === null || open.start === 0 || open.loadingEarlier) return
    const mine = generation
    setOpen(open.id, { loadingEarlier: true })
    // Each time twice as much, so that reading all of a log stays proportional to its length.
    const from = Math.max(0, open.start - Math.max(TAIL, kept.length))
    const older = await Watcher.read(world.gateway, gateway, open.id, from, open.start)
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

  // --- The connection ---

  function close(): void {
    closed = true
    generation++
    watcher?.stop()
    gateway.stop()
  }
  const resend = (): void => {
    for (const entry of outbox.entries()) if (entry.state === "waiting") outbox.retry(entry.uuid)
  }
  const connected = (): void => {
    void gateway.call("sessions.subscribe", {}).then(soon)
    void refresh()
    void offers()
    void readDevices()
    void begin?.()
    resend()
  }
  gateway.listen({
    connection: (connection) => {
      if (closed) return
      set({
        connection,
        connectionAt: world.gateway.now(),
        // Nobody knows what goes on behind a connection that is lost.
        ...(connection._tag === "connected" ? {} : { waiting: null, totals: null }),
        admitted: state.admitted || connection._tag === "connected"
      })
      if (connection._tag === "ended") {
        close()
        world.signOut({ refusal: connection.refusal, message: connection.message })
      } else if (connection._tag === "connected") connected()
      else if (begin !== undefined && state.open !== null) {
        setOpen(state.open.id, {
          connection: Watcher.shown(connection),
          connectionAt: world.gateway.now()
        })
      }
    },
    event: (event) => {
      if (event === "sessions.changed" || event === "session.message" || event === "session.approval") soon()
      else if (event.startsWith("device.pair.") || (event === "presence" && state.route._tag === "Devices")) {
        void readDevices()
      }
    }
  })
  tick()

  const changing = async <A>(result: Promise<A>): Promise<A> => {
    const settled = await result
    await readDevices()
    return settled
  }

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
      if (id !== null) begun = true
      Left.keep(world.store, route)
      if (route._tag === "Devices" && isConnected()) void readDevices()
      if (route._tag === "Metrics") void refresh()
      if (id === (state.open?.id ?? null)) return
      if (id !== null) {
        openSession(id, route._tag === "Session" ? route.seq : null)
        return
      }
      generation++
      watcher?.stop()
      watcher = undefined
      begin = undefined
      set({ open: null })
    },
    hurry: () => {
      gateway.hurry()
      soon()
    },
    refresh,
    loadMoreSessions: () => {
      pages++
      void refresh()
    },
    showArchived: (archived) => {
      pages = 1
      set({ archived, more: false, loaded: false })
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
      // Whoever steers away does not want what was asked for before.
      if (steer) void control({ subtype: "interrupt", cancel_queued: true }, "not interrupted").then(add)
      else add()
    },
    retry: outbox.retry,
    discard: outbox.discard,
    withdraw: (session, uuid) => {
      void gateway.call("causeway.messages.withdraw", { key: session, uuid }).then((result) => {
        if (!result.ok) setOpen(session, { notice: `not withdrawn: ${result.message}` })
        else if (result.value["withdrawn"] !== true) {
          setOpen(session, { notice: "The agent has begun with it already: Stop ends its turn." })
        }
      })
    },
    stop: () => void control({ subtype: "interrupt" }, "not stopped"),
    setModel: (model) => void control({ subtype: "set_model", model }, "model not changed"),
    setMode: (mode) => void control({ subtype: "set_permission_mode", mode }, "mode not changed"),
    answer: (session, requestId, payload) => {
      setAnswering(requestId, { sending: true, problem: null })
      void hub.send(session, [{ ...payload, uuid: world.uuid() }]).then((result) => {
        // The card goes when the log tells that it is settled, here or elsewhere.
        if (result.ok) soon()
        else if (result.code === "CONFLICT") {
          setOpen(session, { notice: "Somebody else has answered first." })
          setAnswering(requestId, { sending: false, problem: "Somebody else has answered first." })
          soon()
        } else setAnswering(requestId, { sending: false, problem: result.message })
      })
    },
    request: async (session, seq) => {
      if (seq < 1) return null
      // With what was told of its file right before it.
      const found = await Watcher.read(world.gateway, gateway, session, Math.max(0, seq - 4), seq)
      const events = found.ok
        ? found.value.flatMap((each) => (each._tag === "Event" ? [each.event] : []))
        : []
      const asked = events.find((event) => event.seq === seq)
      if (asked === undefined || !("input" in object(asked.payload.json["request"]))) return null
      const files = new Map(
        events.flatMap((event) => FileChange.told(event) ?? []).map((file) => [file.toolUseId, file])
      )
      return SessionView.requestOf(asked, (id) => files.get(id))
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
    search: async (query, archived) => {
      const mine = ++searches
      if (query === "" || !isConnected()) {
        matches = []
        set({ hits: [], searching: false, searchProblem: null })
        return
      }
      set({ searching: true })
      const [titles, texts] = await Promise.all([
        hub.find({ query, archived }),
        gateway.call("sessions.search", { query, limit: 30 })
      ])
      if (mine !== searches) return
      const hits = (texts.ok ? array(texts.value["hits"]) : []).flatMap((value) => {
        const hit = object(value)
        const sessionId = string(hit["sessionId"])
        const seq = hit["seq"]
        return sessionId === null || typeof seq !== "number"
          ? []
          : [{ sessionId: Hub.toSessionId(sessionId), seq, excerpt: string(hit["excerpt"]) ?? "" }]
      })
      const found = titles.ok ? titles.value : []
      matches = [...found.map(({ id }) => id), ...hits.map(({ sessionId }) => sessionId)]
      const known = new Set(state.sessions.map(({ id }) => id))
      const problem = [titles, texts].find((read) => !read.ok)
      set({
        searching: false,
        searchProblem: problem?.ok === false ? problem.message : null,
        sessions: [...state.sessions, ...found.filter(({ id }) => !known.has(id))],
        hits
      })
      // The titles of sessions whose words were found.
      if (hits.some(({ sessionId }) => !state.sessions.some(({ id }) => id === sessionId))) void refresh()
    },
    exportLog: async (id) => {
      const found = await gateway.call("sessions.resolve", { sessionId: Hub.fromSessionId(id) })
      const key = found.ok ? string(found.value["key"]) : null
      if (key === null) return null
      const lines: Array<string> = []
      let after: unknown = 0
      while (typeof after === "number") {
        const page = await gateway.call("sessions.export", { key, afterSeq: after, limit: 5000 })
        if (!page.ok) return null
        for (const line of array(page.value["lines"])) if (typeof line === "string") lines.push(line)
        after = page.value["nextAfterSeq"]
      }
      return `${lines.join("\n")}\n`
    },
    dismiss: () => {
      if (state.open !== null) setOpen(state.open.id, { notice: null })
    },
    devices: {
      approve: (requestId) => changing(devices.approve(requestId)),
      reject: (requestId) => changing(devices.reject(requestId)),
      remove: (deviceId) => changing(devices.remove(deviceId)),
      createCode: devices.createCode
    },
    files: hub.files,
    metrics: hub.metrics,
    tokens: hub.tokens,
    call: gateway.call,
    signOut: () => {
      const { id } = world.credentials.device()
      world.credentials.forget()
      closed = true
      // The hub closes the connection of a device that is removed: what is asked for last is asked for alone.
      void devices.remove(id).then((removed) => {
        close()
        world.signOut(removed.ok ? null : { refusal: "kept", message: removed.message })
      })
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

/** Open approvals of all sessions, oldest first, with the session that each belongs to. None while they are not known. */
export const approvals = (
  state: State
): ReadonlyArray<{ readonly session: Hub.Session; readonly approval: Hub.Pending }> =>
  (state.waiting?.sessions ?? [])
    .flatMap((session) => session.approvals.map((approval) => ({ session, approval })))
    .sort((a, b) => a.approval.createdAt.localeCompare(b.approval.createdAt))

/** How many wait for a person: each approval of the sessions that were told of, each session of the others. */
export const waitingCount = ({ total, sessions }: Hub.Waiting): number =>
  sessions.reduce((sum, session) => sum + Math.max(1, session.approvals.length), 0) + total - sessions.length
