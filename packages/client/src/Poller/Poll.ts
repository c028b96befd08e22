/**
 * Polls, one after another for ever: each is tried until it is answered, and what it brings that cannot be done here is
 * stopped. Source: spec 1 §5.
 */
import * as Elapsed from "@causeway/protocol/Elapsed"
import { type EnvironmentId, SessionId, type WorkId } from "@causeway/protocol/Ids"
import * as WorkSecret from "@causeway/protocol/WorkSecret"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import {
  type EnvironmentError,
  EnvironmentGone,
  HubUnreachable,
  IdInvalid,
  PollGaveUp
} from "../ClientError.ts"
import * as Diagnostics from "../Diagnostics.ts"
import type { Offered } from "../Environments.ts"
import {
  type Calls,
  type Options,
  type Unusable,
  type Work,
  type WorkError,
  WorkKindUnsupported
} from "./Model.ts"

// --- The work in an offer ---

const SESSION = "session"
const HEALTH_CHECK = "healthcheck"
const isSessionId = Schema.is(SessionId)

/** Ends an item; a failure is logged, since the hub offers again what was not ended. */
export const stopped = (calls: Calls, environmentId: EnvironmentId, workId: WorkId, force: boolean) =>
  calls.stop(environmentId, workId, { force }).pipe(
    Effect.catchAll((error) =>
      Diagnostics.record("work_stop_fail", {
        environment_id: environmentId,
        work_id: workId,
        error: error._tag
      })
    )
  )

const decoded = (environmentId: EnvironmentId, { item, secret }: Offered): Effect.Effect<Work, Unusable> =>
  Effect.gen(function* () {
    if (item.data.type !== SESSION) {
      return yield* new WorkKindUnsupported({ kind: item.data.type.slice(0, 80) })
    }
    const sessionId = item.data.id
    if (!isSessionId(sessionId)) {
      return yield* new IdInvalid({ kind: "session", shown: JSON.stringify(sessionId.slice(0, 80)) })
    }
    if (Option.isNone(secret)) return yield* new WorkSecret.WorkSecretInvalid({ issue: "there is none" })
    return {
      environmentId,
      workId: item.id,
      sessionId,
      item,
      secret: yield* WorkSecret.decode(Redacted.value(secret.value))
    }
  })

/** The work in an offer; what asks whether anybody is there is answered. */
const accept = (
  calls: Calls,
  environmentId: EnvironmentId,
  offered: Offered,
  options: Options
): Effect.Effect<Option.Option<Work>> => {
  const { item } = offered
  if (item.data.type === HEALTH_CHECK) {
    return calls
      .ack(environmentId, item.id)
      .pipe(
        Effect.ignoreLogged,
        Effect.zipRight(stopped(calls, environmentId, item.id, false)),
        Effect.as(Option.none())
      )
  }
  return decoded(environmentId, offered).pipe(
    Effect.asSome,
    Effect.catchAll((error) =>
      Diagnostics.record("work_unusable", {
        environment_id: item.environment_id,
        work_id: item.id,
        error: error._tag
      }).pipe(
        Effect.zipRight(stopped(calls, environmentId, item.id, true)),
        Effect.zipRight(options.onUnusable?.(item, error) ?? Effect.void),
        Effect.as(Option.none())
      )
    )
  )
}

// --- Polls ---

type Unanswered = PollGaveUp["lastError"]

/** Nobody has said that polling cannot go on; whatever the status, the next poll may be answered. */
const isUnanswered = (error: EnvironmentError): error is Unanswered =>
  error._tag === "HubUnreachable" ||
  error._tag === "RequestFailed" ||
  error._tag === "InvalidResponse" ||
  error._tag === "CredentialsUnavailable"

