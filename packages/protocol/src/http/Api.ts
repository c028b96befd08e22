/** The hub's HTTP API, whole: what the server implements, clients derive from and `/openapi.json` shows. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as OpenApi from "@effect/platform/OpenApi"
import { AccessTokensApi } from "./AccessTokens.ts"
import { CodeSessionsApi } from "./CodeSessions.ts"
import { EnvironmentsApi, WorkApi } from "./Environments.ts"
import { SessionsApi } from "./Sessions.ts"

export class CausewayApi extends HttpApi.make("causeway")
  .add(SessionsApi)
  .add(CodeSessionsApi)
  .add(EnvironmentsApi)
  .add(WorkApi)
  .add(AccessTokensApi)
  .annotate(OpenApi.Title, "Causeway hub")
  .annotate(OpenApi.Version, "1") {}
