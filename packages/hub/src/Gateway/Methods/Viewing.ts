/**
 * Methods that show sessions as the Sessions API does, change them, write to them and watch them: what a page needs to live
 * on one socket alone. Each is a thin face on what HTTP's routes stand on, with their limits and in their words.
 */
import { randomUUID } from "node:crypto"
import * as Params from "@causeway/protocol/Gateway/Params"
import { SessionContext } from "@causeway/protocol/http/Sessions"
import { type OrganizationId, sessionBody } from "@causeway/protocol/Ids"
import * as RawJson from "@causeway/protocol/RawJson"
import * as WireError from "@causeway/protocol/WireError"
import type { SessionKey } from "@causeway/store/Log"
import { Sessions as Store } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Config } from "../../Config.ts"
import { mapStoreErrors } from "../../Failure.ts"
import * as Body from "../../Http/Body.ts"
import * as Sessions from "../../Sessions/Sessions.ts"
import { invalid, Refused } from "../Failure.ts"
import { answer, type Method, method } from "../Method.ts"
import * as Rows from "../Rows.ts"
import { MAX_WATCHES } from "../Watches.ts"

const decodeContext = Body.decoder(Schema.Struct({ context: Schema.optional(SessionContext) }))

/** HTTP's refusals in the gateway's codes; the words stay. */
const refused = (error: WireError.WireError): Refused => {
  const { details, message } = error.error
  const given = { message, ...(details === undefined ? {} : { details }) }
  switch (error._tag) {
    case "Conflict":
      return new Refused({ code: "CONFLICT", ...given })
    case "TooManyRequests":
    case "Unavailable":
      return new Refused({ code: "UNAVAILABLE", ...given, retryable: true, retryAfterMs: 1000 })
    default:
      return new Refused({ code: "INVALID_REQUEST", ...given })
  }
}

export const answered = <A>(effect: Effect.Effect<A, WireError.WireError>): Effect.Effect<A, Refused> =>
  Effect.mapError(effect, refused)

/** The same for methods that name a session. */
const ofSession = <A>(effect: Effect.Effect<A, WireError.WireError>): Effect.Effect<A, Refused> =>
  Effect.mapError(effect, (error) =>
    error._tag === "NotFound"
      ? new Refused({ code: "SESSION_NOT_FOUND", message: error.message })
      : refused(error)
  )

/** Any spelling: `session_…`, `cse_…`, a uuid with or without dashes. */
const keyOf = (organizationId: OrganizationId, sessionId: string): SessionKey => ({
  organizationId,
  session: Rows.bodyOf(sessionBody(sessionId))
})

export const make = Effect.gen(function* () {
  const sessions = yield* Sessions.make
  const store = yield* Store
  const { bodyLimitBytes, eventLimitBytes } = yield* Config

  const page = method("sessions.page", {
    scope: "operator.read",
    params: Params.SessionsPage,
    handle: (params, { organizationId }) =>
      answered(
        sessions.page({
          organizationId,
          limit: params.limit,
          archived: params.archived,
          environmentId: params.environmentId,
          cursor: params.cursor
        })
      ).pipe(Effect.map((found) => answer(found)))
  })

  const show = method("sessions.show", {
    scope: "operator.read",
    params: Params.SessionById,
    handle: ({ sessionId }, { organizationId }) =>
      ofSession(sessions.get(keyOf(organizationId, sessionId))).pipe(
        Effect.map((session) => answer({ session }))
      )
  })

  const begin = method("sessions.begin", {
    scope: "operator.write",
    params: Params.SessionsBegin,
    handle: (params, { organizationId, params: text }) =>
      Effect.gen(function* () {
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

  const rename = method("sessions.rename", {
    scope: "operator.write",
    params: Params.SessionsRename,
    handle: ({ sessionId, title }, { organizationId }) =>
      ofSession(sessions.rename(keyOf(organizationId, sessionId), title)).pipe(
        Effect.map((session) => answer({ session }))
      )
  })

  const archive = method("sessions.archive", {
    scope: "operator.write",
    params: Params.SessionById,
    handle: ({ sessionId }, { organizationId }) =>
      ofSession(sessions.archive(keyOf(organizationId, sessionId))).pipe(
        Effect.map((session) => answer({ session }))
      )
  })

  const append = method("sessions.append", {
    scope: "operator.write",
    params: Params.SessionsAppend,
    handle: ({ events, sessionId }, { organizationId, params: text }) =>
      Effect.gen(function* () {
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

  const watch = method("sessions.watch", {
    scope: "operator.read",
    params: Params.SessionsWatch,
    handle: ({ afterSeq, sessionId, untilSeq }, { organizationId, watches }) =>
      Effect.gen(function* () {
        const key = keyOf(organizationId, sessionId)
        const { lastSeq } = yield* store.get(key).pipe(mapStoreErrors, ofSession)
        const id = randomUUID()
        if (!watches.reserve(id)) {
          return yield* invalid(
            `a connection watches at most ${MAX_WATCHES} sessions at once; sessions.unwatch one`
          )
        }
        // Its frames follow the answer that names it.
        return answer({ watch: id, lastSeq }, watches.start(id, { key, after: afterSeq, until: untilSeq }))
      })
  })

  const unwatch = method("sessions.unwatch", {
    scope: "operator.read",
    params: Params.SessionsUnwatch,
    handle: (params, { watches }) => Effect.as(watches.stop(params.watch), answer({}))
  })

  const subscribe = method("causeway.sessions.subscribe", {
    scope: "operator.read",
    params: Params.Empty,
    // From before the answer on, so that a list which is read after it misses nothing.
    handle: (_, { watches }) => Effect.as(watches.startList, answer({ subscribed: true }))
  })

  const unsubscribe = method("causeway.sessions.unsubscribe", {
    scope: "operator.read",
    params: Params.Empty,
    handle: (_, { watches }) => Effect.as(watches.stopList, answer({ subscribed: false }))
  })

  return [
    subscribe,
    unsubscribe,
    page,
    show,
    begin,
    rename,
    archive,
    append,
    watch,
    unwatch
  ] satisfies ReadonlyArray<Method>
})
