/** What both doors do with sessions: make one, send to one, show one. */

import { SequenceNum } from "@causeway/protocol/Event"
import type { OrganizationId } from "@causeway/protocol/Ids"
import { EventUuid } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import type { SentEvents, Session } from "@causeway/protocol/SessionsApi"
import type * as WireError from "@causeway/protocol/WireError"
import { Log, type SessionKey } from "@causeway/store/Log"
import * as Store from "@causeway/store/Sessions"
import * as Work from "@causeway/store/Work"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { wired } from "../Failure.ts"
import { unavailable } from "../internal/unavailable.ts"
import * as View from "./View.ts"

export interface Create extends Omit<Store.CreateSession, "payloads"> {
  readonly title: string | undefined
  readonly organizationId: OrganizationId
  readonly payloads: ReadonlyArray<Payload.Payload>
}

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const store = yield* Store.Sessions
  const log = yield* Log

  const waitingFor = (sid: number) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => Work.waitingFor(sid, now)).pipe(
      Effect.provideService(SqlClient.SqlClient, sql),
      Effect.catchTag("SqlError", (cause) => unavailable({ cause }))
    )

  const show = (
    record: Store.SessionRecord
  ): Effect.Effect<Session, WireError.NotFound | WireError.Unavailable> =>
    Effect.gen(function* () {
      const waiting = yield* waitingFor(record.sid)
      return View.session(record, yield* Clock.currentTimeMillis, waiting)
    })

  /** The title, where one is given, is the session's first event. */
  const create = ({
    title,
    payloads,
    ...request
  }: Create): Effect.Effect<Store.SessionRecord, WireError.NotFound | WireError.Unavailable> =>
    store
      .create({
        ...request,
        payloads: title === undefined ? payloads : [Store.sessionUpdate({ title }), ...payloads]
      })
      .pipe(wired)

  const get = (key: SessionKey): Effect.Effect<Session, WireError.NotFound | WireError.Unavailable> =>
    store.get(key).pipe(wired, Effect.flatMap(show))

  const send = (
    key: SessionKey,
    payloads: ReadonlyArray<Payload.Payload>
  ): Effect.Effect<typeof SentEvents.Type, WireError.WireError> =>
    Effect.gen(function* () {
      const stored =
        payloads.length === 0 ? [] : yield* log.append({ ...key, source: "client", payloads }).pipe(wired)
      const { sid } = yield* store.get(key).pipe(wired)
      return {
        events: stored.map((each) => ({
          uuid: EventUuid.make(each.uuid),
          sequence_num: SequenceNum.make(each.seq),
          duplicate: each.duplicate
        })),
        waiting_for: yield* waitingFor(sid)
      }
    })

  return { create, get, send, show, store }
})
