/** `/v1/environments/{id}/work` through HttpApi; `poll` and `heartbeat` are hot (`Routes.ts`). */
import { WORKER_ID_HEADER } from "@causeway/protocol/Headers"
import { ColdApi } from "@causeway/protocol/http/Api"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as Effect from "effect/Effect"
import * as Operations from "./Operations.ts"

export const layer = HttpApiBuilder.group(ColdApi, "work", (handlers) =>
  Effect.gen(function* () {
    const operations = yield* Operations.make
    return handlers
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
        operations.acknowledge({ ...path, workerId: request.headers[WORKER_ID_HEADER] })
      )
      .handle("stop", ({ path, payload }) => operations.stop({ ...path, force: payload?.force ?? false }))
  })
)
