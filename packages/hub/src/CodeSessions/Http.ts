/** Code sessions through HttpApi: the credentials of a worker. */
import { ColdApi } from "@causeway/protocol/http/Api"
import { CurrentPrincipal } from "@causeway/protocol/http/Authorization"
import { sessionBody } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import { Sessions } from "@causeway/store/Session"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Auth } from "../Auth/Auth.ts"
import { mapStoreErrors } from "../Failure.ts"
import { arrivedOf } from "../Forwarded.ts"
import * as PublicUrl from "../PublicUrl.ts"

export const layer = HttpApiBuilder.group(ColdApi, "codeSessions", (handlers) =>
  Effect.gen(function* () {
    const auth = yield* Auth
    const sessions = yield* Sessions
    const tellAddress = yield* PublicUrl.tell
    return handlers.handle("credentials", ({ path }) =>
      Effect.gen(function* () {
        const { organizationId } = yield* CurrentPrincipal
        const key = { organizationId, session: sessionBody(path.id) }
        if ((yield* sessions.get(key).pipe(mapStoreErrors)).archivedAt !== undefined) {
          return yield* WireError.Conflict.of("the session is archived")
        }
        const epoch = yield* sessions.nextEpoch(key, { token: true }).pipe(mapStoreErrors)
        const issued = yield* auth.issueIngress(key.session, organizationId, epoch)
        const request = yield* HttpServerRequest.HttpServerRequest
        return {
          worker_jwt: Redacted.value(issued.token),
          api_base_url: tellAddress(arrivedOf(NodeHttpServerRequest.toIncomingMessage(request))),
          expires_in: issued.expiresInSeconds,
          worker_epoch: epoch
        }
      })
    )
  })
)
