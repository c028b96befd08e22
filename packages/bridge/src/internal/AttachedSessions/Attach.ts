/** Attachments: one at a time, each followed by what its end means. */
import { sessionBody } from "@causeway/protocol/Ids"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as FiberMap from "effect/FiberMap"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import { BridgeEvent } from "../../BridgeEvent.ts"
import * as Link from "../../Link.ts"
import * as Metrics from "../../Metrics.ts"
import { untilAnswered } from "../Registrar.ts"
import * as Supervised from "../Supervised.ts"
import { finish, park, release, stopWork } from "./Release.ts"
import { type Attached, aside, complain, type State } from "./State.ts"

/** Time for work that is on its way to arrive before it is asked for: an offer comes again after 5 s. */
const REOFFER = Duration.seconds(10)

/** An attachment that ended within this time was not stable. */
const UNSTABLE_MILLIS = 10_000

/** How often it is checked whether a worker that took a session is there still. */
const YIELD_CHECK = Duration.seconds(30)

/** Asks for the work of a session that is served; lets it go where the hub will not offer it again. */
export const askAgain = (state: State, session: Attached): Effect.Effect<void> => {
  const { sessionId } = session.link
  return Effect.flatMap(Ref.get(state.environment), (environmentId) =>
    state.registrar.askForWork(environmentId, sessionId, (dead, detail) =>
      aside(
        state,
        Option.match(dead, {
          onSome: (why) => finish(state, session, why),
          onNone: () => release(state, session, detail)
        })
      )
    )
  ).pipe(complain(state, "work not asked for", sessionId))
}

/**
 * Leaves a session to a worker that is attached to it. An offer would fence that worker, so the lease is kept, and
 * with it the offer away, for as long as the worker stays.
 */
const yieldTo = (state: State, session: Attached): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { sessionId } = session.link
    const attachment = yield* Ref.get(session.attachment)
    yield* park(state, session, "another worker has it")
    if (Option.isNone(attachment)) return
    const lease = yield* Effect.match(FiberHandle.get(session.lease), {
      onFailure: () => Effect.never,
      onSuccess: (fiber) => Fiber.join(fiber)
    })
    const left = untilAnswered(state.registrar.isAttached(sessionId)).pipe(
      Effect.delay(YIELD_CHECK),
      Effect.repeat({ while: (attached) => attached })
    )
    const keep = Effect.raceFirst(lease, left).pipe(
      Effect.zipRight(stopWork(state, sessionId, attachment.value)),
      Effect.catchAll(({ message }) =>
        Effect.logInfo("session watched no more").pipe(
          Effect.annotateLogs({ session: sessionId, detail: message })
        )
      ),
      Effect.ensuring(FiberHandle.clear(session.lease))
    )
    yield* FiberMap.run(state.yielded, sessionBody(sessionId), keep)
  })

/** Follows the end of an attachment. A newer attachment interrupts it. */
const afterDetached = (state: State, session: Attached, { detail, reason }: Link.Detached) =>
  Effect.gen(function* () {
    const { registrar } = state
    const { home, sessionId } = session.link
    yield* state.emit(BridgeEvent.SessionDetached({ sessionId, reason, detail }))
    yield* Metric.increment(Metric.tagged(Metrics.detachments, "reason", reason))
    if (home) yield* state.connectivity.saw({ home: false }, detail)
    const dead = yield* untilAnswered(registrar.whyDead(sessionId))
    if (Option.isSome(dead)) return yield* aside(state, finish(state, session, dead.value))
    if (reason === "lease_ended") return yield* aside(state, release(state, session, detail))
    if (reason === "superseded" || reason === "token_refused") {
      // An offer to this bridge whose answer was lost supersedes too: that one comes again by itself. Where
      // another worker is attached by then, it was meant to be, and the session is its own.
      yield* Effect.sleep(REOFFER)
      if (yield* untilAnswered(registrar.isAttached(sessionId))) {
        return yield* aside(state, yieldTo(state, session))
      }
    }
    // A hub that goes on refusing what it offers is not hammered. The schedule has no end.
    yield* Effect.ignore(session.asking.next(undefined))
    yield* askAgain(state, session)
  }).pipe(complain(state, "session not attached again", session.link.sessionId))

const leaseOf = (
  { config, poller }: State,
  attachment: Link.Attachment
): Effect.Effect<never, Link.Detached> =>
  poller.hold(attachment, config.lease === undefined ? {} : { ttl: config.lease }).pipe(
    Effect.mapError(({ message }) => new Link.Detached({ reason: "lease_lost", detail: message })),
    Effect.zipRight(new Link.Detached({ reason: "lease_ended", detail: "the hub ended the work" }))
  )

/** Works under an attachment until it ends, then does what its end asks for. */
const work = (
  state: State,
  session: Attached,
  attachment: Link.Attachment,
  lease: Fiber.Fiber<never, Link.Detached>
) =>
  Effect.gen(function* () {
    const { sessionId } = session.link
    const from = yield* Clock.currentTimeMillis
    const end = yield* session.link
      .attach(attachment, Fiber.join(lease))
      .pipe(
        Supervised.contained(
          { what: `the connection of ${sessionId} to the hub`, sessionId, emit: state.emit },
          (detail) => new Link.Detached({ reason: "refused", detail })
        )
      )
    const held = (yield* Clock.currentTimeMillis) - from
    if (held >= UNSTABLE_MILLIS) yield* session.asking.reset
    yield* afterDetached(state, session, end)
  })

export const attach = (state: State, session: Attached, attachment: Link.Attachment): Effect.Effect<void> =>
  session.turn.withPermits(1)(
    Effect.gen(function* () {
      yield* FiberHandle.clear(session.attaching)
      yield* Ref.set(session.attachment, Option.some(attachment))
      const lease = yield* FiberHandle.run(session.lease, leaseOf(state, attachment))
      yield* FiberHandle.run(session.attaching, work(state, session, attachment, lease))
    })
  )
