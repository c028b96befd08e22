/**
 * Environments and their work. Source: spec 1 §5, spec 5 §2 and §3.
 */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as Schema from "effect/Schema"
import { EnvironmentId, WorkId } from "../Ids.ts"
import * as WireError from "../WireError.ts"
import { Access, EnvironmentAccess } from "./Authorization.ts"
import { Hot } from "./Endpoint.ts"
import { JsonObject, nullish, open, page, QueryInt } from "./Schemas.ts"

/** A bridge as it registers. */
export const RegisterEnvironment = open({
  machine_name: Schema.String,
  directory: Schema.String,
  branch: nullish(Schema.String),
  git_repo_url: nullish(Schema.String),
  /** How many sessions run at once; default 1. */
  max_sessions: nullish(Schema.Int.pipe(Schema.between(1, 10_000))),
  metadata: nullish(JsonObject),
  /** Re-attach to this environment; the hub answers with another one when it is gone. */
  reuse_environment_id: nullish(Schema.String)
})

export const RegisteredEnvironment = open({
  environment_id: EnvironmentId,
  /** Shown once; stored hashed; rotates at every registration. */
  environment_secret: Schema.String
})

/** An environment as people see it. `online` while its last poll or heartbeat is younger than 90 s. */
export const Environment = open({
  id: EnvironmentId,
  name: Schema.String,
  machine_name: Schema.String,
  directory: Schema.String,
  branch: Schema.NullOr(Schema.String),
  git_repo_url: Schema.NullOr(Schema.String),
  max_sessions: Schema.Int,
  metadata: JsonObject,
  online: Schema.Boolean,
  last_seen_at: Schema.NullOr(Schema.String),
  created_at: Schema.String,
  archived_at: Schema.NullOr(Schema.String)
})
export type Environment = typeof Environment.Type

export const WorkState = Schema.Literal("queued", "starting", "active", "stopping", "stopped")
export type WorkState = typeof WorkState.Type

/** One piece of work. `secret` only in the answer to a poll. Times are ISO 8601. */
export const WorkItem = open({
  id: WorkId,
  type: Schema.Literal("work"),
  environment_id: EnvironmentId,
  state: WorkState,
  data: open({ type: Schema.Literal("session", "healthcheck"), id: Schema.String }),
  secret: nullish(Schema.String),
  created_at: Schema.String,
  acknowledged_at: nullish(Schema.String),
  started_at: nullish(Schema.String),
  latest_heartbeat_at: nullish(Schema.String),
  stop_requested_at: nullish(Schema.String),
  stopped_at: nullish(Schema.String),
  metadata: nullish(JsonObject)
})
export type WorkItem = typeof WorkItem.Type

/** Longest wait of a poll. Published clients ask for at most 999 ms; without `block_ms` it does not wait. */
export const POLL_BLOCK_MAX_MILLIS = 25_000

/** Query of a poll. */
export const PollQuery = Schema.Struct({
  block_ms: Schema.optional(QueryInt(1, POLL_BLOCK_MAX_MILLIS)),
  reclaim_older_than_ms: Schema.optional(QueryInt(0, 3_600_000)),
  /** Idle sessions hold no place: the poller puts one to sleep where it is offered more than it has room for. */
  make_room: Schema.optional(Schema.Literal("true", "false"))
})

/** First value of `expected_last_heartbeat`; afterwards the last answer's `last_heartbeat` is echoed exactly. */
export const NO_HEARTBEAT = "NO_HEARTBEAT"

/** Published clients send these in the query and no body; both are read, the query first. */
export const HeartbeatInput = open({
  expected_last_heartbeat: nullish(Schema.String),
  /** Clamped to 10–600; default 90. */
  desired_ttl_seconds: nullish(Schema.Number)
})
/** The same as it stands in a query. */
export const HeartbeatQuery = Schema.Struct({
  expected_last_heartbeat: Schema.optional(Schema.String),
  desired_ttl_seconds: Schema.optional(Schema.NumberFromString.pipe(Schema.finite()))
})
export const Heartbeat = open({
  type: Schema.optional(Schema.String),
  last_heartbeat: Schema.String,
  lease_extended: Schema.Boolean,
  state: WorkState,
  ttl_seconds: Schema.Number
})
export type Heartbeat = typeof Heartbeat.Type

/** The queue of an environment. */
export const WorkStats = open({
  type: Schema.Literal("work_queue_stats"),
  /** Items that wait to be offered. */
  depth: Schema.Int,
  /** Items that were offered and are not acknowledged yet. */
  pending: Schema.Int,
  /** Creation of the oldest of both. */
  oldest_queued_at: Schema.NullOr(Schema.String),
  /** Pollers, told apart by `Anthropic-Worker-ID`, seen in the last 30 s. */
  workers_polling: Schema.Int
})

/** Answer to a deletion. `archived`: something still refers to it, so that it was archived and not erased. */
export const RemovedEnvironment = open({ id: EnvironmentId, type: Schema.String, archived: Schema.Boolean })

/** Published clients send no body where others send `{}`. */
const noBody = Schema.NullOr(JsonObject)

