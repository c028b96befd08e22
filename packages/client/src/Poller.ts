/** Work from the hub, as a stream. Source: spec 1 §5. */

import * as Elapsed from "@causeway/protocol/Elapsed"
import { type EnvironmentId, SessionId, type WorkId } from "@causeway/protocol/Ids"
import * as WorkSecret from "@causeway/protocol/WorkSecret"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Backoff from "./Backoff.ts"
import {
  type EnvironmentError,
  EnvironmentGone,
  type EnvironmentSecretMissing,
  type EnvironmentUnauthorized,
  HubUnreachable,
  IdInvalid,
  LeaseLost,
  PollGaveUp,
  type WorkConflict
} from "./ClientError.ts"
import * as Diagnostics from "./Diagnostics.ts"
import { DEFAULT_TTL, Environments, type Item, type Offered, type PollOptions } from "./Environments.ts"

/** An offered session with its secret decoded. Not acknowledged yet. */
export interface Work {
  readonly environmentId: EnvironmentId
  readonly workId: WorkId
  readonly sessionId: SessionId
  readonly item: Item
  readonly secret: WorkSecret.WorkSecret
}

/** The item is of a kind that this program does not know. */
export class WorkKindUnsupported extends Schema.TaggedError<WorkKindUnsupported>()("WorkKindUnsupported", {
  kind: Schema.String
}) {
  override get message(): string {
    return `work of kind ${JSON.stringify(this.kind)} is not supported: upgrade Causeway`
  }
}

/** Why an item cannot be done here; it was stopped. */
export type Unusable =
  | WorkSecret.WorkSecretVersionUnsupported
  | WorkSecret.WorkSecretInvalid
  | WorkKindUnsupported
  | IdInvalid

export interface PollFailure {
  readonly error: PollGaveUp["lastError"]
  /** Failures of this run so far. */
  readonly attempt: number
}

export interface Options extends PollOptions {
  /** Two polls that bring nothing start at least this far apart, lengthened at random up to 3 times; default 1 s. */
  readonly idleInterval?: Duration.DurationInput
  /** Told of each failed poll, before the wait: the bridge shows "reconnecting". */
  readonly onFailure?: (failure: PollFailure) => Effect.Effect<void>
  /** Told of the first success of all, and of the first after failures. */
  readonly onRecovery?: Effect.Effect<void>
  /** Told of each item that was stopped because it cannot be done here. */
  readonly onUnusable?: (item: Item, error: Unusable) => Effect.Effect<void>
}

/** What ends polling. An environment whose secret is not known (it was deregistered, say) is gone too. */
export type WorkError = PollGaveUp | EnvironmentUnauthorized | EnvironmentGone | IdInvalid

export interface LeaseOptions {
  /** Lease that is asked for; default 90 s. */
  readonly ttl?: Duration.DurationInput
}

/** The hub asked for the end of the work. */
export interface Stopping {
  readonly _tag: "Stopping"
}

export class Poller extends Context.Tag("@causeway/client/Poller")<
  Poller,
  {
    /**
     * Sessions offered to an environment, for ever; fails when polling cannot go on. Failures follow
     * `Backoff.poll`; one success resets it. Health checks are acknowledged and stopped here.
     */
    readonly work: (environmentId: EnvironmentId, options?: Options) => Stream.Stream<Work, WorkError>
    /**
     * Keeps an acknowledged item's lease until the hub asks for the end of the work, or the lease is lost. Beats at
     * once and then every min(ttl/2, 30 s); a failed beat is tried again after 1 s, doubling. Without one success for a
     * whole ttl the lease counts as lost (`Silent`).
     */
    readonly hold: (
      work: Pick<Work, "environmentId" | "workId">,
      options?: LeaseOptions
    ) => Effect.Effect<Stopping, HoldError>
    /**
     * Acknowledges, runs `use` while the lease holds, and stops the item at the end, whatever ended it. Where the hub
     * asks for the end, `use` is interrupted and the answer is `None`. A lost lease interrupts `use` and never calls
     * stop.
     */
    readonly run: <A, E, R>(
      work: Pick<Work, "environmentId" | "workId">,
      use: Effect.Effect<A, E, R>,
      options?: LeaseOptions
    ) => Effect.Effect<Option.Option<A>, E | HoldError | EnvironmentError | WorkConflict, R>
  }
