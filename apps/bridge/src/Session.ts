/** Finds the session that a person means, and reads what the hub says of it. */
import * as Sessions from "@causeway/client/Sessions"
import * as Api from "@causeway/protocol/http/Sessions"
import { SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as Visible from "@causeway/protocol/Visible"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Argument from "./Cli/Argument.ts"
import { ExitCode, Failure } from "./Failure.ts"
import { Output } from "./Output.ts"
import { failure } from "./Remote.ts"

const asApi = (session: Sessions.Session): Effect.Effect<Api.Session, Failure> =>
  Schema.decodeUnknown(Api.Session)(session.raw).pipe(
    Effect.mapError(
      (error) =>
        new Failure({
          message: `the hub describes session ${session.id} in a way this program does not know: ${error.message}`,
          next: "use the same version of Causeway on both sides"
        })
    )
  )

/** Every session of the list, page by page. */
export const list = (options: Sessions.ListOptions): Stream.Stream<Api.Session, Failure, Sessions.Sessions> =>
  Stream.paginateChunkEffect(Option.none<string>(), (cursor) =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      const page = yield* sessions
        .list({ ...options, ...(Option.isSome(cursor) ? { cursor: cursor.value } : {}) })
        .pipe(Effect.mapError(failure))
      const data = yield* Effect.forEach(page.data, asApi)
      const next = Option.map(page.nextCursor, Option.some)
      return [chunk(data), next] as const
    })
  )

const chunk = <A>(values: ReadonlyArray<A>): Chunk.Chunk<A> => Chunk.fromIterable(values)

/** How a person names a session. */
export const argument = Argument.text("SESSION", "Its id, the beginning of one, or latest")

/**
 * What the session is wanted for, which is what `latest` goes by. `open`: it takes something; `read`: it is looked at, and
 * an archived one will do where none is open; `running`: it works, where one does; `waiting`: it waits for an approval, of
 * `toolUseId` where that is named.
 */
export type Purpose =
  | { readonly _tag: "open" | "read" | "running" }
  | { readonly _tag: "waiting"; readonly toolUseId: Option.Option<string> }

/** Sessions that the hub gives at once; there may be any number. */
const PAGE = 500

const open = list({ archived: "false", limit: PAGE })

const isRunning = ({ status }: Api.Session): boolean => status === "running" || status === "requires_action"

const waitsFor = (toolUseId: Option.Option<string>) => (session: Api.Session) =>
  (session.pending_approvals ?? []).some(
    ({ tool_use_id: id }) => Option.isNone(toolUseId) || toolUseId.value === id
  )

/** Every session that `latest` may mean, the one that it does mean first. */
const candidates = (
  purpose: Purpose
): Effect.Effect<ReadonlyArray<Api.Session>, Failure, Sessions.Sessions> => {
  const first = (sessions: ReturnType<typeof list>) => Effect.map(Stream.runHead(sessions), Option.toArray)
  const newest = first(list({ archived: "false", limit: 1 }))
  const orElse =
    <R>(other: Effect.Effect<ReadonlyArray<Api.Session>, Failure, R>) =>
    (found: ReadonlyArray<Api.Session>) =>
      found.length > 0 ? Effect.succeed(found) : other
  switch (purpose._tag) {
    case "open":
      return newest
    case "read":
      return Effect.flatMap(newest, orElse(first(list({ archived: "all", limit: 1 }))))
    case "running":
      return Effect.flatMap(first(Stream.filter(open, isRunning)), orElse(newest))
    case "waiting":
      return Effect.map(
        Stream.runCollect(Stream.filter(open, waitsFor(purpose.toolUseId))),
        Chunk.toReadonlyArray
      )
  }
}

/** What `latest` means, said to the person. */
const latest = (purpose: Purpose): Effect.Effect<Api.Session, Failure, Sessions.Sessions | Output> =>
  Effect.gen(function* () {
    const output = yield* Output
    const [found, ...others] = yield* candidates(purpose)
    if (found === undefined) {
      return yield* new Failure({
        message:
          purpose._tag === "waiting"
            ? Option.match(purpose.toolUseId, {
                onNone: () => "no session waits for an approval",
                onSome: (id) => `no session waits for an approval of ${Visible.line(id)}`
              })
            : purpose._tag === "read"
              ? "there are no sessions"
              : "no session is open",
        next:
          purpose._tag === "read"
            ? "start one with `node apps/bridge`"
            : "`sessions list --all` shows those that are there",
        exitCode: ExitCode.notFound
      })
    }
    yield* output.progress(
      `latest is ${found.id}${found.title === null ? "" : ` (${Visible.line(found.title)})`}${
        others.length === 0
          ? ""
          : `; ${others.length} more wait: ${others
              .slice(0, 3)
              .map(({ id }) => id)
              .join(", ")}${others.length > 3 ? ", …" : ""}`
      }`
    )
    return found
  })

/** Shortest beginning of an id that is looked up. */
const PREFIX_MIN = 4

/**
 * The session that `reference` names: an id in any spelling (a gateway's uuid too), the beginning of one (four characters at least, of one
 * session only), or `latest`.
 */
export const find = (
  reference: string,
  purpose: Purpose
): Effect.Effect<Api.Session, Failure, Sessions.Sessions | Output> =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.Sessions
    if (reference === "latest") return yield* latest(purpose)
    // Gateways spell a session's id as a uuid.
    const fromUuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(reference)
      ? SessionId.make(`session_${reference.replaceAll("-", "").toLowerCase()}`)
      : undefined
    const id =
      fromUuid ??
      (yield* Schema.decode(SessionId)(reference).pipe(
        Effect.mapError(
          () =>
            new Failure({
              message: `${JSON.stringify(reference)} is not a session id`,
              next: "`sessions list` shows those that are there",
              exitCode: ExitCode.usage
            })
        )
      ))
    const spelled = id.startsWith("session_") || id.startsWith("cse_") ? id : SessionId.make(`session_${id}`)
    const whole = yield* sessions.get(spelled).pipe(
      Effect.flatMap(asApi),
      Effect.asSome,
      Effect.catchTag("SessionNotFound", (error) =>
        sessionBody(id).length < PREFIX_MIN || sessionBody(id).length >= 32
          ? failure(error)
          : Effect.succeedNone
      ),
      Effect.mapError((error) => (error._tag === "Failure" ? error : failure(error)))
    )
    if (Option.isSome(whole)) return whole.value
    const prefix = sessionBody(id)
    const matches = yield* list({ archived: "all", limit: PAGE }).pipe(
      Stream.filter((session) => sessionBody(session.id).startsWith(prefix)),
      Stream.take(2),
      Stream.runCollect,
      Effect.map(Chunk.toReadonlyArray)
    )
    const [only, another] = matches
    if (only === undefined) {
      return yield* new Failure({
        message: `no session's id begins with ${prefix}`,
        next: "`sessions list` shows those that are there",
        exitCode: ExitCode.notFound
      })
    }
    if (another !== undefined) {
      return yield* new Failure({
        message: `several sessions' ids begin with ${prefix}`,
        next: "give more of the id",
        exitCode: ExitCode.usage
      })
    }
    return only
  })
