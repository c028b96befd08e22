/**
 * The runner's record: runs, their logs and the events that were told, in one SQLite file. A change and what is told of
 * it are one transaction, so that a crash leaves both or neither.
 */

import { writeFile } from "node:fs/promises"
import type { EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqlError from "@effect/sql/SqlError"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { RunnerEvent } from "./Event.ts"
import * as Event from "./Event.ts"
import { Run } from "./Run.ts"
import type { Snapshot } from "./Snapshot.ts"

/** The runner's record cannot be read or written (disk full, no permission, damaged). */
export class RunnerFailed extends Schema.TaggedError<RunnerFailed>()("RunnerFailed", {
  operation: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `the runner's record failed (${this.operation}): ${this.detail}`
  }
}

/** How many events are kept for watchers that come back, at least. */
export const KEPT_EVENTS = 20_000
/** So many events are told between two looks for older ones. */
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

export interface RunStore {
  readonly all: Effect.Effect<ReadonlyArray<Stored>, RunnerFailed>
  readonly get: (id: SessionId) => Effect.Effect<Option.Option<Stored>, RunnerFailed>
  readonly log: (
    id: SessionId,
    after: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<LogEntry>, RunnerFailed>
  /** Events after a number, and the number of the oldest that is kept. */
  readonly events: (
    after: number,
    limit: number
  ) => Effect.Effect<{ readonly oldest: number; readonly events: ReadonlyArray<RunnerEvent> }, RunnerFailed>
  readonly lastSequence: Effect.Effect<number, RunnerFailed>
  /** The snapshot that a tool use of a run took. */
  readonly snapshot: (
    id: SessionId,
    toolUseId: string
  ) => Effect.Effect<Option.Option<Snapshot>, RunnerFailed>
  /** Runs one change: what it writes is stored whole or not at all. */
  readonly change: <A, E>(
    effect: (writer: Writer) => Effect.Effect<A, E | RunnerFailed>
  ) => Effect.Effect<A, E | RunnerFailed>
}

/** Inside a change. */
export interface Writer {
  readonly get: (id: SessionId) => Effect.Effect<Option.Option<Stored>, RunnerFailed>
  readonly put: (stored: Stored) => Effect.Effect<void, RunnerFailed>
  /** Appends to a run's log; `false` when the uuid is in it already. */
  readonly append: (
    id: SessionId,
    entry: LogEntry & { readonly uuid: EventUuid }
  ) => Effect.Effect<boolean, RunnerFailed>
  readonly keep: (id: SessionId, snapshot: Snapshot) => Effect.Effect<void, RunnerFailed>
  readonly tell: (at: number, event: Event.NewEvent) => Effect.Effect<void, RunnerFailed>
}

const schema = [
  `CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, last_activity_at INTEGER NOT NULL, run TEXT NOT NULL, row TEXT NOT NULL
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS log (
    run_id TEXT NOT NULL, seq INTEGER NOT NULL, uuid TEXT NOT NULL, source TEXT NOT NULL,
    created_at INTEGER NOT NULL, payload TEXT NOT NULL, PRIMARY KEY (run_id, seq)
  ) WITHOUT ROWID`,
  "CREATE UNIQUE INDEX IF NOT EXISTS log_by_uuid ON log (run_id, uuid)",
  // Equal contents are kept once.
  "CREATE TABLE IF NOT EXISTS contents (sha256 TEXT PRIMARY KEY, content BLOB NOT NULL)",
  `CREATE TABLE IF NOT EXISTS snapshots (
    run_id TEXT NOT NULL, tool_use_id TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    truncated INTEGER NOT NULL, PRIMARY KEY (run_id, tool_use_id)
  ) WITHOUT ROWID`,
  "CREATE TABLE IF NOT EXISTS events (sequence INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL)"
]

const decodeRun = Schema.decode(Schema.parseJson(Run))
const encodeRun = Schema.encode(Schema.parseJson(Run))
const decodeEvent = Schema.decode(Schema.parseJson(Event.RunnerEvent))

const detailOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** Opens the record in `file`; `:memory:` keeps nothing. The last `kept` events stay for watchers that come back. */
export const open = (
  file: string,
  kept: number = KEPT_EVENTS
): Effect.Effect<RunStore, RunnerFailed, Scope.Scope> =>
  Effect.gen(function* () {
    /** Foreign failures, defects of the driver included, become ours. */
    const run =
      (operation: string) =>
      <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, RunnerFailed, R> =>
        Effect.catchAllCause(effect, (cause) => {
          if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
          const error = Cause.squash(cause)
          const inner = error instanceof Error && error.cause !== undefined ? error.cause : error
          return new RunnerFailed({ operation, detail: detailOf(inner) })
        })

    // The conversation and, in its options, perhaps secrets: its owner's alone.
    if (file !== ":memory:") {
      yield* Effect.promise(() => writeFile(file, "", { flag: "a", mode: 0o600 })).pipe(run(`open ${file}`))
    }
    const sql = yield* Layer.build(SqliteClient.layer({ filename: file })).pipe(
      Effect.map(Context.get(SqlClient.SqlClient)),
      run(`open ${file}`)
    )
    yield* Effect.forEach(["PRAGMA synchronous = FULL", ...schema], (statement) => sql.unsafe(statement), {
      discard: true
    }).pipe(run("prepare"))
    const writing = yield* Effect.makeSemaphore(1)

    const stored = (row: { readonly run: string; readonly row: string }) =>
      Effect.map(
        decodeRun(row.run),
        (run): Stored => ({
          run,
          row: SessionRow.fromJson(row.row) ?? SessionRow.initial
        })
      )

    const get = (id: SessionId) =>
      sql<{ readonly run: string; readonly row: string }>`SELECT run, row FROM runs WHERE id = ${id}`.pipe(
        Effect.flatMap((rows) =>
          rows[0] === undefined ? Effect.succeedNone : Effect.asSome(stored(rows[0]))
        ),
        run("read a run")
      )

    const writer: Writer = {
      get,
      put: ({ run: value, row }) =>
        Effect.flatMap(encodeRun(value), (text) => {
          const json = SessionRow.toJson(row)
          return sql`INSERT INTO runs (id, last_activity_at, run, row)
            VALUES (${value.id}, ${value.lastActivityAt}, ${text}, ${json})
            ON CONFLICT (id) DO UPDATE SET last_activity_at = ${value.lastActivityAt}, run = ${text}, row = ${json}`
        }).pipe(run("write a run"), Effect.asVoid),
      append: (id, entry) =>
        sql<{
          readonly seq: number
        }>`INSERT OR IGNORE INTO log (run_id, seq, uuid, source, created_at, payload)
          VALUES (${id}, ${entry.seq}, ${entry.uuid}, ${entry.source}, ${entry.createdAt}, ${entry.payload.text})
          RETURNING seq`.pipe(
          run("append"),
          Effect.map((rows) => rows.length > 0)
        ),
      keep: (id, { content, path, sha256, toolUseId, truncated }) =>
        sql`INSERT OR IGNORE INTO contents (sha256, content) VALUES (${sha256}, ${content})`.pipe(
          Effect.zipRight(
            sql`INSERT OR REPLACE INTO snapshots (run_id, tool_use_id, path, sha256, truncated)
              VALUES (${id}, ${toolUseId}, ${path}, ${sha256}, ${truncated ? 1 : 0})`
          ),
          run("keep a snapshot"),
          Effect.asVoid
        ),
      tell: (at, event) =>
        sql<{
          readonly sequence: number
        }>`INSERT INTO events (event) VALUES (${JSON.stringify({ ...event, at })})
          RETURNING sequence`.pipe(
          Effect.flatMap(([row]) =>
            row !== undefined && row.sequence % PRUNE_EVERY === 0
              ? sql`DELETE FROM events WHERE sequence <= ${row.sequence - kept}`
              : Effect.succeed([])
          ),
          run("tell"),
          Effect.asVoid
        )
    }

    return {
      all: sql<{ readonly run: string; readonly row: string }>`
        SELECT run, row FROM runs ORDER BY last_activity_at DESC, id`.pipe(
        Effect.flatMap(Effect.forEach(stored)),
        run("list")
      ),
      get,
      log: (id, after, limit) =>
        sql<{
          readonly seq: number
          readonly source: string
          readonly created_at: number
          readonly payload: string
        }>`
          SELECT seq, source, created_at, payload FROM log WHERE run_id = ${id} AND seq > ${after}
          ORDER BY seq LIMIT ${limit}`.pipe(
          Effect.map((rows) =>
            rows.flatMap((row): ReadonlyArray<LogEntry> => {
              const payload = Payload.decode(row.payload)
              return Either.isLeft(payload)
                ? []
                : [
                    {
                      seq: row.seq,
                      source: row.source === "client" ? "client" : "worker",
                      createdAt: row.created_at,
                      payload: payload.right
                    }
                  ]
            })
          ),
          run("read a log")
        ),
      events: (after, limit) =>
        Effect.gen(function* () {
          const [first] = yield* sql<{
            readonly oldest: number | null
          }>`SELECT MIN(sequence) AS oldest FROM events`
          const rows = yield* sql<{ readonly sequence: number; readonly event: string }>`
            SELECT sequence, event FROM events WHERE sequence > ${after} ORDER BY sequence LIMIT ${limit}`
          const events = yield* Effect.forEach(rows, ({ sequence, event }) =>
            decodeEvent(`{"sequence":${sequence},${event.slice(1)}`)
          )
          return { oldest: first?.oldest ?? 0, events }
        }).pipe(run("read events")),
      snapshot: (id, toolUseId) =>
        sql<{
          readonly path: string
          readonly sha256: string
          readonly truncated: number
          readonly content: Uint8Array
        }>`SELECT path, sha256, truncated, content FROM snapshots JOIN contents USING (sha256)
          WHERE run_id = ${id} AND tool_use_id = ${toolUseId}`.pipe(
          Effect.map(([found]) =>
            Option.map(Option.fromNullable(found), ({ content, path, sha256, truncated }) => ({
              toolUseId,
              path,
              sha256,
              truncated: truncated === 1,
              content: Buffer.from(content)
            }))
          ),
          run("read a snapshot")
        ),
      lastSequence: sql<{ readonly last: number | null }>`SELECT MAX(sequence) AS last FROM events`.pipe(
        Effect.map(([row]) => row?.last ?? 0),
        run("read events")
      ),
      change: (effect) =>
        sql.withTransaction(effect(writer)).pipe(
          Effect.mapError((error) =>
            error instanceof SqlError.SqlError
              ? new RunnerFailed({ operation: "commit", detail: error.message })
              : error
          ),
          Effect.tapDefect(() => Effect.ignore(sql.unsafe("ROLLBACK"))),
          writing.withPermits(1),
          Effect.uninterruptible
        )
    }
  })
