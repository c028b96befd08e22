/** Offers: which item a poller gets, and which pollers there are. */

import { BoundedMap } from "@causeway/protocol/BoundedMap"
import type { EnvironmentId, OrganizationId } from "@causeway/protocol/Ids"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Bus } from "../Bus.ts"
import { LAST_SEEN_MILLIS } from "../Environments.ts"
import { EnvironmentArchived, EnvironmentUnknown } from "../Errors.ts"
import { recordOf } from "../internal/record.ts"
import { unavailable } from "../internal/unavailable.ts"
import { COLUMNS, finish, read, release } from "./Item.ts"
import { HOLDS } from "./Places.ts"
import type { Offer, Row, WorkQueue, WorkRecord, WorkStats } from "./WorkQueue.ts"

/** How long an offer that nobody acknowledged is kept back, where the poller names no other: 5 s. */
export const RECLAIM_DEFAULT_MILLIS = 5_000

/** A poller counts as polling for this long after its last poll: 30 s. */
const POLLING_MILLIS = 30_000

/** Pollers of one environment that are counted: they name themselves. */
const POLLERS_MAX = 1000

/** Last poll of each named poller, by environment: for `stats` alone. */
export type Pollers = Map<string, Map<string, number>>

const notePoller = (pollers: Pollers, environmentId: string, workerId: string | undefined, now: number) => {
  const known = pollers.get(environmentId) ?? new BoundedMap<string, number>(POLLERS_MAX)
  if (workerId !== undefined) known.set(workerId, now)
  for (const [id, at] of known) if (now - at >= POLLING_MILLIS) known.delete(id)
  if (known.size > 0) pollers.set(environmentId, known)
  else pollers.delete(environmentId)
  return known.size
}

interface Look {
  readonly environmentId: EnvironmentId
  readonly reclaimOlderThanMillis: number
  readonly workerId: string | undefined
  readonly now: number
  /** Offers at or before this moment are not kept back any more. */
  readonly stale: number
}

const available = (sql: SqlClient.SqlClient, { environmentId, now, stale }: Look) =>
  sql`w.environment_id = ${environmentId} AND w.state <> 'stopped' AND (
    (w.state = 'queued' AND (w.offered_at IS NULL OR w.offered_at <= ${stale}))
    OR (w.state <> 'queued' AND w.lease_expires_at <= ${now}))`

const readEnvironment = (sql: SqlClient.SqlClient, look: Look) =>
  Effect.gen(function* () {
    const { environmentId, now, reclaimOlderThanMillis, stale } = look
    const [row] = yield* sql<{
      readonly organization_id: OrganizationId
      readonly archived_at: number | null
      readonly max_sessions: number
      readonly last_poll_at: number | null
      readonly makes_room: number
      readonly waiting: number
      readonly due: number | null
    }>`SELECT e.organization_id, e.archived_at, e.max_sessions, e.last_poll_at, e.makes_room,
        EXISTS (SELECT 1 FROM work w WHERE ${available(sql, look)}) AS waiting,
        (SELECT min(CASE WHEN h.state = 'queued' THEN h.offered_at + ${reclaimOlderThanMillis} ELSE h.lease_expires_at END)
          FROM work h WHERE h.environment_id = ${environmentId} AND h.state <> 'stopped' AND (
            (h.state = 'queued' AND h.offered_at > ${stale}) OR (h.state <> 'queued' AND h.lease_expires_at > ${now}))
        ) AS due
      FROM environments e WHERE e.id = ${environmentId}`
    if (row === undefined) return yield* new EnvironmentUnknown({ environmentId })
    if (row.archived_at !== null) return yield* new EnvironmentArchived({ environmentId })
    return row
  })

/** The item that waits longest. One that was offered in vain goes behind those that were not. */
const nextAvailable = (sql: SqlClient.SqlClient, look: Look) =>
  Effect.map(
    sql<Row>`SELECT ${sql.literal(COLUMNS)} FROM work w WHERE ${available(sql, look)}
      ORDER BY max(w.created_at, coalesce(w.offered_at, 0)), w.created_at, w.id LIMIT 1`,
    ([row]) => (row === undefined ? undefined : recordOf(row))
  )

/** Items that are held by a lease, or kept back for whom they were offered to. */
const countHeld = (sql: SqlClient.SqlClient, { environmentId, now, stale }: Look) =>
  Effect.map(
    sql<{ readonly held: number }>`SELECT count(*) AS held FROM work
      WHERE environment_id = ${environmentId} AND state <> 'stopped' AND (
        (state = 'queued' AND offered_at > ${stale})
        OR (state <> 'queued' AND lease_expires_at > ${now} AND ${sql.literal(HOLDS)}))`,
    ([row]) => row?.held ?? 0
  )

