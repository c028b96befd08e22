/** `/v1/environments`: what bridges and people do with environments. Source: spec 1 §5, spec 5 §2 and §3. */
import { ColdApi } from "@causeway/protocol/http/Api"
import { CurrentPrincipal } from "@causeway/protocol/http/Authorization"
import type { Environment } from "@causeway/protocol/http/Environments"
import { type EnvironmentId, sessionBody } from "@causeway/protocol/Ids"
import { scrub } from "@causeway/protocol/Scrub"
import * as WireError from "@causeway/protocol/WireError"
import * as Environments from "@causeway/store/Environments"
import * as Work from "@causeway/store/Work"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { mapStoreErrors } from "../Failure.ts"
import { isoOrNull } from "../internal/iso.ts"
import { objectOf } from "../internal/json.ts"

/** Page size of a list, where none is asked for. */
const LIST_DEFAULT = 100

/** How many sessions run at once in an environment that was created and not registered: many workers may poll it. */
const CREATED_MAX_SESSIONS = 1_000

/** An environment as people see it at this moment. */
const toWire = (environment: Environments.EnvironmentRecord, nowMillis: number): Environment => ({
  id: environment.id,
  type: "environment",
  name: environment.name,
  description: environment.description ?? null,
  config: objectOf(environment.config),
  scope: environment.scope ?? "organization",
  machine_name: environment.machineName,
  directory: environment.directory,
  branch: environment.branch ?? null,
  // One that was registered before may still hold a password.
  git_repo_url: environment.gitRepoUrl === undefined ? null : scrub(environment.gitRepoUrl),
  max_sessions: environment.maxSessions,
  metadata: objectOf(environment.metadata),
  online: Environments.isOnline(environment, nowMillis),
  last_seen_at: isoOrNull(environment.lastSeenAt),
  created_at: new Date(environment.createdAt).toISOString(),
  updated_at: new Date(environment.updatedAt).toISOString(),
  archived_at: isoOrNull(environment.archivedAt)
})

export const layer = HttpApiBuilder.group(ColdApi, "environments", (handlers) =>
  Effect.gen(function* () {
    const environments = yield* Environments.Environments
    const queue = yield* Work.WorkQueue

    const keyOf = ({ environmentId }: { readonly environmentId: EnvironmentId }) =>
      Effect.map(CurrentPrincipal, ({ organizationId }) => ({ organizationId, environmentId }))

    const show = (environment: Environments.EnvironmentRecord) =>
      Effect.map(Clock.currentTimeMillis, (now) => toWire(environment, now))

    const deleted = (id: EnvironmentId, archived: boolean) => ({ id, type: "environment_deleted", archived })

    return handlers
      .handle("register", ({ payload }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          const { environment, secret } = yield* environments.register({
            organizationId,
            machineName: payload.machine_name,
            directory: payload.directory,
            branch: payload.branch ?? undefined,
            gitRepoUrl: payload.git_repo_url == null ? undefined : scrub(payload.git_repo_url),
            maxSessions: payload.max_sessions ?? undefined,
            metadata: payload.metadata == null ? undefined : JSON.stringify(payload.metadata),
            reuseEnvironmentId: payload.reuse_environment_id ?? undefined
          })
          return { environment_id: environment.id, environment_secret: Redacted.value(secret) }
        }).pipe(mapStoreErrors)
      )
      .handle("deregister", ({ path }) =>
        keyOf(path).pipe(
          Effect.flatMap(environments.archive),
          Effect.as(deleted(path.environmentId, true)),
          mapStoreErrors
        )
      )
      .handle("reconnect", ({ path, payload }) =>
        keyOf(path).pipe(
          Effect.flatMap((key) => queue.requeue({ ...key, session: sessionBody(payload.session_id) })),
          Effect.map((work_id) => ({ work_id })),
          // Nothing can be offered there, as if it were not.
          Effect.catchTag("EnvironmentArchived", ({ message }) => WireError.NotFound.of(message)),
          mapStoreErrors
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
          return { ...(yield* show(environment)), environment_secret: Redacted.value(secret) }
        }).pipe(mapStoreErrors)
      )
      .handle("list", ({ urlParams }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          const { environments: found, next = null } = yield* environments.list({
            organizationId,
            limit: urlParams.limit ?? LIST_DEFAULT,
            cursor: urlParams.cursor ?? urlParams.page,
            archived: urlParams.archived ?? "false"
          })
          return { data: yield* Effect.forEach(found, show), next_cursor: next, next_page: next }
        }).pipe(mapStoreErrors)
      )
      .handle("get", ({ path }) =>
        keyOf(path).pipe(Effect.flatMap(environments.get), Effect.flatMap(show), mapStoreErrors)
      )
      .handle("archive", ({ path }) =>
        keyOf(path).pipe(Effect.flatMap(environments.archive), Effect.flatMap(show), mapStoreErrors)
      )
      .handle("remove", ({ path }) =>
        keyOf(path).pipe(
          Effect.flatMap(environments.remove),
          Effect.map(({ archived }) => deleted(path.environmentId, archived)),
          mapStoreErrors
        )
      )
  })
)
