/** `/v1/sessions`, where no event's text is taken. */
import { ColdApi } from "@causeway/protocol/http/Api"
import { CurrentPrincipal } from "@causeway/protocol/http/Authorization"
import { type SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as Effect from "effect/Effect"
import * as Manager from "./Manager.ts"
import * as Sessions from "./Sessions.ts"

const keyOf = (id: SessionId) =>
  Effect.map(CurrentPrincipal, ({ organizationId }) => ({ organizationId, session: sessionBody(id) }))

export const layer = HttpApiBuilder.group(ColdApi, "sessions", (handlers) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.make
    const manager = yield* Manager.make
    return handlers
      .handle("get", ({ path }) => Effect.flatMap(keyOf(path.id), sessions.get))
      .handle("list", ({ urlParams }) =>
        Effect.flatMap(CurrentPrincipal, ({ organizationId }) =>
          sessions.page({
            organizationId,
            limit: urlParams.limit,
            archived: urlParams.archived,
            environmentId: urlParams.environment_id,
            leaves: urlParams.leaves === "true",
            cursor: urlParams.cursor
          })
        )
      )
      .handle("update", ({ path, payload }) =>
        Effect.gen(function* () {
          const key = yield* keyOf(path.id)
          if (payload.title !== undefined) yield* sessions.rename(key, payload.title)
          if (payload.agent_settings !== undefined) yield* manager.settings(key, payload.agent_settings)
          return yield* sessions.get(key)
        })
      )
      .handle("continue", ({ path, payload }) =>
        Effect.flatMap(keyOf(path.id), (key) => manager.goOn(key, payload)).pipe(
          Effect.flatMap(sessions.show)
        )
      )
      .handle("snapshots", ({ path }) => Effect.flatMap(keyOf(path.id), manager.snapshots))
      .handle("stopAll", ({ payload }) =>
        Effect.flatMap(CurrentPrincipal, ({ organizationId }) => manager.stopAll(organizationId, payload))
      )
      .handle("directories", ({ urlParams }) =>
        Effect.flatMap(CurrentPrincipal, ({ organizationId }) =>
          manager.directories(organizationId, urlParams.limit)
        )
      )
      .handle("archive", ({ path }) => Effect.flatMap(keyOf(path.id), sessions.archive))
  })
)
