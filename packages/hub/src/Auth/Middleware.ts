/** Authentication for HttpApi. */

import { ORGANIZATION_HEADER } from "@causeway/protocol/Headers"
import { Access, EnvironmentAccess } from "@causeway/protocol/http/Authorization"
import { EnvironmentId, WorkId } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import type * as Environments from "@causeway/store/Environments"
import type * as Work from "@causeway/store/Work"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as AccessTable from "./AccessTable.ts"
import { Auth } from "./Auth.ts"
import * as WorkAccess from "./WorkAccess.ts"

const organizationHeader = Effect.map(
  HttpServerRequest.HttpServerRequest,
  (request) => request.headers[ORGANIZATION_HEADER]
)

export const layerAccess: Layer.Layer<Access, never, Auth> = Layer.effect(
  Access,
  Effect.map(Effect.all([Auth, AccessTable.lines]), ([auth, lineOf]) => ({
    accessToken: (token) =>
      Effect.gen(function* () {
        const { route } = yield* HttpRouter.RouteContext
        return yield* auth.access(token, yield* organizationHeader, lineOf(route).needs)
      })
  }))
)

const decodeEnvironmentId = Schema.decodeUnknown(EnvironmentId)
const decodeWorkId = Schema.decodeUnknown(WorkId)

export const layerEnvironmentAccess: Layer.Layer<
  EnvironmentAccess,
  never,
  Auth | Environments.Environments | Work.WorkQueue
> = Layer.effect(
  EnvironmentAccess,
  Effect.map(Effect.all([WorkAccess.make, AccessTable.lines]), ([authorize, lineOf]) => ({
    environmentSecret: (token) =>
      Effect.gen(function* () {
        const { params, route } = yield* HttpRouter.RouteContext
        // An id that cannot stand in a path names nothing.
        const unknown = () => WireError.NotFound.of("no such environment or work item")
        const environmentId = yield* Effect.mapError(decodeEnvironmentId(params["environmentId"]), unknown)
        const workId =
          params["workId"] === undefined
            ? undefined
            : yield* Effect.mapError(decodeWorkId(params["workId"]), unknown)
        return yield* authorize({
          line: lineOf(route),
          environmentId,
          workId,
          token,
          organizationHeader: yield* organizationHeader
        })
      })
  }))
)

/** Both. */
export const layer = Layer.merge(layerAccess, layerEnvironmentAccess)
