/** `/v1/environments`: what bridges and people do with environments. Source: spec 1 §5, spec 5 §2 and §3. */
import { ColdApi } from "@causeway/protocol/http/Api"
import { CurrentPrincipal } from "@causeway/protocol/http/Authorization"
import type { Environment } from "@causeway/protocol/http/Environments"
import { sessionBody } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import * as Environments from "@causeway/store/Environments"
import * as Work from "@causeway/store/Work"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { isoOrNull } from "../internal/iso.ts"
import { objectOf } from "../internal/json.ts"
import { unavailable } from "../internal/unavailable.ts"

/** Page size of a list, where none is asked for. */
export const LIST_DEFAULT = 100

/** How many sessions run at once in an environment that was created and not registered: many workers may poll it. */
export const CREATED_MAX_SESSIONS = 1_000

/** An environment as people see it at this moment. */
export const toWire = (environment: Environments.EnvironmentRecord, nowMillis: number): Environment => ({
  id: environment.id,
  type: "environment",
  name: environment.name,
  description: environment.description ?? null,
  config: objectOf(environment.config),
  scope: environment.scope ?? "organization",
  machine_name: environment.machineName,
  directory: environment.directory,
  branch: environment.branch ?? null,
  git_repo_url: environment.gitRepoUrl ?? null,
  max_sessions: environment.maxSessions,
  metadata: objectOf(environment.metadata),
  online: Environments.isOnline(environment, nowMillis),
  last_seen_at: isoOrNull(environment.lastSeenAt),
  created_at: new Date(environment.createdAt).toISOString(),
  updated_at: new Date(environment.updatedAt).toISOString(),
  archived_at: isoOrNull(environment.archivedAt)
})

const notFound = (error: { readonly message: string }) => WireError.NotFound.of(error.message)
const conflict = (error: { readonly message: string }) => WireError.Conflict.of(error.message)

export const layer = HttpApiBuilder.group(ColdApi, "environments", (handlers) =>
  Effect.gen(function* () {
    const environments = yield* Environments.Environments
    const queue = yield* Work.WorkQueue

    const shown = (environment: Environments.EnvironmentRecord) =>
      Effect.map(Clock.currentTimeMillis, (now) => toWire(environment, now))

    return handlers
      .handle("register", ({ payload }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          const { environment, secret } = yield* environments.register({
            organizationId,
            machineName: payload.machine_name,
            directory: payload.directory,
            branch: payload.branch ?? undefined,
            gitRepoUrl: payload.git_repo_url ?? undefined,
            maxSessions: payload.max_sessions ?? undefined,
            metadata: payload.metadata == null ? undefined : JSON.stringify(payload.metadata),
            reuseEnvironmentId: payload.reuse_environment_id ?? undefined
          })
          return { environment_id: environment.id, environment_secret: Redacted.value(secret) }
        }).pipe(Effect.catchTag("StoreUnavailable", unavailable))
      )
      .handle("deregister", ({ path }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          yield* environments.archive({ organizationId, environmentId: path.environmentId })
          return { id: path.environmentId, type: "environment_deleted", archived: true }
        }).pipe(Effect.catchTags({ EnvironmentUnknown: notFound, StoreUnavailable: unavailable }))
      )
      .handle("reconnect", ({ path, payload }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          const work_id = yield* queue.requeue({
            organizationId,
            environmentId: path.environmentId,
            session: sessionBody(payload.session_id)
          })
          return { work_id }
        }).pipe(
          Effect.catchTags({
            EnvironmentUnknown: notFound,
            EnvironmentArchived: notFound,
            SessionUnknown: notFound,
            SessionArchived: conflict,
            SessionElsewhere: conflict,
            StoreUnavailable: unavailable
          })
        )
      )
      .handle("create", ({ payload }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          const { environment, secret } = yield* environments.create({
            organizationId,
            name: payload.name,
            description: payload.description ?? undefined,
            maxSessions: payload.max_sessions ?? CREATED_MAX_SESSIONS,
            metadata: JSON.stringify(payload.metadata ?? {}),
            config: JSON.stringify(payload.config ?? { type: "self_hosted" }),
            scope: payload.scope ?? undefined
          })
          return { ...(yield* shown(environment)), environment_secret: Redacted.value(secret) }
        }).pipe(Effect.catchTag("StoreUnavailable", unavailable))
      )
      .handle("list", ({ urlParams }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          const now = yield* Clock.currentTimeMillis
          const page = yield* environments.list({
            organizationId,
            limit: urlParams.limit ?? LIST_DEFAULT,
            cursor: urlParams.cursor ?? urlParams.page,
            archived: urlParams.archived ?? "false"
          })
          const next = page.next ?? null
          return {
            data: page.environments.map((environment) => toWire(environment, now)),
            next_cursor: next,
            next_page: next
          }
        }).pipe(
          Effect.catchTags({
            CursorInvalid: (error) => WireError.BadRequest.of(error.message),
            StoreUnavailable: unavailable
          })
        )
      )
      .handle("get", ({ path }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          return yield* shown(yield* environments.get({ organizationId, environmentId: path.environmentId }))
        }).pipe(Effect.catchTags({ EnvironmentUnknown: notFound, StoreUnavailable: unavailable }))
      )
      .handle("archive", ({ path }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          return yield* shown(
            yield* environments.archive({ organizationId, environmentId: path.environmentId })
          )
        }).pipe(Effect.catchTags({ EnvironmentUnknown: notFound, StoreUnavailable: unavailable }))
      )
      .handle("remove", ({ path }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          const { archived } = yield* environments.remove({
            organizationId,
            environmentId: path.environmentId
          })
          return { id: path.environmentId, type: "environment_deleted", archived }
        }).pipe(Effect.catchTags({ EnvironmentUnknown: notFound, StoreUnavailable: unavailable }))
      )
  })
)
