/** The page's model: wires its parts to the connection, and holds what people do. Nothing of it touches a document. */
import { isTransient } from "@causeway/protocol/ErrorTable"
import type { PairingRequest } from "@causeway/protocol/Gateway/Answers"
import type { SettingsChange } from "@causeway/protocol/http/SessionManager"
import type { Session } from "@causeway/protocol/http/Sessions"
import { array, type JsonObject } from "@causeway/transcript/Read"
import { events } from "@causeway/transcript/View/Frame"
import * as Requests from "@causeway/transcript/View/Requests"
import * as SessionView from "@causeway/transcript/View/SessionView"
import type { Credentials, Ticket } from "./Credentials.ts"
import * as Devices from "./Devices.ts"
import * as Gateway from "./Gateway.ts"
import * as Hub from "./Hub.ts"
import * as Left from "./Left.ts"
import type * as Notice from "./Notice.ts"
import * as OpenSession from "./OpenSession.ts"
import * as Outbox from "./Outbox.ts"
import type { Route } from "./Route.ts"
import * as SessionList from "./SessionList.ts"
import * as State from "./State.ts"
import * as Watcher from "./Watcher.ts"

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

const names = (text: string | null): ReadonlyArray<string> => {
  try {
    return array(JSON.parse(text ?? "[]")).flatMap((one) => (typeof one === "string" ? [one] : []))
  } catch {
    return []
  }
}

/** The payload of a message. */
const messageOf = ({ attachments, text, uuid }: Outbox.Entry): JsonObject => ({
  type: "user",
  uuid,
  session_id: "",
  parent_tool_use_id: null,
  message: {
    role: "user",
    content:
      attachments.length === 0 ? text : [...attachments, ...(text === "" ? [] : [{ type: "text", text }])]
  }
})

