/** Sessions as the Sessions API shows and changes them, with HTTP's limits and words: what a page needs to live on one socket. */

import * as Params from "@causeway/protocol/Gateway/Params"
import { SessionContext } from "@causeway/protocol/http/Sessions"
import { permissionsOfScopes } from "@causeway/protocol/Permission"
import * as RawJson from "@causeway/protocol/RawJson"
import * as WireError from "@causeway/protocol/WireError"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Config } from "../../Config.ts"
import * as Body from "../../Http/Body.ts"
import { SessionsApi } from "../../Sessions/Sessions.ts"
import { answered, ofSession } from "../Failure.ts"
import { answer, keyOf, method } from "../Method.ts"

const decodeContext = Body.decoder(Schema.Struct({ context: Schema.optional(SessionContext) }))

const page = method("causeway.sessions.page", Params.SessionsPage, function* (params, caller) {
  const { archived, cursor, environmentId, limit } = params
  const { organizationId } = caller
  const sessions = yield* SessionsApi
  return answer(yield* answered(sessions.page({ organizationId, limit, archived, environmentId, cursor })))
})

const show = method("causeway.sessions.show", Params.SessionById, function* (params, caller) {
  const key = keyOf(caller.organizationId, params.sessionId)
  return answer({ session: yield* ofSession((yield* SessionsApi).get(key)) })
})

const begin = method("causeway.sessions.begin", Params.SessionsBegin, (params, caller) =>
  Effect.gen(function* () {
    const sessions = yield* SessionsApi
    yield* decodeContext({ context: params.context })
    const record = yield* sessions.create({
      organizationId: caller.organizationId,
      title: params.title,
      environmentId: params.environmentId,
      source: undefined,
      context: params.context === undefined ? "{}" : (RawJson.member(caller.params(), "context") ?? "{}"),
      permissionMode: params.permissionMode,
      tags: undefined,
      payloads: []
    })
    return answer({ session: yield* sessions.show(record) })
  }).pipe(answered)
)

const rename = method(
  "causeway.sessions.rename",
  Params.SessionsRename,
  function* ({ sessionId, title }, { organizationId }) {
    const sessions = yield* SessionsApi
    return answer({ session: yield* ofSession(sessions.rename(keyOf(organizationId, sessionId), title)) })
  }
)

const archive = method(
  "causeway.sessions.archive",
  Params.SessionById,
  function* ({ sessionId }, { organizationId }) {
    const sessions = yield* SessionsApi
    return answer({ session: yield* ofSession(sessions.archive(keyOf(organizationId, sessionId))) })
  }
)

const append = method("causeway.sessions.append", Params.SessionsAppend, (params, caller) =>
  Effect.gen(function* () {
    const { bodyLimitBytes, eventLimitBytes } = yield* Config
    const all = RawJson.member(caller.params(), "events") ?? "[]"
    if (Buffer.byteLength(all) > bodyLimitBytes) {
      return yield* WireError.PayloadTooLarge.of(`the events exceed ${bodyLimitBytes} bytes`)
    }
    const texts = RawJson.elements(all)
    const payloads = yield* Effect.forEach(params.events, (event, index) =>
      Body.payload(event, texts[index] ?? "null", eventLimitBytes, `events.${index}`)
    )
    const key = keyOf(caller.organizationId, params.sessionId)
    const permissions = permissionsOfScopes(caller.connection.info.scopes)
    return answer(yield* (yield* SessionsApi).send({ ...key, permissions }, payloads))
  }).pipe(ofSession)
)

export const methods = [page, show, begin, rename, archive, append]
