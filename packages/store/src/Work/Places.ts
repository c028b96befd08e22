/** The places of an environment: how many it has, which items hold one, and what a session waits for. */

import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { ONLINE_MILLIS } from "../Environments.ts"
import type { WorkRecord } from "./WorkQueue.ts"

/**
 * An item holds its place, unless its session is idle and its environment's poller puts such to sleep. A condition on
 * `work`.
 */
export const HOLDS = `NOT EXISTS (SELECT 1 FROM sessions idle JOIN environments host ON host.id = work.environment_id
  WHERE idle.sid = work.sid AND host.makes_room = 1 AND coalesce(idle.worker_status, 'idle') = 'idle'
    AND (idle.status = 'idle'
      OR (idle.status = 'pending' AND coalesce(json_extract(idle.projection, '$.prompted'), 0) = 0)))`

/** All places of the item's environment are held by leases of others. */
export const isFullBeside = (
  sql: SqlClient.SqlClient,
  item: WorkRecord,
  now: number
): Effect.Effect<boolean, SqlError> =>
  Effect.map(
    sql<{ readonly is_full: number }>`SELECT coalesce(
      (SELECT count(*) FROM work WHERE environment_id = ${item.environmentId} AND id <> ${item.id}
        AND state <> 'stopped' AND state <> 'queued' AND lease_expires_at > ${now} AND ${sql.literal(HOLDS)})
      >= (SELECT max_sessions FROM environments WHERE id = ${item.environmentId}), 1) AS is_full`,
    ([row]) => row?.is_full === 1
  )

/** An offer that is not taken within this time is not being taken: 2 s. */
const OFFER_PATIENCE_MILLIS = 2_000

interface Waiting {
  readonly sid: number
  readonly archived_at: number | null
  readonly connection_status: string
  readonly state: string | null
  readonly lease_expires_at: number | null
  readonly environment_id: string | null
  readonly name: string | null
  readonly environment_archived_at: number | null
  readonly last_seen_at: number | null
  readonly max_sessions: number | null
  readonly busy: number
  readonly offered_at: number | null
}

/**
 * What the queued work of sessions waits for, as sentences for people; none of those in whose way nothing stands or which a
 * worker has. Source: spec 5 §3.5 and §3.7.
 */
export const waitingFor = (
  sids: ReadonlyArray<number>,
  nowMillis: number
): Effect.Effect<ReadonlyMap<number, string>, SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    if (sids.length === 0) return Effect.succeed(new Map())
    const wanted = sql`SELECT value FROM json_each(${JSON.stringify(sids)})`
    return Effect.map(
      sql<Waiting>`
        WITH places AS (SELECT environment_id, count(*) AS busy FROM work
          WHERE environment_id IN (SELECT environment_id FROM sessions WHERE sid IN (${wanted}))
            AND state <> 'stopped' AND state <> 'queued' AND lease_expires_at > ${nowMillis} AND ${sql.literal(HOLDS)}
          GROUP BY environment_id)
        SELECT s.sid, s.archived_at, s.connection_status, w.state, w.lease_expires_at, s.environment_id, e.name,
          e.archived_at AS environment_archived_at, e.last_seen_at, e.max_sessions, coalesce(places.busy, 0) AS busy,
          w.offered_at
        FROM sessions s LEFT JOIN environments e ON e.id = s.environment_id
          LEFT JOIN work w ON w.sid = s.sid AND w.state <> 'stopped'
          LEFT JOIN places ON places.environment_id = s.environment_id
        WHERE s.sid IN (${wanted})`,
      (rows) =>
        new Map(
          rows.flatMap((row) => {
            const reason = reasonOf(row, nowMillis)
            return reason === null ? [] : [[row.sid, `The message waits for ${reason}.`] as const]
          })
        )
    )
  })

const reasonOf = (row: Waiting, nowMillis: number): string | null => {
  if (row.archived_at !== null) return null
  if (row.environment_id === null || row.name === null) {
    return row.connection_status === "connected" ? null : "a worker: this session has no environment"
  }
  if (row.environment_archived_at !== null) {
    return row.connection_status === "connected"
      ? null
      : `its environment ${row.name}, which was removed: connect it again, or continue in another one`
  }
  if (row.state === null) return null
  if (row.state !== "queued" && row.lease_expires_at !== null && row.lease_expires_at > nowMillis) return null
  if (row.last_seen_at === null) return `its environment ${row.name}, which has not come online yet`
  if (nowMillis - row.last_seen_at >= ONLINE_MILLIS) {
    return `its environment ${row.name}, which is offline (last seen ${new Date(row.last_seen_at).toISOString()})`
  }
  const most = row.max_sessions ?? 1
  if (row.busy >= most) {
    return `a place in its environment ${row.name}: all ${most} are busy, and it takes the first that becomes free`
  }
  // It was offered and not taken: what keeps the places busy is known there alone (tasks in the background, say).
  return row.state === "queued" &&
    row.offered_at !== null &&
    nowMillis - row.offered_at >= OFFER_PATIENCE_MILLIS
    ? `a place in its environment ${row.name}: none of its ${most} can be given up now`
    : null
}