export const make = (world: World) => {
  let closed = false
  const gateway = Gateway.open(world.gateway, {
    credentials: world.credentials,
    ticket: world.ticket,
    displayName: world.displayName
  })
  const hub = Hub.make(gateway)
  const devices = Devices.make(gateway, () => world.credentials.device().id)
  const isConnected = (): boolean => gateway.connection()._tag === "connected"

  const store = State.make({
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
    outbox: [],
    answering: new Map(),
    pinned: new Set(names(world.store.get("pinned"))),
    hits: [],
    searching: false,
    searchProblem: null,
    models: []
  })
  const { set, setOpen, state } = store

  const opened = OpenSession.make(world.gateway, gateway, hub, store, (id) => Left.forget(world.store, id))
  const list = SessionList.make({ ...world, onRead: () => onListRead() }, gateway, hub, store)
  const outbox = Outbox.make({
    send: async (entry) => {
      const result = await hub.send(entry.session, [messageOf(entry)])
      if (result.ok) return { _tag: "stored", waitingFor: result.value.waitingFor }
      return { _tag: isTransient(result.code) ? "unreachable" : "refused", reason: result.message }
    },
    save: world.outbox.save,
    load: world.outbox.load,
    sleep: (millis) => new Promise((resolve) => world.gateway.after(millis, resolve)),
    onChange: (entries) => set({ outbox: entries }),
    onStored: (entry, waitingFor) => setOpen(entry.session, { notice: waitingFor })
  })
  set({ outbox: outbox.entries() })

  // --- What has been read ---

  let begun = false
  /** Who has never been here, and has not said where to go, sees the session that a machine has begun. */
  const beginSomewhere = (): void => {
    if (begun || state().route._tag !== "List") return
    const here = state().sessions.filter((session) => session.archived_at == null)
    const first = here.find((session) => session.connection_status === "connected") ?? here[0]
    if (first === undefined) return
    begun = true
    if (state().open === null && world.roomy()) opened.open(first.id, null)
  }
  function onListRead(): void {
    beginSomewhere()
    const { open } = state()
    const session = open === null ? undefined : State.listed(state(), open.id)
    if (open === null || session === undefined) return
    const view = SessionView.told(open.view, session)
    // What a message waited for has come.
    const isOver = view.agent.waitingFor === null && open.notice?.includes("wait") === true
    if (view !== open.view || isOver) setOpen(open.id, { view, ...(isOver ? { notice: null } : {}) })
  }
  const readDevices = async (): Promise<void> => {
    const listing = await devices.list()
    if (listing.ok) set({ devices: listing.value })
    else if (!isTransient(listing.code)) set({ devices: null })
  }

  // --- The connection ---

  const close = (): void => {
    closed = true
    list.stop()
    opened.close()
    gateway.stop()
  }
  const connected = (): void => {
    void gateway.call("causeway.sessions.subscribe", {}).then(list.refresh)
    void hub.models().then((models) => {
      if (models.ok) set({ models: models.value })
    })
    void readDevices()
    for (const entry of outbox.entries()) if (entry.state === "waiting") outbox.retry(entry.uuid)
  }
  gateway.listen({
    connection: (connection) => {
      if (closed) return
      set({
        connection,
        connectionAt: world.gateway.now(),
        // Nobody knows what goes on behind a connection that is lost.
        ...(connection._tag === "connected" ? {} : { waiting: null, totals: null }),
        admitted: state().admitted || connection._tag === "connected"
      })
      if (connection._tag === "ended") {
        close()
        world.signOut({ refusal: connection.refusal, message: connection.message })
        return
      }
      if (connection._tag === "connected") connected()
      opened.onConnection(connection)
    },
    event: (event, payload) => {
      if (event === "causeway.sessions.changed") list.apply(Hub.list(payload["sessions"]))
      else if (
        event.startsWith("device.pair.") ||
        (event === "presence" && state().route._tag === "Devices")
      ) {
        void readDevices()
      }
    }
  })

  // --- What people do ---

  const control = async (request: JsonObject, what: string): Promise<void> => {
    const id = state().open?.id
    if (id === undefined) return
    const uuid = world.uuid()
    const result = await hub.send(id, [{ type: "control_request", uuid, request_id: uuid, request }])
    if (!result.ok) setOpen(id, { notice: `${what}: ${result.message}` })
  }
  const setAnswering = (requestId: string, now: State.Answering): void =>
    set({ answering: new Map(state().answering).set(requestId, now) })
  /** The problem with a change of a session, null where there is none. */
  const changing = async (change: Promise<Hub.Result<Session>>): Promise<string | null> => {
    const result = await change
    if (!result.ok) return result.message
    list.apply([result.value])
    return null
  }
  /** Opens a session that is made; the problem where it is not. */
  const thenOpen = async (made: Promise<Hub.Result<Session>>): Promise<string | null> => {
    const result = await made
    if (!result.ok) return result.message
    list.apply([result.value])
    world.navigate({ _tag: "Session", id: result.value.id, seq: null })
    return null
  }
  const thenReadDevices = async <A>(result: Promise<A>): Promise<A> => {
    const settled = await result
    await readDevices()
    return settled
  }

  return {
    state,
    subscribe: store.subscribe,
    go: (route: Route): void => {
      const id = route._tag === "Session" ? route.id : null
      set({ route })
      if (id !== null) begun = true
      Left.keep(world.store, route)
      if (route._tag === "Devices" && isConnected()) void readDevices()
      if (route._tag === "Metrics") void list.refresh()
      if (id === (state().open?.id ?? null)) return
      if (id !== null) opened.open(id, route._tag === "Session" ? route.seq : null)
      else {
        opened.close()
        set({ open: null })
      }
    },
    hurry: (): void => {
      gateway.hurry()
      list.soon()
    },
    list,
    /** The problem, null where it has begun. */
    begin: (beginning: Hub.Beginning) => thenOpen(hub.createSession(beginning)),
    send: (text: string, attachments: ReadonlyArray<JsonObject>, steer: boolean): void => {
      const id = state().open?.id
      if (id === undefined) return
      const add = () => outbox.add({ uuid: world.uuid(), session: id, text, attachments })
      // Whoever steers away does not want what was asked for before.
      if (steer) void control({ subtype: "interrupt", cancel_queued: true }, "not interrupted").then(add)
      else add()
    },
    retry: outbox.retry,
    discard: outbox.discard,
    /** Takes a message back that waits for the agent. */
    withdraw: (session: string, uuid: string): void => {
      void gateway.call("causeway.messages.withdraw", { key: session, uuid }).then((result) => {
        if (!result.ok) setOpen(session, { notice: `not withdrawn: ${result.message}` })
        else if (result.value["withdrawn"] !== true) {
          setOpen(session, { notice: "The agent has begun with it already: Stop ends its turn." })
        }
      })
    },
    stop: () => void control({ subtype: "interrupt" }, "not stopped"),
    setModel: (model: string): void => void control({ subtype: "set_model", model }, "model not changed"),
    setMode: (mode: string): void =>
      void control({ subtype: "set_permission_mode", mode }, "mode not changed"),
    answer: (session: string, requestId: string, payload: JsonObject): void => {
      setAnswering(requestId, { sending: true, problem: null })
      void hub.send(session, [{ ...payload, uuid: world.uuid() }]).then((result) => {
        // The card goes when the log tells that it is settled, here or elsewhere.
        if (result.ok) return
        if (result.code === "CONFLICT") {
          const problem = "Somebody else has answered first."
          setOpen(session, { notice: problem })
          setAnswering(requestId, { sending: false, problem })
        } else setAnswering(requestId, { sending: false, problem: result.message })
      })
    },
    /** The whole of a request that the list may have cut; null where the hub does not tell it. */
    request: async (session: string, seq: number): Promise<Requests.Request | null> => {
      if (seq < 1) return null
      // With what was told of its file right before it.
      const found = await Watcher.read(world.gateway, gateway, session, Math.max(0, seq - 4), seq)
      return found.ok ? Requests.at(events(found.value), seq) : null
    },
    earlier: opened.earlier,
    rename: (id: string, title: string) => changing(hub.rename(id, title)),
    archive: (id: string) => changing(hub.archive(id)),
    settings: (id: string, change: SettingsChange) => changing(hub.settings(id, change)),
    goOn: (id: string, how: Hub.GoingOn) => thenOpen(hub.goOn(id, how)),
    /** The problem, null where all have stopped. */
    stopAll: async (): Promise<string | null> => {
      const result = await hub.stopAll()
      if (!result.ok) return result.message
      const { running, stopped } = result.value
      return running === 0 ? null : `${running} of ${running + stopped} did not stop in time: try again.`
    },
    pin: (id: string): void => {
      const pinned = new Set(state().pinned)
      if (!pinned.delete(id)) pinned.add(id)
      world.store.set("pinned", JSON.stringify([...pinned]))
      set({ pinned })
    },
    dismiss: (): void => {
      const { open } = state()
      if (open !== null) setOpen(open.id, { notice: null })
    },
    devices: {
      approve: (request: PairingRequest) => thenReadDevices(devices.approve(request)),
      reject: (requestId: string) => thenReadDevices(devices.reject(requestId)),
      remove: (deviceId: string) => thenReadDevices(devices.remove(deviceId)),
      createCode: devices.createCode
    },
    hub,
    /** For what is no part of the state: the browser's push subscription. */
    call: gateway.call,
    signOut: (): void => {
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

export type Model = ReturnType<typeof make>
