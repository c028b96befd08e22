/**
 * Sessions in the gateway's vocabulary: their keys, labels and entries, and the reads that its methods need.
 *
 * A gateway session is a session's row: nothing here is kept beside it. History is the log. Source: spec 2.
 */
import type { Source } from "@causeway/protocol/Event"
import { OrganizationId } from "@causeway/protocol/Ids"
import * as Offers from "@causeway/protocol/Offers"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Bus } from "./Bus.ts"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"
import { NOT_WITHDRAWN, type StoredEvent } from "./Log/Event.ts"
import { replay } from "./Log/Replay.ts"
import * as Work from "./Work.ts"

/** A session's row as the gateway sees it. Times are milliseconds since the epoch. */
export interface GatewayRecord {
  readonly sid: number
  /** Session body, see `Ids.sessionBody`. */
  readonly session: string
  readonly organizationId: OrganizationId
  /** Canonical. */
  readonly key: string
  /** Undefined for `global` and `unknown`. */
  readonly agentId: string | undefined
  readonly label: string | undefined
  readonly parentKey: string | undefined
  readonly spawnedBy: string | undefined
  /** JSON text of an object: entry fields that are neither columns nor told by the log. */
  readonly entry: string
  readonly environmentId: string | undefined
  /** The agent that sessions of its environment get which ask for none, where the environment says so. */
  readonly environmentAgent: string | undefined
  /** JSON text. */
  readonly context: string
  readonly createdAt: number
  readonly updatedAt: number
  readonly archivedAt: number | undefined
  readonly lastSeq: number
  /** Number of the last delivery change. */
  readonly deliveryNo: number
  readonly connectionStatus: "connected" | "disconnected"
  readonly permissionMode: string | undefined
  /** JSON text of the `SessionRow` (packages/transcript). */
  readonly projection: string
}

/** What a change gives; a member that is left out stays as it is. */
export interface GatewayChange {
  readonly key?: string
  readonly agentId?: string | undefined
  readonly label?: string | undefined
  readonly parentKey?: string | undefined
  readonly spawnedBy?: string | undefined
  readonly entry?: string
  readonly context?: string
  /** Default: now. */
  readonly updatedAt?: number
}

export interface GatewayFilter {
  readonly organizationId: OrganizationId
  readonly includeGlobal: boolean
  readonly includeUnknown: boolean
  readonly agentId?: string
  readonly label?: string
  /** Either link field. */
  readonly linkedTo?: string
  /** Lower case; part of display name, label, subject, session id or key. */
  readonly search?: string
  readonly updatedAfter?: number
  /** See `SessionsApi.SessionStatus`. */
  readonly status?: string
  readonly limit?: number
}

/** A hit of the search over transcripts. */
export interface SearchHit {
  readonly key: string
  readonly session: string
  readonly seq: number
  readonly uuid: string
  readonly source: Source
  readonly type: string
  readonly createdAt: number
  /** The text around the hit; hits stand between U+E000 and U+E001. */
  readonly excerpt: string
}

interface Columns {
  readonly sid: number
  readonly body: string
  readonly organization_id: string
  readonly gateway_key: string
  readonly gateway_agent: string | null
  readonly gateway_label: string | null
  readonly gateway_parent: string | null
  readonly gateway_spawned_by: string | null
  readonly gateway_entry: string
  readonly environment_id: string | null
  readonly environment_agents: string | null
  readonly context: string
  readonly created_at: number
  readonly updated_at: number
  readonly archived_at: number | null
  readonly last_seq: number
  readonly delivery_no: number
  readonly connection_status: GatewayRecord["connectionStatus"]
  readonly permission_mode: string | null
  readonly projection: string
}

const COLUMNS = `sid, body, organization_id, gateway_key, gateway_agent, gateway_label, gateway_parent, gateway_spawned_by,
  gateway_entry, environment_id, context, created_at, updated_at, archived_at, last_seq, delivery_no, connection_status,
  permission_mode, projection, (SELECT json_extract(e.metadata, '$.agents') FROM environments e
    WHERE e.id = sessions.environment_id) AS environment_agents`