/** Query of a list; `page` is the published name of `cursor`, as `next_page` is of `next_cursor`. */
const pageQuery = { ...page, page: Schema.optional(Schema.String) }
const pageOf = <A, I>(item: Schema.Schema<A, I>) =>
  open({ data: Schema.Array(item), next_cursor: nullish(Schema.String), next_page: nullish(Schema.String) })

const environmentId = HttpApiSchema.param("environmentId", EnvironmentId)
const workId = HttpApiSchema.param("workId", WorkId)

// --- With the access token ---

export const register = HttpApiEndpoint.post("register")`/v1/environments/bridge`
  .setPayload(RegisterEnvironment)
  .addSuccess(RegisteredEnvironment)
export const deregister = HttpApiEndpoint.del(
  "deregister"
)`/v1/environments/bridge/${environmentId}`.addSuccess(RemovedEnvironment)
export const reconnect = HttpApiEndpoint.post("reconnect")`/v1/environments/${environmentId}/bridge/reconnect`
  .setPayload(open({ session_id: Schema.String }))
  .addSuccess(Schema.Struct({ work_id: WorkId }))
  .addError(WireError.Conflict)
export const create = HttpApiEndpoint.post("create")`/v1/environments`
  .setPayload(
    open({
      name: Schema.String,
      config: nullish(JsonObject),
      description: nullish(Schema.String),
      /** How many sessions run at once; default 1000: many workers may poll one environment. */
      max_sessions: nullish(Schema.Int.pipe(Schema.between(1, 10_000))),
      metadata: nullish(JsonObject),
      scope: nullish(Schema.String)
    })
  )
  .addSuccess(open({ ...Environment.fields, environment_secret: Schema.String }))
export const list = HttpApiEndpoint.get("list")`/v1/environments`
  .setUrlParams(
    Schema.Struct({ ...pageQuery, archived: Schema.optional(Schema.Literal("true", "false", "all")) })
  )
  .addSuccess(pageOf(Environment))
export const get = HttpApiEndpoint.get("get")`/v1/environments/${environmentId}`.addSuccess(Environment)
export const archive = HttpApiEndpoint.post("archive")`/v1/environments/${environmentId}/archive`
  .setPayload(noBody)
  .addSuccess(Environment)
export const remove = HttpApiEndpoint.del("remove")`/v1/environments/${environmentId}`.addSuccess(
  RemovedEnvironment
)

export class EnvironmentsApi extends HttpApiGroup.make("environments")
  .add(register)
  .add(deregister)
  .add(reconnect)
  .add(create)
  .add(list)
  .add(get)
  .add(archive)
  .add(remove)
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Unavailable)
  .middleware(Access) {}

// --- With the environment's secret; `ack`, `heartbeat` and `stop` also with the ingress token of the item's session ---

export const poll = HttpApiEndpoint.get("poll")`/v1/environments/${environmentId}/work/poll`
  .setUrlParams(PollQuery)
  .addSuccess(Schema.NullOr(WorkItem))
  .addError(WireError.Gone)
  .annotate(Hot, true)
export const heartbeat = HttpApiEndpoint.post(
  "heartbeat"
)`/v1/environments/${environmentId}/work/${workId}/heartbeat`
  .setUrlParams(HeartbeatQuery)
  .setPayload(Schema.NullOr(HeartbeatInput))
  .addSuccess(Heartbeat)
  .addError(WireError.Conflict)
  .addError(WireError.PreconditionFailed)
  .annotate(Hot, true)
export const listWork = HttpApiEndpoint.get("listWork")`/v1/environments/${environmentId}/work`
  .setUrlParams(Schema.Struct(pageQuery))
  .addSuccess(pageOf(WorkItem))
export const stats = HttpApiEndpoint.get("stats")`/v1/environments/${environmentId}/work/stats`.addSuccess(
  WorkStats
)
export const getWork = HttpApiEndpoint.get(
  "getWork"
)`/v1/environments/${environmentId}/work/${workId}`.addSuccess(WorkItem)
export const updateWork = HttpApiEndpoint.post("updateWork")`/v1/environments/${environmentId}/work/${workId}`
  .setPayload(open({ metadata: Schema.Record({ key: Schema.String, value: Schema.NullOr(Schema.String) }) }))
  .addSuccess(WorkItem)
export const ack = HttpApiEndpoint.post("ack")`/v1/environments/${environmentId}/work/${workId}/ack`
  .setPayload(noBody)
  .addSuccess(WorkItem)
  .addError(WireError.Conflict)
export const stop = HttpApiEndpoint.post("stop")`/v1/environments/${environmentId}/work/${workId}/stop`
  .setPayload(Schema.NullOr(open({ force: nullish(Schema.Boolean) })))
  .addSuccess(WorkItem)
  .addError(WireError.Conflict)

export class ColdWorkApi extends HttpApiGroup.make("work")
  .add(listWork)
  .add(stats)
  .add(getWork)
  .add(updateWork)
  .add(ack)
  .add(stop)
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Unavailable)
  .middleware(EnvironmentAccess) {}

export class WorkApi extends ColdWorkApi.add(poll).add(heartbeat) {}
