/**
 * Code sessions: the worker's routes, the viewer's routes and teleport. Source: spec 1 §4, spec 5 §1 and §3.
 */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Schema from "effect/Schema"
import * as Delivery from "../Delivery.ts"
import { EventUuid, SessionId } from "../Ids.ts"
import * as WireError from "../WireError.ts"
import { Access, IngressAccess } from "./Authorization.ts"
import { Hot } from "./Endpoint.ts"
import { JsonObject, nullish, open, QueryInt } from "./Schemas.ts"

/** A worker's epoch: whole, at least 1; a numeric string is accepted. A newer one fences an older one. */
export const WorkerEpoch = Schema.Union(
  Schema.Int.pipe(Schema.nonNegative()),
  Schema.NumberFromString.pipe(Schema.int(), Schema.nonNegative())
)

export const WorkerStatus = Schema.Literal("idle", "running", "requires_action")
export type WorkerStatus = typeof WorkerStatus.Type

export const CreateCodeSession = open({
  title: nullish(Schema.String),
  bridge: nullish(JsonObject),
  tags: nullish(Schema.Array(Schema.Unknown)),
  session_grouping_id: nullish(Schema.String),
  config: nullish(JsonObject),
  environment_id: nullish(Schema.String)
})

/** `session.id` is in the infrastructure spelling, `cse_…`. */
export const CreatedCodeSession = Schema.Struct({ session: open({ id: SessionId }) })

/** Answered with status 200. `expires_in` is in seconds. Each call bumps the epoch. */
export const RemoteCredentials = open({
  worker_jwt: Schema.String,
  api_base_url: Schema.String,
  expires_in: Schema.Number,
  worker_epoch: WorkerEpoch
})

/** Reply to `worker/register`, and ours to `worker/token`: the same token, fresh, for the same epoch. */
export const Registered = open({
  worker_epoch: WorkerEpoch,
  worker_jwt: Schema.optional(Schema.String),
  expires_in: Schema.optional(Schema.Number)
})

/** State of a worker, as it tells it. Every member may be left out; those given replace the stored ones. */
export const WorkerUpdate = open({
  worker_epoch: nullish(WorkerEpoch),
  worker_status: nullish(WorkerStatus),
  connection_status: nullish(Schema.Literal("connected", "disconnected")),
  external_metadata: nullish(JsonObject)
})

/** The stored state of a session's worker. */
export const Worker = open({
  session_id: SessionId,
  worker_epoch: Schema.Int,
  worker_status: WorkerStatus,
  connection_status: Schema.Literal("connected", "disconnected"),
  external_metadata: Schema.NullOr(JsonObject),
  last_sequence_num: Schema.Int,
  /** What the session asks its agent to be started with, secrets included. Told to an ingress token alone. */
  launch_options: nullish(JsonObject)
})

/** At most 100 events. `ephemeral` ones are fanned out and not stored. */
export const WorkerEvents = open({
  worker_epoch: WorkerEpoch,
  events: Schema.Array(open({ payload: JsonObject, ephemeral: nullish(Schema.Boolean) })).pipe(
    Schema.maxItems(100)
  )
})

export const DeliveryInput = open({
  worker_epoch: WorkerEpoch,
  updates: Schema.Array(open({ event_id: EventUuid, status: Schema.Literal(...Delivery.reports) }))
})

export const WorkerHeartbeatInput = open({
  session_id: nullish(Schema.String),
  worker_epoch: WorkerEpoch
})
/** Seconds until the next heartbeat is due; the reference client's floor is 10. */
export const WorkerHeartbeat = open({ heartbeat_interval_seconds: Schema.Number })

/** `session_id` may be left out; it must name the session of the path where given. */
export const ViewerEvents = open({
  session_id: nullish(Schema.String),
  events: Schema.Array(open({ payload: JsonObject })).pipe(Schema.maxItems(100))
})

/** One entry of the transcript. Null payloads are skipped by readers. */
export const TeleportEvent = open({
  event_id: EventUuid,
  event_type: Schema.String,
  is_compaction: Schema.Boolean,
  payload: Schema.NullOr(JsonObject),
  created_at: Schema.String
})
/** `next_cursor` is opaque; absent or null ends the transcript. */
export const TeleportPage = open({
  data: Schema.Array(TeleportEvent),
  next_cursor: nullish(Schema.String)
})

/**
 * Query of the event streams: the hub ends the answer by itself, a moment after it has sent something, at the latest after
 * this many milliseconds. For readers to whom a proxy lets nothing through before an answer has ended.
 */
export const BLOCK_PARAMETER = "block_ms"
export const BLOCK_MAX_MILLIS = 25_000

/**
 * Query of the event streams: `true` asks for the hub's own `session_update` events too. Programs of others do not know
 * them, and are not sent any.
 */
export const SESSION_UPDATES_PARAMETER = "session_updates"

/** Page sizes of teleport-events: default and maximum. */
export const TELEPORT_PAGE_DEFAULT = 500
export const TELEPORT_PAGE_MAX = 1000

const id = HttpApiSchema.param("id", SessionId)

