/** The calls of the Sessions API: bodies, addresses, and what each status means. Source: spec 1 §2. */
import * as GitRemote from "@causeway/git/GitRemote"
import * as Headers from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Sessions"
import { SessionId, toCompat } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Answer from "../internal/Answer.ts"
import * as Call from "../internal/Call.ts"
import type * as Request from "../internal/Request.ts"
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

const createBody = (options: Create, branchPrefix: string) => ({
  title: options.title,
  events: options.events.map((data) => ({ type: "event", data })),
  session_context: { ...gitContext(options, branchPrefix), model: options.model },
  environment_id: options.environmentId,
  source: "remote-control",
  permission_mode: options.permissionMode
})

const session = (id: SessionId, read: typeof Read.Type): Session => ({
  id: read.id ?? id,
  environmentId: Option.fromNullable(read.environment_id),
  title: Option.fromNullable(read.title),
  archivedAt: Option.fromNullable(read.archived_at),
  raw: read
})

// --- Calls ---

export const ask = <Path, Query, E = never>(
  caller: Request.Caller,
  operation: string,
  endpoint: Request.Asked<Path, Query>,
  options: Call.Options<Path, Query, E> = {}
) =>
  Call.access(caller, "required", operation, endpoint, {
    headers: { [Headers.ANTHROPIC_BETA_HEADER]: caller.config.sessionsBeta },
    ...options
  })

/** The path of a session, with its id as this API has it. */
export const of = (id: SessionId) =>
  Effect.annotateCurrentSpan("session.id", id).pipe(
    Effect.zipRight(Call.checkId("session", id)),
    Effect.map((checked) => ({ path: { id: toCompat(checked) } }))
  )

export const create = (caller: Request.Caller) =>
  Effect.fn("Sessions.create")(function* (options: Create) {
    yield* Effect.annotateCurrentSpan("environment.id", options.environmentId)
    const answer = yield* ask(caller, "Sessions.create", Api.create, {
      base: options.baseUrl,
      body: createBody(options, caller.config.branchPrefix),
      // Creating may start things on the server's side.
      timeout: "30 seconds"
    })
    if (answer.status !== 200 && answer.status !== 201) return yield* Answer.failed(answer)
    const { id } = yield* Answer.decode(Created)(answer)
    yield* Effect.annotateCurrentSpan("session.id", id)
    return id
  })

export const get = (caller: Request.Caller) =>
  Effect.fn("Sessions.get")(function* (id: SessionId) {
    const answer = yield* ask(caller, "Sessions.get", Api.get, {
      ...(yield* of(id)),
      meanings: Call.missing(id)
    })
    return session(id, yield* Answer.decode(Read)(answer))
  })

export const list = (caller: Request.Caller) =>
  Effect.fn("Sessions.list")(function* ({ environmentId, ...query }: ListOptions = {}) {
    const answer = yield* ask(caller, "Sessions.list", Api.list, {
      query: { ...query, environment_id: environmentId },
      timeout: "20 seconds"
    })
    const page = yield* Answer.decode(Page)(answer)
    return {
      data: page.data.map((read) => session(read.id, read)),
      nextCursor: Option.fromNullable(page.next_cursor)
    }
  })

export const archive = (caller: Request.Caller) =>
  Effect.fn("Sessions.archive")(function* (id: SessionId, { timeout }: ArchiveOptions = {}) {
    yield* ask(caller, "Sessions.archive", Api.archive, {
      ...(yield* of(id)),
      body: {},
      timeout,
      // 409: archived already, by an attempt whose answer was lost or by somebody else.
      meanings: { ...Call.missing(id), 409: Call.done }
    })
  })

export const updateTitle = (caller: Request.Caller) =>
  Effect.fn("Sessions.updateTitle")(function* (id: SessionId, title: string) {
    yield* ask(caller, "Sessions.updateTitle", Api.update, {
      ...(yield* of(id)),
      body: { title },
      meanings: Call.refused(id)
    })
  })

export const sendEvents = (caller: Request.Caller) =>
  Effect.fn("Sessions.sendEvents")(function* (id: SessionId, events: ReadonlyArray<JsonObject>) {
    yield* Effect.annotateCurrentSpan("events.count", events.length)
    const answer = yield* ask(caller, "Sessions.sendEvents", Api.sendEvents, {
      ...(yield* of(id)),
      body: { events: events.map((data) => ({ type: "event", data })) },
      timeout: "30 seconds",
      meanings: Call.refused(id)
    })
    return answer.text === "" ? { events: [] } : yield* Answer.decode(Sent)(answer)
  })
