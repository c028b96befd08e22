/** The lease of an item: taken by the acknowledgement, extended by heartbeats, ended by a stop or a new offer. */

import { NO_HEARTBEAT, type WorkState } from "@causeway/protocol/http/Environments"
import { WorkId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Bus } from "../Bus.ts"
import { LAST_SEEN_MILLIS } from "../Environments.ts"
import { EnvironmentArchived, EnvironmentUnknown, SessionArchived, SessionUnknown } from "../Errors.ts"
import { unavailable } from "../internal/unavailable.ts"
import { ensure, finish, read, release } from "./Item.ts"
import { isFullBeside } from "./Places.ts"
import { type Beat, LeaseMoved, SessionElsewhere, type WorkQueue, WorkRefused } from "./WorkQueue.ts"

/** Lease of an acknowledged item, and of a heartbeat that names none: 90 s. */
const LEASE_DEFAULT_SECONDS = 90
/** Bounds of the lease that a heartbeat may ask for. Source: spec 5 §2. */
const LEASE_MIN_SECONDS = 10
const LEASE_MAX_SECONDS = 600

const iso = (millis: number): string => new Date(millis).toISOString()

export const acknowledge = (sql: SqlClient.SqlClient): WorkQueue["Type"]["acknowledge"] =>
  Effect.fn("WorkQueue.acknowledge")(
    function* (key) {
      const now = yield* Clock.currentTimeMillis
      const item = yield* read(sql, key)
      const refused = (reason: string) => new WorkRefused({ workId: key.workId, state: item.state, reason })
      if (item.state === "stopped") return yield* refused("is stopped")
      if (isOfAnother(item, key.workerId)) return yield* refused("is on offer to another worker")
      if (item.state !== "queued") return item
      if (item.offeredAt === undefined) return yield* refused("is not on offer: poll for it")
      if (yield* isFullBeside(sql, item, now)) {
        return yield* refused("was not acknowledged in time, and its place is taken")
      }
      yield* sql`UPDATE work SET state = 'starting', acknowledged_at = ${now},
        lease_ttl = ${LEASE_DEFAULT_SECONDS}, lease_expires_at = ${now + LEASE_DEFAULT_SECONDS * 1000}
        WHERE id = ${item.id}`
      return yield* read(sql, key)
    },
    sql.withTransaction,
    unavailable
  )

/** Pollers that do not name themselves pass for anyone. */
const isOfAnother = (
  item: { readonly offeredTo: string | undefined },
  workerId: string | undefined
): boolean => item.offeredTo !== undefined && workerId !== undefined && item.offeredTo !== workerId

export const heartbeat = (sql: SqlClient.SqlClient): WorkQueue["Type"]["heartbeat"] =>
  Effect.fnUntraced(
    function* (key) {
      const now = yield* Clock.currentTimeMillis
      const ttlSeconds = Math.min(
        LEASE_MAX_SECONDS,
        Math.max(LEASE_MIN_SECONDS, Math.trunc(key.ttlSeconds ?? LEASE_DEFAULT_SECONDS))
      )
      const item = yield* read(sql, key)
      if (item.state === "queued" || item.state === "stopped") {
        return yield* new WorkRefused({
          workId: key.workId,
          state: item.state,
          reason: item.state === "queued" ? "is queued: acknowledge it first" : "is stopped"
        })
      }
      const last = item.latestHeartbeatAt === undefined ? undefined : iso(item.latestHeartbeatAt)
      const isEcho =
        key.expected === undefined || item.state === "stopping" || key.expected === (last ?? NO_HEARTBEAT)
      const isLate = item.leaseExpiresAt !== undefined && item.leaseExpiresAt <= now
      // Too late is not refused while nobody else has got the item or its place.
      if (isOfAnother(item, key.workerId) || !isEcho || (isLate && (yield* isFullBeside(sql, item, now)))) {
        return yield* new LeaseMoved({
          workId: key.workId,
          state: item.state,
          lastHeartbeat: last,
          ttlSeconds: item.leaseTtl ?? LEASE_DEFAULT_SECONDS
        })
      }
      const state: WorkState = item.state === "starting" ? "active" : item.state
      // Two beats within a millisecond are told apart by what the second has to echo.
      const beatAt = Math.max(now, (item.latestHeartbeatAt ?? 0) + 1)
      yield* sql`UPDATE work SET state = ${state}, started_at = coalesce(started_at, ${now}),
        latest_heartbeat_at = ${beatAt}, lease_ttl = ${ttlSeconds}, lease_expires_at = ${now + ttlSeconds * 1000}
        WHERE id = ${item.id}`
      yield* sql`UPDATE environments SET last_seen_at = ${now}
        WHERE id = ${key.environmentId} AND (last_seen_at IS NULL OR last_seen_at <= ${now - LAST_SEEN_MILLIS})`
      const beat: Beat = { lastHeartbeat: iso(beatAt), state, ttlSeconds }
      return beat
    },
    sql.withTransaction,
    unavailable
  )

