/** Places: how many sessions are served at once, and which one sleeps so that another has room. */
import { type SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as Engine from "@causeway/runner/Engine"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import { BridgeEvent } from "../../BridgeEvent.ts"
import type * as Link from "../../Link.ts"
import * as Capacity from "../Capacity.ts"
import * as Schedules from "../Schedules.ts"
import { askAgain } from "./Attach.ts"
import { release } from "./Release.ts"
import { served, servingOf } from "./Serving.ts"
import { type Attached, aside, type State } from "./State.ts"

/** Lines and messages of a session that are on their way. */
const underWay = ({ journal }: State, sessionId: SessionId) =>
  Effect.map(
    Effect.all([journal.unanswered(sessionId), journal.unconfirmed(sessionId)]),
    ([unanswered, unconfirmed]) => unanswered.length + unconfirmed
  )

/** Sessions that hold a place, and whether they may be put to sleep. */
const places = (state: State) =>
  Effect.gen(function* () {
    const all: Array<Capacity.Place<Attached>> = []
    for (const session of state.attached.values()) {
      if (yield* Ref.get(session.asleep)) continue
      const { atWork, lastActive, sessionId } = session.link
      const works = yield* Ref.get(atWork)
      const isBusy = works === undefined || (yield* works) || (yield* underWay(state, sessionId)) > 0
      all.push({ session, isBusy, lastActive: yield* lastActive })
    }
    return all
  })

/** The agent of the home session ends, and the session stays: it takes a place again once there is something to do. */
const sleepAtHome = (state: State, session: Attached) =>
  Effect.gen(function* () {
    yield* Ref.set(session.asleep, true)
    yield* Effect.flatMap(Ref.get(session.serving), Fiber.interrupt)
    const { record } = session.link
    const woken: Engine.Serve<Link.Link> = (link) =>
      Effect.gen(function* () {
        yield* Engine.awaitWork(link)
        yield* Effect.repeat(room(state), { until: (room) => room, schedule: Schedules.roomCheck })
        yield* Ref.set(session.asleep, false)
        return yield* servingOf(state, record)(link)
      }).pipe(Effect.orDie)
    yield* Ref.set(session.serving, yield* served(state, session.link, woken))
    yield* state.emit(BridgeEvent.SessionAsleep({ sessionId: record.sessionId }))
  }).pipe(Effect.uninterruptible)

/**
 * Puts a session to sleep. What was written to it in the moment in which it was let go has either reached the journal,
 * and its work is asked for again, or has not, and the hub queues it.
 */
const sleep = (state: State, session: Attached) =>
  Effect.gen(function* () {
    const { home, sessionId } = session.link
    if (home) return yield* sleepAtHome(state, session)
    state.slept.set(sessionBody(sessionId), sessionId)
    yield* release(state, session, "it sleeps", true)
    if ((yield* underWay(state, sessionId)) > 0) yield* aside(state, askAgain(state, session))
  })

/** Whether there is a place, after one was made where that can be done. */
const room = (state: State): Effect.Effect<boolean, Effect.Effect.Error<ReturnType<typeof places>>> =>
  Effect.gen(function* () {
    const { maxSessions } = state.config
    const taken = yield* places(state)
    if (taken.length < maxSessions) return true
    const idle = Capacity.sleeper(taken, maxSessions)
    if (idle === undefined) return false
    yield* sleep(state, idle)
    return (yield* places(state)).length < maxSessions
  }).pipe(state.making.withPermits(1))

/** The same; an offer holds for a while, and a turn may end meanwhile. */
export const roomForOffer = (state: State) =>
  Effect.repeat(room(state), { until: (room) => room, schedule: Schedules.whileOffered }).pipe(
    Effect.zipRight(room(state))
  )
