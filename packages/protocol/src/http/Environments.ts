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
import { JsonObject, QueryInt } from "./Sessions.ts"

const open = <F extends Schema.Struct.Fields>(fields: F) =>
  Schema.Struct(fields, Schema.Record({ key: Schema.String, value: Schema.Unknown }))

/** What a bridge says of itself when it registers. */
export const RegisterEnvironment = open({
  machine_name: Schema.String,
  directory: Schema.String,
  branch: Schema.optional(Schema.NullOr(Schema.String)),
  git_repo_url: Schema.optional(Schema.NullOr(Schema.String)),
  /** How many sessions run at once; default 1. */
  max_sessions: Schema.optional(Schema.NullOr(Schema.Int.pipe(Schema.between(1, 10_000)))),
  metadata: Schema.optional(Schema.NullOr(JsonObject)),
  /** Re-attach to this environment; the hub answers with another one when it is gone. */
  reuse_environment_id: Schema.optional(Schema.NullOr(Schema.String))
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
  secret: Schema.optional(Schema.NullOr(Schema.String)),
  created_at: Schema.String,
  acknowledged_at: Schema.optional(Schema.NullOr(Schema.String)),
  started_at: Schema.optional(Schema.NullOr(Schema.String)),
  latest_heartbeat_at: Schema.optional(Schema.NullOr(Schema.String)),
  stop_requested_at: Schema.optional(Schema.NullOr(Schema.String)),
  stopped_at: Schema.optional(Schema.NullOr(Schema.String)),
  metadata: Schema.optional(Schema.NullOr(JsonObject))
})
export type WorkItem = typeof WorkItem.Type

/** First value of `expected_last_heartbeat`; afterwards the last answer's `last_heartbeat` is echoed exactly. */
export const NO_HEARTBEAT = "NO_HEARTBEAT"

