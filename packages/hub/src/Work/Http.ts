/**
 * `/v1/environments/{id}/work` through HttpApi. `poll` and `heartbeat` are hot routes (`Routes.ts`); they
 * stand here too, by the same operations, so that the API is whole.
 */
import { CausewayApi } from "@causeway/protocol/http/Api"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as PublicUrl from "../PublicUrl.ts"
import * as Operations from "./Operations.ts"

const queryOf = (url: string): { readonly [name: string]: string } =>
  Object.fromEntries(new URL(url, "http://hub").searchParams)

export const layer = HttpApiBuilder.group(CausewayApi, "work", (handlers) =>
  Effect.gen(function* () {
    const operations = yield* Operations.make
    const tellAddress = yield* PublicUrl.tell
    return handlers
      .handle("poll", ({ path, urlParams, request }) =>
        operations.poll({
          environmentId: path.environmentId,
          query: urlParams,
          workerId: request.headers[Operations.WORKER_ID_HEADER],
          apiBaseUrl: tellAddress({
            peer: Option.getOrUndefined(request.remoteAddress),
            headers: request.headers
          }),
          authorize: Effect.void
        })
      )
      .handle("listWork", ({ path, urlParams }) =>
        operations.list({
          environmentId: path.environmentId,
          limit: urlParams.limit,
          cursor: urlParams.cursor ?? urlParams.page
        })
      )
      .handle("stats", ({ path }) => operations.stats(path.environmentId))
      .handle("getWork", ({ path }) => operations.get(path))
      .handle("updateWork", ({ path, payload }) =>
        operations.updateMetadata({ ...path, patch: payload.metadata })
      )
      .handle("ack", ({ path, request }) =>
        operations.acknowledge({ ...path, workerId: request.headers[Operations.WORKER_ID_HEADER] })
      )
      .handle("heartbeat", ({ path, payload }) =>
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const query = yield* Operations.decodeHeartbeatQuery(queryOf(request.url))
          return yield* operations.heartbeat({
            ...path,
            workerId: request.headers[Operations.WORKER_ID_HEADER],
            query,
            body: payload
          })
        })
      )
      .handle("stop", ({ path, payload }) => operations.stop({ ...path, force: payload?.force ?? false }))
  })
)
