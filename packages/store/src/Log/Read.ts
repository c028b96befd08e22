/** Reads over the log of one session. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { SessionUnknown } from "../Errors.ts"
import { rows } from "../Sqlite.ts"
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
  Effect.suspend(() => {
    const { text, values } = where(sid, query)
    const order = query.last === undefined ? "seq" : "seq DESC"
    return Effect.map(
      rows<EventColumns>(`SELECT ${COLUMNS} FROM events WHERE ${text} ORDER BY ${order} LIMIT ?`, [
        ...values,
        query.last ?? query.limit ?? -1
      ]),
      (found) => (query.last === undefined ? found : found.toReversed()).map(toEvent)
    )
  })

/** A part of what a query finds, bounded in bytes. */
export interface Page {
  /** In the order of the log. */
  readonly events: ReadonlyArray<StoredEvent>
  /** The query finds more: after these, or before them where the last were asked for. */
  readonly more: boolean
}

/** The events that a query finds until they hold so many bytes, and the one that fills them. */
const within = (sid: number, query: EventQuery, bytes: number) =>
  Effect.suspend(() => {
    const { text, values } = where(sid, query)
    const isNewest = query.last !== undefined
    const order = isNewest ? "seq DESC" : "seq"
    const limit = query.last ?? query.limit ?? -1
    // The size of a text stands in its row's head: of what does not fit nothing is read.
    const end = `SELECT seq FROM (SELECT seq, sum(bytes) OVER (ORDER BY ${order}) AS total FROM
        (SELECT seq, octet_length(payload) AS bytes FROM events WHERE ${text} ORDER BY ${order} LIMIT ?))
      WHERE total >= ? LIMIT 1`
    const bound = isNewest
      ? `seq >= coalesce((${end}), 0)`
      : `seq <= coalesce((${end}), ${Number.MAX_SAFE_INTEGER})`
    return Effect.map(
      rows<EventColumns>(
        `SELECT ${COLUMNS} FROM events WHERE ${text} AND ${bound} ORDER BY ${order} LIMIT ?`,
        [...values, ...values, limit, bytes, limit]
      ),
      (found) => (isNewest ? found.toReversed() : found).map(toEvent)
    )
  })

/** Bytes of payloads. */
const sizeOf = (found: ReadonlyArray<StoredEvent>): number =>
  found.reduce((sum, { payload }) => sum + Buffer.byteLength(payload), 0)

/** At least one event, where there is one, and no further one once these hold so many bytes. */
export const page = (
  sid: number,
  query: EventQuery,
  bytes: number
): Effect.Effect<Page, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const isNewest = query.last !== undefined
    const limit = query.last ?? query.limit ?? Number.MAX_SAFE_INTEGER
    // Whoever follows a log finds one event nearly always: sizes are looked at where there are more.
    const few = isNewest ? [] : yield* events(sid, { ...query, limit: 2 })
    const [one, two] = few
    if (!isNewest && (one === undefined || two === undefined)) return { events: few, more: false }
    if (one !== undefined && (limit === 1 || sizeOf(few.slice(0, 1)) >= bytes)) {
      return { events: [one], more: true }
    }
    const left = bytes - sizeOf(few)
    const rest = two === undefined ? query : { ...query, after: two.seq, limit: limit - few.length }
    const found = left > 0 && few.length < limit ? [...few, ...(yield* within(sid, rest, left))] : few
    const [oldest, newest] = [found[0], found.at(-1)]
    if (oldest === undefined || newest === undefined) return { events: found, more: false }
    const beyond = yield* events(sid, {
      ...query,
      ...(isNewest ? { through: oldest.seq - 1, last: 1 } : { after: newest.seq, limit: 1 })
    })
    return { events: found, more: beyond.length > 0 }
  })

export const count = (
  sid: number,
  query: Omit<EventQuery, "limit" | "last">
): Effect.Effect<number, SqlError, SqlClient.SqlClient> =>
  Effect.suspend(() => {
    const counted = (select: Selection | undefined) => {
      const { text, values } = where(sid, { ...query, ...(select && { select }) })
      return { text: `(SELECT count(*) FROM events WHERE ${text})`, values }
    }
    // What is visible is most of a log and has no index: it is the whole less the rest, by two indexes.
    const parts = query.select === "visible" ? [counted("all"), counted("hidden")] : [counted(query.select)]
    return Effect.map(
      rows<{ readonly n: number }>(
        `SELECT ${parts.map(({ text }) => text).join(" - ")} AS n`,
        parts.flatMap(({ values }) => values)
      ),
      ([row]) => row?.n ?? 0
    )
  })

/** The row number of a session of this organisation. */
export const sidOf = ({
  session,
  organizationId
}: SessionKey): Effect.Effect<number, SessionUnknown | SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(
    rows<{ readonly sid: number }>("SELECT sid FROM sessions WHERE body = ? AND organization_id = ?", [
      session,
      organizationId
    ]),
    ([row]) => (row === undefined ? new SessionUnknown({ session }) : Effect.succeed(row.sid))
  )
