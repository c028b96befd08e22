/** Calls about an environment's work, with its secret. Source: spec 1 §5, spec 5 §2. */
import * as Headers from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Environments"
import type { EnvironmentId, WorkId } from "@causeway/protocol/Ids"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Backoff from "../Backoff.ts"
import { LeaseLost, WorkConflict } from "../ClientError.ts"
import * as Answer from "../internal/Answer.ts"
import * as Call from "../internal/Call.ts"
import type * as Request from "../internal/Request.ts"
import { checked, gone } from "./Calls.ts"
import { type BeatOptions, DEFAULT_TTL, type Offered, PolledItem, type PollOptions } from "./Model.ts"

const Polled = Schema.NullOr(PolledItem)

/** Time that the network may add to the time that the hub holds a poll. */
const POLL_SLACK_MILLIS = 10_000

const isState = Schema.is(Api.WorkState)

/** The lease as a 412 describes it, in our hub's form or in the published one. */
const leaseOf = (json: unknown): { readonly state?: string; readonly lastHeartbeat?: string } => {
  const found = Schema.decodeUnknownOption(Refusal)(json)
  if (Option.isNone(found)) return {}
  const current = found.value.error.details.current_state
  if (typeof current === "string") return isState(current) ? { state: current } : {}
  return {
    ...(current.state == null ? {} : { state: current.state }),
    ...(current.last_heartbeat == null ? {} : { lastHeartbeat: current.last_heartbeat })
  }
}

const Refusal = Schema.Struct({
  error: Schema.Struct({
    details: Schema.Struct({
      current_state: Schema.Union(
        Schema.String,
        Schema.Struct({
          state: Schema.optional(Schema.NullOr(Schema.String)),
          last_heartbeat: Schema.optional(Schema.NullOr(Schema.String))
        })
      )
    })
  })
})

const ask = <Path, Query, E = never>(
  caller: Request.Caller,
  environmentId: EnvironmentId,
  operation: string,
  endpoint: Request.Asked<Path, Query>,
  options: Call.Options<Path, Query, E>
) =>
  Call.environment(caller, environmentId, `Environments.${operation}`, endpoint, {
    headers: {
      [Headers.ANTHROPIC_BETA_HEADER]: caller.config.environmentsBeta,
      [Headers.WORKER_ID_HEADER]: caller.config.workerId
    },
    ...options
  })

const conflict = (workId: WorkId): Answer.Meanings<WorkConflict> => ({
  409: (answer) => new WorkConflict({ workId, operation: answer.operation, ...Answer.detailOf(answer) })
})

export const poll = (caller: Request.Caller) =>
  Effect.fn("Environments.poll")(function* (environmentId: EnvironmentId, options: PollOptions = {}) {
    yield* checked(environmentId)
    const blockMs = options.blockMs ?? 999
    const answer = yield* ask(caller, environmentId, "poll", Api.poll, {
      path: { environmentId },
      query: {
        block_ms: blockMs,
        reclaim_older_than_ms: options.reclaimOlderThanMs ?? 5_000,
        make_room: options.makeRoom === true ? "true" : undefined
      },
      timeout: Math.min(blockMs + POLL_SLACK_MILLIS, Backoff.POLL_CAP_MILLIS),
      meanings: gone(environmentId)
    })
    if (answer.text.trim() === "") return Option.none<Offered>()
    const item = yield* Answer.decode(Polled)(answer)
    if (item === null) return Option.none<Offered>()
    const { secret, ...rest } = item
    const offered: Offered = {
      item: rest,
      secret: Option.map(Option.fromNullable(secret), (text) => Redacted.make(text))
    }
    return Option.some(offered)
  })

export const ack = (caller: Request.Caller) =>
  Effect.fn("Environments.ack")(function* (environmentId: EnvironmentId, workId: WorkId) {
    yield* checked(environmentId, workId)
    yield* ask(caller, environmentId, "ack", Api.ack, {
      path: { environmentId, workId },
      body: {},
      meanings: Answer.either(gone(environmentId), conflict(workId))
    })
  })

export const heartbeat = (caller: Request.Caller) =>
  Effect.fn("Environments.heartbeat")(function* (
    environmentId: EnvironmentId,
    workId: WorkId,
    options: BeatOptions
  ) {
    yield* checked(environmentId, workId)
    // Published hubs read these from the query, others from the body.
    const guard = {
      expected_last_heartbeat: Option.getOrElse(options.expected, () => Api.NO_HEARTBEAT),
      desired_ttl_seconds: Math.round(Duration.toSeconds(options.ttl ?? DEFAULT_TTL))
    }
    const over = () => new LeaseLost({ workId, reason: "Gone" })
    const answer = yield* ask(caller, environmentId, "heartbeat", Api.heartbeat, {
      path: { environmentId, workId },
      query: guard,
      body: guard,
      meanings: Answer.either(conflict(workId), {
        404: over,
        410: over,
        412: ({ json }) => new LeaseLost({ workId, reason: "Moved", ...leaseOf(json) })
      })
    })
    return yield* Answer.decode(Api.Heartbeat)(answer)
  })

export const stop = (caller: Request.Caller) =>
  Effect.fn("Environments.stop")(function* (
    environmentId: EnvironmentId,
    workId: WorkId,
    options: { readonly force?: boolean } = {}
  ) {
    yield* checked(environmentId, workId)
    yield* ask(caller, environmentId, "stop", Api.stop, {
      path: { environmentId, workId },
      body: { force: options.force ?? false },
      // 409: stopped already.
      meanings: { ...gone(environmentId), 409: Call.done }
    })
  })
