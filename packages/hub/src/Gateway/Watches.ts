/**
 * The watches of one connection: each follows one session for as long as both sides want, and no longer than the
 * connection. Their frames go out at the client's pace, in the order of the log; nothing of them is dropped but what is
 * not stored.
 */
import type { Bus } from "@causeway/store/Bus"
import type { SessionUnknown, StoreUnavailable } from "@causeway/store/Errors"
import type { SessionKey } from "@causeway/store/Log"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Frames from "../CodeSessions/Frames.ts"
import type * as Viewing from "../CodeSessions/Viewing.ts"
import type { Frame } from "../Streams/EventStream.ts"
import type { Connection } from "./Connections.ts"
import * as ListWatch from "./ListWatch.ts"

/** Watches that one connection may have at once. */
export const MAX_WATCHES = 16

/** Text of frames that goes out in one event, in UTF-16 units; a larger frame goes alone. */
const EVENT_UNITS = 256 * 1024

/** The part of a log that a watch shows: everything after `after`, and no more than up to `until`. */
export interface Watched {
  readonly key: SessionKey
  readonly after: number
  readonly until: number | undefined
}

/** Frames as the texts of `session.frames` events, each payload as it is stored. */
export const events = (watch: string, frames: ReadonlyArray<Frame>): ReadonlyArray<string> => {
  const head = `{"type":"event","event":"session.frames","payload":{"watch":${JSON.stringify(watch)},"frames":[`
  const out: Array<string> = []
  let body = ""
  for (const frame of frames) {
    const text = Frames.toJson(frame)
    if (body !== "" && body.length + text.length > EVENT_UNITS) {
      out.push(`${head}${body}]}}`)
      body = ""
    }
    body = body === "" ? text : `${body},${text}`
  }
  if (body !== "") out.push(`${head}${body}]}}`)
  return out
}

/** The list's place among the fibers; a watch of a session has a uuid. */
const LIST = "list"

/** Why a watch ended by itself. */
export interface Ended {
  readonly reason: "until" | "archived" | "gone" | "failed"
  readonly message?: string
}

const endedBy = (error: SessionUnknown | StoreUnavailable): Effect.Effect<Ended> =>
  error._tag === "SessionUnknown"
    ? Effect.succeed({ reason: "gone", message: error.message })
    : Effect.as(
        Effect.logError("a watch cannot read its log").pipe(Effect.annotateLogs({ cause: error.cause })),
        { reason: "failed", message: error.message }
      )

/** Services that watches stand on. */
export interface Sources {
  readonly bus: Bus["Type"]
  readonly follow: Effect.Effect.Success<typeof Viewing.make>["follow"]
  readonly rows: ListWatch.Rows<unknown>
}

/** The watches of a connection; they end with the scope. */
export const make = (connection: Connection, { bus, follow, rows }: Sources) =>
  Effect.gen(function* () {
    const fibers = yield* FiberMap.make<string>()
    const places = new Set<string>()

    const run = (id: string, { key, after, until }: Watched) =>
      Effect.gen(function* () {
        const subscription = yield* bus.subscribe(`session:${key.session}`)
        const ended: Ended = yield* follow({
          key,
          subscription,
          after,
          until,
          untilArchived: true,
          write: (frames) =>
            Effect.forEach(events(id, frames), (text) => connection.paced(text), { discard: true })
        }).pipe(
          Effect.map((reason): Ended => ({ reason })),
          Effect.catchAll(endedBy),
          Effect.catchAllDefect((defect) =>
            Effect.as(Effect.logError("a watch failed", defect), {
              reason: "failed" as const,
              message: "the watch failed; the hub's log says why"
            })
          )
        )
        places.delete(id)
        yield* connection.paced(
          JSON.stringify({ type: "event", event: "session.watch.ended", payload: { watch: id, ...ended } })
        )
      }).pipe(
        Effect.scoped,
        Effect.ensuring(Effect.sync(() => places.delete(id))),
        Effect.withSpan("Gateway.watch", { attributes: { session: key.session } })
      )

    const list = Effect.scoped(Effect.flatten(ListWatch.make(connection, bus, rows)))

    /** Keeps a place for a watch that is started next; false where there are as many as may be. */
    const reserve = (id: string): boolean => {
      if (places.size >= MAX_WATCHES) return false
      places.add(id)
      return true
    }

    /** Begins to send, in a fiber of the connection's. */
    const start = (id: string, watched: Watched) => Effect.asVoid(FiberMap.run(fibers, id, run(id, watched)))

    /** Ends it; no frame is sent from then on. False: there is none of this id. */
    const stop = (id: string) =>
      Effect.suspend(() =>
        places.delete(id) ? Effect.as(FiberMap.remove(fibers, id), true) : Effect.succeed(false)
      )

    /** Sends the rows of sessions that change from now on, see `ListWatch`. */
    const startList = Effect.asVoid(FiberMap.run(fibers, LIST, list, { onlyIfMissing: true }))

    return { reserve, start, stop, startList, stopList: FiberMap.remove(fibers, LIST) }
  })

export type Watches = Effect.Effect.Success<ReturnType<typeof make>>