>() {}

/** What ends a lease that nobody asked to end. */
export type HoldError = LeaseLost | EnvironmentUnauthorized | EnvironmentSecretMissing | IdInvalid

// --- Polling ---

const SESSION = "session"
const HEALTH_CHECK = "healthcheck"
const isSessionId = Schema.is(SessionId)

type Transient = PollGaveUp["lastError"]

const isTransient = (error: EnvironmentError): error is Transient =>
  error._tag === "HubUnreachable" ||
  error._tag === "RequestFailed" ||
  error._tag === "InvalidResponse" ||
  error._tag === "CredentialsUnavailable"

export const make = Effect.gen(function* () {
  const environments = yield* Environments

  const annotations = (item: Pick<Item, "environment_id" | "id">) => ({
    environment_id: item.environment_id,
    work_id: item.id
  })

  /** Ends an item; a failure is logged, since the hub offers again what was not ended. */
  const stopped = (environmentId: EnvironmentId, workId: WorkId, force: boolean) =>
    environments.stop(environmentId, workId, { force }).pipe(
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
      if (item.data.type !== SESSION)
        return yield* new WorkKindUnsupported({ kind: item.data.type.slice(0, 80) })
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

  /** The work in an offer; what cannot be done here is stopped, what asks whether anybody is there is answered. */
  const accepted = (
    environmentId: EnvironmentId,
    offered: Offered,
    options: Options
  ): Effect.Effect<Option.Option<Work>> => {
    const { item } = offered
    if (item.data.type === HEALTH_CHECK) {
      return environments
        .ack(environmentId, item.id)
        .pipe(
          Effect.ignoreLogged,
          Effect.zipRight(stopped(environmentId, item.id, false)),
          Effect.as(Option.none())
        )
    }
    return decoded(environmentId, offered).pipe(
      Effect.map(Option.some),
      Effect.catchAll((error) =>
        Diagnostics.record("work_unusable", { ...annotations(item), error: error._tag }).pipe(
          Effect.zipRight(stopped(environmentId, item.id, true)),
          Effect.zipRight(options.onUnusable?.(item, error) ?? Effect.void),
          Effect.as(Option.none())
        )
      )
    )
  }

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
    environmentId: EnvironmentId,
    options: Options,
    onAnswered: (failures: number) => Effect.Effect<void>
  ): Effect.Effect<Option.Option<Offered>, WorkError> =>
    Effect.suspend(() => {
      let failures = 0

      const failed = (error: Transient) => {
        failures++
        return Diagnostics.record("poll_fail", {
          environment_id: environmentId,
          attempt: failures,
          error: error._tag,
          status: "status" in error ? error.status : undefined
        }).pipe(Effect.zipRight(options.onFailure?.({ error, attempt: failures }) ?? Effect.void))
      }

      const attempt = environments.poll(environmentId, options).pipe(
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
            Either.Either<Option.Option<Offered>, Exclude<EnvironmentError, Transient>>,
            Transient
          > =>
            isTransient(error)
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

  const work = (environmentId: EnvironmentId, options: Options = {}): Stream.Stream<Work, WorkError> =>
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
        const offered = yield* pollUntilAnswered(environmentId, options, onAnswered)
        if (Option.isSome(offered)) return yield* accepted(environmentId, offered.value, options)
        // A hub that held the poll has done the waiting; one that answered at once is not asked in a hot loop.
        const interval = idleMillis * (1 + 2 * (yield* Random.next))
        const wait = interval - ((yield* Elapsed.millis) - begun)
        if (wait > 0) yield* Effect.sleep(Duration.millis(Math.ceil(wait)))
        return Option.none<Work>()
      })

      return Stream.filterMap(Stream.repeatEffect(next), (found) => found)
    })

  // --- Leases ---

  const hold = Effect.fn("Poller.hold")(function* (
    { environmentId, workId }: Pick<Work, "environmentId" | "workId">,
    options: LeaseOptions = {}
  ) {
    yield* Effect.annotateCurrentSpan({ "environment.id": environmentId, "work.id": workId })
    const asked = Duration.decode(options.ttl ?? DEFAULT_TTL)
    let ttlMillis = Duration.toMillis(asked)
    let expected = Option.none<string>()
    let lastSuccess = yield* Clock.currentTimeMillis
    let failures = 0
    // A beat that got no answer may have moved the heartbeat all the same.
    let inDoubt = false

    const lost = (error: LeaseLost) =>
      Effect.zipRight(
        Diagnostics.record("work_lease_lost", {
          environment_id: environmentId,
          work_id: workId,
          reason: error.reason
        }),
        error
      )

    while (true) {
      const beat = yield* Effect.either(
        environments.heartbeat(environmentId, workId, { expected, ttl: asked })
      )
      const now = yield* Clock.currentTimeMillis
      if (Either.isRight(beat)) {
        const { last_heartbeat, lease_extended, state, ttl_seconds } = beat.right
        if (state === "stopping" || state === "stopped") return { _tag: "Stopping" } as const
        if (!lease_extended) return yield* lost(new LeaseLost({ workId, reason: "Refused", state }))
        expected = Option.some(last_heartbeat)
        ttlMillis = ttl_seconds * 1_000
        lastSuccess = now
        failures = 0
        inDoubt = false
        yield* Effect.sleep(Duration.millis(Math.min(ttlMillis / 2, BEAT_MAX_MILLIS)))
        continue
      }
      const error = beat.left
      if (error._tag === "LeaseLost") {
        const { lastHeartbeat, state } = error
        const ours =
          inDoubt &&
          lastHeartbeat !== undefined &&
          (state === "starting" || state === "active") &&
          now - lastSuccess < ttlMillis
        if (!ours) return yield* lost(error)
        // Within the ttl nobody else can have the lease: it was our own unanswered beat that moved it. Once.
        expected = Option.some(lastHeartbeat)
        inDoubt = false
        continue
      }
      if (
        error._tag === "EnvironmentUnauthorized" ||
        error._tag === "EnvironmentSecretMissing" ||
        error._tag === "IdInvalid"
      ) {
        return yield* error
      }
      if (error._tag === "EnvironmentGone") return yield* lost(new LeaseLost({ workId, reason: "Gone" }))
      // 409: the item is queued or stopped; it is not ours to beat for.
      if (error._tag === "WorkConflict") return yield* lost(new LeaseLost({ workId, reason: "Refused" }))
      failures++
      inDoubt ||= error._tag === "HubUnreachable" || (error._tag === "RequestFailed" && error.status >= 500)
      yield* Diagnostics.record("work_heartbeat_fail", {
        environment_id: environmentId,
        work_id: workId,
        attempt: failures,
        error: error._tag
      })
      if (now - lastSuccess >= ttlMillis) return yield* lost(new LeaseLost({ workId, reason: "Silent" }))
      const remaining = ttlMillis - (now - lastSuccess)
      const backoff = Math.min(1_000 * 2 ** Math.min(failures - 1, 10), ttlMillis / 2, BEAT_MAX_MILLIS)
      // The last beat of a ttl comes at its end, not after it.
      yield* Effect.sleep(Duration.millis(Math.max(1, Math.min(backoff, remaining))))
    }
  })

  const run = <A, E, R>(
    item: Pick<Work, "environmentId" | "workId">,
    use: Effect.Effect<A, E, R>,
    options?: LeaseOptions
  ): Effect.Effect<Option.Option<A>, E | HoldError | EnvironmentError | WorkConflict, R> =>
    Effect.suspend(() => {
      let lost = false
      const held = hold(item, options).pipe(
        Effect.tapErrorTag("LeaseLost", () =>
          Effect.sync(() => {
            lost = true
          })
        ),
        Effect.as(Option.none<A>())
      )
      return Effect.uninterruptibleMask((restore) =>
        restore(environments.ack(item.environmentId, item.workId)).pipe(
          Effect.zipRight(
            restore(Effect.raceFirst(Effect.map(use, Option.some), held)).pipe(
              Effect.onExit((exit) =>
                lost ? Effect.void : stopped(item.environmentId, item.workId, Exit.isFailure(exit))
              )
            )
          )
        )
      )
    }).pipe(
      Effect.withSpan("Poller.run", {
        attributes: { "environment.id": item.environmentId, "work.id": item.workId }
      })
    )

  return Poller.of({ work, hold, run })
})

/** Longest time between two heartbeats. */
const BEAT_MAX_MILLIS = 30_000

export const layer: Layer.Layer<Poller, never, Environments> = Layer.effect(Poller, make)
