/** `/v1/sessions`, where no event's text is taken. */
import { ColdApi } from "@causeway/protocol/http/Api"
import { CurrentPrincipal } from "@causeway/protocol/http/Authorization"
import { type SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as Effect from "effect/Effect"
import * as Sessions from "./Sessions.ts"

const keyOf = (id: SessionId) =>
  Effect.map(CurrentPrincipal, ({ organizationId }) => ({ organizationId, session: sessionBody(id) }))

export const layer = HttpApiBuilder.group(ColdApi, "sessions", (handlers) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.make
    return handlers
      .handle("get", ({ path }) => Effect.flatMap(keyOf(path.id), sessions.get))
      .handle("list", ({ urlParams }) =>
        Effect.flatMap(CurrentPrincipal, ({ organizationId }) =>
          sessions.page({
            organizationId,
            limit: urlParams.limit,
            archived: urlParams.archived,
            environmentId: urlParams.environment_id,
            cursor: urlParams.cursor
          })
        )
      )
      .handle("update", ({ path, payload }) =>
        Effect.flatMap(keyOf(path.id), (key) => sessions.rename(key, payload.title))
      )
      .handle("archive", ({ path }) => Effect.flatMap(keyOf(path.id), sessions.archive))
  })
)
