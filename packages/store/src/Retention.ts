/** What becomes of whole logs: copied, trimmed, and removed for good; and how large they are. */
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Bus } from "./Bus.ts"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"
import { Appends } from "./Log/Appends.ts"
import { NOT_WITHDRAWN } from "./Log/Event.ts"
import type { SessionKey } from "./Log/Request.ts"
import { sessionUpdate } from "./Session/Change.ts"

/** An archived session and the size of its log. */
export interface Archive {
  readonly sid: number
  /** Milliseconds since the epoch. */
  readonly archivedAt: number
  readonly bytes: number
}

export interface Copy {
  readonly from: number
  /** A session whose log is empty. */
  readonly to: number
  readonly beforeSeq?: number
}

export interface Trim {
  readonly sid: number
  /** A session whose log is empty. */
  readonly archive: number
  /** Transcript entries. */
  readonly keep: number
  /** Milliseconds since the epoch. */
  readonly archivedAt: number
}

/**
 * Copies the transcript entries of one log before a position into another, with their uuids, sources and times. Nothing of
 * it is delivered again. Answers with their number.
 */
const copyTranscript = ({ from, to, beforeSeq }: Copy) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    yield* sql`INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, author,
        delivery, delivered_at, payload)
      SELECT ${to}, row_number() OVER (ORDER BY seq), uuid, source, type, transcript, compaction, created_at, author,
        CASE source WHEN 'client' THEN 'processed' END, CASE source WHEN 'client' THEN ${now} END, payload
      FROM events WHERE sid = ${from} AND transcript = 1 AND ${sql.literal(NOT_WITHDRAWN)}
        AND seq < ${beforeSeq ?? Number.MAX_SAFE_INTEGER}
      ORDER BY seq`
    const row = yield* (yield* Appends).replay(to)
    const [head] = yield* sql<{ readonly uuid: string; readonly seq: number }>`
      SELECT uuid, seq FROM events WHERE sid = ${to} AND transcript = 1 AND source = 'worker'
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
        projection = ${SessionRow.toJson(idle)}, cost_usd = ${idle.totalCostUsd}, num_turns = ${idle.numTurns},
        context_tokens = ${idle.contextTokens}
      WHERE sid = ${to}`
    return row.lastSeq
  })

/** Replaces the events before a position by one that says what they left: title, agent's settings and attributes. */
const cut = (sid: number, seq: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { attributes, chosen, title, titleOrigin } = yield* (yield* Appends).replay(sid, seq - 1)
    const opening = sessionUpdate({
      ...chosen,
      ...(titleOrigin === "given" && title !== null ? { title } : {}),
      attributes
    })
    yield* sql`DELETE FROM events WHERE sid = ${sid} AND seq < ${seq} AND seq > 0`
    yield* sql`UPDATE events SET payload = ${opening.text}, uuid = ${opening.uuid ?? ""} WHERE sid = ${sid} AND seq = 0`
    yield* sql`DELETE FROM transcript_search WHERE sid = ${sid}`
    yield* sql`UPDATE sessions SET search_seq = 0 WHERE sid = ${sid}`
  })

/**
 * Keeps the last transcript entries of a log, and everything since the first of them; the whole log is copied into the
 * archive first, which becomes an archived session of the same key.
 */
const trim = ({ sid, archive, keep, archivedAt }: Trim) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`DELETE FROM events WHERE sid = ${archive}`
    yield* sql`INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, author,
        delivery, delivered_at, delivery_no, payload)
      SELECT ${archive}, seq, uuid, source, type, transcript, compaction, created_at, author, delivery, delivered_at,
        delivery_no, payload FROM events WHERE sid = ${sid}`
    yield* sql`UPDATE sessions SET (attributes, environment_id, created_at, last_seq, worker_head, worker_head_seq, title,
        status, projection, cost_usd, num_turns, context_tokens, archived_at) = (SELECT s.attributes, s.environment_id, s.created_at, s.last_seq, s.worker_head,
        s.worker_head_seq, s.title, s.status, s.projection, s.cost_usd, s.num_turns, s.context_tokens, ${archivedAt} FROM sessions s WHERE s.sid = ${sid})
      WHERE sid = ${archive}`
    const [key] =
      yield* sql<SessionKey>`SELECT body AS session, organization_id AS organizationId FROM sessions
      WHERE sid = ${archive}`
    if (key === undefined) return
    const ended = sessionUpdate({ archived: true, attributes: { label: null, entry: { archivedBy: "bak" } } })
    yield* (yield* Appends).apply([{ ...key, source: "client", payloads: [ended] }], archivedAt)
    const [first] = yield* sql<{
      readonly seq: number | null
    }>`SELECT min(seq) AS seq FROM (SELECT seq FROM events
      WHERE sid = ${sid} AND transcript = 1 ORDER BY seq DESC LIMIT ${keep})`
    if (first?.seq != null) yield* cut(sid, first.seq)
  })

/** Answers with the body of the session; undefined where it was gone before. */
const remove = (sid: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`DELETE FROM transcript_search WHERE sid = ${sid}`
    yield* sql`DELETE FROM work WHERE sid = ${sid}`
    yield* sql`DELETE FROM events WHERE sid = ${sid}`
    const [row] = yield* sql<{
      readonly body: string
    }>`DELETE FROM sessions WHERE sid = ${sid} RETURNING body`
    return row?.body
  })

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bus = yield* Bus
  const context = yield* Effect.context<SqlClient.SqlClient | Appends>()
  const transact = <A, E>(effect: Effect.Effect<A, E, SqlClient.SqlClient | Appends>) =>
    unavailable(Effect.provide(sql.withTransaction(effect), context))

  return {
    copyTranscript: (copy: Copy) => transact(copyTranscript(copy)),
    trim: (given: Trim) => transact(trim(given)),
    /** Removes sessions for good, with their logs and work. */
    remove: (sids: ReadonlyArray<number>) =>
      Effect.map(transact(Effect.forEach(sids, remove)), (bodies) => {
        // Whoever watches one of them sees that it is gone.
        for (const body of bodies) if (body !== undefined) bus.changed(`session:${body}`)
      }),
    /** Archived sessions of an agent, oldest archived first. */
    archived: (organizationId: OrganizationId, agentId: string) =>
      unavailable(
        sql<Archive>`SELECT s.sid, s.archived_at AS archivedAt,
            (SELECT coalesce(sum(length(CAST(e.payload AS BLOB))), 0) FROM events e WHERE e.sid = s.sid) AS bytes
          FROM sessions s WHERE s.organization_id = ${organizationId} AND s.agent_id = ${agentId}
            AND s.archived_at IS NOT NULL ORDER BY s.archived_at, s.sid`
      ),
    /** Bytes of logs by sid. */
    sizes: (sids: ReadonlyArray<number>): Effect.Effect<ReadonlyMap<number, number>, StoreUnavailable> =>
      Effect.map(
        unavailable(
          sql<{ readonly sid: number; readonly bytes: number }>`
            SELECT sid, sum(length(CAST(payload AS BLOB))) AS bytes FROM events
            WHERE sid IN (SELECT value FROM json_each(${JSON.stringify(sids)})) GROUP BY sid`
        ),
        (rows) => new Map(rows.map((row) => [row.sid, row.bytes]))
      )
  }
})

export class Retention extends Context.Tag("@causeway/store/Retention")<
  Retention,
  Effect.Effect.Success<typeof make>
>() {}

export const layer: Layer.Layer<Retention, never, SqlClient.SqlClient | Appends | Bus> = Layer.effect(
  Retention,
  make
)
