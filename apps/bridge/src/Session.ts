/** Finds the session that a person means, and reads what the hub says of it. */
import * as Sessions from "@causeway/client/Sessions"
import { SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as Api from "@causeway/protocol/SessionsApi"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ExitCode, Failure } from "./Failure.ts"
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

/** Shortest beginning of an id that is looked up. */
const PREFIX_MIN = 4

/**
 * The session that `reference` names: an id in any spelling (a gateway's uuid too), the beginning of one (four characters at least, of one
 * session only), or `latest`.
 */
export const find = (reference: string): Effect.Effect<Api.Session, Failure, Sessions.Sessions> =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.Sessions
    if (reference === "latest") {
      const first = yield* Stream.runHead(list({ limit: 1 }))
      return yield* Option.match(first, {
        onNone: () => new Failure({ message: "there are no sessions", exitCode: ExitCode.notFound }),
        onSome: Effect.succeed
      })
    }
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
    const matches = yield* list({ archived: "all", limit: 1000 }).pipe(
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
