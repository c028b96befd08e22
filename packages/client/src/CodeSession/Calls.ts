/** Calls of a code session: its start with the access token, a worker's with the ingress token. Source: spec 5 §1. */
import type * as Delivery from "@causeway/protocol/Delivery"
import * as Api from "@causeway/protocol/http/CodeSessions"
import { type SessionId, toInfra } from "@causeway/protocol/Ids"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { IngressTokenRejected, SessionNotFound, WorkerSuperseded } from "../ClientError.ts"
import * as Answer from "../internal/Answer.ts"
import * as Call from "../internal/Call.ts"
import type * as Request from "../internal/Request.ts"
import type { Create, Grant, Target, Update, Upload, WorkerError } from "./Model.ts"

// --- Bodies ---

/** Our hub's reply to `worker/token`. */
const Fresh = Schema.Struct({ worker_jwt: Schema.String, expires_in: Schema.Number })

const Due = Schema.Struct({ heartbeat_interval_seconds: Schema.optional(Schema.NullOr(Schema.Number)) })

const HEARTBEAT_DEFAULT_SECONDS = 20
const HEARTBEAT_FLOOR_SECONDS = 10

const uploadBody = (epoch: number, events: ReadonlyArray<Upload>): string =>
  `{"worker_epoch":${epoch},"events":[${events
    .map(({ ephemeral, text }) => `{"payload":${text}${ephemeral === true ? ',"ephemeral":true' : ""}}`)
    .join(",")}]}`

// --- With the access token ---

/** The path of a session, with its id as this API has it. */
const pathOf = (sessionId: SessionId) =>
  Effect.map(Call.checkId("session", sessionId), (id) => ({ id: toInfra(id) }))

export const create = (caller: Request.Caller) =>
  Effect.fn("CodeSession.create")(function* ({ config, environmentId, tags, title }: Create) {
    const answer = yield* Call.access(caller, "known", "CodeSession.create", Api.create, {
      body: { title: title ?? null, bridge: {}, tags, config, environment_id: environmentId },
      timeout: "30 seconds"
    })
    if (answer.status !== 200 && answer.status !== 201) return yield* Answer.failed(answer)
    const { session } = yield* Answer.decode(Api.CreatedCodeSession)(answer)
    yield* Effect.annotateCurrentSpan("session.id", session.id)
    return session.id
  })

export const credentials = (caller: Request.Caller) =>
  Effect.fn("CodeSession.credentials")(function* (sessionId: SessionId) {
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const answer = yield* Call.access(caller, "known", "CodeSession.credentials", Api.credentials, {
      path: yield* pathOf(sessionId),
      body: {},
      meanings: Call.missing(sessionId)
    })
    if (answer.status !== 200) return yield* Answer.failed(answer)
    const body = yield* Answer.decode(Api.RemoteCredentials)(answer)
    const token = Redacted.make(body.worker_jwt)
    yield* caller.credentials.setIngressToken(sessionId, token)
    const grant: Grant = {
      token,
      apiBaseUrl: body.api_base_url,
      expiresIn: Duration.seconds(body.expires_in),
      epoch: body.worker_epoch
    }
    return grant
  })

// --- With the ingress token ---

type OfSession<Query> = Request.Asked<{ readonly id: SessionId }, Query>

/** A worker's call. */
export const askOf = <Query>(
  caller: Request.Caller,
  { apiBaseUrl, sessionId }: Target,
  operation: string,
  endpoint: OfSession<Query>,
  options: Call.Options<{ readonly id: SessionId }, Query, unknown>
) =>
  Effect.map(pathOf(sessionId), (path) =>
    Call.askOf(caller, `CodeSession.${operation}`, endpoint, { ...options, base: apiBaseUrl, path })
  )

/** Meanings of the statuses of a worker's call, besides 2xx. */
export const refusals = (sessionId: SessionId) => {
  const rejected = (answer: Answer.Answer) =>
    new IngressTokenRejected({ sessionId, ...Answer.detailOf(answer) })
  return {
    401: rejected,
    403: rejected,
    404: (answer: Answer.Answer) => new SessionNotFound({ sessionId, ...Answer.detailOf(answer) }),
    409: (answer: Answer.Answer) => new WorkerSuperseded({ sessionId, ...Answer.detailOf(answer) })
  }
}

