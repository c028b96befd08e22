/** The calls of the Sessions API: bodies, addresses, and what each status means. Source: spec 1 §2. */
import * as GitRemote from "@causeway/git/GitRemote"
import * as Headers from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Sessions"
import { SessionId, toCompat } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { SessionConflict, SessionNotFound } from "../ClientError.ts"
import * as Answer from "../internal/Answer.ts"
import * as Call from "../internal/Call.ts"
import * as Request from "../internal/Request.ts"
import type { ArchiveOptions, Create, ListOptions, Session } from "./Model.ts"

// --- Bodies ---

const open = <F extends Schema.Struct.Fields>(fields: F) =>
  Schema.Struct(fields, Schema.Record({ key: Schema.String, value: Schema.Unknown }))

const Text = Schema.optional(Schema.NullOr(Schema.String))

const Created = open({ id: SessionId })

/** The part of a session that is read: little, so that any server's will do. */
const Read = open({
  id: Schema.optional(SessionId),
  environment_id: Text,
  title: Text,
  archived_at: Text
})

const Page = open({
  data: Schema.Array(open({ ...Read.fields, id: SessionId })),
  next_cursor: Text
})

const Sent = open({
  events: Schema.optionalWith(Api.SentEvents.fields.events, { default: () => [] }),
  waiting_for: Api.SentEvents.fields.waiting_for
})

/** `sources` and `outcomes` of a session on a repository; both empty where the remote does not parse. */
const gitContext = (
  options: Pick<Create, "gitRepoUrl" | "branch" | "defaultBranch">,
  branchPrefix: string
): { readonly sources: ReadonlyArray<JsonObject>; readonly outcomes: ReadonlyArray<JsonObject> } =>
  Option.match(Option.flatMap(Option.fromNullable(options.gitRepoUrl), GitRemote.parse), {
    onNone: () => ({ sources: [], outcomes: [] }),
    onSome: (remote) => {
      const revision = options.branch ?? options.defaultBranch
      return {
        sources: [
          {
            type: "git_repository",
            url: GitRemote.toUrl(remote),
            ...(revision === undefined ? {} : { revision })
          }
        ],
        outcomes: [
          {
            type: "git_repository",
            git_info: {
              type: "github",
              repo: GitRemote.repo(remote),
              branches: [`${branchPrefix}${options.branch ?? "task"}`]
            }
          }
        ]
      }
    }
  })

const createBody = (options: Create, branchPrefix: string): string =>
  JSON.stringify({
    ...(options.title === undefined ? {} : { title: options.title }),
    events: options.events.map((data) => ({ type: "event", data })),
    session_context: {
      ...gitContext(options, branchPrefix),
      ...(options.model === undefined ? {} : { model: options.model })
    },
    environment_id: options.environmentId,
    source: "remote-control",
    ...(options.permissionMode === undefined ? {} : { permission_mode: options.permissionMode })
  })

const session = (id: SessionId, read: typeof Read.Type): Session => ({
  id: read.id ?? id,
  environmentId: Option.fromNullable(read.environment_id),
  title: Option.fromNullable(read.title),
  archivedAt: Option.fromNullable(read.archived_at),
  raw: read
})

// --- Calls ---

export const TIMEOUT = "10 seconds"
/** Creating may start things on the server's side. */
const CREATE_TIMEOUT = "30 seconds"

export const ask = (
  caller: Request.Caller,
  place: Request.Place,
  timeout: Request.Ask["timeout"],
  body?: string
) =>
  Call.access(
    caller,
    {
      ...place,
      timeout,
      headers: { [Headers.ANTHROPIC_BETA_HEADER]: caller.config.sessionsBeta },
      ...(body === undefined ? {} : { body })
    },
    "required"
  )

/** The session's id as a path of this API has it. */
export const pathOf = (id: SessionId) =>
  Effect.map(Call.checkId("session", id), (checked) => ({ path: { id: toCompat(checked) } }))

