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
import * as Command from "./Cli/Command.ts"
import { Failure } from "./Failure.ts"
import * as Flags from "./Flags.ts"
import { Output } from "./Output.ts"
import * as Remote from "./Remote.ts"

const asApi = (session: Sessions.Session): Effect.Effect<Api.Session, Failure> =>
  Schema.decodeUnknown(Api.Session)(session.raw).pipe(
    Effect.mapError((error) =>
      Failure.failed(
        `the hub describes session ${session.id} in a way that this version does not understand: ${error.message}`,
        "use the same version of Causeway on both sides"
      )
    )
  )

/** Every session of the list, page by page. */
export const list = (options: Sessions.ListOptions) =>
  Stream.paginateChunkEffect(Option.none<string>(), (cursor) =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      const page = yield* sessions.list({
        ...options,
        ...(Option.isSome(cursor) ? { cursor: cursor.value } : {})
      })
      const data = yield* Effect.forEach(page.data, asApi)
      return [Chunk.fromIterable(data), Option.map(page.nextCursor, Option.some)] as const
    })
  ).pipe(Stream.mapError(Remote.failure))

/** How a person names a session. */
export const argument = Argument.text("SESSION", "Its id, the beginning of its id, or latest")

/**
 * What the session is wanted for, which is what `latest` goes by. `open`: it takes something; `read`: it is looked at, and
 * an archived one will do where none is open; `running`: it works, where one does; `waiting`: it waits for an approval, of
 * `toolUseId` where that is named.
 */
export type Purpose = "open" | "read" | "running" | "waiting"

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
  purpose: Purpose,
  toolUseId: Option.Option<string>
): Stream.Stream<Api.Session, Failure, Sessions.Sessions> => {
  const newest = list({ archived: "false", limit: 1 })
  switch (purpose) {
    case "open":
      return newest
    case "read":
      return Stream.orElseIfEmptyStream(newest, () => list({ archived: "all", limit: 1 }))
    case "running":
      return Stream.orElseIfEmptyStream(Stream.filter(open, isRunning), () => newest)
    case "waiting":
      return Stream.filter(open, waitsFor(toolUseId))
  }
}

/** What is said where `latest` means none. */
const missing = (purpose: Purpose, toolUseId: Option.Option<string>): string => {
  switch (purpose) {
    case "waiting":
      return Option.match(toolUseId, {
        onNone: () => "no session is waiting for an approval",
        onSome: (id) => `no session is waiting for an approval of ${Visible.line(id)}`
      })
    case "read":
      return "there are no sessions"
    default:
      return "no session is open"
  }
}

const notFound = (message: string, next = "`sessions list` shows them") => Failure.notFound(message, next)

/** What `latest` means, said to the person. */
const latest = (purpose: Purpose, toolUseId: Option.Option<string>) =>
  Effect.gen(function* () {
    const output = yield* Output
    const all = candidates(purpose, toolUseId)
    const [found, ...others] = Chunk.toReadonlyArray(
      yield* Stream.runCollect(purpose === "waiting" ? all : Stream.take(all, 1))
    )
    if (found === undefined) {
      return yield* notFound(
        missing(purpose, toolUseId),
        purpose === "read" ? "start one with `node apps/bridge`" : "`sessions list --all` shows all of them"
      )
    }
    const title = found.title === null ? "" : ` (${Visible.line(found.title)})`
    const named = others.slice(0, 3).map(({ id }) => id)
    const more =
      others.length === 0
        ? ""
        : `; ${others.length} more are waiting: ${named.join(", ")}${others.length > named.length ? ", …" : ""}`
    yield* output.progress(`latest is ${found.id}${title}${more}`)
    return found
  })

/** Shortest beginning of an id that is looked up. */
const PREFIX_MIN = 4

/** An id in any spelling; gateways spell it as a uuid. */
const idOf = (reference: string): Option.Option<SessionId> => {
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(reference)) {
    return Option.some(SessionId.make(`session_${reference.replaceAll("-", "").toLowerCase()}`))
  }
  return Option.map(Schema.decodeOption(SessionId)(reference), (id) =>
    id.startsWith("session_") || id.startsWith("cse_") ? id : SessionId.make(`session_${id}`)
  )
}

/**
 * The session that `reference` names: an id in any spelling, the beginning of one (four characters at least, of one session
 * only), or `latest`.
 */
export const find = (reference: string, purpose: Purpose, toolUseId: Option.Option<string> = Option.none()) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.Sessions
    if (reference === "latest") return yield* latest(purpose, toolUseId)
    const id = idOf(reference)
    if (Option.isNone(id)) {
      return yield* Failure.usage(
        `${JSON.stringify(reference)} is not a session id`,
        "`sessions list` shows them"
      )
    }
    const prefix = sessionBody(id.value)
    const whole = yield* sessions.get(id.value).pipe(
      Effect.asSome,
      Effect.catchIf(
        (error) => error._tag === "SessionNotFound" && prefix.length >= PREFIX_MIN && prefix.length < 32,
        () => Effect.succeedNone
      )
    )
    if (Option.isSome(whole)) return yield* asApi(whole.value)
    const [only, another] = Chunk.toReadonlyArray(
      yield* list({ archived: "all", limit: PAGE }).pipe(
        Stream.filter((session) => sessionBody(session.id).startsWith(prefix)),
        Stream.take(2),
        Stream.runCollect
      )
    )
    if (only === undefined) return yield* notFound(`no session id begins with ${prefix}`)
    if (another !== undefined) {
      return yield* Failure.usage(`more than one session id begins with ${prefix}`, "give more of the id")
    }
    return only
  }).pipe(Effect.mapError(Remote.failure))

/** A command about one session. `purpose`: what `latest` means. */
export const command = <const S extends Command.Shape, R>(
  name: string,
  description: string,
  purpose: Purpose,
  shape: S,
  handler: (
    session: Api.Session,
    output: typeof Output.Service,
    values: Flags.Remote & Command.Values<S>
  ) => Effect.Effect<void, Remote.CallFailure, R>
) =>
  Command.extend({ ...Flags.remote, session: argument }, name, description, shape, (values) =>
    Effect.gen(function* () {
      return yield* handler(yield* find(values.session, purpose), yield* Output, values)
    }).pipe(Remote.withHub(values))
  )
