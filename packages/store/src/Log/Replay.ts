/** Rows of sessions: as they are stored, and computed from the log anew. */
import type { Source } from "@causeway/protocol/Event"
import * as Limits from "@causeway/protocol/Limits"
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import * as SessionRow from "@causeway/transcript/SessionRow"
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

/** An event as far as a row is computed from it. */
export interface ReplayedEvent {
  readonly seq: number
  readonly uuid: string
  readonly source: Source
  readonly created_at: number
  readonly payload: string
}

/** What stands in the log was decoded before it was stored, some of it before there was a limit on its depth. */
export const payloadOf = (text: string): Payload.Payload =>
  Either.getOrThrow(Payload.decode(RawJson.upTo(text, Limits.STORED_DEPTH)))

/** The row after a stored event. */
export const step = (row: SessionRow.SessionRow, event: ReplayedEvent): SessionRow.SessionRow => {
  const { seq, uuid, source, created_at: createdAt } = event
  return SessionRow.step(row, { seq, uuid, source, createdAt, payload: payloadOf(event.payload) })
}
