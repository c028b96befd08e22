/** Sessions let go: for good, or so that they may come back. */
import { type SessionId, sessionBody } from "@causeway/protocol/Ids"
import type { JournalFailed } from "@causeway/runner/Journal"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import { BridgeEvent } from "../../BridgeEvent.ts"
import type * as Link from "../../Link.ts"
import { type Attached, complain, find, type State } from "./State.ts"

/** Settles what the machine keeps of a session that has ended for good, when nobody works on it any more. */
export const cleared = ({ emit, worktrees }: State, sessionId: SessionId): Effect.Effect<void> =>
  Effect.flatMap(
    worktrees.close(sessionId),
    Option.match({
      onNone: () => Effect.void,
      onSome: ({ path, removal }) =>
        removal._tag === "Removed"
          ? Effect.void
          : emit(
              BridgeEvent.Warning({
                message: `the worktree ${path} of session ${sessionId} stays: ${removal.reason}`,
                sessionId
              })
            )
    })
  )

/** Forgets what the client services keep of a session. */
export const forget = ({ credentials, ingress }: State, id: SessionId): Effect.Effect<void> =>
  Effect.zipRight(ingress.clear(id), credentials.forgetIngressToken(id))

/** Ends the agent, then closes the link. `settle` answers with how many lines stay unsent. */
const letGo = (
  state: State,
  session: Attached,
  why: string,
  settle: Effect.Effect<number, JournalFailed>,
  asleep: boolean
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { home, sessionId } = session.link
    if (find(state, sessionId) !== session) return
    state.attached.delete(sessionBody(sessionId))
    yield* Effect.flatMap(Ref.get(session.serving), Fiber.interrupt)
    yield* Scope.close(session.scope, Exit.void)
    yield* forget(state, sessionId)
    const unsent = yield* settle
    yield* state.emit(
      asleep ? BridgeEvent.SessionAsleep({ sessionId }) : BridgeEvent.SessionEnded({ sessionId, why, unsent })
    )
    if (home) yield* state.connectivity.saw({ home: false, homeless: true }, why)
  }).pipe(Effect.uninterruptible, complain(state, "session not let go in order", session.link.sessionId))

/** Lets a session go for good. */
export const finish = (state: State, session: Attached, why: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* FiberHandle.clear(session.lease)
    const { home, sessionId } = session.link
    yield* letGo(
      state,
      session,
      why,
      Effect.zipLeft(state.journal.end(sessionId), cleared(state, sessionId)),
      false
    )
    if (home) yield* state.onHomeEnded
  })

/** Lets a session go that may come back; its lease is left as it is. */
export const park = (state: State, session: Attached, why: string, asleep = false): Effect.Effect<void> => {
  const { journal } = state
  const { sessionId } = session.link
  return letGo(
    state,
    session,
    why,
    Effect.zipRight(journal.park(sessionId), journal.unconfirmed(sessionId)),
    asleep
  )
}

export const stopWork = (state: State, sessionId: SessionId, { environmentId, workId }: Link.Attachment) =>
  state.environments
    .stop(environmentId, workId, { force: true })
    .pipe(complain(state, "work not stopped", sessionId))

/** Lets a session go that may come back. Its work item is stopped; a message that comes makes another. */
export const release = (state: State, session: Attached, why: string, asleep = false): Effect.Effect<void> =>
  Effect.gen(function* () {
    const attachment = yield* Ref.get(session.attachment)
    yield* FiberHandle.clear(session.lease)
    yield* park(state, session, why, asleep)
    if (Option.isSome(attachment)) yield* stopWork(state, session.link.sessionId, attachment.value)
  })
