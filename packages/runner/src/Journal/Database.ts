/** The journal's database: opened, checked, brought up to date; every failure is a `JournalFailed`. */
import { chmod, mkdir, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import * as FileFailure from "@causeway/protocol/FileFailure"
import * as SqlClient from "@effect/sql/SqlClient"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { JournalFailed, JournalForeign, JournalTooNew } from "./Model.ts"
import { JOURNAL_VERSION, migrations, schema } from "./Schema.ts"

/** How long the rows of ended sessions are kept. */
const ENDED_KEPT_MILLIS = 7 * 24 * 3_600_000

/** Another process makes the file at the same moment: looked at again every 50 ms, 10 times. */
const createRetry = Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(10))

export interface Database {
  readonly sql: SqlClient.SqlClient
  /** Runs statements; foreign failures become ours, logged when they begin and when they are over. */
  readonly run: (operation: string) => <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, JournalFailed>
  /**
   * One transaction. A commit that fails is a defect of the client and leaves its transaction open: it is rolled
   * back here, so that the next one can begin.
   */
  readonly atomically: (
    operation: string
  ) => <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, JournalFailed>
}

/** The conversation, and in its options perhaps secrets: its owner's alone. SQLite gives its side files this mode. */
const prepare = (file: string) =>
  Effect.tryPromise({
    try: async () => {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      await writeFile(file, "", { flag: "a", mode: 0o600 })
      await chmod(file, 0o600)
    },
    catch: (error) => new JournalFailed({ operation: "open", detail: FileFailure.describe(file, error) })
  })

/** Opens the journal in `file`; `:memory:` keeps nothing. */
export const open = Effect.fn("Journal.open")(function* (file: string) {
  if (file !== ":memory:") yield* prepare(file)
  const sql = yield* Layer.build(SqliteClient.layer({ filename: file })).pipe(
    Effect.map(Context.get(SqlClient.SqlClient)),
    // A file that cannot be opened is a defect of the client.
    Effect.catchAllCause(
      (cause) =>
        new JournalFailed({ operation: "open", detail: FileFailure.describe(file, Cause.squash(cause)) })
    )
  )

  const trouble = FileFailure.trouble(file, "Journal")

  const run: Database["run"] = (operation) => (effect) =>
    Effect.catchAllCause(effect, (cause) => {
      if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      return Effect.flatMap(
        trouble.failed(Cause.squash(cause)),
        (detail) => new JournalFailed({ operation, detail })
      )
    })

  const atomically: Database["atomically"] = (operation) => (effect) =>
    sql.withTransaction(effect).pipe(
      Effect.tapDefect(() => Effect.ignore(sql.unsafe("ROLLBACK"))),
      run(operation),
      Effect.zipLeft(trouble.written)
    )

  const version = Effect.map(
    sql<{ readonly user_version: number }>`PRAGMA user_version`,
    (rows) => rows[0]?.user_version ?? 0
  )
  yield* run("open")(
    Effect.zipRight(sql`PRAGMA synchronous = FULL`, sql`PRAGMA busy_timeout = ${sql.literal("5000")}`)
  )
  const found = yield* run("open")(version)
  const tables = yield* run("open")(
    sql<{ readonly name: string }>`SELECT name FROM sqlite_master
      WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
  )
  if (tables.length > 0 && !tables.some(({ name }) => name === "claims")) {
    return yield* new JournalForeign({ file })
  }
  if (found > JOURNAL_VERSION) return yield* new JournalTooNew({ file, found, known: JOURNAL_VERSION })
  if (found < JOURNAL_VERSION) {
    // Two processes may find the file empty at once: the later one begins again, and finds everything there.
    yield* atomically("create")(
      Effect.gen(function* () {
        const written = yield* version
        for (const statement of schema) yield* sql.unsafe(statement)
        for (const statement of migrations.slice(Math.max(written - 1, 0)).flat())
          yield* sql.unsafe(statement)
        yield* sql.unsafe(`PRAGMA user_version = ${JOURNAL_VERSION}`)
      })
    ).pipe(Effect.retry(createRetry))
  }
  const opened = yield* Clock.currentTimeMillis
  yield* run("prune")(
    sql`DELETE FROM sessions WHERE state = 'ended' AND ended_at < ${opened - ENDED_KEPT_MILLIS}`
  )
  return { sql, run, atomically } satisfies Database
})
