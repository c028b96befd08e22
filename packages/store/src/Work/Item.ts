/** Work items as they stand in the table: reading one, its changes of state, and items for sessions that need a worker. */

import { randomUUID } from "node:crypto"
import { EnvironmentId, type WorkId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { recordOf } from "../internal/record.ts"
import { type ItemKey, type Row, type WorkRecord, WorkUnknown } from "./WorkQueue.ts"

/** Of `work w`. */
export const COLUMNS =
  "w.id, w.environment_id, w.type, w.sid, (SELECT s.body FROM sessions s WHERE s.sid = w.sid) AS session, w.state, " +
  "w.created_at, w.offered_at, w.offered_to, w.acknowledged_at, w.started_at, w.latest_heartbeat_at, " +
  "w.lease_expires_at, w.lease_ttl, w.stop_requested_at, w.stopped_at, w.metadata"

export const read = (
  sql: SqlClient.SqlClient,
  key: ItemKey
): Effect.Effect<WorkRecord, WorkUnknown | SqlError> =>
  Effect.flatMap(
    sql<Row>`SELECT ${sql.literal(COLUMNS)} FROM work w
      WHERE w.id = ${key.workId} AND w.environment_id = ${key.environmentId}`,
    ([row]) => (row === undefined ? new WorkUnknown({ workId: key.workId }) : Effect.succeed(recordOf(row)))
  )

/** Queues an item for a session that needs one. Values: the item's id, the time, the session's `sid`. */
export const ENSURE = `INSERT INTO work (id, environment_id, type, sid, state, created_at)
  SELECT ?, s.environment_id, 'session', s.sid, 'queued', ?
  FROM sessions s JOIN environments e ON e.id = s.environment_id
  WHERE s.sid = ? AND s.archived_at IS NULL AND e.archived_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM work w WHERE w.sid = s.sid AND w.state <> 'stopped')
  RETURNING environment_id`

/** Ends the unfinished items of a session. Values: the time, its `sid`. */
export const STOP_OF_SESSION = `UPDATE work SET state = 'stopped', stopped_at = ?, lease_expires_at = NULL
  WHERE state <> 'stopped' AND sid = ? RETURNING environment_id`

/**
 * Queues an item for each of these sessions that has a living environment, is not archived and has none unfinished.
 * Runs inside the caller's transaction, so that a message and the work it needs are stored together or not at all.
 *
 * Answers with the environments that have new work: wake their pollers after the commit.
 */
export const ensure = (
  sids: ReadonlyArray<number>,
  nowMillis: number
): Effect.Effect<ReadonlyArray<EnvironmentId>, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const woken = yield* Effect.forEach(new Set(sids), (sid) =>
      sql.unsafe<{ readonly environment_id: string }>(ENSURE, [`work_${randomUUID()}`, nowMillis, sid])
    )
    return [...new Set(woken.flat().map((row) => EnvironmentId.make(row.environment_id)))]
  })

/** Back into the queue, without lease and offer. */
export const release = (sql: SqlClient.SqlClient, workId: WorkId) =>
  sql`UPDATE work SET state = 'queued', offered_at = NULL, offered_to = NULL, acknowledged_at = NULL,
    started_at = NULL, latest_heartbeat_at = NULL, lease_expires_at = NULL, lease_ttl = NULL WHERE id = ${workId}`

/**
 * Ends an item for good. What a person wrote since it was offered, and no worker has confirmed, may have missed the
 * worker that ends here: it gets a new item. (What was there before had its chance: no item is made for ever.)
 */
export const finish = (sql: SqlClient.SqlClient, item: WorkRecord, now: number) =>
  Effect.gen(function* () {
    yield* sql`UPDATE work SET state = 'stopped', stopped_at = ${now}, lease_expires_at = NULL,
      stop_requested_at = coalesce(stop_requested_at, ${now}) WHERE id = ${item.id}`
    if (item.sid === undefined) return
    const missed = yield* sql`SELECT 1 FROM events WHERE sid = ${item.sid} AND source = 'client'
      AND delivery IS NULL AND ${sql.in("type", Payload.workerTypes)}
      AND created_at >= ${item.offeredAt ?? item.createdAt} LIMIT 1`
    if (missed.length > 0) {
      yield* Effect.provideService(ensure([item.sid], now), SqlClient.SqlClient, sql)
    }
  })