/** Polling cannot go on: recorded, and passed on. */
const ended = <E extends WorkError>(environmentId: EnvironmentId, error: E): Effect.Effect<never, E> => {
  const annotations = { environment_id: environmentId }
  const told =
    error._tag === "EnvironmentGone"
      ? Diagnostics.record("poll_environment_gone", annotations)
      : error._tag === "EnvironmentUnauthorized"
        ? Diagnostics.record("poll_unauthorized", annotations)
        : error._tag === "PollGaveUp"
          ? Diagnostics.record("poll_gave_up", { ...annotations, attempts: error.attempts })
          : Effect.void
  return Effect.zipRight(told, Effect.fail(error))
}

/** One poll, tried until it is answered; fails when polling cannot go on. */
const pollUntilAnswered = (
  calls: Calls,
  environmentId: EnvironmentId,
  options: Options,
  onAnswered: (failures: number) => Effect.Effect<void>
): Effect.Effect<Option.Option<Offered>, WorkError> =>
  Effect.suspend(() => {
    let failures = 0

    const failed = (error: Unanswered) => {
      failures++
      return Diagnostics.record("poll_fail", {
        environment_id: environmentId,
        attempt: failures,
        error: error._tag,
        status: "status" in error ? error.status : undefined
      }).pipe(Effect.zipRight(options.onFailure?.({ error, attempt: failures }) ?? Effect.void))
    }

    const attempt = calls.poll(environmentId, options).pipe(
      // Covers the refresh of the secret too: a longer attempt would count as time that the machine slept.
      Effect.timeoutFail({
        duration: Backoff.POLL_CAP_MILLIS,
        onTimeout: () =>
          new HubUnreachable({
            operation: "Environments.poll",
            reason: "Timeout",
            detail: "no answer within 60 s"
          })
      }),
      Effect.tap(() => onAnswered(failures)),
      Effect.map(Either.right),
      Effect.catchAll(
        (
          error
        ): Effect.Effect<
          Either.Either<Option.Option<Offered>, Exclude<EnvironmentError, Unanswered>>,
          Unanswered
        > =>
          isUnanswered(error)
            ? Effect.zipRight(failed(error), Effect.fail(error))
            : Effect.succeed(Either.left(error))
      )
    )

    return attempt.pipe(
      Effect.retryOrElse(Backoff.poll, (lastError, run) =>
        Effect.fail(new PollGaveUp({ environmentId, since: run.since, attempts: run.attempts, lastError }))
      ),
      Effect.flatten,
      Effect.catchTag(
        "EnvironmentSecretMissing",
        ({ message }) => new EnvironmentGone({ environmentId, detail: message })
      ),
      Effect.catchAll((error) => ended(environmentId, error))
    )
  })

export const work = (
  calls: Calls,
  environmentId: EnvironmentId,
  options: Options = {}
): Stream.Stream<Work, WorkError> =>
  Stream.suspend(() => {
    const idleMillis = Duration.toMillis(options.idleInterval ?? "1 second")
    let answered = false

    const onAnswered = (failures: number) => {
      const recovered = failures > 0 || !answered
      answered = true
      return Effect.zipRight(
        failures === 0
          ? Effect.void
          : Diagnostics.record("poll_recovered", { environment_id: environmentId, failures }, "info"),
        recovered ? (options.onRecovery ?? Effect.void) : Effect.void
      )
    }

    const next = Effect.gen(function* () {
      const begun = yield* Elapsed.millis
      const offered = yield* pollUntilAnswered(calls, environmentId, options, onAnswered)
      if (Option.isSome(offered)) return yield* accept(calls, environmentId, offered.value, options)
      // A hub that held the poll has done the waiting; one that answered at once is not asked in a hot loop.
      const interval = idleMillis * (1 + 2 * (yield* Random.next))
      const wait = interval - ((yield* Elapsed.millis) - begun)
      if (wait > 0) yield* Effect.sleep(Duration.millis(Math.ceil(wait)))
      return Option.none<Work>()
    })

    return Stream.filterMap(Stream.repeatEffect(next), (found) => found)
  })
