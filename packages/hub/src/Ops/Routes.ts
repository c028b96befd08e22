/** `/health`, `/ready`, `/metrics`, `/openapi.json` and `/docs`, without authentication. Source: spec 5 §3.9 and §3.10. */
import * as Api from "@causeway/protocol/http/Operation"
import * as Readiness from "@causeway/store/Readiness"
import * as Effect from "effect/Effect"
import * as HotRoutes from "../HotRoutes.ts"
import { docsPage, docsPolicy, openApi } from "./Documents.ts"
import * as Prometheus from "./Prometheus.ts"

const ready = (status: 200 | 503, body: typeof Api.Ready.Type) => HotRoutes.json(status, body)

/** The routes, to be placed in the hub's table. */
export const make = Effect.gen(function* () {
  const readiness = yield* Readiness.Readiness
  // The documents do not change while the hub runs.
  const document = yield* Effect.cached(Effect.sync(() => JSON.stringify(openApi())))
  const page = yield* Effect.cached(Effect.sync(() => docsPage(openApi())))

  return [
    HotRoutes.route(Api.health, () => Effect.succeed(HotRoutes.json(200, { status: "ok" }))),
    HotRoutes.route(Api.ready, () =>
      readiness.check.pipe(
        Effect.flatMap(({ found, known }) =>
          found === known
            ? Effect.match(readiness.probe, {
                onSuccess: () =>
                  ready(200, { status: "ready", database: "reachable", schema_version: found }),
                // Its words are in the log: they name a file, and whoever asks here may be anybody.
                onFailure: () =>
                  ready(503, { status: "not_ready", database: "unwritable", schema_version: found })
              })
            : Effect.succeed(
                ready(503, { status: "not_ready", database: "reachable", schema_version: found })
              )
        ),
        Effect.catchTag("StoreUnavailable", (error) =>
          Effect.logError("the database did not answer").pipe(
            Effect.annotateLogs({ cause: error.cause }),
            Effect.as(ready(503, { status: "not_ready", database: "unreachable", schema_version: null }))
          )
        )
      )
    ),
    HotRoutes.route(Api.metrics, () =>
      Effect.map(Prometheus.snapshot, (text) =>
        HotRoutes.text(200, text, { "content-type": Prometheus.CONTENT_TYPE })
      )
    ),
    HotRoutes.route(Api.openapi, () => Effect.map(document, (text) => HotRoutes.text(200, text))),
    HotRoutes.route(Api.docs, () =>
      Effect.map(page, (html) =>
        HotRoutes.text(200, html, {
          "content-type": "text/html; charset=utf-8",
          "content-security-policy": docsPolicy
        })
      )
    )
  ] satisfies ReadonlyArray<HotRoutes.HotRoute>
})
