/**
 * The work queue: one unfinished item a session, offered to its environment, leased, and never to two at once.
 *
 * An item is `queued` until a poller acknowledges it (`starting`), `active` from its first heartbeat, `stopping` once a
 * stop was asked for while a worker held it, and `stopped` for good. A queued item that was offered is kept back for a
 * short while, then offered again; one in another state is held while its lease lasts, then offered again under a new
 * epoch. An item counts against its environment's `max_sessions` while it is held or kept back, unless its session is idle
 * and the poller puts idle sessions to sleep. What cannot be offered
 * waits; nothing is given to another environment. Source: spec 5 §2 and §3.
 */

import { randomUUID } from "node:crypto"
import type { WorkState } from "@causeway/protocol/http/Environments"
import { NO_HEARTBEAT } from "@causeway/protocol/http/Environments"
import { EnvironmentId, OrganizationId, WorkId } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Bus } from "./Bus.ts"
import { CursorInvalid, EnvironmentArchived, LAST_SEEN_MILLIS, ONLINE_MILLIS } from "./Environments.ts"
import { EnvironmentUnknown, SessionArchived, SessionUnknown, type StoreUnavailable } from "./Errors.ts"
import * as Cursor from "./internal/cursor.ts"
import { unavailable } from "./internal/unavailable.ts"

// --- Inside the transactions of others ---

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
 * Whether an item holds its place: always, but for an idle session of an environment whose poller puts such to sleep. A
 * condition on `work`.
 */
const HOLDS = `NOT EXISTS (SELECT 1 FROM sessions idle JOIN environments host ON host.id = work.environment_id
  WHERE idle.sid = work.sid AND host.makes_room = 1 AND coalesce(idle.worker_status, 'idle') = 'idle'
    AND (idle.status = 'idle'
      OR (idle.status = 'pending' AND coalesce(json_extract(idle.projection, '$.prompted'), 0) = 0)))`

/** An offer that is not taken within this time is not being taken: 2 s. */
const OFFER_PATIENCE_MILLIS = 2_000

/**
 * What a session's queued work waits for, as a sentence for people; null when nothing stands in its way or a worker has it.
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
      readonly busy: number
      readonly offered_at: number | null
    }>`
      SELECT s.archived_at, s.connection_status, w.state, w.lease_expires_at, s.environment_id, e.name,
        e.archived_at AS environment_archived_at, e.last_seen_at, e.max_sessions,
        (SELECT count(*) FROM work WHERE work.environment_id = s.environment_id AND work.state <> 'stopped'
          AND work.state <> 'queued' AND work.lease_expires_at > ${nowMillis} AND ${sql.literal(HOLDS)}) AS busy,
        w.offered_at
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
    if (row.busy >= most) {
      return `a place in its environment ${row.name}: all ${most} are busy, and it takes the first that becomes free`
    }
    // It was offered and not taken: what keeps the places busy is known there alone (tasks in the background, say).
    return row.state === "queued" &&
      row.offered_at !== null &&
      nowMillis - row.offered_at >= OFFER_PATIENCE_MILLIS
      ? `a place in its environment ${row.name}: none of its ${most} can be given up now`
      : null
  }).pipe(Effect.map((waits) => (waits === null ? null : `The message waits for ${waits}.`)))

// --- The queue ---

/** Lease of an acknowledged item, and of a heartbeat that names none: 90 s. */
export const LEASE_DEFAULT_SECONDS = 90
/** Bounds of the lease that a heartbeat may ask for. Source: spec 5 §2. */
export const LEASE_MIN_SECONDS = 10
export const LEASE_MAX_SECONDS = 600

/** How long an offer that nobody acknowledged is kept back, where the poller names no other: 5 s. */
export const RECLAIM_DEFAULT_MILLIS = 5_000

/** A poller counts as polling for this long after its last poll: 30 s. */
export const POLLING_MILLIS = 30_000

