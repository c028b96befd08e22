/** What a hub is told of the worker: that it is there, how far messages have come, what the agent is doing. */
import * as ClientError from "@causeway/client/ClientError"
import type * as CodeSession from "@causeway/client/CodeSession"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { BridgeEvent } from "../../BridgeEvent.ts"
import type { Detached } from "../Detached.ts"
import {
  type Attachment,
  ignoreRefusal,
  POST_MAX,
  type Registered,
  retryTransient,
  type State,
  target
} from "./State.ts"

/** Time to the next heartbeat after one that was refused. Source: spec 5 §1. */
const HEARTBEAT = Duration.seconds(20)

/** Life of a token that does not tell. Source: spec 5 §1 (4 h). */
const TOKEN_LIFE = Duration.hours(4)

const Claims = Schema.parseJson(Schema.Struct({ exp: Schema.Number, iat: Schema.optional(Schema.Number) }))

/** How long a token lives from `now`, read from its claims without trusting them: only to choose when to refresh. */
export const lifeOf = (token: Redacted.Redacted, now: number): Duration.Duration =>
  Option.fromNullable(Redacted.value(token).split(".")[1]).pipe(
    Option.flatMap((claims) => Either.getRight(Encoding.decodeBase64UrlString(claims))),
    Option.flatMap(Schema.decodeOption(Claims)),
    // From when it was issued, by the clock that issued it: this machine's may be another, or be set meanwhile.
    Option.map(({ exp, iat }) =>
      Duration.millis(Math.max(exp * 1000 - (iat === undefined ? now : iat * 1000), 0))
    ),
    Option.getOrElse(() => TOKEN_LIFE)
  )

/** Whether an answer says that a session is not to be found at this address; an outage says nothing of the kind. */
const mayBeElsewhere = (error: CodeSession.WorkerError): boolean => {
  switch (error._tag) {
    case "SessionNotFound":
    case "IngressTokenRejected":
    case "RequestFailed":
      return true
    case "HubUnreachable":
      return error.reason === "Intermediary" && (error.status === 404 || error.status === 405)
    default:
      return false
  }
}

/** The same, where people wait for it: they are told why it does not arrive, once for each reason. */
export const arriving = <A>(
  { onEvent, sessionId }: State,
  effect: Effect.Effect<A, CodeSession.WorkerError>
): Effect.Effect<A, Detached> => {
  let told = ""
  return retryTransient(
    Effect.tapError(effect, (error) => {
      if (!ClientError.isTransient(error) || error.message === told) return Effect.void
      told = error.message
      return onEvent(BridgeEvent.AttachDelayed({ sessionId, why: error.message }))
    })
  )
}

/**
 * Registers at the hub that this bridge was given, by the address that it was given; where the session is not there,
 * at the address that came with the work. The hub may not know how others reach it.
 */
export const register = ({ codeSession, sessionId }: State, attachment: Attachment) => {
  const at = (apiBaseUrl: string | undefined) =>
    Effect.map(codeSession.register({ sessionId, apiBaseUrl }), (epoch) => ({
      epoch,
      attachment: { ...attachment, apiBaseUrl }
    }))
  const { apiBaseUrl } = attachment
  return apiBaseUrl === undefined
    ? at(undefined)
    : Effect.catchIf(at(undefined), mayBeElsewhere, (error) => Effect.mapError(at(apiBaseUrl), () => error))
}

/** Runs to its end although the fiber that asks is being interrupted; given up after 2 s. */
export const tellGone = (state: State, { attachment, epoch }: Registered): Effect.Effect<void> =>
  state.codeSession.putWorker(target(state, attachment), { epoch, connection: "disconnected" }).pipe(
    Effect.interruptible,
    Effect.timeout("2 seconds"),
    Effect.catchAll((error) =>
      Effect.logDebug("not told that the worker is gone").pipe(Effect.annotateLogs({ detail: String(error) }))
    ),
    Effect.forkDaemon,
    Effect.flatMap(Fiber.await),
    Effect.asVoid
  )

/** Events whose deliveries are told at once: two steps of each at most. */
const REPORTED_EVENTS = POST_MAX / 2

/** Deliveries. */
export const report = (state: State, { attachment, epoch }: Registered): Effect.Effect<never, Detached> =>
  Effect.gen(function* () {
    const { codeSession, journal, retryForever, sessionId, toReport } = state
    const reports = yield* retryForever(journal.reports(sessionId, REPORTED_EVENTS))
    const told = (some: typeof reports) =>
      ignoreRefusal(
        state,
        "delivery",
        codeSession.postDelivery(
          target(state, attachment),
          epoch,
          // The hub knows itself that a message was taken back, unless it is told that it was begun.
          some.map(({ eventId, status }) => ({
            eventId,
            status: status === "withdrawn" ? "processed" : status
          }))
        )
      )
    // One that the hub refuses for good is not known there and is not reported again; the others are.
    if (reports.length > 0 && Option.isNone(yield* told(reports)) && reports.length > 1) {
      yield* Effect.forEach(reports, (one) => told([one]), { discard: true })
    }
    if (reports.length === 0) yield* Queue.take(toReport)
    else yield* retryForever(journal.reported(sessionId, reports))
  }).pipe(Effect.forever)

/** What the agent is doing, whenever that changes. */
export const tellStatus = (state: State, { attachment, epoch }: Registered): Effect.Effect<never, Detached> =>
  Effect.gen(function* () {
    const { codeSession, status, toState } = state
    yield* Queue.take(toState)
    yield* retryTransient(
      codeSession.putWorker(target(state, attachment), { epoch, status: yield* Ref.get(status) })
    )
  }).pipe(Effect.forever)

export const beat = (state: State, { attachment, epoch }: Registered): Effect.Effect<never, Detached> =>
  ignoreRefusal(state, "heartbeat", state.codeSession.heartbeat(target(state, attachment), epoch)).pipe(
    Effect.flatMap((next) => Effect.sleep(Option.getOrElse(next, () => HEARTBEAT))),
    Effect.forever
  )

/** Gets a new token at half of the life of each. */
export const refresh = (state: State, { attachment }: Registered): Effect.Effect<never, Detached> =>
  Effect.gen(function* () {
    const first = lifeOf(attachment.token, yield* Clock.currentTimeMillis)
    return yield* Effect.iterate(first, {
      while: () => true,
      body: (life) =>
        Effect.zipRight(
          Effect.sleep(Duration.max(Duration.times(life, 0.5), Duration.seconds(10))),
          retryTransient(state.codeSession.refreshToken(target(state, attachment)))
        )
    }).pipe(Effect.zipRight(Effect.never))
  })
