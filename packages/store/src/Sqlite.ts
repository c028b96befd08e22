/**
 * SQLite: one connection for the whole process, and the `SqlClient` over it.
 *
 * One connection means one writer and no "database is busy": a transaction holds the connection until it has ended, and every
 * other statement of this process waits its turn. The log's writer uses the connection itself (`exclusive`); everything
 * else goes through `SqlClient`.
 */
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import BetterSqlite from "better-sqlite3"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Turns from "./internal/turns.ts"

/**
 * A checkpoint every 16 MiB of the write-ahead log, which copies a page once however often it was written in between, and
 * 16 MiB of pages in memory.
 */
const PRAGMAS = [
  "journal_mode = WAL",
  "synchronous = FULL",
  "foreign_keys = ON",
  "wal_autocheckpoint = 4000",
  "cache_size = -16384"
]

/** Statements of `SqlClient` that are kept prepared. */
const PREPARED_MAX = 1000

/** The connection. Its statements run at once and to their end, on the thread that calls them. */
export class Sqlite extends Context.Tag("@causeway/store/Sqlite")<
  Sqlite,
  {
    readonly connection: BetterSqlite.Database
    /** Calls `body` while no transaction is open. What SQLite refuses is a `SqlError`; what else it throws is a defect. */
    readonly exclusive: <A>(body: () => A) => Effect.Effect<A, SqlError>
    /** The same inside the caller's transaction; outside one it is a defect. */
    readonly inside: <A>(body: () => A) => Effect.Effect<A, SqlError>
    /** The same inside the caller's transaction, or where there is none while no other is open. */
    readonly either: <A>(body: () => A) => Effect.Effect<A, SqlError>
  }
>() {}

const failed = (cause: unknown) => new SqlError({ cause, message: "Failed to execute statement" })

/** Calls `body` here and now: put off, it could run in the middle of somebody's transaction. */
const attempt = <A>(body: () => A): Exit.Exit<A, SqlError> => {
  try {
    return Exit.succeed(body())
  } catch (cause) {
    return cause instanceof BetterSqlite.SqliteError ? Exit.fail(failed(cause)) : Exit.die(cause)
  }
}

/** A connection of `SqlClient`, each of whose statements is run by `run`. */
const connectionOf = (
  prepare: (text: string) => BetterSqlite.Statement,
  run: Turns.Turns["use"]
): Connection => {
  const execute = <A>(
    text: string,
    body: (statement: BetterSqlite.Statement) => A
  ): Effect.Effect<A, SqlError> =>
    run(() => {
      try {
        return Exit.succeed(body(prepare(text)))
      } catch (cause) {
        return Exit.fail(failed(cause))
      }
    })
  const rows = (text: string, values: ReadonlyArray<unknown>) =>
    execute(text, (statement) => {
      if (statement.reader) return statement.all(...values)
      statement.run(...values)
      return []
    })
  return {
    execute: rows,
    executeUnprepared: rows,
    executeRaw: (text, values) =>
      execute(text, (statement) => (statement.reader ? statement.all(...values) : statement.run(...values))),
    executeValues: (text, values) =>
      Effect.map(rows(text, values), (found) => found.map((row) => Object.values(row as object))),
    executeStream: () => Stream.dieMessage("rows are not streamed")
  }
}

