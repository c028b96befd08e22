/** Reads over the log of one session. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { SessionUnknown } from "../Errors.ts"
import { COLUMNS, type EventColumns, type Selection, type StoredEvent, selections, toEvent } from "./Event.ts"
import type { SessionKey } from "./Request.ts"

/** Which events are wanted; they come in the order of the log. */
export interface EventQuery {
  /** Default: `all`. */
  readonly select?: Selection
  /** Those after this position; default 0. */
  readonly after?: number
  /** Those up to this position, it included. */
  readonly through?: number
  readonly types?: ReadonlyArray<string>
  readonly uuid?: string
  /** A worker's answers to this control request. */
  readonly answersTo?: string
  /** The first so many. Default: no limit. */
  readonly limit?: number
  /** The last so many, instead of the first. */
  readonly last?: number
}

const where = (sid: number, query: EventQuery) => {
  const values: Array<string | number> = [sid, query.after ?? 0]
  let text = `sid = ? AND seq > ? AND ${selections[query.select ?? "all"]}`
  const add = (condition: string, ...more: ReadonlyArray<string | number>) => {
    text += ` AND ${condition}`
    values.push(...more)
  }
  if (query.through !== undefined) add("seq <= ?", query.through)
  if (query.types !== undefined) add(`type IN (${query.types.map(() => "?").join(", ")})`, ...query.types)
  if (query.uuid !== undefined) add("uuid = ?", query.uuid)
  if (query.answersTo !== undefined) {
    const answer = "CASE WHEN json_valid(payload) THEN json_extract(payload, '$.response.request_id') END = ?"
    add(`type = 'control_response' AND source = 'worker' AND ${answer}`, query.answersTo)
  }
  return { text, values }
}

export const events = (
  sid: number,
  query: EventQuery
): Effect.Effect<ReadonlyArray<StoredEvent>, SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    const { text, values } = where(sid, query)
    const order = query.last === undefined ? "seq" : "seq DESC"
    return Effect.map(
      sql.unsafe<EventColumns>(`SELECT ${COLUMNS} FROM events WHERE ${text} ORDER BY ${order} LIMIT ?`, [
        ...values,
        query.last ?? query.limit ?? -1
      ]),
      (rows) => (query.last === undefined ? rows : rows.toReversed()).map(toEvent)
    )
  })

export const count = (
  sid: number,
  query: Omit<EventQuery, "limit" | "last">
): Effect.Effect<number, SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    const { text, values } = where(sid, query)
    return Effect.map(
      sql.unsafe<{ readonly n: number }>(`SELECT count(*) AS n FROM events WHERE ${text}`, values),
      ([row]) => row?.n ?? 0
    )
  })

/** Transcript entries from the last compaction boundary on (that one included); all, where there is none. */
export const afterLastCompaction = (sid: number) =>
  Effect.flatMap(events(sid, { select: "compactions", last: 1 }), ([boundary]) =>
    events(sid, { select: "transcript", after: (boundary?.seq ?? 1) - 1 })
  )

/** The row number of a session of this organisation. */
export const sidOf = ({
  session,
  organizationId
}: SessionKey): Effect.Effect<number, SessionUnknown | SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.flatMap(
      sql<{ readonly sid: number }>`SELECT sid FROM sessions WHERE body = ${session}
        AND organization_id = ${organizationId}`,
      ([row]) => (row === undefined ? new SessionUnknown({ session }) : Effect.succeed(row.sid))
    )
  )
