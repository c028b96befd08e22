/** Sessions for all routes and methods: make one, find and show them, change one, send to one. */

import { SequenceNum } from "@causeway/protocol/Event"
import type { SentEvents, Session, SessionPage } from "@causeway/protocol/http/Sessions"
import type { OrganizationId } from "@causeway/protocol/Ids"
import { compatSessionId, EventUuid, sessionBody } from "@causeway/protocol/Ids"
import * as Limits from "@causeway/protocol/Limits"
import * as MessageContent from "@causeway/protocol/MessageContent"
import type * as Payload from "@causeway/protocol/Payload"
import type { Permission } from "@causeway/protocol/Permission"
import { neededBy } from "@causeway/protocol/Permissions"
import * as WireError from "@causeway/protocol/WireError"
import type { Topic } from "@causeway/store/Bus"
import { Log, type SessionKey } from "@causeway/store/Log"
import * as Store from "@causeway/store/Session"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as Auditor from "../Auth/Auditor.ts"
import { mapStoreErrors } from "../Failure.ts"
import * as View from "./View.ts"

/** Sessions of a page where none are asked for. */
const PAGE_DEFAULT = 50
/** Sessions that wait for one environment whose rows are told when something of its work changes; the newest. */
const WAITING_MAX = 100

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

export interface Create extends Omit<Store.CreateSession, "payloads"> {
  readonly title: string | undefined
  readonly organizationId: OrganizationId
  readonly payloads: ReadonlyArray<Payload.Payload>
}

export interface Page {
  readonly organizationId: OrganizationId
  /** Default 50. */
  readonly limit: number | undefined
  /** Default `all`. */
  readonly archived: "all" | "true" | "false" | undefined
  readonly environmentId: string | undefined
  /** Those that none goes on from. */
  readonly leaves?: boolean
  /** `next_cursor` of the page before. */
  readonly cursor: string | undefined
}

/** Refuses what a model would refuse with every turn from then on. */
const checked = (payloads: ReadonlyArray<Payload.Payload>): Effect.Effect<void, WireError.BadRequest> =>
  Effect.forEach(
    payloads,
    (payload, index) => {
      const problem = MessageContent.problemOf(payload)
      const path = `events.${index}`
      return problem === undefined ? Effect.void : WireError.BadRequest.of(`${path}: ${problem}`, { path })
    },
    { discard: true }
  )

/** Refuses what is too large to be kept with a session's row. */
const withinRow = (parts: {
  readonly [name: string]: string | undefined
}): Effect.Effect<void, WireError.PayloadTooLarge> =>
  Effect.forEach(
    Object.entries(parts),
    ([name, text = ""]) =>
      Buffer.byteLength(text) > Limits.CONTEXT_BYTES
        ? WireError.PayloadTooLarge.of(`the session's ${name} exceeds ${Limits.CONTEXT_BYTES} bytes`)
        : Effect.void,
    { discard: true }
  )

