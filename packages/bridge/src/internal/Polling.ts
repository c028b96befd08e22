/** Polling for work; a hub that does not know the environment any more is registered with again. */
import * as Backoff from "@causeway/client/Backoff"
import * as ClientError from "@causeway/client/ClientError"
import * as Elapsed from "@causeway/protocol/Elapsed"
import type { EnvironmentId } from "@causeway/protocol/Ids"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { BridgeEvent } from "../BridgeEvent.ts"
import type * as Lifecycle from "../Lifecycle.ts"
import * as AttachedSessions from "./AttachedSessions.ts"
import { background, openHome, type Running } from "./Running.ts"

/** A secret that is refused this soon after registering will be refused again. */
const SECRET_GRACE = Duration.minutes(1)

/** Polling has ended for good: why, and what a person can do. */
class GaveUp extends Data.TaggedError("GaveUp")<{
  readonly reason: Lifecycle.FailureReason
  readonly detail: string
  readonly nextStep: string
}> {}

const outage = (detail: string) =>
  new GaveUp({
    reason: "gave_up",
    detail,
    nextStep: "start again when the hub is reachable; the session is kept"
  })

const pollOnce = ({ attached, config, connectivity, emit, environment, poller }: Running) =>
  Effect.flatMap(Ref.get(environment), (environmentId) =>
    poller
      .work(environmentId, {
        ...config.poll,
        blockMs: config.poll?.blockMs ?? 25_000,
        makeRoom: true,
        onFailure: ({ error, attempt }) =>
          connectivity.saw({ polls: false }, error.message, Backoff.pollDelay(attempt)),
        onRecovery: connectivity.saw({ polls: true }, "waiting for the session's work"),
        onUnusable: (item, error) =>
          emit(
            BridgeEvent.Warning({
              message: `work ${item.id} cannot be done here: ${error.message}`,
              sessionId: undefined
            })
          )
      })
      .pipe(Stream.runForEach((work) => AttachedSessions.accept(attached, work)))
  )

/** The hub gave this directory another environment: the home session is replaced, the others move. */
const moveTo = (running: Running, environmentId: EnvironmentId) =>
  Effect.gen(function* () {
    const { attached, config, registrar, sessions } = running
    const old = yield* Ref.get(running.home)
    const title = yield* config.currentTitle ?? Effect.succeed(config.title)
    const sessionId = yield* registrar.create(environmentId, title)
    if (old !== undefined) {
      const { sessionId } = old.link
      yield* sessions
        .archive(sessionId)
        .pipe(AttachedSessions.complain(attached, "session not archived", sessionId))
      yield* AttachedSessions.finish(
        attached,
        old,
        "its environment no longer exists; a new session replaces it"
      )
    }
    for (const { link } of attached.attached.values()) {
      yield* attached.journal.moved(link.sessionId, environmentId)
    }
    yield* openHome(running, sessionId, environmentId, false)
  })

/** Registers again asking for the same environment; keeps the sessions if it comes back. */
const registerAgain = (running: Running) =>
  Effect.gen(function* () {
    const { attached, environment, registrar } = running
    const before = yield* Ref.get(environment)
    const { environmentId } = yield* registrar.register(before)
    yield* Ref.set(environment, environmentId)
    const kept = [...attached.attached.values()]
    if (environmentId !== before) yield* moveTo(running, environmentId)
    for (const session of kept) {
      if (AttachedSessions.find(attached, session.link.sessionId) !== session) continue
      yield* background(running, "the asking for work", AttachedSessions.askAgain(attached, session))
    }
  }).pipe(
    Effect.mapError((error) => {
      if (ClientError.isTransient(error)) return outage(error.message)
      switch (error._tag) {
        case "AccessTokenMissing":
        case "OrganizationMissing":
        case "Unauthorized":
          return new GaveUp({
            reason: "credentials_rejected",
            detail: error.message,
            nextStep: "give a valid token with --token-file or CAUSEWAY_TOKEN, then start again"
          })
        default:
          return new GaveUp({
            reason: "protocol",
            detail: error.message,
            nextStep: "look at the log (--log-level debug), then start again"
          })
      }
    })
  )

/** One registration's polling: ends where the environment must be registered again. */
const untilUnregistered = (running: Running, registeredAt: number) =>
  Effect.forever(pollOnce(running)).pipe(
    Effect.catchAll((error) =>
      Effect.gen(function* () {
        const { message } = error
        if (error._tag === "PollGaveUp") return yield* outage(message)
        if (error._tag === "IdInvalid") {
          return yield* new GaveUp({
            reason: "protocol",
            detail: message,
            nextStep: "use the same version of Causeway on both sides"
          })
        }
        yield* running.connectivity.saw({ polls: false }, message)
        const since = (yield* Elapsed.millis) - registeredAt
        if (error._tag === "EnvironmentUnauthorized" && since < Duration.toMillis(SECRET_GRACE)) {
          return yield* new GaveUp({
            reason: "credentials_rejected",
            detail: message,
            nextStep: "stop any other bridge of this directory, or give a valid token with --token-file"
          })
        }
      })
    )
  )

/** Polls until it is given up. */
export const run = (running: Running): Effect.Effect<void> =>
  Elapsed.millis.pipe(
    Effect.flatMap((registeredAt) => untilUnregistered(running, registeredAt)),
    Effect.zipRight(registerAgain(running)),
    Effect.forever,
    Effect.catchAll(({ detail, nextStep, reason }) => running.connectivity.giveUp(reason, detail, nextStep))
  )
