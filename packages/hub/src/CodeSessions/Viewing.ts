/**
 * A viewer of a session, whatever route it came by: the log by cursor at its own pace, then what comes, with the
 * delivery states of people's messages and what is not stored in between.
 *
 * Nothing waits here for a viewer but one page of the log: a slow one costs no memory, and one that comes back goes on
 * after the last event that it read, without a gap and without a repetition. Source: spec 5 §1.
 */
import type { Subscription } from "@causeway/store/Bus"
import type { SessionUnknown, StoreUnavailable } from "@causeway/store/Errors"
import { Log, type SessionKey } from "@causeway/store/Log"
import { Sessions } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import * as Follow from "../Log/Follow.ts"
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
  /** Ends with the last event of a session that is archived. */
  readonly untilArchived: boolean
  /** Wants `session_update` events; of those that it does not want, only the position is told. Default: yes. */
  readonly updates?: boolean
  /** Wants progress as well, which is not stored. Default: yes. */
  readonly progress?: boolean
  /** Takes frames in order; completes when the viewer can take more. Never called with none. */
  readonly write: (frames: ReadonlyArray<Frame>) => Effect.Effect<void>
}

/** `own`: the viewer wants `session_update` events; of those that it does not want, only the position is told. */
const framesOf = ({ after, deliveries, events }: Follow.Page, own: boolean): ReadonlyArray<Frame> => {
  const newest = new Map(deliveries.map((change) => [change.seq, change] as const))
  const frames = deliveries
    .filter(({ seq }) => seq <= after.seq)
    .map((change) => Frames.delivery(change.uuid, change.delivery, change.deliveredAt, own))
  if (events[0] !== undefined && events[0].seq > after.seq + 1) frames.push(Frames.truncated)
  for (const event of events) {
    frames.push(
      own || event.type !== "session_update" ? Frames.stored(event, own) : Frames.position(event.seq)
    )
    const { delivery, deliveredAt } = newest.get(event.seq) ?? event
    if (delivery !== undefined && deliveredAt !== undefined)
      frames.push(Frames.delivery(event.uuid, delivery, deliveredAt, own))
  }
  return frames
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
  const follow = Effect.fn("Viewing.follow")(function* (viewer: Viewer) {
    const { after, key, until = Number.MAX_SAFE_INTEGER } = viewer
    const own = viewer.updates !== false
    return yield* Follow.follow<"until" | "archived", SessionUnknown | StoreUnavailable>(log, {
      key,
      deliveries: true,
      until,
      limit: PAGE,
      from: { seq: after, delivery: yield* deliveryCursor(key, after) },
      wakes: viewer.subscription,
      look: Effect.map(
        viewer.untilArchived
          ? Effect.map(sessions.standing(key), ({ archivedAt }) => archivedAt !== null)
          : Effect.succeed(false),
        (archived) => ({
          caughtUp: ({ seq }) => Effect.succeed(seq >= until ? "until" : archived ? "archived" : undefined)
        })
      ),
      sink: (page) => viewer.write(framesOf(page, own)),
      ephemerals:
        viewer.progress === false ? undefined : (messages) => viewer.write(messages.map(Frames.ephemeral))
    })
  })

  return { follow }
})