const toRecord = (row: Columns): GatewayRecord => ({
  sid: row.sid,
  session: row.body,
  organizationId: OrganizationId.make(row.organization_id),
  key: row.gateway_key,
  agentId: row.gateway_agent ?? undefined,
  label: row.gateway_label ?? undefined,
  parentKey: row.gateway_parent ?? undefined,
  spawnedBy: row.gateway_spawned_by ?? undefined,
  entry: row.gateway_entry,
  environmentId: row.environment_id ?? undefined,
  environmentAgent: Offers.fromMetadata({ agents: row.environment_agents }).agents[0],
  context: row.context,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  archivedAt: row.archived_at ?? undefined,
  lastSeq: row.last_seq,
  deliveryNo: row.delivery_no,
  connectionStatus: row.connection_status,
  permissionMode: row.permission_mode ?? undefined,
  projection: row.projection
})

interface EventColumns {
  readonly seq: number
  readonly uuid: string
  readonly source: Source
  readonly type: string
  readonly transcript: number
  readonly compaction: number
  readonly created_at: number
  readonly delivery: StoredEvent["delivery"] | null
  readonly delivered_at: number | null
  readonly payload: string
}

const EVENT = "seq, uuid, source, type, transcript, compaction, created_at, delivery, delivered_at, payload"
const VISIBLE = "transcript = 1 AND (type IN ('user', 'assistant') OR compaction = 1)"

const toEvent = (row: EventColumns): StoredEvent => ({
  seq: row.seq,
  uuid: row.uuid,
  source: row.source,
  type: row.type,
  transcript: row.transcript === 1,
  compaction: row.compaction === 1,
  createdAt: row.created_at,
  delivery: row.delivery ?? undefined,
  deliveredAt: row.delivered_at ?? undefined,
  payload: row.payload
})

/** `%` and `_` stand for themselves. */
const likePart = (text: string): string => `%${text.replace(/[\\%_]/g, (c) => `\\${c}`)}%`

