/** Calls about environments, with the access token. Source: spec 1 §5. */
import * as Headers from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Environments"
import type { EnvironmentId, SessionId, WorkId } from "@causeway/protocol/Ids"
import { scrub } from "@causeway/protocol/Scrub"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { EnvironmentGone } from "../ClientError.ts"
import * as Answer from "../internal/Answer.ts"
import * as Call from "../internal/Call.ts"
import type * as Request from "../internal/Request.ts"
import type { ListOptions, Registered, Registration } from "./Model.ts"

const Page = Schema.Struct({
  data: Schema.Array(Api.Environment),
  next_cursor: Schema.optional(Schema.NullOr(Schema.String))
})

const registrationBody = (registration: Registration) => ({
  machine_name: registration.machineName,
  directory: registration.directory,
  branch: registration.branch ?? null,
  git_repo_url: registration.gitRepoUrl === undefined ? null : scrub(registration.gitRepoUrl),
  max_sessions: registration.maxSessions ?? 1,
  metadata: { ...registration.metadata, worker_type: registration.workerType },
  reuse_environment_id: registration.reuseEnvironmentId
})

const ask = <Path, Query, E = never>(
  caller: Request.Caller,
  operation: string,
  endpoint: Request.Asked<Path, Query>,
  options: Call.Options<Path, Query, E>
) =>
  Call.access(caller, "none", `Environments.${operation}`, endpoint, {
    headers: { [Headers.ANTHROPIC_BETA_HEADER]: caller.config.environmentsBeta },
    ...options
  })

/** Refuses ids that must not stand in a path, and notes the others on the span. */
export const checked = (environmentId: EnvironmentId, workId?: WorkId) =>
  Effect.zipRight(
    workId === undefined ? Effect.void : Call.checkId("work", workId),
    Call.checkId("environment", environmentId)
  ).pipe(
    Effect.zipLeft(
      Effect.annotateCurrentSpan({
        "environment.id": environmentId,
        ...(workId === undefined ? {} : { "work.id": workId })
      })
    )
  )

/** 404 and 410. */
export const gone = (environmentId: EnvironmentId): Answer.Meanings<EnvironmentGone> => {
  const error = (answer: Answer.Answer) => new EnvironmentGone({ environmentId, ...Answer.detailOf(answer) })
  return { 404: error, 410: error }
}

export const register = (caller: Request.Caller) =>
  Effect.fn("Environments.register")(function* (registration: Registration) {
    const answer = yield* ask(caller, "register", Api.register, {
      body: registrationBody(registration),
      timeout: "30 seconds"
    })
    const body = yield* Answer.decode(Api.RegisteredEnvironment)(answer)
    const secret = Redacted.make(body.environment_secret)
    yield* caller.credentials.setEnvironmentSecret(body.environment_id, secret)
    yield* Effect.annotateCurrentSpan("environment.id", body.environment_id)
    const registered: Registered = {
      environmentId: body.environment_id,
      secret,
      reused: body.environment_id === registration.reuseEnvironmentId
    }
    return registered
  })

export const deregister = (caller: Request.Caller) =>
  Effect.fn("Environments.deregister")(function* (environmentId: EnvironmentId) {
    yield* checked(environmentId)
    yield* ask(caller, "deregister", Api.deregister, {
      path: { environmentId },
      meanings: { 404: Call.done, 410: Call.done }
    })
    yield* caller.credentials.forgetEnvironmentSecret(environmentId)
  })

export const reconnect = (caller: Request.Caller) =>
  Effect.fn("Environments.reconnect")(function* (environmentId: EnvironmentId, sessionId: SessionId) {
    yield* checked(environmentId)
    yield* Call.checkId("session", sessionId)
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    yield* ask(caller, "reconnect", Api.reconnect, {
      path: { environmentId },
      body: { session_id: sessionId },
      meanings: Answer.either(gone(environmentId), Call.refused(sessionId))
    })
  })

export const get = (caller: Request.Caller) =>
  Effect.fn("Environments.get")(function* (environmentId: EnvironmentId) {
    yield* checked(environmentId)
    const answer = yield* ask(caller, "get", Api.get, {
      path: { environmentId },
      meanings: gone(environmentId)
    })
    return yield* Answer.decode(Api.Environment)(answer)
  })

export const list = (caller: Request.Caller) =>
  Effect.fn("Environments.list")(function* (query: ListOptions = {}) {
    const answer = yield* ask(caller, "list", Api.list, { query: { ...query }, timeout: "20 seconds" })
    const page = yield* Answer.decode(Page)(answer)
    return { data: page.data, nextCursor: Option.fromNullable(page.next_cursor) }
  })
