/**
 * The ingress log, `/v1/session_ingress/session/{id}`: the worker's durable appends, and the transcript as a whole.
 * Source: spec 1 §3, spec 5 §3.1.
 */

import { LAST_UUID_HEADER, UPLOAD_HEADER, X_LAST_UUID_HEADER } from "@causeway/protocol/Headers"
import * as Api from "@causeway/protocol/http/Ingress"
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import * as WireError from "@causeway/protocol/WireError"
import type { HeadMoved } from "@causeway/store/Errors"
import { type AppendError, type Appended, type AppendRequest, Log } from "@causeway/store/Log"
import { Sessions } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { Config } from "../Config.ts"
import { mapStoreErrors } from "../Failure.ts"
import * as HotRoutes from "../HotRoutes.ts"
import * as Body from "../Http/Body.ts"
import * as Caller from "../Http/Caller.ts"
import * as EventStream from "../Streams/EventStream.ts"
import * as Uploads from "./Uploads.ts"

/** Entries that are read at a time, of at most `Limits.PAGE_BYTES`. */
const READ = 1000

type Refusal = WireError.BadRequest | WireError.PayloadTooLarge

/** Refuses a link of the chain that does not name itself: sent again, it would be stored again. */
const named = (payload: Payload.Payload, at: string): Either.Either<Payload.Payload, Refusal> =>
  payload.uuid === undefined && Payload.isChained(payload)
    ? Either.left(
        WireError.BadRequest.of(`at ${at}uuid: is missing; an entry of type ${payload.type} needs one`, {
          path: `${at}uuid`
        })
      )
    : Either.right(payload)

/** One entry, or an array of entries that is stored whole or not at all. */
const entries = (
  text: string,
  limitBytes: number
): Either.Either<ReadonlyArray<Payload.Payload>, Refusal> => {
  if (text.trim() === "") return Either.left(WireError.BadRequest.of("the body has no entry"))
  const entry = (value: unknown, own: string, path: string, at: string) =>
    Either.flatMap(Body.payload(value, own, limitBytes, path), (payload) => named(payload, at))
  return Either.flatMap(Body.json(text), (body): Either.Either<ReadonlyArray<Payload.Payload>, Refusal> => {
    if (!Array.isArray(body)) return Either.map(entry(body, text.trim(), "", ""), (only) => [only])
    if (body.length === 0) return Either.left(WireError.BadRequest.of("the list of entries is empty"))
    const texts = RawJson.elements(text)
    return Either.all(
      body.map((value, index) => entry(value, texts[index] ?? "null", String(index), `${index}.`))
    )
  })
}

const valueOf = (request: HotRoutes.HotRequest, header: string): string | undefined => {
  const value = request.headers[header]
  return typeof value === "string" && value !== "" ? value : undefined
}

/** What a worker's request asks the log for. */
const asked = (
  request: HotRoutes.HotRequest,
  { organizationId, session, tokenEpoch }: Caller.Caller,
  payloads: ReadonlyArray<Payload.Payload>
): AppendRequest => ({
  session,
  organizationId,
  source: "worker",
  payloads,
  guard: { kind: "lastUuid", lastUuid: valueOf(request, LAST_UUID_HEADER) },
  ...(tokenEpoch === undefined ? {} : { tokenEpoch })
})

const told = (stored: ReadonlyArray<Appended>): HotRoutes.Reply => {
  const last = stored.at(-1)
  return HotRoutes.json(200, { last_uuid: last?.uuid ?? null, sequence_num: last?.seq ?? null })
}

const refused = <E extends WireError.WireError | AppendError>(answer: Effect.Effect<HotRoutes.Reply, E>) =>
  answer.pipe(
    Effect.catchIf(
      (error): error is Extract<E, HeadMoved> => error._tag === "HeadMoved",
      ({ head, message }) =>
        Effect.succeed(
          HotRoutes.failure(
            WireError.Conflict.of(message),
            head === undefined ? {} : { [X_LAST_UUID_HEADER]: head }
          )
        )
    ),
    mapStoreErrors
  )

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

  /** One of a worker whose token is known, with its entries in its body, waits for the commit without a fiber. */
  const direct = (request: HotRoutes.HotRequest): HotRoutes.Direct | undefined => {
    const key = valueOf(request, UPLOAD_HEADER) === undefined ? caller.knownWriter(request) : undefined
    if (key === undefined) return undefined
    return (text, answer) =>
      Either.match(entries(text, eventLimitBytes), {
        onLeft: () => false,
        onRight: (payloads) =>
          log.offer(asked(request, key, payloads), (outcome) =>
            answer(Either.mapBoth(outcome, { onLeft: (error) => refused(Effect.fail(error)), onRight: told }))
          )
      })
  }

  const append = HotRoutes.route(
    Api.append,
    (request) =>
      refused(
        Effect.gen(function* () {
          const key = yield* caller.writer(request)
          const upload = valueOf(request, UPLOAD_HEADER)
          const body = yield* upload === undefined ? request.body : uploads.text(key, upload)
          const stored = yield* log.append(asked(request, key, yield* entries(body, eventLimitBytes)))
          if (upload !== undefined) yield* uploads.forget(key, upload)
          return told(stored)
        })
      ),
    { direct }
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
