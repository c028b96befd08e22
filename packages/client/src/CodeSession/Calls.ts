/** Calls of a code session: its start with the access token, a worker's with the ingress token. Source: spec 5 §1. */
import type * as Delivery from "@causeway/protocol/Delivery"
import * as Api from "@causeway/protocol/http/CodeSessions"
import type { Parameters } from "@causeway/protocol/http/Endpoint"
import { type SessionId, toInfra } from "@causeway/protocol/Ids"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { IngressTokenRejected, SessionNotFound, WorkerSuperseded } from "../ClientError.ts"
import * as Answer from "../internal/Answer.ts"
import * as Call from "../internal/Call.ts"
import * as Request from "../internal/Request.ts"
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

const TIMEOUT = "10 seconds"
const UPLOAD_TIMEOUT = "30 seconds"

const missing = (sessionId: SessionId) => (answer: Answer.Answer) =>
  new SessionNotFound({ sessionId, ...Answer.detailOf(answer) })

/** The session's id as a path of this API has it. */
const pathOf = (sessionId: SessionId) =>
  Effect.map(Call.checkId("session", sessionId), (id) => ({ path: { id: toInfra(id) } }))

export const create = (caller: Request.Caller) =>
  Effect.fn("CodeSession.create")(function* (options: Create) {
    const answer = yield* Call.access(
      caller,
      {
        ...Request.to("CodeSession.create", Api.create, caller.config.baseUrl),
        timeout: "30 seconds",
        body: JSON.stringify({
          title: options.title ?? null,
          bridge: {},
          ...(options.tags === undefined ? {} : { tags: options.tags }),
          ...(options.config === undefined ? {} : { config: options.config }),
          ...(options.environmentId === undefined ? {} : { environment_id: options.environmentId })
        })
      },
      "known"
    )
    if (answer.status !== 200 && answer.status !== 201) return yield* Answer.failed(answer)
    const { session } = yield* Answer.decode(Api.CreatedCodeSession)(answer)
    yield* Effect.annotateCurrentSpan("session.id", session.id)
    return session.id
  })

export const credentials = (caller: Request.Caller) =>
  Effect.fn("CodeSession.credentials")(function* (sessionId: SessionId) {
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const path = yield* pathOf(sessionId)
    const answer = yield* Call.access(
      caller,
      {
        ...Request.to("CodeSession.credentials", Api.credentials, caller.config.baseUrl, path),
        timeout: TIMEOUT,
        body: "{}"
      },
      "known"
    )
    if (answer.status === 404) return yield* missing(sessionId)(answer)
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

/** Where a worker's call goes. */
export const place = <Query>(
  { config }: Request.Caller,
  { apiBaseUrl, sessionId }: Target,
  operation: string,
  endpoint: OfSession<Query>,
  query: Parameters<{ readonly id: SessionId }, Query>["query"] = {}
) =>
  Effect.map(pathOf(sessionId), (path) =>
    Request.to(`CodeSession.${operation}`, endpoint, apiBaseUrl ?? config.baseUrl, { ...path, query })
  )

/** Meanings of the statuses of a worker's call, besides 2xx. */
export const refusals = (sessionId: SessionId) => {
  const rejected = (answer: Answer.Answer) =>
    new IngressTokenRejected({ sessionId, ...Answer.detailOf(answer) })
  return {
    401: rejected,
    403: rejected,
    404: missing(sessionId),
    409: (answer: Answer.Answer) => new WorkerSuperseded({ sessionId, ...Answer.detailOf(answer) })
  }
}

const worker = <Query>(
  caller: Request.Caller,
  target: Target,
  operation: string,
  endpoint: OfSession<Query>,
  ask: Partial<Pick<Request.Ask, "body" | "headers" | "timeout">> & { readonly refresh?: "none" } = {}
): Effect.Effect<Answer.Answer, WorkerError> =>
  Effect.gen(function* () {
    const { sessionId } = target
    const { refresh = "401/403", ...rest } = ask
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const at = yield* place(caller, target, operation, endpoint)
    return yield* Effect.flatMap(
      Call.ingress(caller, sessionId, { timeout: TIMEOUT, ...at, ...rest }, refresh),
      Answer.expect<WorkerError>(refusals(sessionId))
    )
  })

export const register = (caller: Request.Caller) =>
  Effect.fn("CodeSession.register")(function* (target: Target) {
    const answer = yield* worker(caller, target, "register", Api.registerWorker, { body: "{}" })
    return (yield* Answer.decode(Api.Registered)(answer)).worker_epoch
  })

export const refreshToken = (caller: Request.Caller) =>
  Effect.fn("CodeSession.refreshToken")(function* (target: Target) {
    const ask = { body: "{}", refresh: "none" } as const
    const answer = yield* worker(caller, target, "refreshToken", Api.refreshToken, ask)
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
      body: JSON.stringify({
        worker_epoch: update.epoch,
        worker_status: update.status,
        connection_status: update.connection,
        external_metadata: update.externalMetadata
      })
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
      timeout: UPLOAD_TIMEOUT
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
      body: JSON.stringify({
        worker_epoch: epoch,
        updates: updates.map(({ eventId, status }) => ({ event_id: eventId, status }))
      })
    })
  })

export const heartbeat = (caller: Request.Caller) =>
  Effect.fn("CodeSession.heartbeat")(function* (target: Target, epoch: number) {
    const answer = yield* worker(caller, target, "heartbeat", Api.workerHeartbeat, {
      body: JSON.stringify({ session_id: target.sessionId, worker_epoch: epoch })
    })
    const due = answer.text === "" ? {} : yield* Answer.decode(Due)(answer)
    return Duration.seconds(
      Math.max(due.heartbeat_interval_seconds ?? HEARTBEAT_DEFAULT_SECONDS, HEARTBEAT_FLOOR_SECONDS)
    )
  })
