/** Sessions of earlier starts: the home session taken up, the others asked for, what is left over cleared away. */
import type { SessionId } from "@causeway/protocol/Ids"
import { sameSession } from "@causeway/protocol/Ids"
import type { SessionRecord } from "@causeway/runner/Journal"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import { BridgeEvent } from "../BridgeEvent.ts"
import type * as Pointer from "../Pointer.ts"
import * as AttachedSessions from "./AttachedSessions.ts"
import * as Registrar from "./Registrar.ts"
import { discard, type Running, sessionsOf } from "./Running.ts"

/**
 * The session that a start takes up as its own: the pointer's, where the bridge is perpetual or was killed while it
 * held it; else the home session that a killed bridge held.
 */
const homeCandidate = (
  perpetual: boolean,
  saved: ReadonlyArray<SessionRecord>,
  pointer: Option.Option<Pointer.Pointer>
): Option.Option<SessionId> => {
  const killed = saved.filter(({ home, state }) => home && state === "live")
  return pointer.pipe(
    Option.map(({ sessionId }) => sessionId),
    Option.filter((id) => perpetual || killed.some(({ sessionId }) => sameSession(sessionId, id))),
    Option.orElse(() => Option.fromNullable(killed.at(-1)?.sessionId))
  )
}

/** The home session to take up again; none where a new one is to be made. */
export const home = (
  running: Running,
  saved: ReadonlyArray<SessionRecord>,
  pointer: Option.Option<Pointer.Pointer>,
  environmentKept: boolean
) =>
  Effect.gen(function* () {
    const { config, emit, pointers, registrar } = running
    const candidate = homeCandidate(config.perpetual, saved, pointer)
    if (Option.isNone(candidate)) return candidate
    const sessionId = candidate.value
    const removePointer = pointers.remove(config.dir)
    if (!environmentKept) {
      yield* removePointer
      const message = `the environment of session ${sessionId} no longer exists; a new session was created`
      yield* emit(BridgeEvent.Warning({ message, sessionId }))
      return Option.none<SessionId>()
    }
    const dead = yield* Registrar.untilGivenUp(registrar.whyDead(sessionId))
    if (Option.isNone(dead)) return candidate
    yield* removePointer
    yield* discard(running, sessionId, dead.value)
    return Option.none<SessionId>()
  })

/** A session that was alive here, or that has something to say, comes back without anybody asking. */
const comeBack = (running: Running, { sessionId, state }: SessionRecord) => {
  const { attached, emit, environment, registrar } = running
  return Effect.gen(function* () {
    const { journal } = attached
    const waits =
      state === "live" ||
      (yield* journal.unconfirmed(sessionId)) > 0 ||
      (yield* journal.unanswered(sessionId)).length > 0
    if (!waits) return
    yield* registrar.askForWork(yield* Ref.get(environment), sessionId, (dead, message) =>
      Option.match(dead, {
        onSome: (why) => discard(running, sessionId, why),
        onNone: () => emit(BridgeEvent.Warning({ message, sessionId }))
      })
    )
  }).pipe(AttachedSessions.complain(attached, "session not taken up again", sessionId))
}

export const others = (running: Running, earlier: ReadonlyArray<SessionRecord>): Effect.Effect<void> =>
  Effect.forEach(earlier, (record) => comeBack(running, record), {
    concurrency: "unbounded",
    discard: true
  })

/** Worktrees of sessions that ended while nobody was here, or in the moment in which their bridge was killed. */
export const sweep = (running: Running, homeId: SessionId): Effect.Effect<void> => {
  const { attached, config, registrar } = running
  return Effect.gen(function* () {
    const apart = yield* attached.worktrees.of(config.dir)
    const known = yield* sessionsOf(running)
    for (const id of apart) {
      const record = known.find((record) => sameSession(record.sessionId, id))
      if (record === undefined) yield* AttachedSessions.cleared(attached, id)
      else if (record.state === "parked" && AttachedSessions.find(attached, id) === undefined) {
        const dead = yield* Registrar.untilGivenUp(registrar.whyDead(id))
        if (Option.isSome(dead)) yield* discard(running, id, dead.value)
      }
    }
  }).pipe(AttachedSessions.complain(attached, "worktrees not looked through", homeId))
}