/** A work item. Times are milliseconds since the epoch; `metadata` is the JSON text of an object. */
export interface WorkRecord {
  readonly id: WorkId
  readonly environmentId: EnvironmentId
  readonly type: "session" | "healthcheck"
  /** Body of the item's session, see `Ids.sessionBody`. */
  readonly session: string | undefined
  readonly state: WorkState
  readonly createdAt: number
  readonly offeredAt: number | undefined
  readonly acknowledgedAt: number | undefined
  readonly startedAt: number | undefined
  readonly latestHeartbeatAt: number | undefined
  readonly leaseExpiresAt: number | undefined
  readonly stopRequestedAt: number | undefined
  readonly stoppedAt: number | undefined
  readonly metadata: string
}

/** What a poller gets: the item and the epoch that its token is to be issued for. */
export interface Offer {
  readonly item: WorkRecord
  readonly organizationId: OrganizationId
  /** Epoch of the session's worker and of its tokens from now on; undefined where the item has no session. */
  readonly epoch: number | undefined
}

/** `due`: when the passing of time may next make an item available (milliseconds since the epoch). */
export interface Polled {
  readonly offer: Offer | undefined
  readonly due: number | undefined
}

export interface WorkStats {
  readonly depth: number
  readonly pending: number
  readonly oldestQueuedAt: number | undefined
  readonly workersPolling: number
}

/** What a heartbeat brought. `lastHeartbeat` is what the next one has to echo. */
export interface Beat {
  readonly lastHeartbeat: string
  readonly state: WorkState
  readonly ttlSeconds: number
}

/** No such item in this environment. */
export class WorkUnknown extends Data.TaggedError("WorkUnknown")<{ readonly workId: string }> {
  override get message(): string {
    return `no work item ${this.workId}`
  }
}

/** The state of the item does not allow it. */
export class WorkRefused extends Data.TaggedError("WorkRefused")<{
  readonly workId: string
  readonly state: WorkState
  readonly reason: string
}> {
  override get message(): string {
    return `work item ${this.workId} ${this.reason}`
  }
}

/** The heartbeat's guard does not match: another worker may hold the lease. */
export class LeaseMoved extends Data.TaggedError("LeaseMoved")<{
  readonly workId: string
  readonly state: WorkState
  readonly lastHeartbeat: string | undefined
  readonly ttlSeconds: number
}> {
  override get message(): string {
    return `the lease of work item ${this.workId} has moved`
  }
}

/** The session runs in another environment, which is not archived. */
export class SessionElsewhere extends Data.TaggedError("SessionElsewhere")<{
  readonly session: string
  readonly environmentId: string
}> {
  override get message(): string {
    return `session ${this.session} belongs to environment ${this.environmentId}`
  }
}

export interface ItemKey {
  readonly environmentId: EnvironmentId
  readonly workId: WorkId
}

