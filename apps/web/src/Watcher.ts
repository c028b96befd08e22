/**
 * Follows one session's log over the gateway: from the event after the last one that is here, and again from there after
 * every interruption, so that nothing is lost and nothing comes twice.
 */
import { array, type JsonObject, string } from "@causeway/transcript/Read"
import * as Frames from "@causeway/transcript/View/Frame"
import * as Gateway from "./Gateway.ts"

/** How a session's log is followed at this moment. */
export type Connection =
  | Exclude<Gateway.Connection, { readonly _tag: "ended" }>
  /** Nothing more is tried. */
  | { readonly _tag: "ended"; readonly reason: "unauthenticated" | "not-found" }

/** What the watcher needs of the world. */
export type World = Pick<Gateway.World, "after" | "random">

export interface Options {
  readonly session: string
  /** Position of the last event that is here already. */
  readonly from: number
  readonly onFrames: (frames: ReadonlyArray<Frames.Frame>) => void
  readonly onConnection: (connection: Connection) => void
}

export interface Watcher {
  readonly stop: () => void
}

/**
 * Asks for one watch and gives what comes of it: `onFrames` for each portion, `onEnd` once with why it ended (`lost`
 * where the connection went, or the reason of the gateway). Answers how to end it.
 */
const attempt = (
  gateway: Gateway.Gateway,
  params: JsonObject,
  on: {
    readonly open?: () => void
    readonly frames: (frames: ReadonlyArray<unknown>) => void
    readonly end: (code: string, message: string) => void
  }
): (() => void) => {
  let watch: string | null = null
  let over = false
  /** What came before the watch had a name here. */
  const early: Array<readonly [event: string, payload: JsonObject]> = []

  const end = (code: string, message: string): void => {
    if (over) return
    over = true
    unlisten()
    on.end(code, message)
  }
  const onEvent = (event: string, payload: JsonObject): void => {
    if (over || (event !== "session.frames" && event !== "session.watch.ended")) return
    if (watch === null) early.push([event, payload])
    else if (payload["watch"] !== watch) return
    else if (event === "session.frames") on.frames(array(payload["frames"]))
    else end(string(payload["reason"]) ?? "failed", string(payload["message"]) ?? "the hub ended it")
  }
  const unlisten = gateway.listen({
    event: onEvent,
    connection: (connection) => {
      if (connection._tag !== "connected") end("UNREACHABLE", "")
    }
  })
  const unwatch = (): void => {
    if (watch !== null) void gateway.call("causeway.sessions.unwatch", { watch })
  }
  void gateway.call("causeway.sessions.watch", params).then((answer) => {
    watch = answer.ok ? string(answer.value["watch"]) : null
    if (over) {
      unwatch()
      return
    }
    if (!answer.ok) {
      end(answer.code, answer.message)
      return
    }
    on.open?.()
    for (const [event, payload] of early.splice(0)) onEvent(event, payload)
  })
  return () => {
    if (over) return
    over = true
    unlisten()
    unwatch()
  }
}

/** How a log is followed while the connection is this. */
export const shown = (connection: Gateway.Connection): Connection =>
  connection._tag === "ended" ? { _tag: "ended", reason: "unauthenticated" } : connection

export const watch = (
  world: World,
  gateway: Gateway.Gateway,
  { session, onFrames, onConnection, ...options }: Options
): Watcher => {
  let last = options.from
  let failures = 0
  let cancel: () => void = () => undefined

  const start = (): void => {
    onConnection({ _tag: "connecting" })
    cancel = attempt(
      gateway,
      { sessionId: session, afterSeq: last },
      {
        open: () => onConnection({ _tag: "connected" }),
        frames: (given) => {
          failures = 0
          const frames: Array<Frames.Frame> = []
          for (const value of given) {
            const frame = Frames.read(value)
            if (frame === undefined) continue
            if (frame._tag === "Event") {
              if (frame.event.seq <= last) continue
              last = frame.event.seq
            }
            frames.push(frame)
          }
          if (frames.length > 0) onFrames(frames)
        },
        end: (code, message) => {
          if (code === "SESSION_NOT_FOUND" || code === "gone") {
            stop()
            onConnection({ _tag: "ended", reason: "not-found" })
          } else if (code !== "archived" && gateway.connection()._tag === "connected") {
            const inMillis = Gateway.backoffMillis(failures++, world.random())
            onConnection({ _tag: "reconnecting", reason: message, inMillis })
            cancel = world.after(inMillis, start)
          }
        }
      }
    )
  }
  const unlisten = gateway.listen({
    connection: (connection) => {
      cancel()
      if (connection._tag === "connected") start()
      else onConnection(shown(connection))
    }
  })
  function stop(): void {
    unlisten()
    cancel()
  }
  if (gateway.connection()._tag === "connected") start()
  else onConnection(shown(gateway.connection()))
  return { stop }
}

/** Longest silence within the reading of a part of a log. */
const READ_MILLIS = 30_000

/**
 * Reads a session's log from the event after `after` up to event `until`: in log order, with what is told of its
 * deliveries.
 */
export const read = (
  world: Pick<World, "after">,
  gateway: Gateway.Gateway,
  session: string,
  after: number,
  until: number
): Promise<Gateway.Result<ReadonlyArray<Frames.Frame>>> =>
  new Promise((resolve) => {
    const frames: Array<Frames.Frame> = []
    let calm: () => void = () => undefined
    const wait = (): void => {
      calm()
      calm = world.after(READ_MILLIS, () => {
        cancel()
        resolve(Gateway.unreachable("the hub does not answer"))
      })
    }
    const cancel = attempt(
      gateway,
      { sessionId: session, afterSeq: after, untilSeq: until },
      {
        frames: (given) => {
          wait()
          for (const value of given) {
            const frame = Frames.read(value)
            if (frame !== undefined && frame._tag !== "Ephemeral") frames.push(frame)
          }
        },
        end: (code, message) => {
          calm()
          resolve(
            code === "until" || code === "archived"
              ? { ok: true, value: frames }
              : { ok: false, code, message, details: {} }
          )
        }
      }
    )
    wait()
  })
