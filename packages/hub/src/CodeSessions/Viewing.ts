/**
 * How a viewer reads a session, whatever door it came by: the log by cursor at its own pace, then what comes, with the
 * delivery states of people's messages and what is not stored in between.
 *
 * Nothing waits here for a viewer but one page of the log: a slow one costs no memory, and one that comes back goes on
 * after the last event that it read, without a gap and without a repetition. Source: spec 5 §1.
 */
import type { Subscription } from "@causeway/store/Bus"
import type { SessionUnknown, StoreUnavailable } from "@causeway/store/Errors"
import { type DeliveryChange, Log, type SessionKey, type StoredEvent } from "@causeway/store/Log"
import { Sessions } from "@causeway/store/Sessions"
import * as Effect from "effect/Effect"
import type { Frame } from "../Streams/EventStream.ts"
import * as Frames from "./Frames.ts"

/** Events that are read, and at most as many and their states written, at a time. */
export const PAGE = 64

export interface Viewer {
  readonly key: SessionKey
  /** Subscribed before anything was read, so that nothing falls between. */
  readonly subscription: Subscription
  /** The last event that it has. */
  readonly after: number
  /** Ends with this event. Default: never. */
  readonly until?: number | undefined
  /** Whether it ends with the last event of a session that is archived. */
  readonly untilArchived: boolean
  /** Wants `session_update` events; of those that it does not want, only the position is told. Default: yes. */
  readonly updates?: boolean
  /** Whether it wants what is not stored as well. Default: yes. */
  readonly progress?: boolean
  /** Takes frames in order; completes when the viewer can take more. Never called with none. */
  readonly write: (frames: ReadonlyArray<Frame>) => Effect.Effect<void>
}

export const make = Effect.gen(function* () {
  const log = yield* Log
  const sessions = yield* Sessions

  /** The number of the last delivery change that a viewer which has read up to `seq` has surely been told of. */
  const deliveryCursor = (key: SessionKey, seq: number) =>
    Effect.gen(function* () {
      if (seq === 0) return 0
      const [event] = yield* log.read({ ...key, after: seq - 1, limit: 1 })
      if (event === undefined) return 0
      // A viewer is told of changes before it is told of later events.
      return yield* log.deliveriesBefore({ ...key, at: event.createdAt })
    })

  /** Serves a viewer until its end, and answers why it ended. */
  const follow = (viewer: Viewer): Effect.Effect<"until" | "archived", SessionUnknown | StoreUnavailable> =>
    Effect.gen(function* () {
      const { key, subscription } = viewer
      const until = viewer.until ?? Number.MAX_SAFE_INTEGER
      let after = viewer.after
      let told = yield* deliveryCursor(key, after)
      while (after < until) {
        // Looked at before the log is read: what it then has is all there will be.
        const archived = viewer.untilArchived && (yield* sessions.get(key)).archivedAt !== undefined
        for (;;) {
          const events: ReadonlyArray<StoredEvent> = yield* log.read({ ...key, after, limit: PAGE })
          const changes: ReadonlyArray<DeliveryChange> = yield* log.deliveries({
            ...key,
            after: told,
            limit: PAGE
          })
          const newest = new Map(changes.map((change) => [change.seq, change] as const))
          const frames: Array<Frame> = []
          for (const change of changes) {
            if (change.seq <= after) {
              frames.push(
                Frames.delivery(change.uuid, change.delivery, change.deliveredAt, viewer.updates !== false)
              )
            }
          }
          if (events[0] !== undefined && events[0].seq > after + 1) frames.push(Frames.truncated)
          for (const event of events) {
            if (event.seq > until) break
            frames.push(
              viewer.updates === false && event.type === "session_update"
                ? Frames.position(event.seq)
                : Frames.stored(event)
            )
            const change = newest.get(event.seq)
            const state = change?.delivery ?? event.delivery
            const at = change?.deliveredAt ?? event.deliveredAt
            if (state !== undefined && at !== undefined)
              frames.push(Frames.delivery(event.uuid, state, at, viewer.updates !== false))
          }
          if (frames.length > 0) yield* viewer.write(frames)
          after = events.at(-1)?.seq ?? after
          told = changes.at(-1)?.no ?? told
          if (after >= until) return "until"
          if (events.length < PAGE && changes.length < PAGE) break
        }
        if (archived) return "archived"
        for (let changed = false; !changed; ) {
          const signal = yield* subscription.take
          if (signal.ephemerals.length > 0 && viewer.progress !== false)
            yield* viewer.write(signal.ephemerals.map(Frames.ephemeral))
          changed = signal.changed
        }
      }
      return "until"
    })

  return { follow }
})