export class WorkQueue extends Context.Tag("@causeway/store/WorkQueue")<
  WorkQueue,
  {
    /**
     * One look at the queue, without waiting. An item that is offered moves its session to a new epoch in the same
     * transaction, so that tokens of earlier offers are superseded. Notes that the environment was seen.
     */
    readonly poll: (options: {
      readonly environmentId: EnvironmentId
      readonly reclaimOlderThanMillis: number
      /** Value of `Anthropic-Worker-ID`. */
      readonly workerId: string | undefined
      /** The poller puts an idle session to sleep for what it is offered: idle ones hold no place. */
      readonly makesRoom?: boolean
    }) => Effect.Effect<Polled, EnvironmentUnknown | EnvironmentArchived | StoreUnavailable>
    /**
     * `queued` → `starting`, leased for {@link LEASE_DEFAULT_SECONDS}. Idempotent while the same offer holds. Refused where
     * the item is stopped, not on offer, on offer to another named poller, or where late and its place is taken.
     */
    readonly acknowledge: (
      key: ItemKey & { readonly workerId: string | undefined }
    ) => Effect.Effect<WorkRecord, WorkUnknown | WorkRefused | StoreUnavailable>
    /**
     * Extends the lease; the first one moves `starting` to `active`. `expected`: `NO_HEARTBEAT` first, then the last
     * answer's `lastHeartbeat`; not compared where undefined or while `stopping`. Refused while queued or stopped. A
     * poller that named itself (`workerId`) does not extend a lease that another named one has got since.
     */
    readonly heartbeat: (
      key: ItemKey & {
        readonly expected: string | undefined
        readonly ttlSeconds: number | undefined
        readonly workerId: string | undefined
      }
    ) => Effect.Effect<Beat, WorkUnknown | WorkRefused | LeaseMoved | StoreUnavailable>
    /**
     * Ends an item. An `active` one whose lease lasts becomes `stopping`, which its worker learns from the next heartbeat;
     * it is stopped at once with `force` (which a worker uses for its own item), on the second call, and in any other
     * state. A message that came since the item was offered, and that no worker has confirmed, queues a new item.
     */
    readonly stop: (
      key: ItemKey & { readonly force: boolean }
    ) => Effect.Effect<WorkRecord, WorkUnknown | WorkRefused | StoreUnavailable>
    /**
     * Offers the session's work again, here: takes it back from whoever holds it, or makes it. A session without an
     * environment, or whose environment is archived, moves to this one.
     */
    readonly requeue: (options: {
      readonly organizationId: OrganizationId
      readonly environmentId: EnvironmentId
      /** Session body. */
      readonly session: string
    }) => Effect.Effect<
      WorkId,
      | EnvironmentUnknown
      | EnvironmentArchived
      | SessionUnknown
      | SessionArchived
      | SessionElsewhere
      | StoreUnavailable
    >
    readonly get: (key: ItemKey) => Effect.Effect<WorkRecord, WorkUnknown | StoreUnavailable>
    /** Stopped ones too, the newest first. */
    readonly list: (options: {
      readonly environmentId: EnvironmentId
      readonly limit: number
      readonly cursor?: string | undefined
    }) => Effect.Effect<
      { readonly items: ReadonlyArray<WorkRecord>; readonly next: string | undefined },
      CursorInvalid | StoreUnavailable
    >
    readonly stats: (environmentId: EnvironmentId) => Effect.Effect<WorkStats, StoreUnavailable>
    /** Sets members of the item's metadata; null removes one. */
    readonly updateMetadata: (
      key: ItemKey & { readonly patch: { readonly [name: string]: string | null } }
    ) => Effect.Effect<WorkRecord, WorkUnknown | StoreUnavailable>
  }
>() {}

interface Row {
  readonly id: string
  readonly environment_id: string
  readonly type: string
  readonly sid: number | null
  readonly body: string | null
  readonly state: WorkState
  readonly created_at: number
  readonly offered_at: number | null
  readonly offered_to: string | null
  readonly acknowledged_at: number | null
  readonly started_at: number | null
  readonly latest_heartbeat_at: number | null
  readonly lease_expires_at: number | null
  readonly lease_ttl: number | null
  readonly stop_requested_at: number | null
  readonly stopped_at: number | null
  readonly metadata: string
}

const fromRow = (row: Row): WorkRecord => ({
  id: WorkId.make(row.id),
  environmentId: EnvironmentId.make(row.environment_id),
  type: row.type === "healthcheck" ? "healthcheck" : "session",
  session: row.body ?? undefined,
  state: row.state,
  createdAt: row.created_at,
  offeredAt: row.offered_at ?? undefined,
  acknowledgedAt: row.acknowledged_at ?? undefined,
  startedAt: row.started_at ?? undefined,
  latestHeartbeatAt: row.latest_heartbeat_at ?? undefined,
  leaseExpiresAt: row.lease_expires_at ?? undefined,
  stopRequestedAt: row.stop_requested_at ?? undefined,
  stoppedAt: row.stopped_at ?? undefined,
  metadata: row.metadata
})

