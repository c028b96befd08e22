/**
 * Code sessions: the worker's routes, the viewer's routes, teleport and the ingress log. Source: spec 1 §3 and §4,
 * spec 5 §1 and §3.
 *
 * The streams, `worker/events`, `worker/heartbeat` and the ingress `PUT` are hot routes (ARCHITECTURE.md, "Two kinds of
 * routes"); their schemas stand here so that the hub, the documents and the clients share one definition.
 */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as Schema from "effect/Schema"
import { SequenceNum, WorkerDeliveryStatus } from "../Event.ts"
import { EventUuid, SessionId } from "../Ids.ts"
import * as WireError from "../WireError.ts"
import { Access } from "./Authorization.ts"
import { JsonObject, QueryInt } from "./Sessions.ts"

const open = <F extends Schema.Struct.Fields>(fields: F) =>
  Schema.Struct(fields, Schema.Record({ key: Schema.String, value: Schema.Unknown }))

/** A worker's epoch: whole, at least 1; a numeric string is accepted. A newer one fences an older one. */
export const WorkerEpoch = Schema.Union(
  Schema.Int.pipe(Schema.nonNegative()),
  Schema.NumberFromString.pipe(Schema.int(), Schema.nonNegative())
)

export const WorkerStatus = Schema.Literal("idle", "running", "requires_action")
export type WorkerStatus = typeof WorkerStatus.Type

export const CreateCodeSession = open({
  title: Schema.optional(Schema.NullOr(Schema.String)),
  bridge: Schema.optional(Schema.NullOr(JsonObject)),
  tags: Schema.optional(Schema.NullOr(Schema.Array(Schema.Unknown))),
  session_grouping_id: Schema.optional(Schema.NullOr(Schema.String)),
  config: Schema.optional(Schema.NullOr(JsonObject)),
  environment_id: Schema.optional(Schema.NullOr(Schema.String))
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

/** What a worker says of itself. Every member may be left out; those given replace the stored ones. */
export const WorkerUpdate = open({
  worker_epoch: Schema.optional(Schema.NullOr(WorkerEpoch)),
  worker_status: Schema.optional(Schema.NullOr(WorkerStatus)),
  connection_status: Schema.optional(Schema.NullOr(Schema.Literal("connected", "disconnected"))),
  external_metadata: Schema.optional(Schema.NullOr(JsonObject))
})

/** The stored state of a session's worker. */
export const Worker = open({
  session_id: SessionId,
  worker_epoch: Schema.Int,
  worker_status: WorkerStatus,
  connection_status: Schema.Literal("connected", "disconnected"),
  external_metadata: Schema.NullOr(JsonObject),
  last_sequence_num: Schema.Int
})

/** At most 100 events. `ephemeral` ones are fanned out and not stored. */
export const WorkerEvents = open({
  worker_epoch: WorkerEpoch,
  events: Schema.Array(
    open({ payload: JsonObject, ephemeral: Schema.optional(Schema.NullOr(Schema.Boolean)) })
  ).pipe(Schema.maxItems(100))
})

export const DeliveryInput = open({
  worker_epoch: WorkerEpoch,
  updates: Schema.Array(open({ event_id: EventUuid, status: WorkerDeliveryStatus }))
})

export const WorkerHeartbeatInput = open({
  session_id: Schema.optional(Schema.NullOr(Schema.String)),
  worker_epoch: WorkerEpoch
})
/** Seconds until the next heartbeat is due; the reference client's floor is 10. */
export const WorkerHeartbeat = open({ heartbeat_interval_seconds: Schema.Number })

/** `session_id` may be left out; it must name the session of the path where given. */
export const ViewerEvents = open({
  session_id: Schema.optional(Schema.NullOr(Schema.String)),
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
  next_cursor: Schema.optional(Schema.NullOr(Schema.String))
})

/**
 * Query of the event streams: the hub ends the answer by itself, a moment after it has sent something, at the latest after
 * this many milliseconds. For readers to whom a proxy lets nothing through before an answer has ended.
 */
export const BLOCK_PARAMETER = "block_ms"
export const BLOCK_MAX_MILLIS = 25_000

/**
 * Query of the viewer's stream: `true` asks for the hub's own `session_update` events too. Viewers made by others do not know
 * them, and are not sent any.
 */
export const SESSION_UPDATES_PARAMETER = "session_updates"

/** Page sizes of teleport-events: default and maximum. */
export const TELEPORT_PAGE_DEFAULT = 500
export const TELEPORT_PAGE_MAX = 1000

/**
 * Answer to a part of an upload: how many of its bytes are there, in order from the first. The next part starts there,
 * whatever was sent last; so an upload goes on where it stopped, after a lost answer and after a restart of its sender.
 *
 * An upload is the gzip of an append's body; its id is the SHA-256 of these bytes, in lower-case hex.
 */
export const UploadedPart = Schema.Struct({ received: Schema.Int.pipe(Schema.nonNegative()) })
/** Largest part that is taken, in bytes. */
export const PART_MAX_BYTES = 1024 * 1024

/** The ingress log. */
export const LogLines = open({ loglines: Schema.Array(JsonObject) })

/** Answer to an accepted `PUT`. `last_uuid` is the uuid of the last entry of the request. */
export const Stored = open({
  last_uuid: EventUuid,
  sequence_num: SequenceNum
})

const id = HttpApiSchema.param("id", SessionId)

/** Calls with the access token; `…/worker` calls and the ingress log also take the session's ingress token. */
export class CodeSessionsApi extends HttpApiGroup.make("codeSessions")
  .add(
    HttpApiEndpoint.post("create")`/v1/code/sessions`
      .setPayload(CreateCodeSession)
      .addSuccess(CreatedCodeSession, { status: 201 })
  )
  .add(
    HttpApiEndpoint.post("credentials")`/v1/code/sessions/${id}/bridge`
      .setPayload(JsonObject)
      .addSuccess(RemoteCredentials)
  )
  .add(
    HttpApiEndpoint.get("teleportEvents")`/v1/code/sessions/${id}/teleport-events`
      .setUrlParams(
        Schema.Struct({
          limit: Schema.optional(QueryInt(1, Number.MAX_SAFE_INTEGER)),
          cursor: Schema.optional(Schema.String)
        })
      )
      .addSuccess(TeleportPage)
  )
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Conflict)
  .addError(WireError.Unavailable)
  .middleware(Access) {}
