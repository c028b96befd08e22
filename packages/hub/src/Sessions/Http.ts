/** `/v1/sessions`, where no event's text is taken. */
import { CausewayApi } from "@causeway/protocol/Api"
import { CurrentPrincipal } from "@causeway/protocol/Authorization"
import { type SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import { wired } from "../Failure.ts"
import { answeredAtTheBareDoor } from "../internal/bare.ts"
import * as Sessions from "./Sessions.ts"

const PAGE_DEFAULT = 50

/** Position of a session in the list: `<updated_at>:<sid>`, as an opaque cursor. */
const encodeCursor = (last: { readonly updatedAt: number; readonly sid: number }): string =>
  Encoding.encodeBase64Url(`${last.updatedAt}:${last.sid}`)

const decodeCursor = (cursor: string) => {
  const text = Either.getOrElse(Encoding.decodeBase64UrlString(cursor), () => "")
  const [, updatedAt, sid] = /^(\d{1,15}):(\d{1,15})$/.exec(text) ?? []
  return updatedAt === undefined || sid === undefined
    ? WireError.BadRequest.of("at cursor: this hub did not give out this cursor", { path: "cursor" })
    : Effect.succeed({ updatedAt: Number(updatedAt), sid: Number(sid) })
}

const keyOf = (id: SessionId) =>
  Effect.map(CurrentPrincipal, ({ organizationId }) => ({ organizationId, session: sessionBody(id) }))

export const layer = HttpApiBuilder.group(CausewayApi, "sessions", (handlers) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.make
    return handlers
      .handle("create", () => answeredAtTheBareDoor)
      .handle("sendEvents", () => answeredAtTheBareDoor)
      .handle("get", ({ path }) => Effect.flatMap(keyOf(path.id), sessions.get))
      .handle("list", ({ urlParams }) =>
        Effect.gen(function* () {
          const { organizationId } = yield* CurrentPrincipal
          const limit = urlParams.limit ?? PAGE_DEFAULT
          const records = yield* sessions.store
            .list({
              organizationId,
              limit: limit + 1,
              archived: urlParams.archived ?? "all",
              ...(urlParams.environment_id === undefined ? {} : { environmentId: urlParams.environment_id }),
              ...(urlParams.cursor === undefined ? {} : { after: yield* decodeCursor(urlParams.cursor) })
            })
            .pipe(wired)
          const page = records.slice(0, limit)
          const last = records.length > limit ? page.at(-1) : undefined
          return {
            data: yield* Effect.forEach(page, sessions.show),
            next_cursor: last === undefined ? null : encodeCursor(last)
          }
        })
      )
      .handle("update", ({ path, payload }) =>
        Effect.gen(function* () {
          const key = yield* keyOf(path.id)
          const record = yield* sessions.store.rename(key, payload.title).pipe(wired)
          return yield* sessions.show(record)
        })
      )
      .handle("archive", ({ path }) =>
        Effect.gen(function* () {
          const key = yield* keyOf(path.id)
          const record = yield* sessions.store.archive(key).pipe(wired)
          return yield* sessions.show(record)
        })
      )
  })
)
