/** Calls about environments, with the access token. Source: spec 1 §5. */

import * as Headers from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Environments"
import type { EnvironmentId, SessionId, WorkId } from "@causeway/protocol/Ids"
import { scrub } from "@causeway/protocol/Scrub"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { EnvironmentGone, SessionConflict, SessionNotFound } from "../ClientError.ts"
import * as Answer from "../internal/Answer.ts"
import * as Call from "../internal/Call.ts"
import * as Request from "../internal/Request.ts"
import type { ListOptions, Registered, Registration } from "./Model.ts"

const Page = Schema.Struct({
  data: Schema.Array(Api.Environment),
  next_cursor: Schema.optional(Schema.NullOr(Schema.String))
})

const registrationBody = (registration: Registration): string =>
  JSON.stringify({
    machine_name: registration.machineName,
    directory: registration.directory,
    branch: registration.branch ?? null,
    git_repo_url: registration.gitRepoUrl === undefined ? null : scrub(registration.gitRepoUrl),
    max_sessions: registration.maxSessions ?? 1,
    metadata: { ...registration.metadata, worker_type: registration.workerType },
    ...(registration.reuseEnvironmentId === undefined
      ? {}
      : { reuse_environment_id: registration.reuseEnvironmentId })
  })

export const TIMEOUT = "10 seconds"
const REGISTER_TIMEOUT = "30 seconds"

const ask = (
  caller: Request.Caller,
  place: Request.Place,
  body?: string,
  timeout: Request.Ask["timeout"] = TIMEOUT
) =>
  Call.access(
    caller,
    {
      ...place,
      timeout,
      headers: { [Headers.ANTHROPIC_BETA_HEADER]: caller.config.environmentsBeta },
      ...(body === undefined ? {} : { body })
    },
    "none"
  )

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
export const gone = (environmentId: EnvironmentId) => {
  const error = (answer: Answer.Answer) => new EnvironmentGone({ environmentId, ...Answer.detailOf(answer) })
  return { 404: error, 410: error }
}

export const register = (caller: Request.Caller) =>
  Effect.fn("Environments.register")(function* (registration: Registration) {
    const place = Request.to("Environments.register", Api.register, caller.config.baseUrl)
    const answer = yield* Effect.flatMap(
      ask(caller, place, registrationBody(registration), REGISTER_TIMEOUT),
      Answer.expect()
    )
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
    const place = Request.to("Environments.deregister", Api.deregister, caller.config.baseUrl, {
      path: { environmentId }
    })
    const done = Effect.succeed<Answer.Answer>
    yield* Effect.flatMap(ask(caller, place), Answer.expect({ 404: done, 410: done }))
    yield* caller.credentials.forgetEnvironmentSecret(environmentId)
  })

export const reconnect = (caller: Request.Caller) =>
  Effect.fn("Environments.reconnect")(function* (environmentId: EnvironmentId, sessionId: SessionId) {
    yield* checked(environmentId)
    yield* Call.checkId("session", sessionId)
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const place = Request.to("Environments.reconnect", Api.reconnect, caller.config.baseUrl, {
      path: { environmentId }
    })
    yield* Effect.flatMap(
      ask(caller, place, JSON.stringify({ session_id: sessionId })),
      Answer.expect<EnvironmentGone | SessionNotFound | SessionConflict>({
        ...gone(environmentId),
        404: (answer) => new SessionNotFound({ sessionId, ...Answer.detailOf(answer) }),
        409: (answer) =>
          new SessionConflict({ sessionId, operation: answer.operation, ...Answer.detailOf(answer) })
      })
    )
  })

export const get = (caller: Request.Caller) =>
  Effect.fn("Environments.get")(function* (environmentId: EnvironmentId) {
    yield* checked(environmentId)
    const place = Request.to("Environments.get", Api.get, caller.config.baseUrl, { path: { environmentId } })
    const answer = yield* Effect.flatMap(ask(caller, place), Answer.expect(gone(environmentId)))
    return yield* Answer.decode(Api.Environment)(answer)
  })

export const list = (caller: Request.Caller) =>
  Effect.fn("Environments.list")(function* (query: ListOptions = {}) {
    const place = Request.to("Environments.list", Api.list, caller.config.baseUrl, { query: { ...query } })
    const answer = yield* Effect.flatMap(ask(caller, place, undefined, "20 seconds"), Answer.expect())
    const page = yield* Answer.decode(Page)(answer)
    return { data: page.data, nextCursor: Option.fromNullable(page.next_cursor) }
  })
