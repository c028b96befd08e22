/**
 * The database: SQLite, embedded, one connection for the whole process.
 *
 * One connection means one writer and no "database is busy": every statement and every transaction of this process
 * waits its turn in `SqlClient`'s own semaphore. WAL with `synchronous = FULL`: a commit that was answered survives a
 * power cut. The group commit of the log (see `Log.ts`) is what makes that cheap.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
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

/** Brings the schema to the newest version, one numbered step a transaction. */
export const migrate: Effect.Effect<void, DatabaseTooNew | SqlError, SqlClient.SqlClient> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
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
  }
)

/** An open, migrated database. `filename` may be `:memory:`. */
export const layerSqlite = (options: {
  readonly filename: string
}): Layer.Layer<SqlClient.SqlClient, DatabaseTooNew | SqlError> => {
  const client = SqliteClient.layer({ filename: options.filename })
  const ready = Layer.effectDiscard(
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`PRAGMA synchronous = FULL`
      yield* sql`PRAGMA foreign_keys = ON`
      yield* migrate
    })
  )
  return Layer.provideMerge(ready, Layer.orDie(client))
}
