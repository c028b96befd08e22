/** The ingress log, read whole. Source: spec 1 §3. */
import { LogLines, logUrl } from "@causeway/protocol/http/Ingress"
import { EventUuid, type SessionId } from "@causeway/protocol/Ids"
import * as RawJson from "@causeway/protocol/RawJson"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type InvalidResponse, type RequestFailed, SessionExpired } from "../ClientError.ts"
import * as Diagnostics from "../Diagnostics.ts"
import type { Entry } from "../Entry.ts"
import * as Answer from "../internal/Answer.ts"
import * as Call from "../internal/Call.ts"
import * as Heads from "../internal/Heads.ts"
import type * as Request from "../internal/Request.ts"
import { type FetchOptions, headOf, type State } from "./State.ts"

const isUuid = Schema.is(EventUuid)

/** The entries of a decoded answer, each with the text in which it arrived. */
const entriesOf = (text: string): ReadonlyArray<Entry> =>
  RawJson.elements(RawJson.member(text, "loglines") ?? "[]").map((line) => {
    const json: Entry["json"] = JSON.parse(line)
    return { text: line, json, uuid: isUuid(json["uuid"]) ? json["uuid"] : undefined }
  })

/** The entries of an answer; none where there is no log yet. */
export const read = (
  answer: Answer.Answer,
  sessionId: SessionId
): Effect.Effect<ReadonlyArray<Entry>, SessionExpired | RequestFailed | InvalidResponse> =>
  Effect.gen(function* () {
    const annotations = { session_id: sessionId, operation: answer.operation }
    if (answer.status === 404) return []
    if (answer.status === 401) {
      yield* Diagnostics.record("session_get_fail_bad_token", annotations)
      return yield* new SessionExpired({ sessionId, ...Answer.detailOf(answer) })
    }
    if (answer.status !== 200) {
      yield* Diagnostics.record("session_get_fail_status", { ...annotations, status: answer.status })
      return yield* Answer.failed(answer)
    }
    yield* Answer.decode(LogLines)(answer)
    return entriesOf(answer.text)
  })

/** Reads with a call, and takes the head from it unless something newer was learnt meanwhile. */
const reading = <E>({ logs }: State, sessionId: SessionId, call: Effect.Effect<Answer.Answer, E>) =>
  Effect.suspend(() => {
    const log = logs.of(sessionId)
    const version = log.version
    return call.pipe(
      Effect.flatMap((answer) => read(answer, sessionId)),
      Effect.tap((found) =>
        Effect.sync(() => {
          if (log.version === version && log.line.isIdle()) Heads.learn(log, headOf(found))
        })
      )
    )
  })

export const askOf = (operation: string, url: string): Request.Ask => ({
  operation,
  method: "GET",
  url,
  timeout: "20 seconds"
})

const wanted = (state: State, url: string, { afterLastCompact = state.afterLastCompact }: FetchOptions) =>
  afterLastCompact ? `${url}${url.includes("?") ? "&" : "?"}after_last_compact=true` : url

export const fetch = (state: State) =>
  Effect.fn("Ingress.fetch")(function* (sessionId: SessionId, url: string, options: FetchOptions = {}) {
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const ask = askOf("Ingress.fetch", wanted(state, url, options))
    return yield* reading(state, sessionId, Call.ingress(state.caller, sessionId, ask, "401"))
  })

export const fetchWithAccessToken = (state: State) =>
  Effect.fn("Ingress.fetchWithAccessToken")(function* (sessionId: SessionId, options: FetchOptions = {}) {
    yield* Effect.annotateCurrentSpan("session.id", sessionId)
    const url = logUrl(state.caller.config.baseUrl, yield* Call.checkId("session", sessionId))
    const ask = askOf("Ingress.fetchWithAccessToken", wanted(state, url, options))
    return yield* reading(state, sessionId, Call.accessRaw(state.caller, ask, "required"))
  })
