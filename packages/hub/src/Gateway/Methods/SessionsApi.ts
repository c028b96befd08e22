/** Sessions as the Sessions API shows and changes them, with HTTP's limits and words: what a page needs to live on one socket. */
import * as Params from "@causeway/protocol/Gateway/Params"
import { SessionContext } from "@causeway/protocol/http/Sessions"
import * as RawJson from "@causeway/protocol/RawJson"
import * as WireError from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Config } from "../../Config.ts"
import * as Body from "../../Http/Body.ts"
import { SessionsApi } from "../../Sessions/Sessions.ts"
import { answer, method } from "../Method.ts"
import { answered, keyOf, ofSession } from "./Refusals.ts"

const decodeContext = Body.decoder(Schema.Struct({ context: Schema.optional(SessionContext) }))

const page = method("causeway.sessions.page", {
  scope: "operator.read",
  params: Params.SessionsPage,
  handle: (params, { organizationId }) =>
    Effect.flatMap(SessionsApi, (sessions) =>
      answered(
        sessions.page({
          organizationId,
          limit: params.limit,
          archived: params.archived,
          environmentId: params.environmentId,
          cursor: params.cursor
        })
      ).pipe(Effect.map((found) => answer(found)))
    )
})

const show = method("causeway.sessions.show", {
  scope: "operator.read",
  params: Params.SessionById,
  handle: ({ sessionId }, { organizationId }) =>
    Effect.flatMap(SessionsApi, (sessions) =>
      ofSession(sessions.get(keyOf(organizationId, sessionId))).pipe(
        Effect.map((session) => answer({ session }))
      )
    )
})

const begin = method("causeway.sessions.begin", {
  scope: "operator.write",
  params: Params.SessionsBegin,
  handle: (params, { organizationId, params: text }) =>
    Effect.gen(function* () {
      const sessions = yield* SessionsApi
      yield* decodeContext({ context: params.context })
      const record = yield* sessions.create({
        organizationId,
        title: params.title,
        environmentId: params.environmentId,
        source: undefined,
        context: params.context === undefined ? "{}" : (RawJson.member(text(), "context") ?? "{}"),
        permissionMode: params.permissionMode,
        tags: undefined,
        payloads: []
      })
      return answer({ session: yield* sessions.show(record) })
    }).pipe(answered)
})

const rename = method("causeway.sessions.rename", {
  scope: "operator.write",
  params: Params.SessionsRename,
  handle: ({ sessionId, title }, { organizationId }) =>
    Effect.flatMap(SessionsApi, (sessions) =>
      ofSession(sessions.rename(keyOf(organizationId, sessionId), title)).pipe(
        Effect.map((session) => answer({ session }))
      )
    )
})

const archive = method("causeway.sessions.archive", {
  scope: "operator.write",
  params: Params.SessionById,
  handle: ({ sessionId }, { organizationId }) =>
    Effect.flatMap(SessionsApi, (sessions) =>
      ofSession(sessions.archive(keyOf(organizationId, sessionId))).pipe(
        Effect.map((session) => answer({ session }))
      )
    )
})

const append = method("causeway.sessions.append", {
  scope: "operator.write",
  params: Params.SessionsAppend,
  handle: ({ events, sessionId }, { organizationId, params: text }) =>
    Effect.gen(function* () {
      const sessions = yield* SessionsApi
      const { bodyLimitBytes, eventLimitBytes } = yield* Config
      const all = RawJson.member(text(), "events") ?? "[]"
      if (Buffer.byteLength(all) > bodyLimitBytes) {
        return yield* WireError.PayloadTooLarge.of(`the events exceed ${bodyLimitBytes} bytes`)
      }
      const texts = RawJson.elements(all)
      const payloads = yield* Effect.forEach(events, (event, index) =>
        Body.payload(event, texts[index] ?? "null", eventLimitBytes, `events.${index}`)
      )
      return answer(yield* sessions.send(keyOf(organizationId, sessionId), payloads))
    }).pipe(ofSession)
})

export const methods = [page, show, begin, rename, archive, append]
