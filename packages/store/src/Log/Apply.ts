/**
 * Applies append requests to the database, inside the caller's transaction: a handful of statements a batch, whatever
 * its size. A request that is refused writes nothing and disturbs no other.
 */
import { EnvironmentId } from "@causeway/protocol/Ids"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Work from "../Work.ts"
import { decide, type EventValues, type Outcome } from "./Decide.ts"
import { readAnswers, readKnown, readSessions } from "./Draft.ts"
import type { RowCache } from "./Replay.ts"
import type { AppendRequest } from "./Request.ts"
import { writeEvents, writeSessions, writeWithdrawals } from "./Write.ts"

export interface Applied {
  /** One a request, in order. */
  readonly outcomes: ReadonlyArray<Outcome>
  /** Bodies of the sessions that have new events. */
  readonly sessions: ReadonlyArray<string>
  /** Environments whose work has changed. */
  readonly environments: ReadonlyArray<EnvironmentId>
}

/** Applies a batch. To be run inside a transaction; `now` is the time that new events get. */
export const apply = (
  requests: ReadonlyArray<AppendRequest>,
  now: number,
  cache: RowCache
): Effect.Effect<Applied, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const drafts = yield* readSessions([...new Set(requests.map((request) => request.session))], cache)
    yield* readKnown(requests, drafts)
    yield* readAnswers(requests, drafts)

    const values: Array<EventValues> = []
    const outcomes = requests.map((request) => decide(request, drafts.get(request.session), now, values))

    const changed = [...drafts.values()].filter((draft) => draft.changed)
    if (changed.length === 0) return { outcomes, sessions: [], environments: [] }
    yield* writeEvents(values)
    yield* writeSessions(changed, now, cache)
    yield* writeWithdrawals(changed, now)
    const waking = changed.filter((draft) => draft.forWorker && draft.columns.environment_id !== null)
    const ended = changed.filter(
      (draft) => draft.columns.archived_at === null && draft.row.archivedAt !== null
    )
    const rested = changed.flatMap(({ columns, rested }) =>
      rested && columns.environment_id !== null ? [EnvironmentId.make(columns.environment_id)] : []
    )
    const environments =
      waking.length === 0 && ended.length === 0
        ? rested
        : [
            ...rested,
            ...(yield* Work.ensure(
              waking.map((draft) => draft.columns.sid),
              now
            )),
            ...(yield* Work.stopForSessions(
              ended.map((draft) => draft.columns.sid),
              now
            ))
          ]
    return { outcomes, sessions: changed.map((draft) => draft.columns.body), environments }
  })
