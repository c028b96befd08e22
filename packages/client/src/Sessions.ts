/** The Sessions API. Source: spec 1 §2. */
import * as GitRemote from "@causeway/git/GitRemote"
import * as Headers from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Sessions"
import { type EnvironmentId, SessionId, toCompat } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { ClientConfig } from "./ClientConfig.ts"
import { type AccessError, SessionConflict, SessionNotFound } from "./ClientError.ts"
import type { Credentials } from "./Credentials.ts"
import * as Diagnostics from "./Diagnostics.ts"
import * as Call from "./internal/Call.ts"

export interface Create {
  readonly environmentId: EnvironmentId
  readonly title?: string | undefined
  /** SDK messages to start with, oldest first. */
  readonly events: ReadonlyArray<JsonObject>
  /** A git remote or `owner/name`; what does not parse as either is left out. */
  readonly gitRepoUrl?: string | undefined
  readonly branch?: string | undefined
  /** Sent as the revision where `branch` is not given. */
  readonly defaultBranch?: string | undefined
  readonly model?: string | undefined
  readonly permissionMode?: string | undefined
  /** Another hub than the configured one. */
  readonly baseUrl?: string | undefined
}

/** What a server says of a session; members that only our hub sends may be missing. */
export interface Session {
  readonly id: SessionId
  readonly environmentId: Option.Option<string>
  readonly title: Option.Option<string>
  /** Set where the server says that the session is archived. */
  readonly archivedAt: Option.Option<string>
  /** The body as it arrived: `Api.Session` where a Causeway hub sent it. */
  readonly raw: JsonObject
}

export interface ListOptions {
  readonly limit?: number
  readonly cursor?: string
  readonly archived?: "true" | "false" | "all"
  readonly environmentId?: string
}

export interface ArchiveOptions {
  /** Default 10 s. */
  readonly timeout?: Duration.DurationInput
}

export interface GroupOptions extends ArchiveOptions {
  /** Told of the sessions that did not archive when the scope closed. */
  readonly onNotArchived?: (sessions: ReadonlyArray<NotArchived>) => Effect.Effect<void>
}

/** Sessions that a scope archives when it closes. */
export interface Group {
  readonly create: (options: Create) => Effect.Effect<SessionId, AccessError>
  /** Takes in a session that exists. */
  readonly adopt: (id: SessionId) => Effect.Effect<void>
  /** Lets a session go: it outlives the scope. */
  readonly release: (id: SessionId) => Effect.Effect<void>
  /** Archives a session now. */
  readonly archive: (id: SessionId, options?: ArchiveOptions) => Effect.Effect<void, ArchiveError>
}

export type ArchiveError = AccessError | SessionNotFound

/** A session that did not archive, and why. */
export interface NotArchived {
  readonly sessionId: SessionId
  readonly error: ArchiveError
}

/**
 * Sessions of a hub. Ids may be given in either spelling; each endpoint gets the one it accepts. Every call is one
 * attempt (plus one after a token refresh); interrupting the calling fiber aborts the request.
 */
export class Sessions extends Context.Tag("@causeway/client/Sessions")<
  Sessions,
  {
    readonly create: (options: Create) => Effect.Effect<SessionId, AccessError>
    /** 10 s timeout. */
    readonly get: (id: SessionId) => Effect.Effect<Session, AccessError | SessionNotFound>
    /** One page, most recently updated first. `nextCursor` is opaque; `None` ends the list. */
    readonly list: (
      options?: ListOptions
    ) => Effect.Effect<
      { readonly data: ReadonlyArray<Session>; readonly nextCursor: Option.Option<string> },
      AccessError
    >
    /** Idempotent: an archived session (409) is success. Allowed in any status. */
    readonly archive: (id: SessionId, options?: ArchiveOptions) => Effect.Effect<void, ArchiveError>
    /**
     * Archives all at once under one bound (default 10 s) and answers those that did not archive. Uninterruptible.
     */
    readonly archiveAll: (
      ids: ReadonlyArray<SessionId>,
      options?: ArchiveOptions
    ) => Effect.Effect<ReadonlyArray<NotArchived>>
    /** 10 s timeout. */
    readonly updateTitle: (
      id: SessionId,
      title: string
    ) => Effect.Effect<void, AccessError | SessionNotFound | SessionConflict>
    /** Appends messages as a client. Answers what became of each, in order, where the server says so. */
    readonly sendEvents: (
      id: SessionId,
      events: ReadonlyArray<JsonObject>
    ) => Effect.Effect<typeof Api.SentEvents.Type, AccessError | SessionNotFound | SessionConflict>
    /**
     * A session for the life of a scope: created now, archived when the scope closes, whatever the reason, without
     * letting an interruption cut the archiving short. A failure to archive is logged (`session_archive_fail`).
     */
    readonly scoped: (
      options: Create,
      archive?: GroupOptions
    ) => Effect.Effect<SessionId, AccessError, Scope.Scope>
    /**
     * Any number of sessions for the life of a scope: when it closes, those alive are archived all at once within one
     * bound, and those that did not archive are reported. Several `scoped` sessions of one scope would be archived
     * one after another.
     */
    readonly group: (options?: GroupOptions) => Effect.Effect<Group, never, Scope.Scope>
  }
