/** Full text of what people and agents said: tool inputs and results are not indexed. */
import type { Source } from "@causeway/protocol/Event"
import type { OrganizationId, SessionBody } from "@causeway/protocol/Ids"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { StoreUnavailable } from "./Errors.ts"
import { unavailable } from "./internal/unavailable.ts"

export interface SearchHit {
  readonly key: string
  readonly session: SessionBody
  readonly seq: number
  readonly uuid: string
  readonly source: Source
  readonly type: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** The text around the hit; hits stand between U+E000 and U+E001. */
  readonly excerpt: string
}

export interface SearchQuery {
  readonly organizationId: OrganizationId
  /** Words, each to be found. */
  readonly query: string
  /** Default: all living sessions. */
  readonly sid?: number
  readonly limit: number
}

export class Search extends Context.Tag("@causeway/store/Search")<
  Search,
  {
    /** Best first. Brings the index up to date before it looks. */
    readonly search: (query: SearchQuery) => Effect.Effect<ReadonlyArray<SearchHit>, StoreUnavailable>
  }
>() {}

/** Events of a session indexed in one transaction. */
const INDEX_BATCH = 500

/** Quoting keeps the query language of the index out. */
const toMatch = (query: string): string =>
  query
    .split(/\s+/u)
    .filter((word) => word.length > 0)
    .map((word) => `"${word.replaceAll('"', '""')}"`)
    .join(" ")

/** Indexes a part of what is not indexed yet; false where nothing was left. */
const indexNext = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const behind = yield* sql<{
    readonly sid: number
    readonly search_seq: number
    readonly last_seq: number
  }>`SELECT sid, search_seq, last_seq FROM sessions WHERE search_seq < last_seq LIMIT 50`
  for (const { sid, search_seq, last_seq } of behind) {
    const through = Math.min(last_seq, search_seq + INDEX_BATCH)
    yield* sql`INSERT INTO transcript_search (text, sid, seq)
      SELECT t.text, t.sid, t.seq FROM (
        SELECT sid, seq, CASE
          -- What SQLite cannot read, too deep for it, has no text.
          CASE WHEN json_valid(payload) THEN json_type(payload, '$.message.content') END
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
})

const find = (query: SearchQuery) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const match = toMatch(query.query)
    if (match === "") return []
    // Others have their turn at the database between two batches.
    yield* Effect.repeat(Effect.zipLeft(sql.withTransaction(indexNext), Effect.sleep(0)), {
      while: (more) => more
    })
    return yield* sql<SearchHit>`SELECT s.session_key AS key, s.body AS session, e.seq, e.uuid, e.source, e.type,
        e.created_at AS createdAt, snippet(transcript_search, 0, char(57344), char(57345), '…', 24) AS excerpt
      FROM transcript_search f JOIN sessions s ON s.sid = f.sid JOIN events e ON e.sid = f.sid AND e.seq = f.seq
      WHERE transcript_search MATCH ${match} AND s.organization_id = ${query.organizationId} AND s.archived_at IS NULL
        AND (${query.sid ?? null} IS NULL OR f.sid = ${query.sid ?? null})
      ORDER BY bm25(transcript_search), e.created_at DESC LIMIT ${query.limit}`
  })

export const make = Effect.map(SqlClient.SqlClient, (sql) =>
  Search.of({
    search: (query) => unavailable(Effect.provideService(find(query), SqlClient.SqlClient, sql))
  })
)

export const layer: Layer.Layer<Search, never, SqlClient.SqlClient> = Layer.effect(Search, make)
