/**
 * The database: SQLite, embedded, one connection for the whole process.
 *
 * One connection means one writer and no "database is busy": every statement and every transaction of this process
 * waits its turn in `SqlClient`'s own semaphore. WAL with `synchronous = FULL`: a commit that was answered survives a
 * power cut. The group commit of the log (see `Log.ts`) is what makes that cheap.
 */
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { DatabaseHealth } from "./DatabaseHealth.ts"
import { migrations } from "./Migrations.ts"

/** The state directory was written by a newer version of this program; nothing was changed. */
export class DatabaseTooNew extends Schema.TaggedError<DatabaseTooNew>()("DatabaseTooNew", {
  found: Schema.Int,
  known: Schema.Int
}) {
  override get message(): string {
    return `the database is of schema version ${this.found}, this program knows ${this.known}: upgrade Causeway, or use another --state-dir`
  }
}

/** The file is a database of another program; nothing was changed. */
export class DatabaseForeign extends Schema.TaggedError<DatabaseForeign>()("DatabaseForeign", {}) {
  override get message(): string {
    return "the database is another program's: move it away, or use another --state-dir"
  }
}

/** Tables of ours, of the first version on. A file that has others, and not these, is not touched. */
const OURS = ["schema_version", "organizations"] as const

/** Brings the schema to the newest version, one numbered step a transaction. */
export const migrate: Effect.Effect<void, DatabaseForeign | DatabaseTooNew | SqlError, SqlClient.SqlClient> =
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const tables = yield* sql<{ readonly name: string }>`SELECT name FROM sqlite_master
      WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> ${OURS[0]}`
    if (tables.length > 0 && !tables.some(({ name }) => name === OURS[1])) return yield* new DatabaseForeign()
    yield* sql`CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)`
    const rows = yield* sql<{
      readonly version: number | null
    }>`SELECT max(version) AS version FROM schema_version`
    const found = rows[0]?.version ?? 0
    const known = migrations.length
    if (found > known) return yield* new DatabaseTooNew({ found, known })
    for (let version = found + 1; version <= known; version++) {
      const statements = migrations[version - 1] ?? []
      yield* sql.withTransaction(
        Effect.gen(function* () {
          for (const statement of statements) yield* sql.unsafe(statement)
          yield* sql`INSERT INTO schema_version (version, applied_at) VALUES (${version}, ${Date.now()})`
        })
      )
    }
  })

/** The database file cannot be opened. */
export class DatabaseUnusable extends Schema.TaggedError<DatabaseUnusable>()("DatabaseUnusable", {
  filename: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `cannot open the database: ${this.detail}`
  }
}

/**
 * That SQLite itself works here: its binding is a compiled module, made for one version of Node. Answers with SQLite's
 * version; the failure is the loader's.
 */
export const binding: Effect.Effect<string, { readonly detail: string }> = Layer.build(
  SqliteClient.layer({ filename: ":memory:", disableWAL: true })
).pipe(
  Effect.map(Context.get(SqlClient.SqlClient)),
  Effect.flatMap((sql) => sql<{ readonly version: string }>`SELECT sqlite_version() AS version`),
  Effect.map(([row]) => row?.version ?? ""),
  Effect.scoped,
  Effect.catchAllCause((cause) => {
    const error = Cause.squash(cause)
    return Effect.fail({ detail: error instanceof Error ? error.message : String(error) })
  })
)

/** Looks whether a database file is whole. Nothing is written. */
export const check = (filename: string): Effect.Effect<void, DatabaseUnusable> =>
  Layer.build(SqliteClient.layer({ filename, readonly: true, disableWAL: true })).pipe(
    Effect.map(Context.get(SqlClient.SqlClient)),
    Effect.flatMap((sql) => sql<{ readonly quick_check: string }>`PRAGMA quick_check(1)`),
    Effect.map(([row]) => row?.quick_check ?? "it does not answer"),
    Effect.filterOrFail(
      (found) => found === "ok",
      (found) => ({ code: "SQLITE_CORRUPT", message: found })
    ),
    Effect.scoped,
    Effect.asVoid,
    Effect.catchAllCause((cause) => {
      const error = Cause.squash(cause)
      const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error
      return new DatabaseUnusable({
        filename,
        detail: inner instanceof Error ? inner.message : String(inner)
      })
    })
  )

/** Statements kept prepared. The log's statements come in one variant a number of rows. */
const PREPARED = 2000

/**
 * Transactions as this program needs them. The client's own leave the connection inside the transaction when the commit
 * fails, and report that as a defect; here a failed commit is rolled back before anyone else gets the connection, and is
 * a `SqlError`. `BEGIN IMMEDIATE`: a transaction that reads first never finds another process in its way when it writes.
 */
const transactions = (sql: SqlClient.SqlClient): SqlClient.SqlClient["withTransaction"] => {
  const nested = sql.withTransaction
  const run = (connection: Connection, statement: string) => connection.execute(statement, [], undefined)
  const outermost = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.scoped(
        Effect.flatMap(restore(sql.reserve), (connection) => {
          // It fails where SQLite has rolled back already: the connection is as wanted either way.
          const rollback = Effect.ignore(run(connection, "ROLLBACK"))
          return Effect.zipRight(
            run(connection, "BEGIN IMMEDIATE"),
            Effect.flatMap(
              Effect.exit(
                restore(Effect.provideService(effect, SqlClient.TransactionConnection, [connection, 0]))
              ),
              (exit) =>
                Exit.isFailure(exit)
                  ? Effect.zipRight(rollback, exit)
                  : Effect.zipRight(
                      Effect.tapError(run(connection, "COMMIT"), () => rollback),
                      exit
                    )
            )
          )
        })
      )
    )
  return (effect) =>
    Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (outer) =>
      outer._tag === "Some" ? nested(effect) : outermost(effect)
    )
}

/** An open, migrated database. `filename` may be `:memory:`. */
export const layerSqlite = (options: {
  readonly filename: string
}): Layer.Layer<
  SqlClient.SqlClient | DatabaseHealth,
  DatabaseForeign | DatabaseTooNew | DatabaseUnusable
> => {
  const unusable = (cause: unknown) =>
    new DatabaseUnusable({
      filename: options.filename,
      detail: FileFailure.describe(options.filename, cause)
    })
  const client = Layer.scoped(
    SqlClient.SqlClient,
    Effect.gen(function* () {
      const client = yield* SqliteClient.make({
        filename: options.filename,
        prepareCacheSize: PREPARED
      }).pipe(
        // The driver throws where it cannot open the file.
        Effect.catchAllDefect(unusable)
      )
      const sql: SqlClient.SqlClient = Object.assign(client, { withTransaction: transactions(client) })
      yield* sql`PRAGMA synchronous = FULL`
      yield* sql`PRAGMA foreign_keys = ON`
      yield* Effect.provideService(migrate, SqlClient.SqlClient, sql)
      return sql
    }).pipe(Effect.catchTag("SqlError", unusable))
  ).pipe(Layer.provide(Reactivity.layer))
  return Layer.merge(client, Layer.succeed(DatabaseHealth, FileFailure.trouble(options.filename, "Store")))
}
