/**
 * Runs, their logs and the events that were told, in a journal's file. A change and what is told of it are one
 * transaction, so that a crash leaves both or neither.
 */
import type { EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as SessionRow from "@causeway/transcript/SessionRow"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Database } from "../Journal/Database.ts"
import { JournalFailed } from "../Journal/Model.ts"
import type * as Event from "./Event.ts"
import { RunnerEvent } from "./Event.ts"
import { Run } from "./Run.ts"

/** Events that are kept for watchers that come back, at least. */
export const KEPT_EVENTS = 20_000
/** Events between two looks for older ones. */
const PRUNE_EVERY = 100

/** A run with the row that its log amounts to. */
export interface Stored {
  readonly run: Run
  readonly row: SessionRow.SessionRow
}

export interface LogEntry {
  readonly seq: number
  readonly source: "worker" | "client"
  readonly createdAt: number
  readonly payload: Payload.Payload
}

/** Writes of one change. */
export interface Writer {
  readonly get: (id: SessionId) => Effect.Effect<Option.Option<Stored>, JournalFailed>
  readonly put: (stored: Stored) => Effect.Effect<void, JournalFailed>
  /** Appends to a run's log; `false` when the uuid is in it already. */
  readonly append: (
    id: SessionId,
    entry: LogEntry & { readonly uuid: EventUuid }
  ) => Effect.Effect<boolean, JournalFailed>
  /** Notes that a client event needs no answer any more. */
  readonly processed: (id: SessionId, uuid: EventUuid) => Effect.Effect<void, JournalFailed>
  readonly tell: (at: number, event: Event.NewEvent) => Effect.Effect<void, JournalFailed>
}

export type Record = ReturnType<typeof make>

interface LogRow {
  readonly seq: number
  readonly source: string
  readonly created_at: number
  readonly payload: string
}

const decodeRun = Schema.decode(Schema.parseJson(Run))
const encodeRun = Schema.encode(Schema.parseJson(Run))
const decodeEvent = Schema.decode(Schema.parseJson(RunnerEvent))

const toStored = (row: { readonly run: string; readonly row: string }) =>
  Effect.map(
    decodeRun(row.run),
    (run): Stored => ({ run, row: SessionRow.fromJson(row.row) ?? SessionRow.initial })
  )

const toEntries = (rows: ReadonlyArray<LogRow>): ReadonlyArray<LogEntry> =>
  rows.flatMap((row) =>
    Either.match(Payload.decode(row.payload), {
      onLeft: () => [],
      onRight: (payload): ReadonlyArray<LogEntry> => [
        {
          seq: row.seq,
          source: row.source === "client" ? "client" : "worker",
          createdAt: row.created_at,
          payload
        }
      ]
    })
  )

const makeWriter = ({ run, sql }: Database, kept: number): Writer => ({
  get: (id) =>
    sql<{ readonly run: string; readonly row: string }>`SELECT run, row FROM runs WHERE id = ${id}`.pipe(
      Effect.flatMap(([row]) => (row === undefined ? Effect.succeedNone : Effect.asSome(toStored(row)))),
      run("read a run")
    ),
  put: ({ row, run: value }) =>
    Effect.flatMap(encodeRun(value), (text) => {
      const json = SessionRow.toJson(row)
      return sql`INSERT INTO runs (id, last_activity_at, run, row)
        VALUES (${value.id}, ${value.lastActivityAt}, ${text}, ${json})
        ON CONFLICT (id) DO UPDATE SET last_activity_at = excluded.last_activity_at, run = excluded.run,
          row = excluded.row`
    }).pipe(run("write a run"), Effect.asVoid),
  append: (id, { createdAt, payload, seq, source, uuid }) =>
    sql`INSERT OR IGNORE INTO log (run_id, seq, uuid, source, type, created_at, payload)
      VALUES (${id}, ${seq}, ${uuid}, ${source}, ${payload.type}, ${createdAt}, ${payload.text})
      RETURNING seq`.pipe(
      run("append"),
      Effect.map((rows) => rows.length > 0)
    ),
  processed: (id, uuid) =>
    sql`UPDATE log SET processed = 1 WHERE run_id = ${id} AND uuid = ${uuid}`.pipe(
      run("note a delivery"),
      Effect.asVoid
    ),
  tell: (at, event) =>
    sql<{ readonly sequence: number }>`INSERT INTO told (event) VALUES (${JSON.stringify({ ...event, at })})
      RETURNING sequence`.pipe(
      Effect.flatMap(([row]) =>
        row !== undefined && row.sequence % PRUNE_EVERY === 0
          ? sql`DELETE FROM told WHERE sequence <= ${row.sequence - kept}`
          : Effect.succeed([])
      ),
      run("tell"),
      Effect.asVoid
    )
})

/** The last `kept` events stay for watchers that come back. */
export const make = (database: Database, kept: number = KEPT_EVENTS) => {
  const { run, sql } = database
  const writer = makeWriter(database, kept)
  const writing = Effect.unsafeMakeSemaphore(1)
  return {
    get: writer.get,
    all: sql<{ readonly run: string; readonly row: string }>`
      SELECT run, row FROM runs ORDER BY last_activity_at DESC, id`.pipe(
      Effect.flatMap(Effect.forEach(toStored)),
      run("list")
    ),
    log: (id: SessionId, after: number, limit: number) =>
      sql<LogRow>`SELECT seq, source, created_at, payload FROM log WHERE run_id = ${id} AND seq > ${after}
        ORDER BY seq LIMIT ${limit}`.pipe(Effect.map(toEntries), run("read a log")),
    /**
     * Client events that an agent is to be given when it is started: those without an answer, and what people said to
     * its questions, which it may ask again.
     */
    unanswered: (id: SessionId) =>
      sql<LogRow>`SELECT seq, source, created_at, payload FROM log WHERE run_id = ${id} AND source = 'client'
        AND (type = 'control_response' OR type IN ('user', 'control_request', 'control_cancel_request') AND processed = 0)
        ORDER BY seq`.pipe(
        Effect.map((rows) => toEntries(rows).map(({ payload }) => payload)),
        run("read what is unanswered")
      ),
    /** Events after a number, and the number of the oldest that is kept. */
    events: (after: number, limit: number) =>
      Effect.gen(function* () {
        const [first] = yield* sql<{
          readonly oldest: number | null
        }>`SELECT min(sequence) AS oldest FROM told`
        const rows = yield* sql<{ readonly sequence: number; readonly event: string }>`
          SELECT sequence, event FROM told WHERE sequence > ${after} ORDER BY sequence LIMIT ${limit}`
        const events = yield* Effect.forEach(rows, ({ event, sequence }) =>
          decodeEvent(`{"sequence":${sequence},${event.slice(1)}`)
        )
        return { oldest: first?.oldest ?? 0, events }
      }).pipe(run("read events")),
    lastSequence: sql<{ readonly last: number | null }>`SELECT max(sequence) AS last FROM told`.pipe(
      Effect.map(([row]) => row?.last ?? 0),
      run("read events")
    ),
    /** Runs one change: what it writes is stored whole or not at all. Its own failures pass through. */
    change: <A, E>(effect: (writer: Writer) => Effect.Effect<A, E>): Effect.Effect<A, E | JournalFailed> =>
      sql.withTransaction(effect(writer)).pipe(
        Effect.mapError((error) =>
          error instanceof SqlError
            ? new JournalFailed({ operation: "commit", detail: error.message })
            : error
        ),
        Effect.tapDefect(() => Effect.ignore(sql.unsafe("ROLLBACK"))),
        writing.withPermits(1),
        Effect.uninterruptible
      )
  }
}