// --- With the access token ---

export const create = HttpApiEndpoint.post("create")`/v1/code/sessions`
  .setPayload(CreateCodeSession)
  .addSuccess(CreatedCodeSession, { status: 201 })
  .annotate(Hot, true)
export const teleportEvents = HttpApiEndpoint.get("teleportEvents")`/v1/code/sessions/${id}/teleport-events`
  .setUrlParams(
    Schema.Struct({
      limit: Schema.optional(QueryInt(1, Number.MAX_SAFE_INTEGER)),
      cursor: Schema.optional(Schema.String)
    })
  )
  .addSuccess(TeleportPage)
  .annotate(Hot, true)
export const credentials = HttpApiEndpoint.post("credentials")`/v1/code/sessions/${id}/bridge`
  .setPayload(JsonObject)
  .addSuccess(RemoteCredentials)

export class ColdCodeSessionsApi extends HttpApiGroup.make("codeSessions")
  .add(credentials)
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Conflict)
  .addError(WireError.Unavailable)
  .middleware(Access) {}

export class CodeSessionsApi extends ColdCodeSessionsApi.add(create).add(teleportEvents) {}

// --- Workers ---

const EventStream = HttpApiSchema.Text({ contentType: "text/event-stream" })

const Resume = Schema.Struct({
  from_sequence_num: Schema.optional(Schema.NumberFromString),
  [BLOCK_PARAMETER]: Schema.optional(Schema.NumberFromString),
  [SESSION_UPDATES_PARAMETER]: Schema.optional(Schema.BooleanFromString)
})

export const worker = HttpApiEndpoint.get("worker")`/v1/code/sessions/${id}/worker`
  .addSuccess(Worker)
  .annotate(Hot, true)
export const updateWorker = HttpApiEndpoint.put("updateWorker")`/v1/code/sessions/${id}/worker`
  .setPayload(WorkerUpdate)
  .addSuccess(Worker)
  .annotate(Hot, true)
export const registerWorker = HttpApiEndpoint.post("registerWorker")`/v1/code/sessions/${id}/worker/register`
  .annotate(OpenApi.Description, "A new worker epoch; the token stays.")
  .setPayload(JsonObject)
  .addSuccess(Registered)
  .annotate(Hot, true)
export const refreshToken = HttpApiEndpoint.post("refreshToken")`/v1/code/sessions/${id}/worker/token`
  .annotate(OpenApi.Description, "A fresh token for the same epoch.")
  .setPayload(JsonObject)
  .addSuccess(Registered)
  .annotate(Hot, true)
export const appendEvents = HttpApiEndpoint.post("appendEvents")`/v1/code/sessions/${id}/worker/events`
  .setPayload(WorkerEvents)
  .addSuccess(JsonObject)
  .addError(WireError.PayloadTooLarge)
  .annotate(Hot, true)
export const workerStream = HttpApiEndpoint.get("workerStream")`/v1/code/sessions/${id}/worker/events/stream`
  .annotate(OpenApi.Description, "What people sent, as server-sent events; resumed by Last-Event-ID.")
  .setUrlParams(Resume)
  .addSuccess(EventStream)
  .annotate(Hot, true)
export const reportDelivery = HttpApiEndpoint.post(
  "reportDelivery"
)`/v1/code/sessions/${id}/worker/events/delivery`
  .setPayload(DeliveryInput)
  .addSuccess(JsonObject)
  .annotate(Hot, true)
export const workerHeartbeat = HttpApiEndpoint.post(
  "workerHeartbeat"
)`/v1/code/sessions/${id}/worker/heartbeat`
  .setPayload(WorkerHeartbeatInput)
  .addSuccess(WorkerHeartbeat)
  .annotate(Hot, true)

/** Calls with the session's ingress token, or an access token of its organisation. */
export class WorkerApi extends HttpApiGroup.make("worker")
  .add(worker)
  .add(updateWorker)
  .add(registerWorker)
  .add(refreshToken)
  .add(appendEvents)
  .add(workerStream)
  .add(reportDelivery)
  .add(workerHeartbeat)
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Conflict)
  .addError(WireError.TooManyRequests)
  .addError(WireError.Unavailable)
  .middleware(IngressAccess) {}

// --- Viewers ---

export const sendViewerEvents = HttpApiEndpoint.post("sendViewerEvents")`/v1/code/sessions/${id}/events`
  .setPayload(ViewerEvents)
  .addSuccess(JsonObject)
  .addError(WireError.PayloadTooLarge)
  .annotate(Hot, true)
export const viewerStream = HttpApiEndpoint.get("viewerStream")`/v1/code/sessions/${id}/events/stream`
  .annotate(OpenApi.Description, "Every event and delivery state, as server-sent events.")
  .setUrlParams(Resume)
  .addSuccess(EventStream)
  .annotate(Hot, true)

export class ViewerApi extends HttpApiGroup.make("viewer")
  .add(sendViewerEvents)
  .add(viewerStream)
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Conflict)
  .addError(WireError.TooManyRequests)
  .addError(WireError.Unavailable)
  .middleware(IngressAccess) {}
