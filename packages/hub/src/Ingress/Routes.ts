/**
 * The ingress log, `/v1/session_ingress/session/{id}`: the worker's durable appends, and the transcript as a whole.
 * Source: spec 1 §3, spec 5 §3.1.
 */

import { LAST_UUID_HEADER, UPLOAD_HEADER, X_LAST_UUID_HEADER } from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Ingress"
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import * as WireError from "@causeway/protocol/WireError"
import { Log } from "@causeway/store/Log"
import { Sessions } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import { Config } from "../Config.ts"
import { mapStoreErrors } from "../Failure.ts"
import * as HotRoutes from "../HotRoutes.ts"
import * as Body from "../Http/Body.ts"
import * as Caller from "../Http/Caller.ts"
import * as EventStream from "../Streams/EventStream.ts"
import * as Uploads from "./Uploads.ts"

/** Entries that are read at a time, of at most `Limits.PAGE_BYTES`. */
const READ = 1000

/** Refuses a link of the chain that does not name itself: sent again, it would be stored again. */
const named = (payload: Payload.Payload, at: string) =>
  payload.uuid === undefined && Payload.isChained(payload)
    ? WireError.BadRequest.of(`at ${at}uuid: is missing; an entry of type ${payload.type} needs one`, {
        path: `${at}uuid`
      })
    : Effect.succeed(payload)

/** One entry, or an array of entries that is stored whole or not at all. */
const entries = (text: string, limitBytes: number) =>
  Effect.gen(function* () {
    if (text.trim() === "") return yield* WireError.BadRequest.of("the body has no entry")
    const body = yield* Body.json(text)
    if (!Array.isArray(body))
      return [yield* named(yield* Body.payload(body, text.trim(), limitBytes, ""), "")]
    if (body.length === 0) return yield* WireError.BadRequest.of("the list of entries is empty")
    const texts = RawJson.elements(text)
    return yield* Effect.forEach(body, (value, index) =>
      Effect.flatMap(Body.payload(value, texts[index] ?? "null", limitBytes, String(index)), (payload) =>
        named(payload, `${index}.`)
      )
    )
  })

export const routes = Effect.gen(function* () {
  const log = yield* Log
  const caller = yield* Caller.make
  const { bodyLimitBytes, eventLimitBytes } = yield* Config
  const uploads = Uploads.make(bodyLimitBytes)
  const sessions = yield* Sessions

  const part = HotRoutes.route(
    Api.uploadPart,
    (request) =>
      Effect.gen(function* () {
        const key = yield* caller.either(request)
        const offset = request.query.get("offset") ?? "0"
        if (!/^\d{1,15}$/.test(offset)) {
          return yield* WireError.BadRequest.of("at offset: must be a whole number", { path: "offset" })
        }
        // An access token opens any id: what is no session of its organisation takes no memory.
        yield* sessions.get(key)
        const bytes = yield* request.bytes
        const received = yield* uploads.put(key, request.params["upload"] ?? "", Number(offset), bytes)
        return HotRoutes.json(200, { received })
      }).pipe(mapStoreErrors),
    { bodyLimitBytes: Api.PART_MAX_BYTES }
  )

  const append = HotRoutes.route(Api.append, (request) =>
    Effect.gen(function* () {
      const key = yield* caller.writer(request)
      const header = request.headers[LAST_UUID_HEADER]
      const lastUuid = typeof header === "string" && header !== "" ? header : undefined
      const named = request.headers[UPLOAD_HEADER]
      const upload = typeof named === "string" && named !== "" ? named : undefined
      const body = yield* upload === undefined ? request.body : uploads.text(key, upload)
      const payloads: ReadonlyArray<Payload.Payload> = yield* entries(body, eventLimitBytes)
      const stored = yield* log.append({
        session: key.session,
        organizationId: key.organizationId,
        source: "worker",
        payloads,
        guard: { kind: "lastUuid", lastUuid },
        ...(key.tokenEpoch === undefined ? {} : { tokenEpoch: key.tokenEpoch })
      })
      if (upload !== undefined) yield* uploads.forget(key, upload)
      const last = stored.at(-1)
      return HotRoutes.json(200, { last_uuid: last?.uuid ?? null, sequence_num: last?.seq ?? null })
    }).pipe(
      Effect.catchTag("HeadMoved", (moved) =>
        Effect.succeed(
          HotRoutes.failure(
            WireError.Conflict.of(moved.message),
            moved.head === undefined ? {} : { [X_LAST_UUID_HEADER]: moved.head }
          )
        )
      ),
      mapStoreErrors
    )
  )

  /** The whole transcript, as published readers want it: page after page, at the pace at which it is taken. */
  const read = HotRoutes.route(Api.log, (request) =>
    Effect.gen(function* () {
      const key = yield* caller.either(request)
      const flag = request.query.get("after_last_compact")
      const isPart = flag !== null && flag !== "false" && flag !== "0" && flag !== ""
      const pageAfter = (after: number) => log.page({ ...key, after, limit: READ, select: "transcript" })
      let page = yield* pageAfter(isPart ? yield* log.beforeLastCompaction(key) : 0)
      const texts = () => page.events.map(({ payload }) => payload).join(",")
      if (!page.more) return HotRoutes.text(200, `{"loglines":[${texts()}]}`)
      const { response } = request
      response.writeHead(200, { "content-type": "application/json" })
      yield* EventStream.write(response, `{"loglines":[${texts()}`)
      while (page.more) {
        page = yield* pageAfter(page.events.at(-1)?.seq ?? 0)
        yield* EventStream.write(response, `,${texts()}`)
      }
      response.end("]}")
      return HotRoutes.streamed
    }).pipe(mapStoreErrors)
  )

  return [append, part, read]
})