export const missing = (sessionId: SessionId) => ({
  404: (answer: Answer.Answer) => new SessionNotFound({ sessionId, ...Answer.detailOf(answer) })
})
export const refused = (sessionId: SessionId) => ({
  ...missing(sessionId),
  409: (answer: Answer.Answer) =>
    new SessionConflict({ sessionId, operation: answer.operation, ...Answer.detailOf(answer) })
})

export const create = (caller: Request.Caller) =>
  Effect.fn("Sessions.create")(function* (options: Create) {
    yield* Effect.annotateCurrentSpan("environment.id", options.environmentId)
    const { baseUrl, branchPrefix } = caller.config
    const answer = yield* ask(
      caller,
      Request.to("Sessions.create", Api.create, options.baseUrl ?? baseUrl),
      CREATE_TIMEOUT,
      createBody(options, branchPrefix)
    )
    if (answer.status !== 200 && answer.status !== 201) return yield* Answer.failed(answer)
    const { id } = yield* Answer.decode(Created)(answer)
    yield* Effect.annotateCurrentSpan("session.id", id)
    return id
  })

export const get = (caller: Request.Caller) =>
  Effect.fn("Sessions.get")(function* (id: SessionId) {
    yield* Effect.annotateCurrentSpan("session.id", id)
    const place = Request.to("Sessions.get", Api.get, caller.config.baseUrl, yield* pathOf(id))
    const answer = yield* Effect.flatMap(ask(caller, place, TIMEOUT), Answer.expect(missing(id)))
    return session(id, yield* Answer.decode(Read)(answer))
  })

export const list = (caller: Request.Caller) =>
  Effect.fn("Sessions.list")(function* ({ environmentId, ...query }: ListOptions = {}) {
    const place = Request.to("Sessions.list", Api.list, caller.config.baseUrl, {
      query: { ...query, environment_id: environmentId }
    })
    const answer = yield* Effect.flatMap(ask(caller, place, "20 seconds"), Answer.expect())
    const page = yield* Answer.decode(Page)(answer)
    return {
      data: page.data.map((read) => session(read.id, read)),
      nextCursor: Option.fromNullable(page.next_cursor)
    }
  })

export const archive = (caller: Request.Caller) =>
  Effect.fn("Sessions.archive")(function* (id: SessionId, options: ArchiveOptions = {}) {
    yield* Effect.annotateCurrentSpan("session.id", id)
    const place = Request.to("Sessions.archive", Api.archive, caller.config.baseUrl, yield* pathOf(id))
    yield* Effect.flatMap(
      ask(caller, place, options.timeout ?? TIMEOUT, "{}"),
      // 409: archived already, by an attempt whose answer was lost or by somebody else.
      Answer.expect({ ...missing(id), 409: Effect.succeed<Answer.Answer> })
    )
  })

export const updateTitle = (caller: Request.Caller) =>
  Effect.fn("Sessions.updateTitle")(function* (id: SessionId, title: string) {
    yield* Effect.annotateCurrentSpan("session.id", id)
    const place = Request.to("Sessions.updateTitle", Api.update, caller.config.baseUrl, yield* pathOf(id))
    yield* Effect.flatMap(
      ask(caller, place, TIMEOUT, JSON.stringify({ title })),
      Answer.expect<SessionNotFound | SessionConflict>(refused(id))
    )
  })

export const sendEvents = (caller: Request.Caller) =>
  Effect.fn("Sessions.sendEvents")(function* (id: SessionId, events: ReadonlyArray<JsonObject>) {
    yield* Effect.annotateCurrentSpan({ "session.id": id, "events.count": events.length })
    const body = JSON.stringify({ events: events.map((data) => ({ type: "event", data })) })
    const place = Request.to("Sessions.sendEvents", Api.sendEvents, caller.config.baseUrl, yield* pathOf(id))
    const answer = yield* Effect.flatMap(
      ask(caller, place, "30 seconds", body),
      Answer.expect<SessionNotFound | SessionConflict>(refused(id))
    )
    if (answer.text === "") return { events: [] }
    return yield* Answer.decode(Sent)(answer)
  })