const worker = <Query>(
  caller: Request.Caller,
  target: Target,
  operation: string,
  endpoint: OfSession<Query>,
  options: Call.Options<{ readonly id: SessionId }, Query, unknown> = {},
  refresh: "none" | "401/403" = "401/403"
): Effect.Effect<Answer.Answer, WorkerError> =>
  Effect.gen(function* () {
    const { sessionId } = target
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const ask = yield* askOf(caller, target, operation, endpoint, options)
    return yield* Effect.flatMap(
      Call.ingress(caller, sessionId, ask, refresh),
      Answer.expect<WorkerError>(refusals(sessionId))
    )
  })

export const register = (caller: Request.Caller) =>
  Effect.fn("CodeSession.register")(function* (target: Target) {
    const answer = yield* worker(caller, target, "register", Api.registerWorker, { body: {} })
    return (yield* Answer.decode(Api.Registered)(answer)).worker_epoch
  })

export const refreshToken = (caller: Request.Caller) =>
  Effect.fn("CodeSession.refreshToken")(function* (target: Target) {
    const answer = yield* worker(caller, target, "refreshToken", Api.refreshToken, { body: {} }, "none")
    const body = yield* Answer.decode(Fresh)(answer)
    yield* caller.credentials.setIngressToken(target.sessionId, Redacted.make(body.worker_jwt))
    return Duration.seconds(body.expires_in)
  })

export const getWorker = (caller: Request.Caller) =>
  Effect.fn("CodeSession.getWorker")(function* (target: Target) {
    return yield* Answer.decode(Api.Worker)(yield* worker(caller, target, "getWorker", Api.worker))
  })

export const putWorker = (caller: Request.Caller) =>
  Effect.fn("CodeSession.putWorker")(function* (target: Target, update: Update) {
    yield* worker(caller, target, "putWorker", Api.updateWorker, {
      body: {
        worker_epoch: update.epoch,
        worker_status: update.status,
        connection_status: update.connection,
        external_metadata: update.externalMetadata
      }
    })
  })

export const postEvents = (caller: Request.Caller) =>
  Effect.fn("CodeSession.postEvents")(function* (
    target: Target,
    epoch: number,
    events: ReadonlyArray<Upload>,
    options: { readonly resend?: boolean } = {}
  ) {
    if (events.length === 0) return
    yield* Effect.annotateCurrentSpan("events.count", events.length)
    yield* worker(caller, target, "postEvents", Api.appendEvents, {
      body: uploadBody(epoch, events),
      headers: { "x-ccr-upload-attempt": options.resend === true ? "resend" : "first" },
      timeout: "30 seconds"
    })
  })

export const postDelivery = (caller: Request.Caller) =>
  Effect.fn("CodeSession.postDelivery")(function* (
    target: Target,
    epoch: number,
    updates: ReadonlyArray<Delivery.Update>
  ) {
    if (updates.length === 0) return
    yield* worker(caller, target, "postDelivery", Api.reportDelivery, {
      body: {
        worker_epoch: epoch,
        updates: updates.map(({ eventId, status }) => ({ event_id: eventId, status }))
      }
    })
  })

export const heartbeat = (caller: Request.Caller) =>
  Effect.fn("CodeSession.heartbeat")(function* (target: Target, epoch: number) {
    const answer = yield* worker(caller, target, "heartbeat", Api.workerHeartbeat, {
      body: { session_id: target.sessionId, worker_epoch: epoch }
    })
    const due = answer.text === "" ? {} : yield* Answer.decode(Due)(answer)
    return Duration.seconds(
      Math.max(due.heartbeat_interval_seconds ?? HEARTBEAT_DEFAULT_SECONDS, HEARTBEAT_FLOOR_SECONDS)
    )
  })