>() {}

// --- Bodies ---

const open = <F extends Schema.Struct.Fields>(fields: F) =>
  Schema.Struct(fields, Schema.Record({ key: Schema.String, value: Schema.Unknown }))

const Text = Schema.optional(Schema.NullOr(Schema.String))

const Created = open({ id: SessionId })

/** What is read of a session: little, so that any server's will do. */
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
export const gitContext = (
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

// --- Service ---

const TIMEOUT = "10 seconds"
/** Creating may start things on the server's side. */
const CREATE_TIMEOUT = "30 seconds"

export const make = Effect.gen(function* () {
  const call = yield* Call.make
  const { config } = call

  const ask = (
    operation: string,
    method: Call.Ask["method"],
    url: string,
    timeout: Duration.DurationInput,
    body?: string
  ) =>
    call.access(
      {
        operation: `Sessions.${operation}`,
        method,
        url,
        timeout,
        headers: { [Headers.ANTHROPIC_BETA_HEADER]: config.sessionsBeta },
        ...(body === undefined ? {} : { body })
      },
      "required"
    )

  /** The address of a session, in the spelling that every endpoint of this API accepts. */
  const address = (id: SessionId, suffix = "") =>
    Effect.map(
      Call.checkId("session", id),
      (checked) => `${config.baseUrl}/v1/sessions/${toCompat(checked)}${suffix}`
    )

  const missing = (id: SessionId, answer: Call.Answer) =>
    new SessionNotFound({ sessionId: id, ...Call.detailOf(answer) })

  const create = Effect.fn("Sessions.create")(function* (options: Create) {
    yield* Effect.annotateCurrentSpan("environment.id", options.environmentId)
    const base = options.baseUrl?.replace(/\/+$/, "") ?? config.baseUrl
    const answer = yield* ask(
      "create",
      "POST",
      `${base}/v1/sessions`,
      CREATE_TIMEOUT,
      createBody(options, config.branchPrefix)
    )
    if (answer.status !== 200 && answer.status !== 201) return yield* Call.failed(answer)
    const { id } = yield* Call.decode(Created)(answer)
    yield* Effect.annotateCurrentSpan("session.id", id)
    return id
  })

  const get = Effect.fn("Sessions.get")(function* (id: SessionId) {
    yield* Effect.annotateCurrentSpan("session.id", id)
    const answer = yield* ask("get", "GET", yield* address(id), TIMEOUT)
    if (answer.status === 404) return yield* missing(id, answer)
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
    return session(id, yield* Call.decode(Read)(answer))
  })

  const list = Effect.fn("Sessions.list")(function* (options: ListOptions = {}) {
    const parameters = Call.query({
      limit: options.limit,
      cursor: options.cursor,
      archived: options.archived,
      environment_id: options.environmentId
    })
    const answer = yield* ask("list", "GET", `${config.baseUrl}/v1/sessions${parameters}`, "20 seconds")
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
    const page = yield* Call.decode(Page)(answer)
    return {
      data: page.data.map((read) => session(read.id, read)),
      nextCursor: Option.fromNullable(page.next_cursor)
    }
  })

  const archive = Effect.fn("Sessions.archive")(function* (id: SessionId, options: ArchiveOptions = {}) {
    yield* Effect.annotateCurrentSpan("session.id", id)
    const answer = yield* ask(
      "archive",
      "POST",
      yield* address(id, "/archive"),
      options.timeout ?? TIMEOUT,
      "{}"
    )
    if (answer.status === 404) return yield* missing(id, answer)
    // 409: archived already, by an attempt whose answer was lost or by somebody else.
    if (answer.status !== 409 && !Call.is2xx(answer)) return yield* Call.failed(answer)
  })

  /**
   * The archive of a finalizer: its bound covers everything, and an interruption of the caller does not reach it.
   * It runs in a fiber of its own (the timeout's), so it may be interruptible there.
   */
  const archiveBounded = (id: SessionId, options: ArchiveOptions = {}): Effect.Effect<void, ArchiveError> => {
    const timeout = options.timeout ?? TIMEOUT
    return Effect.interruptible(archive(id, options)).pipe(
      Effect.timeoutFail({ duration: timeout, onTimeout: call.tooSlow("Sessions.archive", timeout) }),
      Effect.uninterruptible
    )
  }

  const archiveAll = Effect.fn("Sessions.archiveAll")(function* (
    ids: ReadonlyArray<SessionId>,
    options: ArchiveOptions = {}
  ) {
    const results = yield* Effect.forEach(
      ids,
      (sessionId) => Effect.either(archiveBounded(sessionId, options)),
      { concurrency: "unbounded" }
    )
    return results.flatMap((result, at): ReadonlyArray<NotArchived> => {
      const sessionId = ids[at]
      return sessionId !== undefined && Either.isLeft(result) ? [{ sessionId, error: result.left }] : []
    })
  }, Effect.uninterruptible)

  const updateTitle = Effect.fn("Sessions.updateTitle")(function* (id: SessionId, title: string) {
    yield* Effect.annotateCurrentSpan("session.id", id)
    const answer = yield* ask("updateTitle", "PATCH", yield* address(id), TIMEOUT, JSON.stringify({ title }))
    if (answer.status === 404) return yield* missing(id, answer)
    if (answer.status === 409) {
      return yield* new SessionConflict({
        sessionId: id,
        operation: answer.operation,
        ...Call.detailOf(answer)
      })
    }
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
  })

  const sendEvents = Effect.fn("Sessions.sendEvents")(function* (
    id: SessionId,
    events: ReadonlyArray<JsonObject>
  ) {
    yield* Effect.annotateCurrentSpan({ "session.id": id, "events.count": events.length })
    const body = JSON.stringify({ events: events.map((data) => ({ type: "event", data })) })
    const answer = yield* ask("sendEvents", "POST", yield* address(id, "/events"), "30 seconds", body)
    if (answer.status === 404) return yield* missing(id, answer)
    if (answer.status === 409) {
      return yield* new SessionConflict({
        sessionId: id,
        operation: answer.operation,
        ...Call.detailOf(answer)
      })
    }
    if (!Call.is2xx(answer)) return yield* Call.failed(answer)
    if (answer.text === "") return { events: [] }
    return yield* Call.decode(Sent)(answer)
  })

  /** Archives what a scope leaves behind and logs what did not archive. */
  const archiveOnClose = (ids: ReadonlyArray<SessionId>, options: ArchiveOptions) =>
    Effect.tap(archiveAll(ids, options), (left) =>
      Effect.forEach(
        left,
        ({ error, sessionId }) =>
          Diagnostics.record("session_archive_fail", { session_id: sessionId, error: error._tag }),
        { discard: true }
      )
    )

  const group = Effect.fnUntraced(function* (options: GroupOptions = {}) {
    const alive = new Set<SessionId>()
    yield* Effect.addFinalizer(() =>
      Effect.flatMap(
        Effect.suspend(() => archiveOnClose([...alive], options)),
        (left) => (left.length === 0 ? Effect.void : (options.onNotArchived?.(left) ?? Effect.void))
      )
    )
    const group: Group = {
      // In the set before anything can interrupt: what was created is archived.
      create: (create_) => Effect.tap(create(create_), (id) => Effect.sync(() => alive.add(id))),
      adopt: (id) => Effect.sync(() => void alive.add(id)),
      release: (id) => Effect.sync(() => void alive.delete(id)),
      archive: (id, archiving) =>
        Effect.zipRight(
          archive(id, archiving),
          Effect.sync(() => void alive.delete(id))
        )
    }
    return group
  })

  const scoped = (options: Create, archiving: GroupOptions = {}) =>
    Effect.flatMap(group(archiving), ({ create }) => create(options))

  return Sessions.of({ create, get, list, archive, archiveAll, updateTitle, sendEvents, scoped, group })
})

export const layer: Layer.Layer<Sessions, never, HttpClient.HttpClient | Credentials | ClientConfig> =
  Layer.effect(Sessions, make)
