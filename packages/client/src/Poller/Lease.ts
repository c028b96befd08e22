/** The lease of an acknowledged item. Source: spec 1 §5, spec 5 §2. */
import type { Heartbeat } from "@causeway/protocol/http/Environments"
import type { EnvironmentId, WorkId } from "@causeway/protocol/Ids"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Backoff from "../Backoff.ts"
import { type EnvironmentError, type EnvironmentGone, LeaseLost, type WorkConflict } from "../ClientError.ts"
import * as Diagnostics from "../Diagnostics.ts"
import { DEFAULT_TTL } from "../Environments.ts"
import type { Calls, HoldError, LeaseOptions, Stopping, Work } from "./Model.ts"
import { stopped } from "./Poll.ts"

type Held = Pick<Work, "environmentId" | "workId">

/** A lease as its holder knows it. */
interface Lease {
  readonly calls: Calls
  readonly environmentId: EnvironmentId
  readonly workId: WorkId
  readonly asked: Duration.Duration
  ttlMillis: number
  /** The last heartbeat that the hub has told of. */
  expected: Option.Option<string>
  lastSuccess: number
  /** Beats that failed in a row. */
  failures: number
  /** A beat that got no answer may have moved the heartbeat all the same. */
  inDoubt: boolean
}

/** A beat that may be tried again. */
class BeatFailed extends Data.TaggedError("BeatFailed")<Backoff.BeatLoss> {}

const lost = ({ environmentId, workId }: Lease, error: LeaseLost) =>
  Effect.zipRight(
    Diagnostics.record("work_lease_lost", {
      environment_id: environmentId,
      work_id: workId,
      reason: error.reason
    }),
    error
  )

/** The hub says that somebody else has beaten; within the ttl that can only have been our own unanswered beat. Once. */
const moved = (lease: Lease, error: LeaseLost): Effect.Effect<Beat, HoldError | BeatFailed> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { lastHeartbeat, state } = error
    const ours =
      lease.inDoubt &&
      (state === "starting" || state === "active") &&
      now - lease.lastSuccess < lease.ttlMillis
    if (lastHeartbeat === undefined || !ours) return lost(lease, error)
    lease.expected = Option.some(lastHeartbeat)
    lease.inDoubt = false
    return beat(lease)
  })

/** No answer that ends the lease: it is tried again until the lease is over. */
const failed = (lease: Lease, error: Exclude<EnvironmentError, HoldError | EnvironmentGone>) =>
  Effect.gen(function* () {
    const { environmentId, ttlMillis, workId } = lease
    lease.failures++
    lease.inDoubt ||=
      error._tag === "HubUnreachable" || (error._tag === "RequestFailed" && error.status >= 500)
    yield* Diagnostics.record("work_heartbeat_fail", {
      environment_id: environmentId,
      work_id: workId,
      attempt: lease.failures,
      error: error._tag
    })
    const remainingMillis = ttlMillis - ((yield* Clock.currentTimeMillis) - lease.lastSuccess)
    if (remainingMillis <= 0) return yield* lost(lease, new LeaseLost({ workId, reason: "Silent" }))
    return yield* new BeatFailed({ ttlMillis, remainingMillis })
  })

/** Answer to a beat: the lease is extended, or the hub asks for the end of the work. */
type Beat =
  | { readonly _tag: "Extended"; readonly ttlMillis: number }
  | (Stopping & { readonly ttlMillis: number })

const answered = (lease: Lease, answer: Heartbeat) =>
  Effect.gen(function* () {
    const { workId } = lease
    const { last_heartbeat, lease_extended, state, ttl_seconds } = answer
    const ttlMillis = ttl_seconds * 1_000
    if (state === "stopping" || state === "stopped") return { _tag: "Stopping", ttlMillis } as const
    if (!lease_extended) return yield* lost(lease, new LeaseLost({ workId, reason: "Refused", state }))
    lease.expected = Option.some(last_heartbeat)
    lease.ttlMillis = ttlMillis
    lease.lastSuccess = yield* Clock.currentTimeMillis
    lease.failures = 0
    lease.inDoubt = false
    return { _tag: "Extended", ttlMillis } as const
  })

