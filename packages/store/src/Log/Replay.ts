/** Rows of sessions: computed from the log anew, or kept decoded. */
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import type { Source } from "@causeway/protocol/Event"
import * as Limits from "@causeway/protocol/Limits"
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"

/** A session's row as it is stored: the projection, and the attributes beside it. */
export interface StoredRow {
  readonly projection: string
  readonly attributes: string
}

export const encode = (row: SessionRow.SessionRow): StoredRow => ({
  projection: SessionRow.toJson(row),
  attributes: JSON.stringify(row.attributes)
})

/** Undefined where another version wrote it: the log must then be replayed. */
export const decode = (stored: StoredRow): SessionRow.SessionRow | undefined =>
  SessionRow.fromJson(stored.projection, JSON.parse(stored.attributes))

/**
 * Decoded rows of sessions, so that a row is not parsed again for every batch. An entry counts only while what is stored is
 * what it was decoded from: the cache can be stale, never wrong.
 */
export interface RowCache {
  readonly get: (sid: number, stored: StoredRow) => SessionRow.SessionRow | undefined
  readonly set: (sid: number, stored: StoredRow, row: SessionRow.SessionRow) => void
}

/** For changes that are rare. */
export const uncached: RowCache = { get: () => undefined, set: () => {} }

export const rowCache = (capacity: number): RowCache => {
  const entries = new BoundedMap<number, { readonly stored: StoredRow; readonly row: SessionRow.SessionRow }>(
    capacity
  )
  return {
    get: (sid, { attributes, projection }) => {
      const entry = entries.get(sid)
      return entry?.stored.projection === projection && entry.stored.attributes === attributes
        ? entry.row
        : undefined
    },
    set: (sid, stored, row) => void entries.set(sid, { stored, row })
  }
}

/** Computes a session's row from its log, up to and including a position where one is given. */
export const replay = (
  sid: number,
  through = Number.MAX_SAFE_INTEGER
): Effect.Effect<SessionRow.SessionRow, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    let row = SessionRow.initial
    // What the session was made with stands at position 0.
    let after = -1
    for (;;) {
      const events = yield* sql<{
        readonly seq: number
        readonly uuid: string
        readonly source: Source
        readonly created_at: number
        readonly payload: string
      }>`SELECT seq, uuid, source, created_at, payload FROM events
        WHERE sid = ${sid} AND seq > ${after} AND seq <= ${through} ORDER BY seq LIMIT 500`
      for (const { seq, uuid, source, created_at: createdAt, payload: text } of events) {
        // What stands in the log was decoded before it was stored.
        const payload = Either.getOrThrow(Payload.decode(RawJson.upTo(text, Limits.STORED_DEPTH)))
        row = SessionRow.step(row, { seq, uuid, source, createdAt, payload })
        after = seq
      }
      if (events.length < 500) return row
    }
  })