/** Moves the session to its next epoch; undefined where it is archived. */
const nextEpoch = (sql: SqlClient.SqlClient, sid: number) =>
  Effect.map(
    sql<{ readonly token_epoch: number; readonly organization_id: OrganizationId }>`
      UPDATE sessions SET worker_epoch = max(worker_epoch, token_epoch) + 1,
        token_epoch = max(worker_epoch, token_epoch) + 1
      WHERE sid = ${sid} AND archived_at IS NULL RETURNING token_epoch, organization_id`,
    ([row]) => row
  )

/** Offers an item; undefined where its session is archived. */
const offer = (sql: SqlClient.SqlClient, look: Look, organizationId: OrganizationId, item: WorkRecord) =>
  Effect.gen(function* () {
    const session = item.sid === undefined ? undefined : yield* nextEpoch(sql, item.sid)
    if (item.sid !== undefined && session === undefined) return undefined
    yield* release(sql, item.id)
    yield* sql`UPDATE work SET offered_at = ${look.now}, offered_to = ${look.workerId ?? null} WHERE id = ${item.id}`
    const made: Offer = {
      item: yield* Effect.catchTag(
        read(sql, { environmentId: item.environmentId, workId: item.id }),
        "WorkUnknown",
        Effect.die
      ),
      organizationId: session?.organization_id ?? organizationId,
      epoch: session?.token_epoch
    }
    return made
  })

/** Offers the first item that can be; ends those on the way that were to stop or whose session is archived. */
const take = (sql: SqlClient.SqlClient, look: Look) =>
  Effect.gen(function* () {
    const environment = yield* readEnvironment(sql, look)
    const step: Effect.Effect<Offer | undefined, Effect.Effect.Error<ReturnType<typeof finish>>> = Effect.gen(
      function* () {
        const item = yield* nextAvailable(sql, look)
        if (item === undefined) return undefined
        if (item.state !== "stopping") {
          if ((yield* countHeld(sql, look)) >= environment.max_sessions) return undefined
          const made = yield* offer(sql, look, environment.organization_id, item)
          if (made !== undefined) return made
        }
        yield* finish(sql, item, look.now)
        return yield* step
      }
    )
    return yield* step
  })

export const poll = (
  sql: SqlClient.SqlClient,
  bus: Bus["Type"],
  pollers: Pollers
): WorkQueue["Type"]["poll"] =>
  Effect.fnUntraced(function* (options) {
    const { environmentId, reclaimOlderThanMillis, workerId } = options
    const now = yield* Clock.currentTimeMillis
    notePoller(pollers, environmentId, workerId, now)
    const look: Look = {
      environmentId,
      reclaimOlderThanMillis,
      workerId,
      now,
      stale: now - reclaimOlderThanMillis
    }
    const looked = yield* readEnvironment(sql, look)
    if (looked.last_poll_at === null || looked.last_poll_at <= now - LAST_SEEN_MILLIS) {
      yield* sql`UPDATE environments SET last_poll_at = ${now}, last_seen_at = ${now} WHERE id = ${environmentId}`
    }
    const makesRoom = options.makesRoom === true ? 1 : 0
    if (looked.makes_room !== makesRoom) {
      yield* sql`UPDATE environments SET makes_room = ${makesRoom} WHERE id = ${environmentId}`
    }
    const made = looked.waiting === 0 ? undefined : yield* sql.withTransaction(take(sql, look))
    if (made === undefined) return { offer: undefined, due: looked.due ?? undefined }
    // Whoever served the session under an older epoch is told to look again.
    if (made.item.session !== undefined) bus.changed(`session:${made.item.session}`)
    return { offer: made, due: undefined }
  }, unavailable)

export const stats = (sql: SqlClient.SqlClient, pollers: Pollers): WorkQueue["Type"]["stats"] =>
  Effect.fn("WorkQueue.stats")(function* (environmentId) {
    const now = yield* Clock.currentTimeMillis
    const [row] = yield* sql<{
      readonly depth: number
      readonly pending: number
      readonly oldest: number | null
    }>`SELECT count(CASE WHEN offered_at IS NULL THEN 1 END) AS depth,
        count(CASE WHEN offered_at IS NOT NULL THEN 1 END) AS pending, min(created_at) AS oldest
      FROM work WHERE environment_id = ${environmentId} AND state = 'queued'`
    const found: WorkStats = {
      depth: row?.depth ?? 0,
      pending: row?.pending ?? 0,
      oldestQueuedAt: row?.oldest ?? undefined,
      workersPolling: notePoller(pollers, environmentId, undefined, now)
    }
    return found
  }, unavailable)
