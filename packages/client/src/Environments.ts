/** Environments and their work items, call by call. Source: spec 1 §5, spec 5 §2. */

import * as Headers from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Environments"
import type { EnvironmentId, SessionId, WorkId } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Backoff from "./Backoff.ts"
import type { ClientConfig } from "./ClientConfig.ts"
import {
  type AccessError,
  type EnvironmentError,
  EnvironmentGone,
  EnvironmentUnauthorized,
  LeaseLost,
  SessionConflict,
  SessionNotFound,
  WorkConflict
} from "./ClientError.ts"
import type { Credentials } from "./Credentials.ts"
import * as Call from "./internal/Call.ts"

/** What a bridge says of itself when it registers. */
export interface Registration {
  readonly machineName: string
  readonly directory: string
  readonly branch?: string | undefined
  readonly gitRepoUrl?: string | undefined
  /** How many sessions run at once; default 1. */
  readonly maxSessions?: number
  /** Opaque; sent as `metadata.worker_type`. */
  readonly workerType: string
  /** More metadata, beside `worker_type`. */
  readonly metadata?: JsonObject
  /** Take this environment up again; the hub answers with another one when it is gone. */
  readonly reuseEnvironmentId?: EnvironmentId | undefined
}

export interface Registered {
  readonly environmentId: EnvironmentId
  readonly secret: Redacted.Redacted
  /** Whether the environment asked for by `reuseEnvironmentId` came back. */
  readonly reused: boolean
}

export interface PollOptions {
  /** How long the hub may hold the poll, 1 to 25,000 ms; default 999, the most a published hub allows. */
  readonly blockMs?: number
  /** Offer again what was not acknowledged for this long; default 5,000 ms. */
  readonly reclaimOlderThanMs?: number
  /** The poller puts idle sessions to sleep for what it is offered beyond its places. */
  readonly makeRoom?: boolean
}

export interface BeatOptions {
  /** `last_heartbeat` of the last answer, echoed exactly; `None` before the first. */
  readonly expected: Option.Option<string>
  /** Lease asked for; the hub clamps it to 10–600 s; default 90 s. */
  readonly ttl?: Duration.DurationInput
}

export interface ListOptions {
  readonly limit?: number
  readonly cursor?: string
  readonly archived?: "true" | "false" | "all"
}

/** Lease that is asked for where nothing else is. Source: spec 5 §2. */
export const DEFAULT_TTL: Duration.Duration = Duration.seconds(90)

/** A work item whose secret has been taken out of it. */
export interface Item extends Omit<typeof PolledItem.Type, "secret"> {}

/** What a poll brought: the item, and its secret still encoded. */
export interface Offered {
  readonly item: Item
  readonly secret: Option.Option<Redacted.Redacted>
}

/**
 * Calls of an environment. `register`, `deregister`, `reconnect`, `list` and `get` go with the access token, the
 * others with the environment's secret, which `register` stores in `Credentials`. Every call is one attempt, bounded
 * by a timeout, with at most one refresh of a refused token. Retrying is the caller's (`Poller`, `Backoff`).
 */
export class Environments extends Context.Tag("@causeway/client/Environments")<
  Environments,
  {
    readonly register: (registration: Registration) => Effect.Effect<Registered, AccessError>
    /** Idempotent: an environment that is gone counts as deregistered. Forgets its secret. */
    readonly deregister: (environmentId: EnvironmentId) => Effect.Effect<void, AccessError>
    /** Asks for the session's work to be offered again. */
    readonly reconnect: (
      environmentId: EnvironmentId,
      sessionId: SessionId
    ) => Effect.Effect<void, AccessError | EnvironmentGone | SessionNotFound | SessionConflict>
    readonly get: (
      environmentId: EnvironmentId
    ) => Effect.Effect<Api.Environment, AccessError | EnvironmentGone>
    readonly list: (
      options?: ListOptions
    ) => Effect.Effect<
      { readonly data: ReadonlyArray<Api.Environment>; readonly nextCursor: Option.Option<string> },
      AccessError
    >
    /** One long poll; `None`: no work. Bounded by `blockMs` + 10 s, at most 60 s. */
    readonly poll: (
      environmentId: EnvironmentId,
      options?: PollOptions
    ) => Effect.Effect<Option.Option<Offered>, EnvironmentError>
    /** Claims an item. `WorkConflict`: another has it, or it is stopped. */
    readonly ack: (
      environmentId: EnvironmentId,
      workId: WorkId
    ) => Effect.Effect<void, EnvironmentError | WorkConflict>
    /** Extends the lease. `LeaseLost`: 412, 404 or 410. An answer may still say `lease_extended: false` or `stopping`. */
    readonly heartbeat: (
      environmentId: EnvironmentId,
      workId: WorkId,
      options: BeatOptions
    ) => Effect.Effect<Api.Heartbeat, EnvironmentError | LeaseLost | WorkConflict>
    /** Ends an item. Already stopped (409) is success. */
    readonly stop: (
      environmentId: EnvironmentId,
      workId: WorkId,
      options?: { readonly force?: boolean }
    ) => Effect.Effect<void, EnvironmentError>
  }