export const make = Effect.gen(function* () {
  const store = yield* Store.Sessions
  const log = yield* Log
  const auditor = yield* Auditor.make

  /** Each with what it waits for, by one statement. */
  const showAll = (
    records: ReadonlyArray<Store.Session>
  ): Effect.Effect<ReadonlyArray<Session>, WireError.NotFound | WireError.Unavailable> =>
    Effect.gen(function* () {
      const waiting = yield* store.waitingFor(records.map(({ sid }) => sid))
      const now = yield* Clock.currentTimeMillis
      return records.map((record) => View.session(record, now, waiting.get(record.sid) ?? null))
    }).pipe(mapStoreErrors)

  const show = (record: Store.Session) =>
    Effect.flatMap(showAll([record]), ([only]) =>
      only === undefined ? Effect.dieMessage("a session that is not shown") : Effect.succeed(only)
    )

  /** The title, where one is given, is the session's first event. */
  const create = ({
    title,
    payloads,
    ...request
  }: Create): Effect.Effect<
    Store.Session,
    WireError.BadRequest | WireError.NotFound | WireError.PayloadTooLarge | WireError.Unavailable
  > =>
    Effect.zipRight(
      Effect.zipRight(checked(payloads), withinRow({ context: request.context, tags: request.tags })),
      store
        .create({
          ...request,
          payloads: title === undefined ? payloads : [Store.sessionUpdate({ title }), ...payloads]
        })
        .pipe(mapStoreErrors)
    )

  /** The sessions that one goes on from and is gone on from in, by their keys. */
  const links = ({ key, organizationId, parentKey }: Store.Session) =>
    Effect.gen(function* () {
      const ofKey = (archived: "true" | "false") =>
        parentKey === undefined
          ? Effect.succeed([])
          : store.list({ organizationId, keys: [parentKey], archived, limit: 1 })
      // Only the keys of living sessions are indexed.
      const [parent = (yield* ofKey("true"))[0]] = yield* ofKey("false")
      const linked = yield* store.list({ organizationId, linkedTo: [key], archived: "all", order: "oldest" })
      return {
        continued_from: parent === undefined ? null : compatSessionId(parent.session),
        continued_in: linked.flatMap((child) =>
          child.parentKey === key ? [compatSessionId(child.session)] : []
        )
      }
    })

  /** One session, with its links. */
  const get = (key: SessionKey): Effect.Effect<Session, WireError.NotFound | WireError.Unavailable> =>
    Effect.gen(function* () {
      const record = yield* store.get(key)
      return { ...(yield* show(record)), ...(yield* links(record)) }
    }).pipe(mapStoreErrors)

  /** Most recently updated first. Costs the same wherever in the list it stands. */
  const page = (
    request: Page
  ): Effect.Effect<
    typeof SessionPage.Type,
    WireError.BadRequest | WireError.NotFound | WireError.Unavailable
  > =>
    Effect.gen(function* () {
      const limit = request.limit ?? PAGE_DEFAULT
      const records = yield* store
        .list({
          organizationId: request.organizationId,
          limit: limit + 1,
          archived: request.archived ?? "all",
          ...(request.leaves === true ? { leaves: true as const } : {}),
          ...(request.environmentId === undefined ? {} : { environmentId: request.environmentId }),
          ...(request.cursor === undefined ? {} : { after: yield* decodeCursor(request.cursor) })
        })
        .pipe(mapStoreErrors)
      const shown = records.slice(0, limit)
      const last = records.length > limit ? shown.at(-1) : undefined
      return {
        data: yield* showAll(shown),
        next_cursor: last === undefined ? null : encodeCursor(last)
      }
    })

  /**
   * The sessions that something happened to: those of session topics, and those that wait for an environment of whose work
   * something has changed. Each once.
   */
  const changed = (
    organizationId: OrganizationId,
    topics: ReadonlyArray<Topic>
  ): Effect.Effect<ReadonlyArray<Session>, WireError.NotFound | WireError.Unavailable> =>
    Effect.gen(function* () {
      const of = (kind: string) =>
        topics.flatMap((topic) => (topic.startsWith(kind) ? [topic.slice(kind.length)] : []))
      const named = yield* store.list({
        organizationId,
        sessions: of("session:").map(sessionBody),
        archived: "all"
      })
      const waiting = yield* Effect.forEach(of("environment:"), (environmentId) =>
        store.list({ organizationId, environmentId, status: "pending", limit: WAITING_MAX })
      )
      const all = new Map([...named, ...waiting.flat()].map((record) => [record.sid, record]))
      return yield* showAll([...all.values()])
    }).pipe(mapStoreErrors)

  const rename = (
    key: SessionKey,
    title: string
  ): Effect.Effect<Session, WireError.NotFound | WireError.Unavailable> =>
    store.rename(key, title).pipe(mapStoreErrors, Effect.flatMap(show))

  const archive = (
    key: SessionKey
  ): Effect.Effect<Session, WireError.NotFound | WireError.Conflict | WireError.Unavailable> =>
    store.archive(key).pipe(mapStoreErrors, Effect.flatMap(show))

  /** `permissions`: the sender's. Answers to agents need another than everything else. */
  const send = (
    { permissions, ...key }: SessionKey & { readonly permissions: ReadonlyArray<Permission> },
    payloads: ReadonlyArray<Payload.Payload>
  ): Effect.Effect<typeof SentEvents.Type, WireError.WireError> =>
    Effect.gen(function* () {
      yield* checked(payloads)
      const missing = payloads.map(neededBy).find((needed) => !permissions.includes(needed))
      if (missing !== undefined) {
        return yield* WireError.Forbidden.of(`these events need the permission ${missing}`, {
          needs: [missing]
        })
      }
      const stored =
        payloads.length === 0
          ? []
          : yield* log.append({ ...key, source: "client", payloads }).pipe(mapStoreErrors)
      for (const payload of payloads) {
        const answer = payload.type === "control_response" ? Approvals.answerOf(payload.json) : null
        if (answer !== null) {
          yield* auditor.record({
            organizationId: key.organizationId,
            action: "approval.answered",
            subject: compatSessionId(key.session),
            details: { request: answer.requestId ?? answer.toolUseId, outcome: answer.outcome }
          })
        }
      }
      const { sid } = yield* store.get(key).pipe(mapStoreErrors)
      return {
        events: stored.map((each) => ({
          uuid: EventUuid.make(each.uuid),
          sequence_num: SequenceNum.make(each.seq),
          duplicate: each.duplicate
        })),
        waiting_for: (yield* store.waitingFor([sid]).pipe(mapStoreErrors)).get(sid) ?? null
      }
    })

  return { create, get, page, rename, archive, send, show, showAll, changed }
})

export class SessionsApi extends Context.Tag("@causeway/hub/SessionsApi")<
  SessionsApi,
  Effect.Effect.Success<typeof make>
>() {}

export const layer = Layer.effect(SessionsApi, make)