const refused = (
  lease: Lease,
  error: EnvironmentError | LeaseLost | WorkConflict
): Effect.Effect<Beat, HoldError | BeatFailed> => {
  const { workId } = lease
  switch (error._tag) {
    case "LeaseLost":
      return moved(lease, error)
    case "EnvironmentGone":
      return lost(lease, new LeaseLost({ workId, reason: "Gone" }))
    // 409: the item is queued or stopped; it is not ours to beat for.
    case "WorkConflict":
      return lost(lease, new LeaseLost({ workId, reason: "Refused" }))
    case "EnvironmentUnauthorized":
    case "EnvironmentSecretMissing":
    case "IdInvalid":
      return Effect.fail(error)
    default:
      return failed(lease, error)
  }
}

/** One beat. */
const beat = (lease: Lease): Effect.Effect<Beat, HoldError | BeatFailed> =>
  Effect.suspend(() => {
    const { asked, calls, environmentId, expected, workId } = lease
    return Effect.matchEffect(calls.heartbeat(environmentId, workId, { expected, ttl: asked }), {
      onFailure: (error) => refused(lease, error),
      onSuccess: (answer) => answered(lease, answer)
    })
  })

/** Only a beat that failed is tried again. */
const retrying = Schedule.mapInput(Backoff.beat, (error: HoldError | BeatFailed) =>
  error._tag === "BeatFailed" ? error : { ttlMillis: 0, remainingMillis: 0 }
)

export const hold = (calls: Calls) =>
  Effect.fn("Poller.hold")(function* ({ environmentId, workId }: Held, options: LeaseOptions = {}) {
    yield* Effect.annotateCurrentSpan({ "environment.id": environmentId, "work.id": workId })
    const asked = Duration.decode(options.ttl ?? DEFAULT_TTL)
    const lease: Lease = {
      calls,
      environmentId,
      workId,
      asked,
      ttlMillis: Duration.toMillis(asked),
      expected: Option.none(),
      lastSuccess: yield* Clock.currentTimeMillis,
      failures: 0,
      inDoubt: false
    }
    yield* beat(lease).pipe(
      Effect.retry({ schedule: retrying, while: (error) => error._tag === "BeatFailed" }),
      Effect.catchTag("BeatFailed", () => Effect.dieMessage("Backoff.beat has no end")),
      Effect.repeat({ schedule: Backoff.beats<Beat>(), until: ({ _tag }) => _tag === "Stopping" })
    )
    return { _tag: "Stopping" } satisfies Stopping
  })

export const run =
  (calls: Calls) =>
  <A, E, R>(
    { environmentId, workId }: Held,
    use: Effect.Effect<A, E, R>,
    options?: LeaseOptions
  ): Effect.Effect<Option.Option<A>, E | HoldError | EnvironmentError | WorkConflict, R> =>
    Effect.suspend(() => {
      let isLost = false
      const held = hold(calls)({ environmentId, workId }, options).pipe(
        Effect.tapErrorTag("LeaseLost", () =>
          Effect.sync(() => {
            isLost = true
          })
        ),
        Effect.as(Option.none<A>())
      )
      return Effect.uninterruptibleMask((restore) =>
        restore(calls.ack(environmentId, workId)).pipe(
          Effect.zipRight(
            restore(Effect.raceFirst(Effect.asSome(use), held)).pipe(
              Effect.onExit((exit) =>
                isLost ? Effect.void : stopped(calls, environmentId, workId, Exit.isFailure(exit))
              )
            )
          )
        )
      )
    }).pipe(
      Effect.withSpan("Poller.run", { attributes: { "environment.id": environmentId, "work.id": workId } })
    )