>() {}

// --- Bodies ---

/** What is read of an offered item. Kinds of work unknown here decode too: whoever polls stops them. */
const PolledItem = Schema.Struct({
  ...Api.WorkItem.fields,
  data: Schema.Struct({ type: Schema.String, id: Schema.String })
})

const Polled = Schema.NullOr(PolledItem)

const Page = Schema.Struct({
  data: Schema.Array(Api.Environment),
  next_cursor: Schema.optional(Schema.NullOr(Schema.String))
})

const registrationBody = (registration: Registration): string =>
  JSON.stringify({
    machine_name: registration.machineName,
    directory: registration.directory,
    branch: registration.branch ?? null,
    git_repo_url: registration.gitRepoUrl ?? null,
    max_sessions: registration.maxSessions ?? 1,
    metadata: { ...registration.metadata, worker_type: registration.workerType },
    ...(registration.reuseEnvironmentId === undefined
      ? {}
      : { reuse_environment_id: registration.reuseEnvironmentId })
  })

// --- Service ---

const TIMEOUT = "10 seconds"
const REGISTER_TIMEOUT = "30 seconds"
/** What the network may add to the time that the hub holds a poll. */
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

export const make = Effect.gen(function* () {
  const call = yield* Call.make
  const { config, credentials } = call
  const headers = { [Headers.ANTHROPIC_BETA_HEADER]: config.environmentsBeta }
  const workerHeaders = { ...headers, [Headers.WORKER_ID_HEADER]: config.workerId }
  const root = `${config.baseUrl}/v1/environments`

  const bridge = (
    operation: string,
    method: Call.Ask["method"],
    url: string,
    timeout: Duration.DurationInput,
    body?: string
  ) =>
    call.access(
      {
        operation: `Environments.${operation}`,
        method,
        url,
        timeout,
        headers,
        ...(body === undefined ? {} : { body })
      },
      "none"
    )

  const gone = (environmentId: EnvironmentId, answer: Call.Answer) =>
    new EnvironmentGone({ environmentId, ...Call.detailOf(answer) })

  /** A call with the environment's secret; 401 and 403 are what they are after the refresh. */
  const work = (
    environmentId: EnvironmentId,
    operation: string,
    method: Call.Ask["method"],
    path: string,
    timeout: Duration.DurationInput,
    body?: string
  ) =>
    Effect.flatMap(
      call.environment(environmentId, {
        operation: `Environments.${operation}`,
        method,
        url: `${root}/${environmentId}/work/${path}`,
        timeout,
        headers: workerHeaders,
        ...(body === undefined ? {} : { body })
      }),
      (answer) =>
        answer.status === 401 || answer.status === 403
          ? new EnvironmentUnauthorized({ environmentId, ...Call.detailOf(answer) })
          : Effect.succeed(answer)
    )

  const checked = (environmentId: EnvironmentId, workId?: WorkId) =>
    Effect.zipRight(
      workId === undefined ? Effect.void : Call.checkId("work", workId),
      Call.checkId("environment", environmentId)
    ).pipe(
      Effect.zipLeft(
        Effect.annotateCurrentSpan({
          "environment.id": environmentId,
          ...(workId === undefined ? {} : { "work.id": workId })
        })
      )
    )

  const register = Effect.fn("Environments.register")(function* (registration: Registration) {
    const answer = yield* bridge(
      "register",
      "POST",
      `${root}/bridge`,
      REGISTER_TIMEOUT,
      registrationBody(registration)
    )
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
    const body = yield* Call.decode(Api.RegisteredEnvironment)(answer)
    const secret = Redacted.make(body.environment_secret)
    yield* credentials.setEnvironmentSecret(body.environment_id, secret)
    yield* Effect.annotateCurrentSpan("environment.id", body.environment_id)
    const registered: Registered = {
      environmentId: body.environment_id,
      secret,
      reused: body.environment_id === registration.reuseEnvironmentId
    }
    return registered
  })

  const deregister = Effect.fn("Environments.deregister")(function* (environmentId: EnvironmentId) {
    yield* checked(environmentId)
    const answer = yield* bridge("deregister", "DELETE", `${root}/bridge/${environmentId}`, TIMEOUT)
    if (!Call.is2xx(answer) && answer.status !== 404 && answer.status !== 410)
      return yield* Call.failed(answer)
    yield* credentials.forgetEnvironmentSecret(environmentId)
  })

  const reconnect = Effect.fn("Environments.reconnect")(function* (
    environmentId: EnvironmentId,
    sessionId: SessionId
  ) {
    yield* checked(environmentId)
    yield* Call.checkId("session", sessionId)
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const answer = yield* bridge(
      "reconnect",
      "POST",
      `${root}/${environmentId}/bridge/reconnect`,
      TIMEOUT,
      JSON.stringify({ session_id: sessionId })
    )
    if (answer.status === 410) return yield* gone(environmentId, answer)
    if (answer.status === 404) return yield* new SessionNotFound({ sessionId, ...Call.detailOf(answer) })
    if (answer.status === 409) {
      return yield* new SessionConflict({ sessionId, operation: answer.operation, ...Call.detailOf(answer) })
    }
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
  })

  const get = Effect.fn("Environments.get")(function* (environmentId: EnvironmentId) {
    yield* checked(environmentId)
    const answer = yield* bridge("get", "GET", `${root}/${environmentId}`, TIMEOUT)
    if (answer.status === 404 || answer.status === 410) return yield* gone(environmentId, answer)
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
    return yield* Call.decode(Api.Environment)(answer)
  })

  const list = Effect.fn("Environments.list")(function* (options: ListOptions = {}) {
    const answer = yield* bridge("list", "GET", `${root}${Call.query({ ...options })}`, "20 seconds")
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
    const page = yield* Call.decode(Page)(answer)
    return { data: page.data, nextCursor: Option.fromNullable(page.next_cursor) }
  })

  const poll = Effect.fn("Environments.poll")(function* (
    environmentId: EnvironmentId,
    options: PollOptions = {}
  ) {
    yield* checked(environmentId)
    const blockMs = options.blockMs ?? 999
    const parameters = Call.query({
      block_ms: blockMs,
      reclaim_older_than_ms: options.reclaimOlderThanMs ?? 5_000,
      make_room: options.makeRoom === true ? "true" : undefined
    })
    const answer = yield* work(
      environmentId,
      "poll",
      "GET",
      `poll${parameters}`,
      Math.min(blockMs + POLL_SLACK_MILLIS, Backoff.POLL_CAP_MILLIS)
    )
    if (answer.status === 404 || answer.status === 410) return yield* gone(environmentId, answer)
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
    if (answer.text.trim() === "") return Option.none<Offered>()
    const item = yield* Call.decode(Polled)(answer)
    if (item === null) return Option.none<Offered>()
    const { secret, ...rest } = item
    const offered: Offered = {
      item: rest,
      secret: Option.map(Option.fromNullable(secret), (s) => Redacted.make(s))
    }
    return Option.some(offered)
  })

  const ack = Effect.fn("Environments.ack")(function* (environmentId: EnvironmentId, workId: WorkId) {
    yield* checked(environmentId, workId)
    const answer = yield* work(environmentId, "ack", "POST", `${workId}/ack`, TIMEOUT, "{}")
    if (answer.status === 404 || answer.status === 410) return yield* gone(environmentId, answer)
    if (answer.status === 409) {
      return yield* new WorkConflict({ workId, operation: answer.operation, ...Call.detailOf(answer) })
    }
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
  })

  const heartbeat = Effect.fn("Environments.heartbeat")(function* (
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
    const answer = yield* work(
      environmentId,
      "heartbeat",
      "POST",
      `${workId}/heartbeat${Call.query(guard)}`,
      TIMEOUT,
      JSON.stringify(guard)
    )
    if (answer.status === 412) {
      return yield* new LeaseLost({ workId, reason: "Moved", ...leaseOf(answer.json) })
    }
    if (answer.status === 404 || answer.status === 410) {
      return yield* new LeaseLost({ workId, reason: "Gone" })
    }
    if (answer.status === 409) {
      return yield* new WorkConflict({ workId, operation: answer.operation, ...Call.detailOf(answer) })
    }
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
    return yield* Call.decode(Api.Heartbeat)(answer)
  })

  const stop = Effect.fn("Environments.stop")(function* (
    environmentId: EnvironmentId,
    workId: WorkId,
    options: { readonly force?: boolean } = {}
  ) {
    yield* checked(environmentId, workId)
    const answer = yield* work(
      environmentId,
      "stop",
      "POST",
      `${workId}/stop`,
      TIMEOUT,
      JSON.stringify({ force: options.force ?? false })
    )
    if (answer.status === 404 || answer.status === 410) return yield* gone(environmentId, answer)
    if (answer.status !== 409 && !Call.is2xx(answer)) return yield* Call.failed(answer)
  })

  return Environments.of({ register, deregister, reconnect, get, list, poll, ack, heartbeat, stop })
})

export const layer: Layer.Layer<Environments, never, HttpClient.HttpClient | Credentials | ClientConfig> =
  Layer.effect(Environments, make)
