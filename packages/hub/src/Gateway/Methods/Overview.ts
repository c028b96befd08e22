/** Over all sessions at once: who waits for a person, what all of it costs, and where a session is by its title. */

import * as Params from "@causeway/protocol/Gateway/Params"
import { anySessionBody } from "@causeway/protocol/Ids"
import { Overview } from "@causeway/store/Overview"
import * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import { SessionsApi } from "../../Sessions/Sessions.ts"
import * as View from "../../Sessions/View.ts"
import { answered } from "../Failure.ts"
import { answer, method } from "../Method.ts"

/** Sessions of an answer where no limit is given. */
const FOUND = 50
const WAITING = 100
/** Sessions that are told of by name in the totals. */
const NAMED = 24

const waiting = method(
  "causeway.sessions.waiting",
  Params.SessionsWaiting,
  function* ({ limit = WAITING }, { organizationId }) {
    const overview = yield* Overview
    const found = yield* overview.waiting({ organizationId, limit })
    const now = yield* Clock.currentTimeMillis
    return answer({
      total: found.total,
      // Who waits for a person has a worker: it waits for no host.
      data: found.sessions.map((record) => View.session(record, now, null))
    })
  }
)

const totals = method("causeway.totals", Params.Empty, function* (_, { organizationId }) {
  const overview = yield* Overview
  const now = yield* Clock.currentTimeMillis
  const figures = yield* overview.totals(organizationId)
  const view = (record: Effect.Effect.Success<ReturnType<typeof overview.dearest>>[number]) =>
    View.session(record, now, null)
  return answer({
    ...figures,
    byCost: (yield* overview.dearest(organizationId, NAMED)).map(view),
    byContext: (yield* overview.fullest(organizationId, NAMED)).map(view)
  })
})

const find = method(
  "causeway.sessions.find",
  Params.SessionsFind,
  function* ({ query, sessionIds, archived, limit = FOUND }, { organizationId }) {
    const overview = yield* Overview
    const sessions = yield* SessionsApi
    const records = yield* overview.find({
      organizationId,
      limit,
      ...(query === undefined ? {} : { query }),
      ...(sessionIds === undefined ? {} : { sessions: sessionIds.map((id) => anySessionBody(id)) }),
      ...(archived === undefined ? {} : { archived })
    })
    return answer({ data: yield* answered(sessions.showAll(records)) })
  }
)

export const methods = [waiting, totals, find]