export const stop = (sql: SqlClient.SqlClient, bus: Bus["Type"]): WorkQueue["Type"]["stop"] =>
  Effect.fn("WorkQueue.stop")(
    function* (key) {
      const now = yield* Clock.currentTimeMillis
      const item = yield* read(sql, key)
      if (item.state === "stopped") {
        return yield* new WorkRefused({ workId: key.workId, state: item.state, reason: "is already stopped" })
      }
      if (item.state === "active" && (item.leaseExpiresAt ?? 0) > now && !key.force) {
        yield* sql`UPDATE work SET state = 'stopping', stop_requested_at = ${now} WHERE id = ${item.id}`
      } else {
        yield* finish(sql, item, now)
      }
      return yield* read(sql, key)
    },
    sql.withTransaction,
    Effect.tap((item) => Effect.sync(() => bus.changed(`environment:${item.environmentId}`))),
    unavailable
  )

export const requeue = (sql: SqlClient.SqlClient, bus: Bus["Type"]): WorkQueue["Type"]["requeue"] =>
  Effect.fn("WorkQueue.requeue")(
    function* ({ environmentId, organizationId, session: body }) {
      const now = yield* Clock.currentTimeMillis
      const [environment] = yield* sql<{ readonly archived_at: number | null }>`
        SELECT archived_at FROM environments WHERE id = ${environmentId} AND organization_id = ${organizationId}`
      if (environment === undefined) return yield* new EnvironmentUnknown({ environmentId })
      if (environment.archived_at !== null) return yield* new EnvironmentArchived({ environmentId })
      const [session] = yield* sql<{
        readonly sid: number
        readonly archived_at: number | null
        readonly environment_id: string | null
        readonly environment_archived_at: number | null
      }>`SELECT s.sid, s.archived_at, s.environment_id, e.archived_at AS environment_archived_at
        FROM sessions s LEFT JOIN environments e ON e.id = s.environment_id
        WHERE s.body = ${body} AND s.organization_id = ${organizationId}`
      if (session === undefined) return yield* new SessionUnknown({ session: body })
      if (session.archived_at !== null) return yield* new SessionArchived({ session: body })
      const home = session.environment_id
      if (home !== environmentId) {
        if (home !== null && session.environment_archived_at === null) {
          return yield* new SessionElsewhere({ session: body, environmentId: home })
        }
        yield* sql`UPDATE sessions SET environment_id = ${environmentId} WHERE sid = ${session.sid}`
      }
      yield* Effect.provideService(ensure([session.sid], now), SqlClient.SqlClient, sql)
      const [item] = yield* sql<{ readonly id: string }>`SELECT id FROM work
        WHERE sid = ${session.sid} AND state <> 'stopped'`
      if (item === undefined) return yield* Effect.dieMessage("a session that was queued has no work item")
      const workId = WorkId.make(item.id)
      yield* release(sql, workId)
      yield* sql`UPDATE work SET environment_id = ${environmentId}, stop_requested_at = NULL WHERE id = ${workId}`
      return workId
    },
    sql.withTransaction,
    (effect, { environmentId }) =>
      Effect.tap(effect, () => Effect.sync(() => bus.changed(`environment:${environmentId}`))),
    unavailable
  )