/** Published clients send these in the query and no body; both are read, the query first. */
export const HeartbeatInput = open({
  expected_last_heartbeat: Schema.optional(Schema.NullOr(Schema.String)),
  /** Clamped to 10–600; default 90. */
  desired_ttl_seconds: Schema.optional(Schema.NullOr(Schema.Number))
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

const environmentId = HttpApiSchema.param("environmentId", EnvironmentId)
const workId = HttpApiSchema.param("workId", WorkId)

/** Calls with the access token. */
export class EnvironmentsApi extends HttpApiGroup.make("environments")
  .add(
    HttpApiEndpoint.post("register")`/v1/environments/bridge`
      .setPayload(RegisterEnvironment)
      .addSuccess(RegisteredEnvironment)
  )
  .add(
    HttpApiEndpoint.del("deregister")`/v1/environments/bridge/${environmentId}`.addSuccess(RemovedEnvironment)
  )
  .add(
    HttpApiEndpoint.post("reconnect")`/v1/environments/${environmentId}/bridge/reconnect`
      .setPayload(open({ session_id: Schema.String }))
      .addSuccess(Schema.Struct({ work_id: WorkId }))
      .addError(WireError.Conflict)
  )
  .add(
    HttpApiEndpoint.post("create")`/v1/environments`
      .setPayload(
        open({
          name: Schema.String,
          config: Schema.optional(Schema.NullOr(JsonObject)),
          description: Schema.optional(Schema.NullOr(Schema.String)),
          /** How many sessions run at once; default 1000: many workers may poll one environment. */
          max_sessions: Schema.optional(Schema.NullOr(Schema.Int.pipe(Schema.between(1, 10_000)))),
          metadata: Schema.optional(Schema.NullOr(JsonObject)),
          scope: Schema.optional(Schema.NullOr(Schema.String))
        })
      )
      .addSuccess(open({ ...Environment.fields, environment_secret: Schema.String }))
  )
  .add(
    HttpApiEndpoint.get("list")`/v1/environments`
      .setUrlParams(
        Schema.Struct({
          limit: Schema.optional(QueryInt(1, 1000)),
          cursor: Schema.optional(Schema.String),
          /** The published name of `cursor`. */
          page: Schema.optional(Schema.String),
          archived: Schema.optional(Schema.Literal("true", "false", "all"))
        })
      )
      .addSuccess(
        open({
          data: Schema.Array(Environment),
          next_cursor: Schema.optional(Schema.NullOr(Schema.String)),
          next_page: Schema.optional(Schema.NullOr(Schema.String))
        })
      )
  )
  .add(HttpApiEndpoint.get("get")`/v1/environments/${environmentId}`.addSuccess(Environment))
  .add(
    HttpApiEndpoint.post("archive")`/v1/environments/${environmentId}/archive`
      .setPayload(noBody)
      .addSuccess(Environment)
  )
  .add(HttpApiEndpoint.del("remove")`/v1/environments/${environmentId}`.addSuccess(RemovedEnvironment))
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Unavailable)
  .middleware(Access) {}

/**
 * Calls with the environment's secret. `ack`, `heartbeat` and `stop` also take the ingress token of the item's session.
 * `poll` and `heartbeat` are hot routes; they stand here for the documents and the derived client.
 */
export class WorkApi extends HttpApiGroup.make("work")
  .add(
    HttpApiEndpoint.get("poll")`/v1/environments/${environmentId}/work/poll`
      .setUrlParams(
        Schema.Struct({
          block_ms: Schema.optional(QueryInt(1, 25_000)),
          reclaim_older_than_ms: Schema.optional(QueryInt(0, 3_600_000)),
          /** Idle sessions hold no place: the poller puts one to sleep where it is offered more than it has room for. */
          make_room: Schema.optional(Schema.Literal("true", "false"))
        })
      )
      .addSuccess(Schema.NullOr(WorkItem))
      .addError(WireError.Gone)
  )
  .add(
    HttpApiEndpoint.get("listWork")`/v1/environments/${environmentId}/work`
      .setUrlParams(
        Schema.Struct({
          limit: Schema.optional(QueryInt(1, 1000)),
          cursor: Schema.optional(Schema.String),
          /** The published name of `cursor`. */
          page: Schema.optional(Schema.String)
        })
      )
      .addSuccess(
        open({
          data: Schema.Array(WorkItem),
          next_cursor: Schema.optional(Schema.NullOr(Schema.String)),
          next_page: Schema.optional(Schema.NullOr(Schema.String))
        })
      )
  )
  .add(HttpApiEndpoint.get("stats")`/v1/environments/${environmentId}/work/stats`.addSuccess(WorkStats))
  .add(HttpApiEndpoint.get("getWork")`/v1/environments/${environmentId}/work/${workId}`.addSuccess(WorkItem))
  .add(
    HttpApiEndpoint.post("updateWork")`/v1/environments/${environmentId}/work/${workId}`
      .setPayload(
        open({ metadata: Schema.Record({ key: Schema.String, value: Schema.NullOr(Schema.String) }) })
      )
      .addSuccess(WorkItem)
  )
  .add(
    HttpApiEndpoint.post("ack")`/v1/environments/${environmentId}/work/${workId}/ack`
      .setPayload(noBody)
      .addSuccess(WorkItem)
      .addError(WireError.Conflict)
  )
  .add(
    HttpApiEndpoint.post("heartbeat")`/v1/environments/${environmentId}/work/${workId}/heartbeat`
      .setPayload(Schema.NullOr(HeartbeatInput))
      .addSuccess(Heartbeat)
      .addError(WireError.Conflict)
      .addError(WireError.PreconditionFailed)
  )
  .add(
    HttpApiEndpoint.post("stop")`/v1/environments/${environmentId}/work/${workId}/stop`
      .setPayload(Schema.NullOr(open({ force: Schema.optional(Schema.NullOr(Schema.Boolean)) })))
      .addSuccess(WorkItem)
      .addError(WireError.Conflict)
  )
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Unavailable)
  .middleware(EnvironmentAccess) {}
