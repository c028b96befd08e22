/** Rows of sessions: computed from the log anew, or kept decoded. */
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import type { Source } from "@causeway/protocol/Event"
import * as Payload from "@causeway/protocol/Payload"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"

/**
 * Decoded rows of sessions, so that a row is not parsed again for every batch. An entry counts only while the stored text
 * is the one it was decoded from: the cache can be stale, never wrong.
 */
export interface RowCache {
  readonly get: (sid: number, text: string) => SessionRow.SessionRow | undefined
  readonly set: (sid: number, text: string, row: SessionRow.SessionRow) => void
}

/** For changes that are rare. */
export const uncached: RowCache = { get: () => undefined, set: () => {} }

export const rowCache = (capacity: number): RowCache => {
  const entries = new BoundedMap<number, { readonly text: string; readonly row: SessionRow.SessionRow }>(
    capacity
  )
  return {
    get: (sid, text) => {
      const entry = entries.get(sid)
      return entry?.text === text ? entry.row : undefined
    },
    set: (sid, text, row) => void entries.set(sid, { text, row })
  }
}

/** Computes a session's row from its log: for a row that was written by another version. */
export const replay = (sid: number): Effect.Effect<SessionRow.SessionRow, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    let row = SessionRow.initial
    for (;;) {
      const events = yield* sql<{
        readonly seq: number
        readonly uuid: string
        readonly source: Source
        readonly created_at: number
        readonly payload: string
      }>`SELECT seq, uuid, source, created_at, payload FROM events
        WHERE sid = ${sid} AND seq > ${row.lastSeq} ORDER BY seq LIMIT 500`
      for (const event of events) {
        // What stands in the log was decoded before it was stored.
        const payload = Either.getOrThrow(Payload.decode(event.payload))
        row = SessionRow.step(row, {
          seq: event.seq,
          uuid: event.uuid,
          source: event.source,
          createdAt: event.created_at,
          payload
        })
      }
      if (events.length < 500) return row
    }
  })