const iso = (millis: number): string => new Date(millis).toISOString()

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bus = yield* Bus
  /** Last poll of each named poller, by environment: for `stats` alone. */
  const pollers = new Map<string, Map<string, number>>()

  const columns = sql.literal(
    "w.id, w.environment_id, w.type, w.sid, (SELECT s.body FROM sessions s WHERE s.sid = w.sid) AS body, w.state, " +
      "w.created_at, w.offered_at, w.offered_to, w.acknowledged_at, w.started_at, w.latest_heartbeat_at, " +
      "w.lease_expires_at, w.lease_ttl, w.stop_requested_at, w.stopped_at, w.metadata"
  )

  const ensureWork = (sid: number, now: number) =>
    Effect.provideService(ensure([sid], now), SqlClient.SqlClient, sql)

  const wake = (environmentId: string) => Effect.sync(() => bus.changed(`environment:${environmentId}`))

  const read = (key: ItemKey) =>
    Effect.gen(function* () {
      const rows = yield* sql<Row>`SELECT ${columns} FROM work w
        WHERE w.id = ${key.workId} AND w.environment_id = ${key.environmentId}`
      const row = rows[0]
      if (row === undefined) return yield* new WorkUnknown({ workId: key.workId })
      return row
    })

  const holds = sql.literal(HOLDS)

  /** Items that are held by a lease and hold their place, other than this one. */
  const heldBeside = (environmentId: string, workId: string, now: number) =>
    Effect.map(
      sql<{ readonly held: number }>`SELECT count(*) AS held FROM work WHERE environment_id = ${environmentId}
        AND id <> ${workId} AND state <> 'stopped' AND state <> 'queued' AND lease_expires_at > ${now}
        AND ${holds}`,
      (rows) => rows[0]?.held ?? 0
    )

  const capacityOf = (environmentId: string) =>
    Effect.map(
      sql<{
        readonly max_sessions: number
      }>`SELECT max_sessions FROM environments WHERE id = ${environmentId}`,
      (rows) => rows[0]?.max_sessions ?? 0
    )

  const seen = (environmentId: string, now: number) =>
    sql`UPDATE environments SET last_seen_at = ${now}
      WHERE id = ${environmentId} AND (last_seen_at IS NULL OR last_seen_at <= ${now - LAST_SEEN_MILLIS})`

  /** Back into the queue, without lease and offer. */
  const release = (workId: string) =>
    sql`UPDATE work SET state = 'queued', offered_at = NULL, offered_to = NULL, acknowledged_at = NULL,
      started_at = NULL, latest_heartbeat_at = NULL, lease_expires_at = NULL, lease_ttl = NULL WHERE id = ${workId}`

  /**
   * Ends an item for good. What a person wrote since it was offered, and no worker has confirmed, may have missed the
   * worker that ends here: it gets a new item. (What was there before had its chance: no item is made for ever.)
   */
  const finish = (row: Row, now: number) =>
    Effect.gen(function* () {
      yield* sql`UPDATE work SET state = 'stopped', stopped_at = ${now}, lease_expires_at = NULL,
        stop_requested_at = coalesce(stop_requested_at, ${now}) WHERE id = ${row.id}`
      if (row.sid === null) return
      const missed = yield* sql`SELECT 1 FROM events WHERE sid = ${row.sid} AND source = 'client'
        AND delivery IS NULL AND type IN ('user', 'control_request', 'control_response') AND created_at >= ${row.offered_at ?? row.created_at}
        LIMIT 1`
      if (missed.length > 0) yield* ensureWork(row.sid, now)
    })

  const notePoller = (environmentId: string, workerId: string | undefined, now: number) => {
    const known = pollers.get(environmentId) ?? new Map<string, number>()
    if (workerId !== undefined) known.set(workerId, now)
    for (const [id, at] of known) if (now - at >= POLLING_MILLIS) known.delete(id)
    if (known.size > 0) pollers.set(environmentId, known)
    else pollers.delete(environmentId)
  }

  // --- Poll ---

  const poll = Effect.fnUntraced(function* (options: {
    readonly environmentId: EnvironmentId
    readonly reclaimOlderThanMillis: number
    readonly workerId: string | undefined
    readonly makesRoom?: boolean
  }) {
    const { environmentId, reclaimOlderThanMillis } = options
    const now = yield* Clock.currentTimeMillis
    yield* Effect.sync(() => notePoller(environmentId, options.workerId, now))
    // Offers at or before this moment are not kept back any more.
    const stale = now - reclaimOlderThanMillis

    const available = sql`w.environment_id = ${environmentId} AND w.state <> 'stopped' AND (
      (w.state = 'queued' AND (w.offered_at IS NULL OR w.offered_at <= ${stale}))
      OR (w.state <> 'queued' AND w.lease_expires_at <= ${now}))`

    const due = sql`SELECT min(CASE WHEN h.state = 'queued' THEN h.offered_at + ${reclaimOlderThanMillis}
        ELSE h.lease_expires_at END)
      FROM work h WHERE h.environment_id = ${environmentId} AND h.state <> 'stopped' AND (
        (h.state = 'queued' AND h.offered_at > ${stale}) OR (h.state <> 'queued' AND h.lease_expires_at > ${now}))`

    const environment = Effect.gen(function* () {
      const rows = yield* sql<{
        readonly archived_at: number | null
        readonly max_sessions: number
        readonly last_poll_at: number | null
        readonly makes_room: number
        readonly waiting: number
        readonly due: number | null
      }>`SELECT e.archived_at, e.max_sessions, e.last_poll_at, e.makes_room,
          EXISTS (SELECT 1 FROM work w WHERE ${available}) AS waiting, (${due}) AS due
        FROM environments e WHERE e.id = ${environmentId}`
      const row = rows[0]
      if (row === undefined) return yield* new EnvironmentUnknown({ environmentId })
      if (row.archived_at !== null) return yield* new EnvironmentArchived({ environmentId })
      return row
    })

    /** The session's next epoch; undefined where it is archived. */
    const nextEpoch = (sid: number) =>
      Effect.map(
        sql<{ readonly token_epoch: number; readonly organization_id: string }>`
          UPDATE sessions SET worker_epoch = max(worker_epoch, token_epoch) + 1,
            token_epoch = max(worker_epoch, token_epoch) + 1
          WHERE sid = ${sid} AND archived_at IS NULL RETURNING token_epoch, organization_id`,
        (rows) => rows[0]
      )

    const take = Effect.gen(function* () {
      const { max_sessions } = yield* environment
      while (true) {
        const counts = yield* sql<{ readonly held: number }>`SELECT count(*) AS held FROM work
          WHERE environment_id = ${environmentId} AND state <> 'stopped' AND (
            (state = 'queued' AND offered_at > ${stale}) OR (state <> 'queued' AND lease_expires_at > ${now}
              AND ${holds}))`
        // Round robin: an item that was offered in vain goes behind those that wait longer.
        const rows = yield* sql<Row>`SELECT ${columns} FROM work w WHERE ${available}
          ORDER BY max(w.created_at, coalesce(w.offered_at, 0)), w.created_at, w.id LIMIT 1`
        const row = rows[0]
        if (row === undefined) return undefined
        if (row.state === "stopping") {
          yield* finish(row, now)
          continue
        }
        if ((counts[0]?.held ?? 0) >= max_sessions) return undefined
        const session = row.sid === null ? undefined : yield* nextEpoch(row.sid)
        if (row.sid !== null && session === undefined) {
          yield* finish(row, now)
          continue
        }
        yield* release(row.id)
        yield* sql`UPDATE work SET offered_at = ${now}, offered_to = ${options.workerId ?? null} WHERE id = ${row.id}`
        const organization =
          session?.organization_id ??
          (yield* sql<{ readonly organization_id: string }>`
            SELECT organization_id FROM environments WHERE id = ${environmentId}`)[0]?.organization_id ??
          ""
        const offer: Offer = {
          item: fromRow(
            yield* Effect.catchTag(
              read({ environmentId, workId: WorkId.make(row.id) }),
              "WorkUnknown",
              Effect.die
            )
          ),
          organizationId: OrganizationId.make(organization),
          epoch: session?.token_epoch
        }
        return offer
      }
    })

    const looked = yield* environment
    if (looked.last_poll_at === null || looked.last_poll_at <= now - LAST_SEEN_MILLIS) {
      yield* sql`UPDATE environments SET last_poll_at = ${now}, last_seen_at = ${now} WHERE id = ${environmentId}`
    }
    const makesRoom = options.makesRoom === true ? 1 : 0
    if (looked.makes_room !== makesRoom) {
      yield* sql`UPDATE environments SET makes_room = ${makesRoom} WHERE id = ${environmentId}`
    }
    const offer = looked.waiting === 0 ? undefined : yield* sql.withTransaction(take)
    if (offer !== undefined) {
      const { session } = offer.item
      // Whoever served the session under an older epoch is told to look again.
      if (session !== undefined) yield* Effect.sync(() => bus.changed(`session:${session}`))
      return { offer, due: undefined }
    }
    return { offer: undefined, due: looked.due ?? undefined }
  }, unavailable)

  // --- Lease ---

  const acknowledge = Effect.fn("WorkQueue.acknowledge")(function* (
    key: ItemKey & { readonly workerId: string | undefined }
  ) {
    const now = yield* Clock.currentTimeMillis
    return yield* sql.withTransaction(
      Effect.gen(function* () {
        const row = yield* read(key)
        const refused = (reason: string) => new WorkRefused({ workId: key.workId, state: row.state, reason })
        if (row.state === "stopped") return yield* refused("is stopped")
        if (row.offered_to !== null && key.workerId !== undefined && row.offered_to !== key.workerId) {
          return yield* refused("is on offer to another worker")
        }
        if (row.state !== "queued") return fromRow(row)
        if (row.offered_at === null) return yield* refused("is not on offer: poll for it")
        const held = yield* heldBeside(key.environmentId, row.id, now)
        if (held >= (yield* capacityOf(key.environmentId))) {
          return yield* refused("was not acknowledged in time, and its place is taken")
        }
        yield* sql`UPDATE work SET state = 'starting', acknowledged_at = ${now},
          lease_ttl = ${LEASE_DEFAULT_SECONDS}, lease_expires_at = ${now + LEASE_DEFAULT_SECONDS * 1000}
          WHERE id = ${row.id}`
        return fromRow(yield* read(key))
      })
    )
  }, unavailable)

  const heartbeat = Effect.fnUntraced(function* (
    key: ItemKey & {
      readonly expected: string | undefined
      readonly ttlSeconds: number | undefined
      readonly workerId: string | undefined
    }
  ) {
    const now = yield* Clock.currentTimeMillis
    const ttlSeconds = Math.min(
      LEASE_MAX_SECONDS,
      Math.max(LEASE_MIN_SECONDS, Math.trunc(key.ttlSeconds ?? LEASE_DEFAULT_SECONDS))
    )
    return yield* sql.withTransaction(
      Effect.gen(function* () {
        const row = yield* read(key)
        if (row.state === "queued" || row.state === "stopped") {
          return yield* new WorkRefused({
            workId: key.workId,
            state: row.state,
            reason: row.state === "queued" ? "is queued: acknowledge it first" : "is stopped"
          })
        }
        const last = row.latest_heartbeat_at === null ? undefined : iso(row.latest_heartbeat_at)
        const moved = (state: WorkState) =>
          new LeaseMoved({
            workId: key.workId,
            state,
            lastHeartbeat: last,
            ttlSeconds: row.lease_ttl ?? LEASE_DEFAULT_SECONDS
          })
        if (row.offered_to !== null && key.workerId !== undefined && row.offered_to !== key.workerId) {
          return yield* moved(row.state)
        }
        if (
          key.expected !== undefined &&
          row.state !== "stopping" &&
          key.expected !== (last ?? NO_HEARTBEAT)
        ) {
          return yield* moved(row.state)
        }
        if (row.lease_expires_at !== null && row.lease_expires_at <= now) {
          // Too late. The lease is renewed all the same while nobody else has got the item or its place.
          const held = yield* heldBeside(key.environmentId, row.id, now)
          if (held >= (yield* capacityOf(key.environmentId))) return yield* moved(row.state)
        }
        const state: WorkState = row.state === "starting" ? "active" : row.state
        // Two beats within a millisecond are told apart by what the second has to echo.
        const beatAt = Math.max(now, (row.latest_heartbeat_at ?? 0) + 1)
        yield* sql`UPDATE work SET state = ${state}, started_at = coalesce(started_at, ${now}),
          latest_heartbeat_at = ${beatAt}, lease_ttl = ${ttlSeconds}, lease_expires_at = ${now + ttlSeconds * 1000}
          WHERE id = ${row.id}`
        yield* seen(key.environmentId, now)
        const beat: Beat = { lastHeartbeat: iso(beatAt), state, ttlSeconds }
        return beat
      })
    )
  }, unavailable)

  const stop = Effect.fn("WorkQueue.stop")(function* (key: ItemKey & { readonly force: boolean }) {
    const now = yield* Clock.currentTimeMillis
    const item = yield* sql.withTransaction(
      Effect.gen(function* () {
        const row = yield* read(key)
        if (row.state === "stopped") {
          return yield* new WorkRefused({
            workId: key.workId,
            state: row.state,
            reason: "is already stopped"
          })
        }
        const listening = row.state === "active" && (row.lease_expires_at ?? 0) > now
        if (listening && !key.force) {
          yield* sql`UPDATE work SET state = 'stopping', stop_requested_at = ${now} WHERE id = ${row.id}`
        } else {
          yield* finish(row, now)
        }
        return fromRow(yield* read(key))
      })
    )
    yield* wake(key.environmentId)
    return item
  }, unavailable)

  const requeue = Effect.fn("WorkQueue.requeue")(function* (options: {
    readonly organizationId: OrganizationId
    readonly environmentId: EnvironmentId
    readonly session: string
  }) {
    const { environmentId, organizationId } = options
    const now = yield* Clock.currentTimeMillis
    const workId = yield* sql.withTransaction(
      Effect.gen(function* () {
        const environments = yield* sql<{
          readonly archived_at: number | null
        }>`SELECT archived_at FROM environments
          WHERE id = ${environmentId} AND organization_id = ${organizationId}`
        const environment = environments[0]
        if (environment === undefined) return yield* new EnvironmentUnknown({ environmentId })
        if (environment.archived_at !== null) return yield* new EnvironmentArchived({ environmentId })
        const sessions = yield* sql<{
          readonly sid: number
          readonly archived_at: number | null
          readonly environment_id: string | null
          readonly environment_archived_at: number | null
        }>`SELECT s.sid, s.archived_at, s.environment_id, e.archived_at AS environment_archived_at
          FROM sessions s LEFT JOIN environments e ON e.id = s.environment_id
          WHERE s.body = ${options.session} AND s.organization_id = ${organizationId}`
        const session = sessions[0]
        if (session === undefined) return yield* new SessionUnknown({ session: options.session })
        if (session.archived_at !== null) return yield* new SessionArchived({ session: options.session })
        if (session.environment_id !== null && session.environment_id !== environmentId) {
          if (session.environment_archived_at === null) {
            return yield* new SessionElsewhere({
              session: options.session,
              environmentId: session.environment_id
            })
          }
        }
        if (session.environment_id !== environmentId) {
          yield* sql`UPDATE sessions SET environment_id = ${environmentId} WHERE sid = ${session.sid}`
        }
        yield* ensureWork(session.sid, now)
        const items = yield* sql<{ readonly id: string }>`SELECT id FROM work
          WHERE sid = ${session.sid} AND state <> 'stopped'`
        const item = items[0]
        if (item === undefined) return yield* Effect.dieMessage("a session that was queued has no work item")
        yield* release(item.id)
        yield* sql`UPDATE work SET environment_id = ${environmentId}, stop_requested_at = NULL WHERE id = ${item.id}`
        return WorkId.make(item.id)
      })
    )
    yield* wake(environmentId)
    return workId
  }, unavailable)

  // --- Reading ---

  const get = Effect.fn("WorkQueue.get")((key: ItemKey) => Effect.map(read(key), fromRow), unavailable)

  const list = Effect.fn("WorkQueue.list")(function* (options: {
    readonly environmentId: EnvironmentId
    readonly limit: number
    readonly cursor?: string | undefined
  }) {
    const after = options.cursor === undefined ? undefined : Cursor.decode(options.cursor)
    if (options.cursor !== undefined && after === undefined) {
      return yield* new CursorInvalid({ cursor: options.cursor })
    }
    const from =
      after === undefined ? sql`1 = 1` : sql`(w.created_at, w.id) < (${after.createdAt}, ${after.id})`
    const rows = yield* sql<Row>`SELECT ${columns} FROM work w
      WHERE w.environment_id = ${options.environmentId} AND ${from}
      ORDER BY w.created_at DESC, w.id DESC LIMIT ${options.limit + 1}`
    const items = rows.slice(0, options.limit).map(fromRow)
    const last = items.at(-1)
    return {
      items,
      next: rows.length > options.limit && last !== undefined ? Cursor.encode(last) : undefined
    }
  }, unavailable)

  const stats = Effect.fn("WorkQueue.stats")(function* (environmentId: EnvironmentId) {
    const now = yield* Clock.currentTimeMillis
    const rows = yield* sql<{
      readonly depth: number
      readonly pending: number
      readonly oldest: number | null
    }>`SELECT count(CASE WHEN offered_at IS NULL THEN 1 END) AS depth,
        count(CASE WHEN offered_at IS NOT NULL THEN 1 END) AS pending, min(created_at) AS oldest
      FROM work WHERE environment_id = ${environmentId} AND state = 'queued'`
    yield* Effect.sync(() => notePoller(environmentId, undefined, now))
    const result: WorkStats = {
      depth: rows[0]?.depth ?? 0,
      pending: rows[0]?.pending ?? 0,
      oldestQueuedAt: rows[0]?.oldest ?? undefined,
      workersPolling: pollers.get(environmentId)?.size ?? 0
    }
    return result
  }, unavailable)

  const updateMetadata = Effect.fn("WorkQueue.updateMetadata")(function* (
    key: ItemKey & { readonly patch: { readonly [name: string]: string | null } }
  ) {
    return yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* read(key)
        // A merge patch (RFC 7396) is exactly this: null removes, the rest stays.
        yield* sql`UPDATE work SET metadata = json_patch(metadata, ${JSON.stringify(key.patch)}) WHERE id = ${key.workId}`
        return fromRow(yield* read(key))
      })
    )
  }, unavailable)

  return WorkQueue.of({
    poll,
    acknowledge,
    heartbeat,
    stop,
    requeue,
    get,
    list,
    stats,
    updateMetadata
  })
})

export const layer: Layer.Layer<WorkQueue, never, SqlClient.SqlClient | Bus> = Layer.effect(WorkQueue, make)
