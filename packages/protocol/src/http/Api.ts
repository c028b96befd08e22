/** The hub's HTTP API: what `/openapi.json` shows and clients derive from. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as OpenApi from "@effect/platform/OpenApi"
import { AccessTokensApi } from "./AccessTokens.ts"
import { CodeSessionsApi, ColdCodeSessionsApi, ViewerApi, WorkerApi } from "./CodeSessions.ts"
import { ColdWorkApi, EnvironmentsApi, WorkApi } from "./Environments.ts"
import { IngressApi } from "./Ingress.ts"
import { OperationApi } from "./Operation.ts"
import { ColdSessionsApi, SessionsApi } from "./Sessions.ts"

/** All of it. */
export class CausewayApi extends HttpApi.make("causeway")
  .add(SessionsApi)
  .add(CodeSessionsApi)
  .add(EnvironmentsApi)
  .add(WorkApi)
  .add(AccessTokensApi)
  .add(IngressApi)
  .add(WorkerApi)
  .add(ViewerApi)
  .add(OperationApi)
  .annotate(OpenApi.Title, "Causeway hub")
  .annotate(OpenApi.Version, "1") {}

/** The endpoints that are not hot: what the platform's server answers. */
export class ColdApi extends HttpApi.make("causeway")
  .add(ColdSessionsApi)
  .add(ColdCodeSessionsApi)
  .add(EnvironmentsApi)
  .add(ColdWorkApi)
  .add(AccessTokensApi) {}