/** Brackets an effect between statements; what fails, and a commit that fails, leaves nothing. */
const bracket =
  (words: { readonly begin: string; readonly commit: string; readonly rollback: string }, depth: number) =>
  <A, E, R>(connection: Connection, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.uninterruptibleMask((restore) => {
      const run = (statement: string) => connection.executeUnprepared(statement, [], undefined)
      // It fails where SQLite has rolled back already: the connection is as wanted either way.
      const rollback = Effect.ignore(run(words.rollback))
      return Effect.zipRight(
        run(words.begin),
        Effect.flatMap(
          Effect.exit(
            restore(Effect.provideService(effect, SqlClient.TransactionConnection, [connection, depth]))
          ),
          (exit) =>
            Exit.isFailure(exit)
              ? Effect.zipRight(rollback, exit)
              : Effect.zipRight(
                  Effect.tapError(run(words.commit), () => rollback),
                  exit
                )
        )
      )
    })

/** `BEGIN IMMEDIATE`: a transaction that reads first never finds another process in its way when it writes. */
const outermost = bracket({ begin: "BEGIN IMMEDIATE", commit: "COMMIT", rollback: "ROLLBACK" }, 0)

const nested = (depth: number) =>
  bracket(
    {
      begin: `SAVEPOINT nested_${depth}`,
      commit: `RELEASE nested_${depth}`,
      rollback: `ROLLBACK TO nested_${depth}`
    },
    depth
  )

const ATTRIBUTES = [["db.system.name", "sqlite"]] as const

const clientOver = (
  prepare: (text: string) => BetterSqlite.Statement,
  turns: Turns.Turns,
  reactivity: Context.Tag.Service<typeof Reactivity.Reactivity>
): SqlClient.SqlClient => {
  const own = connectionOf(prepare, Effect.suspend)
  const shared = connectionOf(prepare, turns.use)
  const acquirer = Effect.map(Effect.serviceOption(SqlClient.TransactionConnection), (transaction) =>
    transaction._tag === "Some" ? transaction.value[0] : shared
  )
  const reserve = Effect.as(turns.hold, own)
  // A client from here on: it gets its members below.
  const client = Statement.make(
    acquirer,
    Statement.makeCompilerSqlite(),
    ATTRIBUTES,
    undefined
  ) as SqlClient.SqlClient
  return Object.assign(client, {
    [SqlClient.TypeId]: SqlClient.TypeId as SqlClient.TypeId,
    safe: client,
    withoutTransforms: () => client,
    reserve,
    withTransaction: <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
      Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (outer) =>
        outer._tag === "Some"
          ? nested(outer.value[1] + 1)(outer.value[0], effect)
          : Effect.scoped(Effect.flatMap(reserve, (connection) => outermost(connection, effect)))
      ),
    reactive: reactivity.stream,
    reactiveMailbox: reactivity.query
  })
}

type Read = (text: string, values: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<unknown>, SqlError>

/** How each client's rows are read without a `Statement`. */
const reads = new WeakMap<SqlClient.SqlClient, Read>()

/**
 * The rows of a query, in the caller's transaction where there is one. What `sql.unsafe` answers, at a fifth of its price: for
 * what is asked at every wake of a stream. `A` is what the statement selects.
 */
export const rows = <A>(
  text: string,
  values: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<A>, SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    const read = reads.get(sql)
    const found = read === undefined ? sql.unsafe<object>(text, values as Array<string>) : read(text, values)
    return found as Effect.Effect<ReadonlyArray<A>, SqlError>
  })

/** Opens a file, `:memory:` for none, until the scope closes. Dies where that fails. */
export const open = (
  filename: string
): Effect.Effect<
  { readonly sqlite: Sqlite["Type"]; readonly sql: SqlClient.SqlClient },
  never,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const connection = yield* Effect.acquireRelease(
      Effect.sync(() => new BetterSqlite(filename)),
      (connection) => Effect.sync(() => connection.close())
    )
    for (const pragma of PRAGMAS) connection.pragma(pragma)
    const prepared = new BoundedMap<string, BetterSqlite.Statement>(PREPARED_MAX)
    const prepare = (text: string) => {
      const known = prepared.get(text)
      if (known !== undefined) return known
      const statement = connection.prepare(text)
      prepared.set(text, statement)
      return statement
    }
    const turns = Turns.make()
    const exclusive = <A>(body: () => A) => turns.use(() => attempt(body))
    const within =
      (outside: <A>(body: () => A) => Effect.Effect<A, SqlError>) =>
      <A>(body: () => A): Effect.Effect<A, SqlError> =>
        Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (transaction) =>
          transaction._tag === "Some" ? attempt(body) : outside(body)
        )
    const either = within(exclusive)
    const sqlite = Sqlite.of({
      connection,
      exclusive,
      inside: within(() => Effect.dieMessage("a log was changed outside a transaction")),
      either
    })
    const sql = clientOver(prepare, turns, yield* Reactivity.make)
    reads.set(sql, (text, values) => either(() => prepare(text).all(...values)))
    return { sqlite, sql }
  })
