/** How a hub is, and its documents; without authentication. Source: spec 5 §3.9 and §3.10. */
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Schema from "effect/Schema"
import { Hot } from "./Endpoint.ts"
import { JsonObject } from "./Schemas.ts"

/** The parts that readiness depends on. */
export const Ready = Schema.Struct({
  status: Schema.Literal("ready", "not_ready"),
  database: Schema.Literal("reachable", "unwritable", "unreachable"),
  schema_version: Schema.NullOr(Schema.Int)
})

export const health = HttpApiEndpoint.get("health")`/health`
  .annotate(OpenApi.Description, "The process lives.")
  .addSuccess(Schema.Struct({ status: Schema.Literal("ok") }))
  .annotate(Hot, true)
export const ready = HttpApiEndpoint.get("ready")`/ready`
  .annotate(
    OpenApi.Description,
    "The database is reachable, has this program's schema, and takes what is written."
  )
  .addSuccess(Ready)
  .addError(Ready, { status: 503 })
  .annotate(Hot, true)
export const metrics = HttpApiEndpoint.get("metrics")`/metrics`
  .annotate(OpenApi.Description, "Metrics as Prometheus text, version 0.0.4.")
  .addSuccess(HttpApiSchema.Text({ contentType: "text/plain" }))
  .annotate(Hot, true)
export const openapi = HttpApiEndpoint.get("openapi")`/openapi.json`
  .addSuccess(JsonObject)
  .annotate(Hot, true)
export const docs = HttpApiEndpoint.get("docs")`/docs`
  .addSuccess(HttpApiSchema.Text({ contentType: "text/html" }))
  .annotate(Hot, true)

export class OperationApi extends HttpApiGroup.make("operation")
  .add(health)
  .add(ready)
  .add(metrics)
  .add(openapi)
  .add(docs) {}
