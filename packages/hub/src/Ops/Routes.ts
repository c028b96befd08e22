/** `/health`, `/ready`, `/metrics`, `/openapi.json` and `/docs`, without authentication. Source: spec 5 §3.9 and §3.10. */
import type { Ready } from "@causeway/protocol/BareDoorApi"
import * as Readiness from "@causeway/store/Readiness"
import * as Effect from "effect/Effect"
import * as BareDoor from "../BareDoor.ts"
import { docsPage, docsPolicy, openApi } from "./Documents.ts"
import * as Prometheus from "./Prometheus.ts"

const ready = (status: 200 | 503, body: typeof Ready.Type) => BareDoor.json(status, body)

/** The routes, to be placed in the hub's table. */
export const make = Effect.gen(function* () {
  const readiness = yield* Readiness.Readiness
  // The documents do not change while the hub runs.
  const document = JSON.stringify(openApi)
  const page = docsPage(openApi)

  return [
    BareDoor.route("GET", "/health", () => Effect.succeed(BareDoor.json(200, { status: "ok" }))),
    BareDoor.route("GET", "/ready", () =>
      readiness.check.pipe(
        Effect.map(({ found, known }) =>
          found === known
            ? ready(200, { status: "ready", database: "reachable", schema_version: found })
            : ready(503, { status: "not_ready", database: "reachable", schema_version: found })
        ),
        Effect.catchTag("StoreUnavailable", (error) =>
          Effect.logError("the database did not answer").pipe(
            Effect.annotateLogs({ cause: error.cause }),
            Effect.as(ready(503, { status: "not_ready", database: "unreachable", schema_version: null }))
          )
        )
      )
    ),
    BareDoor.route("GET", "/metrics", () =>
      Effect.map(Prometheus.snapshot, (text) =>
        BareDoor.text(200, text, { "content-type": Prometheus.CONTENT_TYPE })
      )
    ),
    BareDoor.route("GET", "/openapi.json", () => Effect.succeed(BareDoor.text(200, document))),
    BareDoor.route("GET", "/docs", () =>
      Effect.succeed(
        BareDoor.text(200, page, {
          "content-type": "text/html; charset=utf-8",
          "content-security-policy": docsPolicy,
          "x-content-type-options": "nosniff"
        })
      )
    )
  ] satisfies ReadonlyArray<BareDoor.BareRoute>
})
