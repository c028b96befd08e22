/**
 * The hot routes, and those of operation: for the documents. What they decode and encode
 * are the same schemas. Source: spec 1 §3, spec 5 §1 and §3.
 */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Schema from "effect/Schema"
import { LAST_UUID_HEADER, UPLOAD_HEADER } from "../Headers.ts"
import { SessionId } from "../Ids.ts"
import * as WireError from "../WireError.ts"
import * as CodeSessions from "./CodeSessions.ts"
import { JsonObject } from "./Sessions.ts"

const id = HttpApiSchema.param("id", SessionId)

/** The session's ingress token, or an access token of its organisation. */
export class IngressAccess extends HttpApiMiddleware.Tag<IngressAccess>()(
  "@causeway/protocol/IngressAccess",
  {
    failure: Schema.Union(WireError.Unauthenticated, WireError.Forbidden),
    security: { ingressToken: HttpApiSecurity.bearer }
  }
) {}

const EventStream = HttpApiSchema.Text({ contentType: "text/event-stream" })

const Resume = Schema.Struct({
  from_sequence_num: Schema.optional(Schema.NumberFromString),
  [CodeSessions.BLOCK_PARAMETER]: Schema.optional(Schema.NumberFromString),
  [CodeSessions.SESSION_UPDATES_PARAMETER]: Schema.optional(Schema.BooleanFromString)
})

export class IngressApi extends HttpApiGroup.make("ingress")
  .add(
    HttpApiEndpoint.put("append")`/v1/session_ingress/session/${id}`
      .annotate(
        OpenApi.Description,
        "Appends one entry, or an array of entries whole or not at all. 409 names the head in x-last-uuid."
      )
      .setHeaders(
        Schema.Struct({
          [LAST_UUID_HEADER]: Schema.optional(Schema.String),
          [UPLOAD_HEADER]: Schema.optional(Schema.String)
        })
      )
      .setPayload(Schema.Union(JsonObject, Schema.Array(JsonObject)))
      .addSuccess(CodeSessions.Stored)
      .addError(WireError.PayloadTooLarge)
      .addError(WireError.PreconditionFailed)
  )
  .add(
    HttpApiEndpoint.put(
      "uploadPart"
    )`/v1/session_ingress/session/${id}/uploads/${HttpApiSchema.param("upload", Schema.String)}`
      .annotate(
        OpenApi.Description,
        "Takes a part of an append's body (its gzip, from `offset` on), for whoever cannot send it whole. The upload is named by the SHA-256 of all its bytes; an append without a body names it in x-causeway-upload (412: unknown here, upload it again)."
      )
      .setUrlParams(Schema.Struct({ offset: Schema.NumberFromString }))
      .setPayload(
        HttpApiSchema.Uint8Array().annotations({ description: "Bytes of the upload, at most 1 MiB." })
      )
      .addSuccess(CodeSessions.UploadedPart)
      .addError(WireError.PayloadTooLarge)
  )
  .add(
    HttpApiEndpoint.get("log")`/v1/session_ingress/session/${id}`
      .annotate(OpenApi.Description, "The transcript, in log order.")
      .setUrlParams(Schema.Struct({ after_last_compact: Schema.optional(Schema.String) }))
      .addSuccess(CodeSessions.LogLines)
  )
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Conflict)
  .addError(WireError.TooManyRequests)
  .addError(WireError.Unavailable)
  .middleware(IngressAccess) {}