export class GatewaySessions extends Context.Tag("@causeway/store/GatewaySessions")<
  GatewaySessions,
  {
    /** Living sessions of these keys, in no order. */
    readonly byKeys: (
      organizationId: OrganizationId,
      keys: ReadonlyArray<string>
    ) => Effect.Effect<ReadonlyArray<GatewayRecord>, StoreUnavailable>
    /** The living session of this body. */
    readonly bySession: (session: string) => Effect.Effect<GatewayRecord | undefined, StoreUnavailable>
    /** Whatever its state, of this organisation. */
    readonly bySessionAnyState: (
      organizationId: OrganizationId,
      session: string
    ) => Effect.Effect<GatewayRecord | undefined, StoreUnavailable>
    /** Most recently updated first. */
    readonly list: (filter: GatewayFilter) => Effect.Effect<ReadonlyArray<GatewayRecord>, StoreUnavailable>
    readonly count: (
      organizationId: OrganizationId,
      agentId: string
    ) => Effect.Effect<number, StoreUnavailable>
    /** Sessions whose parent or spawner is one of these keys. */
    readonly children: (
      organizationId: OrganizationId,
      keys: ReadonlyArray<string>
    ) => Effect.Effect<ReadonlyArray<GatewayRecord>, StoreUnavailable>
    readonly change: (
      sid: number,
      change: GatewayChange
    ) => Effect.Effect<GatewayRecord | undefined, StoreUnavailable>
    /** Gives a session without one an environment, and queues its work where somebody's message waits. */
    readonly assignEnvironment: (
      sid: number,
      environmentId: string,
      queue: boolean
    ) => Effect.Effect<void, StoreUnavailable>
    /** What keeps a session's message from its worker, in words for people; null where nothing does. */
    readonly waitingFor: (sid: number) => Effect.Effect<string | null, StoreUnavailable>
    /** How many work items each environment holds, and how many wait for it. */
    readonly heldWork: (
      organizationId: OrganizationId,
      nowMillis: number
    ) => Effect.Effect<
      ReadonlyMap<string, { readonly held: number; readonly queued: number }>,
      StoreUnavailable
    >
    /** Living sessions without an environment that hold a person's message. */
    readonly waiting: (limit: number) => Effect.Effect<ReadonlyArray<GatewayRecord>, StoreUnavailable>
    /** Messages and compactions, up to and including `throughSeq` where it is given. */
    readonly countVisible: (sid: number, throughSeq?: number) => Effect.Effect<number, StoreUnavailable>
    /** The last `limit` of those, oldest first. */
    readonly lastVisible: (
      sid: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, StoreUnavailable>
    /** Events of any kind after `after`, oldest first. */
    readonly events: (
      sid: number,
      options: { readonly after: number; readonly limit: number; readonly transcript?: boolean }
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, StoreUnavailable>
    /** Events after `after` up to `through` whose type is one of these, oldest first; at most `limit`. */
    readonly eventsOfTypes: (
      sid: number,
      options: {
        readonly after: number
        readonly through: number
        readonly types: ReadonlyArray<string>
        readonly limit: number
      }
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, StoreUnavailable>
    /** Position of the oldest event that is still kept; undefined for an empty log. */
    readonly oldestSeq: (sid: number) => Effect.Effect<number | undefined, StoreUnavailable>
    /** Boundaries of compactions, newest first. */
    readonly boundaries: (
      sid: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, StoreUnavailable>
    /** The last transcript entry before `seq`, and the first after it. */
    readonly around: (
      sid: number,
      seq: number
    ) => Effect.Effect<
      { readonly before: StoredEvent | undefined; readonly after: StoredEvent | undefined },
      StoreUnavailable
    >
    /** The event of this uuid. */
    readonly byUuid: (sid: number, uuid: string) => Effect.Effect<StoredEvent | undefined, StoreUnavailable>
    /** A worker's answers to a request, after `after`, oldest first. */
    readonly responses: (
      sid: number,
      options: { readonly after: number; readonly requestId: string; readonly limit: number }
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, StoreUnavailable>
    /** People's messages that no agent has answered and nobody has taken back, oldest first. */
    readonly openPrompts: (sid: number) => Effect.Effect<ReadonlyArray<StoredEvent>, StoreUnavailable>
    /** The last person's message. */
    readonly lastPrompt: (sid: number) => Effect.Effect<StoredEvent | undefined, StoreUnavailable>
    /** People's messages, newest first. */
    readonly prompts: (
      sid: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, StoreUnavailable>
    /**
     * Copies the transcript entries of one log before `beforeSeq` (or after `afterSeq`) into another that is empty, with
     * their uuids, sources and times. Nothing of it is delivered again.
     */
    readonly copyTranscript: (options: {
      readonly from: number
      readonly to: number
      readonly beforeSeq?: number
      readonly afterSeq?: number
    }) => Effect.Effect<number, StoreUnavailable>
    /**
     * Keeps the last `keep` transcript entries of a log, and everything since the first of them; the whole log is copied
     * into `archive` (an empty session) first, which becomes an archived one of the same key.
     */
    readonly trim: (options: {
      readonly sid: number
      readonly archive: number
      readonly keep: number
      readonly archivedAt: number
    }) => Effect.Effect<void, StoreUnavailable>
    /** The event came with a copied transcript: in this log it was neither sent nor delivered. */
    readonly isCopy: (sid: number, uuid: string) => Effect.Effect<boolean, StoreUnavailable>
    /** Transcript entries of a log. */
    readonly countTranscript: (sid: number) => Effect.Effect<number, StoreUnavailable>
    /** Removes logs for good, with their rows. */
    readonly remove: (sids: ReadonlyArray<number>) => Effect.Effect<void, StoreUnavailable>
    /** Archived sessions of keys of an agent, with the size of their logs in bytes; oldest archived first. */
    readonly archived: (
      organizationId: OrganizationId,
      agentId: string
    ) => Effect.Effect<
      ReadonlyArray<{ readonly sid: number; readonly archivedAt: number; readonly bytes: number }>,
      StoreUnavailable
    >
    /** Size of the logs of living sessions in bytes, by sid. */
    readonly sizes: (
      sids: ReadonlyArray<number>
    ) => Effect.Effect<ReadonlyMap<number, number>, StoreUnavailable>
    /** Full text, best first. Brings the index up to date before it looks. */
    readonly search: (options: {
      readonly organizationId: OrganizationId
      readonly query: string
      readonly sid?: number
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<SearchHit>, StoreUnavailable>
    /** What new sessions made elsewhere are named after. */
    readonly setDefaultAgent: (agentId: string) => Effect.Effect<void, StoreUnavailable>
  }
>() {}

/** Events indexed in one transaction. */
const INDEX_BATCH = 500

/** The next round of the event loop, so that others have their turn between two batches. */
const nextRound = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/** Words of a query, each to be found; quoting keeps the query language of the index out. */
const toMatch = (query: string): string =>
  query
    .split(/\s+/u)
    .filter((word) => word.length > 0)
    .map((word) => `"${word.replaceAll('"', '""')}"`)
    .join(" ")

const chunksOf = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bus = yield* Bus
  const here = Effect.provideService(SqlClient.SqlClient, sql)
  const marks = (n: number) => Array.from({ length: n }, () => "?").join(", ")

  const records = (where: string, values: ReadonlyArray<string | number>) =>
    sql
      .unsafe<Columns>(`SELECT ${COLUMNS} FROM sessions WHERE gateway_key IS NOT NULL AND ${where}`, values)
      .pipe(Effect.map((rows) => rows.map(toRecord)))

  const events = (where: string, values: ReadonlyArray<string | number>) =>
    sql
      .unsafe<EventColumns>(`SELECT ${EVENT} FROM events WHERE ${where}`, values)
      .pipe(Effect.map((rows) => rows.map(toEvent)))

  const first = <A>(rows: ReadonlyArray<A>): A | undefined => rows[0]

  const list = (filter: GatewayFilter) => {
    const conditions = ["organization_id = ?", "archived_at IS NULL"]
    const values: Array<string | number> = [filter.organizationId]
    const add = (condition: string, ...more: ReadonlyArray<string | number>) => {
      conditions.push(condition)
      values.push(...more)
    }
    add("gateway_key NOT LIKE '%:cron:%:run:%'")
    if (!filter.includeGlobal) add("gateway_key <> 'global'")
    if (!filter.includeUnknown) add("gateway_key <> 'unknown'")
    if (filter.agentId !== undefined) add("gateway_agent = ?", filter.agentId)
    if (filter.label !== undefined) add("gateway_label = ?", filter.label)
    if (filter.linkedTo !== undefined) {
      add("(gateway_parent = ? OR gateway_spawned_by = ?)", filter.linkedTo, filter.linkedTo)
    }
    if (filter.status !== undefined) add("status = ?", filter.status)
    if (filter.updatedAfter !== undefined) add("updated_at >= ?", filter.updatedAfter)
    if (filter.search !== undefined && filter.search !== "") {
      const part = likePart(filter.search)
      const id = likePart(filter.search.replaceAll("-", ""))
      add(
        `(gateway_key LIKE ? ESCAPE '\\' OR lower(gateway_label) LIKE ? ESCAPE '\\' OR body LIKE ? ESCAPE '\\'
          OR lower(title) LIKE ? ESCAPE '\\'
          OR lower(json_extract(gateway_entry, '$.displayName')) LIKE ? ESCAPE '\\'
          OR lower(json_extract(gateway_entry, '$.subject')) LIKE ? ESCAPE '\\')`,
        part,
        part,
        id,
        part,
        part,
        part
      )
    }
    return records(`${conditions.join(" AND ")} ORDER BY updated_at DESC, sid DESC LIMIT ?`, [
      ...values,
      filter.limit ?? -1
    ])
  }

  const change = (sid: number, given: GatewayChange) =>
    Effect.gen(function* () {
      const now = given.updatedAt ?? (yield* Clock.currentTimeMillis)
      const set = ["updated_at = ?"]
      const values: Array<string | number | null> = [now]
      const columns: ReadonlyArray<readonly [keyof GatewayChange, string]> = [
        ["key", "gateway_key"],
        ["agentId", "gateway_agent"],
        ["label", "gateway_label"],
        ["parentKey", "gateway_parent"],
        ["spawnedBy", "gateway_spawned_by"],
        ["entry", "gateway_entry"],
        ["context", "context"]
      ]
      for (const [name, column] of columns) {
        if (!(name in given)) continue
        set.push(`${column} = ?`)
        values.push(given[name] ?? null)
      }
      const rows = yield* sql.unsafe<Columns>(
        `UPDATE sessions SET ${set.join(", ")} WHERE sid = ? RETURNING ${COLUMNS}`,
        [...values, sid]
      )
      return rows[0] === undefined ? undefined : toRecord(rows[0])
    })

  const assignEnvironment = (sid: number, environmentId: string, queue: boolean) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      yield* sql`UPDATE sessions SET environment_id = ${environmentId} WHERE sid = ${sid} AND environment_id IS NULL`
      return queue ? yield* Work.ensure([sid], now) : []
    }).pipe(
      here,
      sql.withTransaction,
      Effect.tap((environments) =>
        Effect.sync(() => {
          for (const id of environments) bus.changed(`environment:${id}`)
        })
      ),
      Effect.asVoid
    )

  const copyTranscript = (options: {
    readonly from: number
    readonly to: number
    readonly beforeSeq?: number
    readonly afterSeq?: number
  }) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      yield* sql`INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, delivery,
          delivered_at, payload)
        SELECT ${options.to}, row_number() OVER (ORDER BY seq), uuid, source, type, transcript, compaction, created_at,
          CASE source WHEN 'client' THEN 'processed' END, CASE source WHEN 'client' THEN ${now} END, payload
        FROM events WHERE sid = ${options.from} AND transcript = 1 AND ${sql.literal(NOT_WITHDRAWN)}
          AND seq < ${options.beforeSeq ?? Number.MAX_SAFE_INTEGER} AND seq > ${options.afterSeq ?? 0}
        ORDER BY seq`
      const row = yield* replay(options.to)
      const [head] = yield* sql<{ readonly uuid: string; readonly seq: number }>`
        SELECT uuid, seq FROM events WHERE sid = ${options.to} AND transcript = 1 AND source = 'worker'
        ORDER BY seq DESC LIMIT 1`
      // A log that was copied has no run of its own: what the copy ends with was answered elsewhere.
      const idle: SessionRow.SessionRow = {
        ...row,
        activity: "idle",
        status: "idle",
        prompted: false,
        begun: false,
        open: []
      }
      yield* sql`UPDATE sessions SET last_seq = ${row.lastSeq}, worker_head = ${head?.uuid ?? null},
          worker_head_seq = ${head?.seq ?? 0}, title = ${idle.title}, status = ${idle.status},
          projection = ${SessionRow.toJson(idle)}
        WHERE sid = ${options.to}`
      return row.lastSeq
    }).pipe(here, sql.withTransaction)

  const trim = (options: Parameters<GatewaySessions["Type"]["trim"]>[0]) =>
    Effect.gen(function* () {
      const { sid, archive } = options
      yield* sql`INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, delivery,
          delivered_at, delivery_no, payload)
        SELECT ${archive}, seq, uuid, source, type, transcript, compaction, created_at, delivery, delivered_at,
          delivery_no, payload FROM events WHERE sid = ${sid}`
      yield* sql`UPDATE sessions SET (gateway_key, gateway_agent, gateway_entry, environment_id, context, created_at,
          updated_at, last_seq, worker_head, worker_head_seq, title, status, projection, archived_at) =
          (SELECT s.gateway_key, s.gateway_agent, json_set(s.gateway_entry, '$.archivedBy', 'bak'), s.environment_id,
            s.context, s.created_at, s.updated_at, s.last_seq, s.worker_head, s.worker_head_seq, s.title, s.status,
            s.projection, ${options.archivedAt} FROM sessions s WHERE s.sid = ${sid})
        WHERE sid = ${archive}`
      yield* sql`DELETE FROM events WHERE sid = ${sid} AND seq < (SELECT min(seq) FROM (SELECT seq FROM events
        WHERE sid = ${sid} AND transcript = 1 ORDER BY seq DESC LIMIT ${options.keep}))`
      yield* sql`DELETE FROM transcript_search WHERE sid = ${sid}`
      yield* sql`UPDATE sessions SET search_seq = 0 WHERE sid = ${sid}`
    }).pipe(sql.withTransaction, Effect.asVoid)

  const remove = (sids: ReadonlyArray<number>) =>
    Effect.forEach(sids, (sid) =>
      Effect.gen(function* () {
        yield* sql`DELETE FROM transcript_search WHERE sid = ${sid}`
        yield* sql`DELETE FROM work WHERE sid = ${sid}`
        yield* sql`DELETE FROM events WHERE sid = ${sid}`
        return yield* sql<{ readonly body: string }>`DELETE FROM sessions WHERE sid = ${sid} RETURNING body`
      })
    ).pipe(
      sql.withTransaction,
      // Whoever watches one of them sees that it is gone.
      Effect.flatMap((removed) =>
        Effect.sync(() => {
          for (const { body } of removed.flat()) bus.changed(`session:${body}`)
        })
      )
    )

  /** Text of messages, as a reader sees it: tool inputs and results are not indexed. */
  const indexNext = Effect.gen(function* () {
    const behind = yield* sql<{
      readonly sid: number
      readonly search_seq: number
      readonly last_seq: number
    }>`
      SELECT sid, search_seq, last_seq FROM sessions WHERE search_seq < last_seq LIMIT 50`
    for (const { sid, search_seq, last_seq } of behind) {
      const through = Math.min(last_seq, search_seq + INDEX_BATCH)
      yield* sql`INSERT INTO transcript_search (text, sid, seq)
        SELECT t.text, t.sid, t.seq FROM (
          SELECT sid, seq, CASE json_type(payload, '$.message.content')
            WHEN 'text' THEN json_extract(payload, '$.message.content')
            WHEN 'array' THEN (SELECT group_concat(json_extract(b.value, '$.text'), char(10))
              FROM json_each(events.payload, '$.message.content') b WHERE json_extract(b.value, '$.type') = 'text')
            END AS text
          FROM events WHERE sid = ${sid} AND seq > ${search_seq} AND seq <= ${through}
            AND transcript = 1 AND type IN ('user', 'assistant')) t
        WHERE t.text IS NOT NULL AND t.text <> ''`
      yield* sql`UPDATE sessions SET search_seq = ${through} WHERE sid = ${sid}`
    }
    return behind.length > 0
  }).pipe(sql.withTransaction)

  const search = (options: Parameters<GatewaySessions["Type"]["search"]>[0]) =>
    Effect.gen(function* () {
      const match = toMatch(options.query)
      if (match === "") return []
      while (yield* indexNext) yield* nextRound
      const scope = options.sid === undefined ? "" : "AND f.sid = ?"
      const rows = yield* sql.unsafe<{
        readonly gateway_key: string
        readonly body: string
        readonly seq: number
        readonly uuid: string
        readonly source: Source
        readonly type: string
        readonly created_at: number
        readonly excerpt: string
      }>(
        `SELECT s.gateway_key, s.body, e.seq, e.uuid, e.source, e.type, e.created_at,
          snippet(transcript_search, 0, char(57344), char(57345), '…', 24) AS excerpt
         FROM transcript_search f JOIN sessions s ON s.sid = f.sid JOIN events e ON e.sid = f.sid AND e.seq = f.seq
         WHERE transcript_search MATCH ? AND s.organization_id = ? AND s.archived_at IS NULL
           AND s.gateway_key IS NOT NULL ${scope} ORDER BY bm25(transcript_search), e.created_at DESC LIMIT ?`,
        [match, options.organizationId, ...(options.sid === undefined ? [] : [options.sid]), options.limit]
      )
      return rows.map((row) => ({
        key: row.gateway_key,
        session: row.body,
        seq: row.seq,
        uuid: row.uuid,
        source: row.source,
        type: row.type,
        createdAt: row.created_at,
        excerpt: row.excerpt
      }))
    })

  const guarded =
    <A extends ReadonlyArray<unknown>, B, E>(f: (...args: A) => Effect.Effect<B, E | SqlError>) =>
    (...args: A) =>
      unavailable(f(...args))

  return GatewaySessions.of({
    byKeys: guarded((organizationId, keys) =>
      keys.length === 0
        ? Effect.succeed([])
        : records(`organization_id = ? AND archived_at IS NULL AND gateway_key IN (${marks(keys.length)})`, [
            organizationId,
            ...keys
          ])
    ),
    bySession: guarded((session) =>
      Effect.map(records("body = ? AND archived_at IS NULL", [session]), first)
    ),
    bySessionAnyState: guarded((organizationId, session) =>
      Effect.map(records("body = ? AND organization_id = ?", [session, organizationId]), first)
    ),
    list: guarded(list),
    count: guarded((organizationId, agentId) =>
      Effect.map(
        sql<{
          readonly n: number
        }>`SELECT count(*) AS n FROM sessions WHERE organization_id = ${organizationId}
          AND gateway_agent = ${agentId} AND archived_at IS NULL`,
        (rows) => rows[0]?.n ?? 0
      )
    ),
    children: guarded((organizationId, keys) =>
      Effect.map(
        Effect.forEach(chunksOf(keys, 500), (some) =>
          records(
            `organization_id = ? AND archived_at IS NULL AND (gateway_parent IN (${marks(some.length)})
              OR gateway_spawned_by IN (${marks(some.length)})) ORDER BY updated_at DESC`,
            [organizationId, ...some, ...some]
          )
        ),
        (found) => found.flat()
      )
    ),
    change: guarded(change),
    assignEnvironment: guarded(assignEnvironment),
    waitingFor: guarded((sid) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => here(Work.waitingFor(sid, now)))
    ),
    heldWork: guarded((organizationId, nowMillis) =>
      Effect.map(
        sql<{ readonly id: string; readonly held: number; readonly queued: number }>`
          SELECT e.id, count(CASE WHEN w.state <> 'queued' AND w.lease_expires_at > ${nowMillis} THEN 1 END) AS held,
            count(CASE WHEN w.state = 'queued' THEN 1 END) AS queued
          FROM environments e JOIN work w ON w.environment_id = e.id AND w.state <> 'stopped'
          WHERE e.organization_id = ${organizationId} GROUP BY e.id`,
        (rows) => new Map(rows.map((row) => [row.id, { held: row.held, queued: row.queued }]))
      )
    ),
    waiting: guarded((limit) =>
      records("environment_id IS NULL AND archived_at IS NULL AND last_seq > 0 ORDER BY updated_at LIMIT ?", [
        limit
      ])
    ),
    countVisible: guarded((sid, throughSeq) =>
      Effect.map(
        sql.unsafe<{ readonly n: number }>(
          `SELECT count(*) AS n FROM events WHERE sid = ? AND seq <= ? AND ${VISIBLE}`,
          [sid, throughSeq ?? Number.MAX_SAFE_INTEGER]
        ),
        (rows) => rows[0]?.n ?? 0
      )
    ),
    lastVisible: guarded((sid, limit) =>
      Effect.map(events(`sid = ? AND ${VISIBLE} ORDER BY seq DESC LIMIT ?`, [sid, limit]), (rows) =>
        rows.reverse()
      )
    ),
    events: guarded((sid, options) =>
      events(
        `sid = ? AND seq > ? ${options.transcript === true ? `AND transcript = 1 AND ${NOT_WITHDRAWN}` : ""} ORDER BY seq LIMIT ?`,
        [sid, options.after, options.limit]
      )
    ),
    eventsOfTypes: guarded((sid, { after, through, types, limit }) =>
      events(`sid = ? AND seq > ? AND seq <= ? AND type IN (${marks(types.length)}) ORDER BY seq LIMIT ?`, [
        sid,
        after,
        through,
        ...types,
        limit
      ])
    ),
    oldestSeq: guarded((sid) =>
      Effect.map(
        sql<{ readonly seq: number | null }>`SELECT min(seq) AS seq FROM events WHERE sid = ${sid}`,
        (rows) => rows[0]?.seq ?? undefined
      )
    ),
    boundaries: guarded((sid, limit) =>
      events("sid = ? AND compaction = 1 ORDER BY seq DESC LIMIT ?", [sid, limit])
    ),
    around: guarded((sid, seq) =>
      Effect.all({
        before: Effect.map(
          events("sid = ? AND transcript = 1 AND seq < ? ORDER BY seq DESC LIMIT 1", [sid, seq]),
          first
        ),
        after: Effect.map(
          events("sid = ? AND transcript = 1 AND seq > ? ORDER BY seq LIMIT 1", [sid, seq]),
          first
        )
      })
    ),
    byUuid: guarded((sid, uuid) => Effect.map(events("sid = ? AND uuid = ?", [sid, uuid]), first)),
    responses: guarded((sid, { after, limit, requestId }) =>
      events(
        `sid = ? AND seq > ? AND type = 'control_response' AND source = 'worker'
          AND json_extract(payload, '$.response.request_id') = ? ORDER BY seq LIMIT ?`,
        [sid, after, requestId, limit]
      )
    ),
    openPrompts: guarded((sid) =>
      events(
        `sid = ? AND source = 'client' AND type = 'user' AND (delivery IS NULL OR delivery <> 'processed')
          AND ${NOT_WITHDRAWN} ORDER BY seq LIMIT 1000`,
        [sid]
      )
    ),
    lastPrompt: guarded((sid) =>
      Effect.map(
        events("sid = ? AND source = 'client' AND type = 'user' ORDER BY seq DESC LIMIT 1", [sid]),
        first
      )
    ),
    prompts: guarded((sid, limit) =>
      events("sid = ? AND source = 'client' AND type = 'user' ORDER BY seq DESC LIMIT ?", [sid, limit])
    ),
    isCopy: guarded((sid: number, uuid: string) =>
      Effect.map(
        sql<{ readonly seq: number }>`SELECT seq FROM events WHERE sid = ${sid} AND uuid = ${uuid}
          AND delivery = 'processed' AND delivery_no IS NULL`,
        (rows) => rows.length > 0
      )
    ),
    copyTranscript: guarded(copyTranscript),
    trim: guarded(trim),
    countTranscript: guarded((sid) =>
      Effect.map(
        sql<{ readonly n: number }>`SELECT count(*) AS n FROM events WHERE sid = ${sid} AND transcript = 1`,
        (rows) => rows[0]?.n ?? 0
      )
    ),
    remove: guarded(remove),
    archived: guarded((organizationId, agentId) =>
      Effect.map(
        sql<{ readonly sid: number; readonly archived_at: number; readonly bytes: number | null }>`
          SELECT s.sid, s.archived_at, (SELECT sum(length(CAST(e.payload AS BLOB))) FROM events e WHERE e.sid = s.sid) AS bytes
          FROM sessions s WHERE s.organization_id = ${organizationId} AND s.gateway_agent = ${agentId}
            AND s.archived_at IS NOT NULL ORDER BY s.archived_at, s.sid`,
        (rows) => rows.map((row) => ({ sid: row.sid, archivedAt: row.archived_at, bytes: row.bytes ?? 0 }))
      )
    ),
    sizes: guarded((sids) =>
      sids.length === 0
        ? Effect.succeed(new Map<number, number>())
        : Effect.map(
            sql<{ readonly sid: number; readonly bytes: number }>`
              SELECT sid, sum(length(CAST(payload AS BLOB))) AS bytes FROM events WHERE ${sql.in("sid", sids)} GROUP BY sid`,
            (rows) => new Map(rows.map((row) => [row.sid, row.bytes]))
          )
    ),
    search: guarded(search),
    setDefaultAgent: guarded((agentId) =>
      Effect.asVoid(
        sql`INSERT INTO gateway_settings (name, value) VALUES ('default_agent', ${agentId})
          ON CONFLICT (name) DO UPDATE SET value = excluded.value`
      )
    )
  })
})

export const layer: Layer.Layer<GatewaySessions, never, SqlClient.SqlClient | Bus> = Layer.effect(
  GatewaySessions,
  make
)
