/** The session that is open: its log is read from near its end on and followed; what is before comes when it is asked for. */

import type { Frame } from "@causeway/transcript/View/Frame"
import * as SessionView from "@causeway/transcript/View/SessionView"
import type * as Gateway from "./Gateway.ts"
import type * as Hub from "./Hub.ts"
import { opened, pending, type Store } from "./State.ts"
import * as Watcher from "./Watcher.ts"

/** Events of a long log that are read at first; earlier ones come when they are asked for. */
export const TAIL = 3000
/** Shortest and longest time between two steps of the view: twice what the last one took, in milliseconds. */
const STEP_MIN = 16
const STEP_MAX = 1000

export const make = (
  world: Pick<Gateway.World, "after" | "now" | "random">,
  gateway: Gateway.Gateway,
  hub: Hub.Hub,
  { set, setOpen, state }: Store,
  /** There is no such session. */
  onGone: (id: string) => void
) => {
  let watcher: Watcher.Watcher | undefined
  /** Tells what belongs to the session that is open now. */
  let generation = 0
  /** Begins to follow the session as soon as there is a connection. */
  let begin: (() => Promise<void>) | undefined
  /** Frames that wait for the next step: one takes them all, however fast a long log comes in. */
  let arrived: Array<Frame> = []
  /** The generation whose next step is due; a session that was left takes none of what came for the next one. */
  let stepping: number | undefined
  let cost = 0
  const isConnected = (): boolean => gateway.connection()._tag === "connected"

  const step = (id: string, mine: number): void => {
    if (stepping === mine) return
    stepping = mine
    // A timer rather than an animation frame: a page in the background keeps its title true.
    world.after(Math.max(STEP_MIN, Math.min(STEP_MAX, cost * 2)), () => {
      if (mine !== generation) return
      stepping = undefined
      const frames = arrived
      arrived = []
      const { open } = state()
      if (open === null) return
      const began = world.now()
      setOpen(id, { view: SessionView.steps(open.view, frames) })
      cost = world.now() - began
    })
  }

  const watch = (id: string, mine: number, from: number): void => {
    watcher = Watcher.watch(world, gateway, {
      session: id,
      from,
      onFrames: (frames) => {
        if (mine !== generation) return
        arrived.push(...frames)
        step(id, mine)
      },
      onConnection: (connection) => {
        if (mine !== generation) return
        if (connection._tag === "ended" && connection.reason === "not-found") onGone(id)
        setOpen(id, { connection, connectionAt: world.now() })
      }
    })
  }

  const close = (): void => {
    generation++
    watcher?.stop()
    watcher = undefined
    begin = undefined
    arrived = []
  }

  return {
    /** Opens a session, to be read at event `seq` where it is not null. */
    open: (id: string, seq: number | null): void => {
      close()
      const mine = generation
      set({ open: opened(id, world.now()) })
      // How long the log is decides where reading begins.
      begin = async () => {
        const result = await hub.session(id)
        if (mine !== generation || (!result.ok && !isConnected())) return
        begin = undefined
        if (!result.ok) {
          watch(id, mine, 0)
          return
        }
        const session = result.value
        const last = session.last_sequence_num ?? 0
        const wanted = Math.min(
          last - TAIL,
          ...pending(session).map((approval) => (approval.sequence_num ?? last + 1) - 1),
          ...(seq === null ? [] : [seq - 1 - TAIL / 10])
        )
        const start = last > TAIL * 1.5 ? Math.max(0, Math.floor(wanted)) : 0
        setOpen(id, {
          view: SessionView.open(session, start, false),
          links: { from: session.continued_from ?? null, into: session.continued_in ?? [] }
        })
        watch(id, mine, start)
      }
      if (isConnected()) void begin()
      else setOpen(id, { connection: Watcher.shown(gateway.connection()) })
    },
    close,
    earlier: async () => {
      const { open } = state()
      if (open === null || open.loadingEarlier || open.view.window.after === 0) return
      const mine = generation
      const { after, entries } = open.view.window
      setOpen(open.id, { loadingEarlier: true })
      // Each time twice as much, so that reading all of a log stays proportional to its length.
      const from = Math.max(0, after - Math.max(TAIL, entries.length))
      const older = await Watcher.read(world, gateway, open.id, from, after)
      const now = state().open
      if (mine !== generation || now === null) return
      if (older.ok) {
        const view = SessionView.paged(now.view, "older", from, older.value)
        setOpen(open.id, { view, loadingEarlier: false })
      } else setOpen(open.id, { loadingEarlier: false, notice: `not loaded: ${older.message}` })
    },
    /** The connection to the hub has become another one. */
    onConnection: (connection: Gateway.Connection): void => {
      const { open } = state()
      if (connection._tag === "connected") void begin?.()
      else if (begin !== undefined && open !== null) {
        setOpen(open.id, { connection: Watcher.shown(connection), connectionAt: world.now() })
      }
    }
  }
}