export class WorkerApi extends HttpApiGroup.make("worker")
  .add(HttpApiEndpoint.get("worker")`/v1/code/sessions/${id}/worker`.addSuccess(CodeSessions.Worker))
  .add(
    HttpApiEndpoint.put("updateWorker")`/v1/code/sessions/${id}/worker`
      .setPayload(CodeSessions.WorkerUpdate)
      .addSuccess(CodeSessions.Worker)
  )
  .add(
    HttpApiEndpoint.post("registerWorker")`/v1/code/sessions/${id}/worker/register`
      .annotate(OpenApi.Description, "A new worker epoch; the token stays.")
      .setPayload(JsonObject)
      .addSuccess(CodeSessions.Registered)
  )
  .add(
    HttpApiEndpoint.post("refreshToken")`/v1/code/sessions/${id}/worker/token`
      .annotate(OpenApi.Description, "A fresh token for the same epoch.")
      .setPayload(JsonObject)
      .addSuccess(CodeSessions.Registered)
  )
  .add(
    HttpApiEndpoint.post("appendEvents")`/v1/code/sessions/${id}/worker/events`
      .setPayload(CodeSessions.WorkerEvents)
      .addSuccess(JsonObject)
      .addError(WireError.PayloadTooLarge)
  )
  .add(
    HttpApiEndpoint.get("workerStream")`/v1/code/sessions/${id}/worker/events/stream`
      .annotate(OpenApi.Description, "What people sent, as server-sent events; resumed by Last-Event-ID.")
      .setUrlParams(Resume)
      .addSuccess(EventStream)
  )
  .add(
    HttpApiEndpoint.post("reportDelivery")`/v1/code/sessions/${id}/worker/events/delivery`
      .setPayload(CodeSessions.DeliveryInput)
      .addSuccess(JsonObject)
  )
  .add(
    HttpApiEndpoint.post("workerHeartbeat")`/v1/code/sessions/${id}/worker/heartbeat`
      .setPayload(CodeSessions.WorkerHeartbeatInput)
      .addSuccess(CodeSessions.WorkerHeartbeat)
  )
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Conflict)
  .addError(WireError.TooManyRequests)
  .addError(WireError.Unavailable)
  .middleware(IngressAccess) {}

export class ViewerApi extends HttpApiGroup.make("viewer")
  .add(
    HttpApiEndpoint.post("sendViewerEvents")`/v1/code/sessions/${id}/events`
      .setPayload(CodeSessions.ViewerEvents)
      .addSuccess(JsonObject)
      .addError(WireError.PayloadTooLarge)
  )
  .add(
    HttpApiEndpoint.get("viewerStream")`/v1/code/sessions/${id}/events/stream`
      .annotate(OpenApi.Description, "Every event and delivery state, as server-sent events.")
      .setUrlParams(Resume)
      .addSuccess(EventStream)
  )
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Conflict)
  .addError(WireError.TooManyRequests)
  .addError(WireError.Unavailable)
  .middleware(IngressAccess) {}

/** The parts that readiness depends on. */
export const Ready = Schema.Struct({
  status: Schema.Literal("ready", "not_ready"),
  database: Schema.Literal("reachable", "unreachable"),
  schema_version: Schema.NullOr(Schema.Int)
})

export class OperationApi extends HttpApiGroup.make("operation")
  .add(
    HttpApiEndpoint.get("health")`/health`
      .annotate(OpenApi.Description, "The process lives.")
      .addSuccess(Schema.Struct({ status: Schema.Literal("ok") }))
  )
  .add(
    HttpApiEndpoint.get("ready")`/ready`
      .annotate(OpenApi.Description, "The database is reachable and has this program's schema.")
      .addSuccess(Ready)
      .addError(Ready, { status: 503 })
  )
  .add(
    HttpApiEndpoint.get("metrics")`/metrics`
      .annotate(OpenApi.Description, "Metrics as Prometheus text, version 0.0.4.")
      .addSuccess(HttpApiSchema.Text({ contentType: "text/plain" }))
  )
  .add(HttpApiEndpoint.get("openapi")`/openapi.json`.addSuccess(JsonObject))
  .add(HttpApiEndpoint.get("docs")`/docs`.addSuccess(HttpApiSchema.Text({ contentType: "text/html" }))) {}

export class HotApi extends HttpApi.make("causeway_hot")
  .add(IngressApi)
  .add(WorkerApi)
  .add(ViewerApi)
  .add(OperationApi) {}
