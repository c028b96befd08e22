/**
 * The work queue: one unfinished item a session, offered to its environment, leased, and never to two at once.
 *
 * An item is `queued` until a poller acknowledges it (`starting`), `active` from its first heartbeat, `stopping` once a
 * stop was asked for while a worker held it, and `stopped` for good. Source: spec 5 §2 and §3.
 */

import { randomUUID } from "node:crypto"
import { EnvironmentId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"

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
    if (sids.length === 0) return []
    const sql = yield* SqlClient.SqlClient
    const woken = new Set<EnvironmentId>()
    for (const sid of new Set(sids)) {
      const rows = yield* sql<{ readonly environment_id: string }>`
        INSERT INTO work (id, environment_id, type, sid, state, created_at)
        SELECT ${`work_${randomUUID()}`}, s.environment_id, 'session', s.sid, 'queued', ${nowMillis}
        FROM sessions s JOIN environments e ON e.id = s.environment_id
        WHERE s.sid = ${sid} AND s.archived_at IS NULL AND e.archived_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM work w WHERE w.sid = s.sid AND w.state <> 'stopped')
        RETURNING environment_id`
      for (const row of rows) woken.add(EnvironmentId.make(row.environment_id))
    }
    return [...woken]
  })

/** An environment is online while its last poll or heartbeat is younger than this: 90 s. Source: spec 5 §3.5. */
export const ONLINE_MILLIS = 90_000

/**
 * Ends the unfinished items of sessions that were archived. Runs inside the caller's transaction.
 *
 * Answers with the environments where room was made: wake their pollers after the commit.
 */
export const stopForSessions = (
  sids: ReadonlyArray<number>,
  nowMillis: number
): Effect.Effect<ReadonlyArray<EnvironmentId>, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    if (sids.length === 0) return []
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ readonly environment_id: string }>`
      UPDATE work SET state = 'stopped', stopped_at = ${nowMillis}, lease_expires_at = NULL
      WHERE state <> 'stopped' AND ${sql.in("sid", sids)} RETURNING environment_id`
    return [...new Set(rows.map((row) => EnvironmentId.make(row.environment_id)))]
  })

/**
 * What a session's queued work waits for, in words for people; null when nothing stands in its way or a worker has it.
 * Source: spec 5 §3.5 and §3.7.
 */
export const waitingFor = (
  sid: number,
  nowMillis: number
): Effect.Effect<string | null, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{
      readonly archived_at: number | null
      readonly connection_status: string
      readonly state: string | null
      readonly lease_expires_at: number | null
      readonly environment_id: string | null
      readonly name: string | null
      readonly environment_archived_at: number | null
      readonly last_seen_at: number | null
      readonly max_sessions: number | null
      readonly held: number
    }>`
      SELECT s.archived_at, s.connection_status, w.state, w.lease_expires_at, s.environment_id, e.name,
        e.archived_at AS environment_archived_at, e.last_seen_at, e.max_sessions,
        (SELECT count(*) FROM work h WHERE h.environment_id = s.environment_id AND h.state <> 'stopped'
          AND h.state <> 'queued' AND h.lease_expires_at > ${nowMillis}) AS held
      FROM sessions s LEFT JOIN environments e ON e.id = s.environment_id
        LEFT JOIN work w ON w.sid = s.sid AND w.state <> 'stopped'
      WHERE s.sid = ${sid}`
    const row = rows[0]
    if (row === undefined || row.archived_at !== null) return null
    if (row.environment_id === null || row.name === null) {
      return row.connection_status === "connected" ? null : "a worker: this session has no environment"
    }
    if (row.environment_archived_at !== null) {
      return row.connection_status === "connected"
        ? null
        : `its environment ${row.name}, which was removed: connect it again, or continue in another one`
    }
    if (row.state === null) return null
    if (row.state !== "queued" && row.lease_expires_at !== null && row.lease_expires_at > nowMillis)
      return null
    if (row.last_seen_at === null) return `its environment ${row.name}, which has not come online yet`
    if (nowMillis - row.last_seen_at >= ONLINE_MILLIS) {
      return `its environment ${row.name}, which is offline (last seen ${new Date(row.last_seen_at).toISOString()})`
    }
    const most = row.max_sessions ?? 1
    return row.held >= most
      ? `room in its environment ${row.name}, which runs ${row.held} of ${most} sessions`
      : null
  })
