/** The ingress log: the worker's durable appends, and the transcript as a whole. Source: spec 1 §3, spec 5 §3.1. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Schema from "effect/Schema"
import { SequenceNum } from "../Event.ts"
import { LAST_UUID_HEADER, UPLOAD_HEADER } from "../Headers.ts"
import { EventUuid, SessionId } from "../Ids.ts"
import * as WireError from "../WireError.ts"
import { IngressAccess } from "./Authorization.ts"
import { Hot, urlOf } from "./Endpoint.ts"
import { JsonObject, open } from "./Schemas.ts"

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

export const append = HttpApiEndpoint.put("append")`/v1/session_ingress/session/${id}`
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
  .addSuccess(Stored)
  .addError(WireError.PayloadTooLarge)
  .addError(WireError.PreconditionFailed)
  .annotate(Hot, true)
export const uploadPart = HttpApiEndpoint.put(
  "uploadPart"
)`/v1/session_ingress/session/${id}/uploads/${HttpApiSchema.param("upload", Schema.String)}`
  .annotate(
    OpenApi.Description,
    "Takes a part of an append's body (its gzip, from `offset` on), for whoever cannot send it whole. The upload is named by the SHA-256 of all its bytes; an append without a body names it in x-causeway-upload (412: unknown here, upload it again)."
  )
  .setUrlParams(Schema.Struct({ offset: Schema.NumberFromString }))
  .setPayload(HttpApiSchema.Uint8Array().annotations({ description: "Bytes of the upload, at most 1 MiB." }))
  .addSuccess(UploadedPart)
  .addError(WireError.PayloadTooLarge)
  .annotate(Hot, true)
export const log = HttpApiEndpoint.get("log")`/v1/session_ingress/session/${id}`
  .annotate(OpenApi.Description, "The transcript, in log order.")
  .setUrlParams(Schema.Struct({ after_last_compact: Schema.optional(Schema.String) }))
  .addSuccess(LogLines)
  .annotate(Hot, true)

/** Address of a session's log on the hub at `base`. */
export const logUrl = (base: string, id: SessionId): string =>
  urlOf(base.replace(/\/+$/, ""), log, { path: { id } })

/** Address of a part of an upload, below the address of its log. */
export const partUrl = (logUrl: string, upload: string, offset: number): string =>
  urlOf(
    `${logUrl}${uploadPart.path.slice(append.path.length).replace(":upload", upload)}`,
    { ...uploadPart, path: "" },
    { query: { offset } }
  )

export class IngressApi extends HttpApiGroup.make("ingress")
  .add(append)
  .add(uploadPart)
  .add(log)
  .addError(WireError.BadRequest)
  .addError(WireError.NotFound)
  .addError(WireError.Conflict)
  .addError(WireError.TooManyRequests)
  .addError(WireError.Unavailable)
  .middleware(IngressAccess) {}
