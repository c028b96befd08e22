/**
 * The database: SQLite, embedded, one connection for the whole process (`Sqlite.ts`), brought to the newest schema.
 *
 * WAL with `synchronous = FULL`: a commit that was answered survives a power cut. The group commit of the log (see `Log.ts`)
 * is what makes that cheap.
 */
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import BetterSqlite from "better-sqlite3"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { DatabaseHealth } from "./DatabaseHealth.ts"
import type { Appends } from "./Log/Appends.ts"
import * as SqliteAppends from "./Log/SqliteAppends.ts"
import { migrations } from "./Migrations.ts"
import * as Sqlite from "./Sqlite.ts"

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

/** The failure's own words, the driver's innermost. */
const detailOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/**
 * That SQLite itself works here: its binding is a compiled module, made for one version of Node. Answers with SQLite's
 * version; the failure is the loader's.
 */
export const binding: Effect.Effect<string, { readonly detail: string }> = Effect.acquireUseRelease(
  Effect.try({
    try: () => new BetterSqlite(":memory:"),
    catch: (cause) => ({ detail: detailOf(cause) })
  }),
  (connection) => Effect.sync(() => String(connection.prepare("SELECT sqlite_version()").pluck().get())),
  (connection) => Effect.sync(() => connection.close())
)

/** Looks whether a database file is whole. Nothing is written. */
export const check = (filename: string): Effect.Effect<void, DatabaseUnusable> =>
  Effect.try({
    try: () => {
      const connection = new BetterSqlite(filename, { readonly: true })
      try {
        return String(connection.prepare("PRAGMA quick_check(1)").pluck().get())
      } finally {
        connection.close()
      }
    },
    catch: (cause) => new DatabaseUnusable({ filename, detail: detailOf(cause) })
  }).pipe(
    Effect.filterOrFail(
      (found) => found === "ok",
      (detail) => new DatabaseUnusable({ filename, detail })
    ),
    Effect.asVoid
  )

/** An open, migrated database, and the log's writer over it. `filename` may be `:memory:`. */
export const layerSqlite = (options: {
  readonly filename: string
}): Layer.Layer<
  SqlClient.SqlClient | Sqlite.Sqlite | Appends | DatabaseHealth,
  DatabaseForeign | DatabaseTooNew | DatabaseUnusable
> => {
  const unusable = (cause: unknown) =>
    new DatabaseUnusable({
      filename: options.filename,
      detail: FileFailure.describe(options.filename, cause)
    })
  const connection = Layer.scopedContext(
    Effect.gen(function* () {
      // The driver throws where it cannot open the file.
      const { sql, sqlite } = yield* Effect.catchAllDefect(Sqlite.open(options.filename), unusable)
      yield* Effect.provideService(migrate, SqlClient.SqlClient, sql)
      return Context.make(SqlClient.SqlClient, sql).pipe(Context.add(Sqlite.Sqlite, sqlite))
    }).pipe(Effect.catchTag("SqlError", unusable))
  )
  const health = Layer.succeed(DatabaseHealth, FileFailure.trouble(options.filename, "Store"))
  return Layer.provideMerge(SqliteAppends.layer, Layer.merge(connection, health))
}
