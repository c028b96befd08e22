/**
 * Locks between processes of one machine, and who holds them.
 *
 * A lock is an exclusive transaction on an empty SQLite file: the kernel frees it however its process ends, so there is
 * nothing to clean up after `kill -9` or a power cut, and no process id is guessed at. Children do not inherit it. The
 * lock's file is never removed. Beside it stands a record, for people and other programs: it says who holds the lock, and
 * is worth nothing while nobody does. Source: docs/decisions/0012-who-runs-here.md.
 */
import { existsSync } from "node:fs"
import { open, readFile, rename, rm, writeFile } from "node:fs/promises"
import * as FileFailure from "@causeway/protocol/FileFailure"
import type { Connection } from "@effect/sql/SqlConnection"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"

/** A holder, in its own words. */
export interface About {
  /** Where it answers, once it does. */
  readonly url?: string | undefined
  /** Where other machines reach it; missing where they do not. */
  readonly others?: string | undefined
  /** The directory that it was started for. */
  readonly directory?: string | undefined
}

/** Who holds a lock. `since`: ISO 8601. */
export interface Holder extends About {
  readonly pid: number
  readonly since?: string | undefined
}

const Record = Schema.parseJson(
  Schema.Struct({
    pid: Schema.Int,
    since: Schema.optional(Schema.String),
    url: Schema.optional(Schema.String),
    others: Schema.optional(Schema.String),
    directory: Schema.optional(Schema.String)
  })
)

/** In a person's words: process, directory, address, since when. */
export const describe = ({ pid, since, url, directory }: Holder): string =>
  [
    `process ${pid}`,
    ...(directory === undefined ? [] : [`in ${directory}`]),
    ...(url === undefined ? [] : [`at ${url}`]),
    ...(since === undefined ? [] : [`since ${since}`])
  ].join(", ")

/** Somebody else holds it. `holder` is missing where it has not said who it is. */
export class LockHeld extends Data.TaggedError("LockHeld")<{
  readonly file: string
  readonly holder: Option.Option<Holder>
}> {
  override get message(): string {
    return Option.match(this.holder, {
      onNone: () => `another process holds ${this.file}`,
      onSome: (holder) => `${describe(holder)} holds ${this.file}`
    })
  }
}

/** The lock's file or its record cannot be used; `detail` says which and what to do. */
export class LockFailed extends Data.TaggedError("LockFailed")<{
  readonly file: string
  readonly detail: string
}> {
  override get message(): string {
    return this.detail
  }
}

/** A lock by its two files, absolute paths. */
export interface Place {
  readonly file: string
  readonly record: string
}

/** A lock that this process holds. */
export interface Held {
  /** Adds to what the record says. */
  readonly note: (about: About) => Effect.Effect<void, LockFailed>
}

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

/**
 * How long a lock that is taken is waited for: one that dies, one that only looks who is there, and one that has not
 * written down yet who it is are done by then. 2 s, looked at every 50 ms.
 */
const patience = Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(40))

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return codeOf(cause) === "EPERM"
  }
}

const readRecord = (place: Place): Effect.Effect<Option.Option<Holder>> =>
  Effect.tryPromise(() => readFile(place.record, "utf8")).pipe(
    Effect.flatMap(Schema.decode(Record)),
    Effect.option
  )

const writeRecord = (place: Place, holder: Holder): Effect.Effect<void, LockFailed> =>
  Effect.tryPromise({
    try: async () => {
      const draft = `${place.record}.${process.pid}.tmp`
      try {
        await writeFile(draft, `${JSON.stringify(holder)}\n`, { mode: 0o600 })
        await rename(draft, place.record)
      } catch (cause) {
        await rm(draft, { force: true })
        throw cause
      }
    },
    catch: (cause) =>
      new LockFailed({ file: place.record, detail: FileFailure.describe(place.record, cause) })
  })

/**
 * Makes the file for its owner alone. Only where there is none: closing a file frees what this process has locked of it.
 */
const create = (file: string): Effect.Effect<void, LockFailed> =>
  Effect.tryPromise({
    try: async () => (await open(file, "wx", 0o600)).close(),
    catch: (cause) => cause
  }).pipe(
    Effect.catchAll((cause) =>
      codeOf(cause) === "EEXIST"
        ? Effect.void
        : new LockFailed({ file, detail: FileFailure.describe(file, cause) })
    )
  )

const connection = (place: Place): Effect.Effect<Connection, LockFailed, Scope.Scope> =>
  Layer.build(SqliteClient.layer({ filename: place.file, disableWAL: true })).pipe(
    Effect.map(Context.get(SqliteClient.SqliteClient)),
    Effect.flatMap((sql) => sql.reserve),
    Effect.tap((connection) => connection.execute("PRAGMA busy_timeout = 0", [], undefined)),
    Effect.catchAllDefect(Effect.fail),
    Effect.mapError(
      (cause) => new LockFailed({ file: place.file, detail: FileFailure.describe(place.file, cause) })
    )
  )

const isBusy = (cause: unknown): boolean => String(codeOf(cause)).startsWith("SQLITE_BUSY")

/** Runs a statement that needs the lock; answers whether it got it. */
const attempt = (place: Place, connection: Connection, statement: string) =>
  connection.execute(statement, [], undefined).pipe(
    Effect.as(true),
    Effect.catchAll((error) =>
      isBusy(error.cause)
        ? Effect.succeed(false)
        : new LockFailed({ file: place.file, detail: FileFailure.describe(place.file, error) })
    )
  )

/** Takes the lock; what it took along is given back where it fails. */
const take = (place: Place): Effect.Effect<void, LockHeld | LockFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(), Scope.close)
    yield* create(place.file).pipe(
      Effect.zipRight(connection(place)),
      Effect.flatMap((held) => attempt(place, held, "BEGIN EXCLUSIVE")),
      Effect.filterOrFail(
        (taken) => taken,
        () => "held" as const
      ),
      Scope.extend(scope),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  }).pipe(
    Effect.retry({ while: (error) => error === "held", schedule: patience }),
    Effect.catchAll(
      (error): Effect.Effect<never, LockHeld | LockFailed> =>
        error === "held"
          ? Effect.flatMap(readRecord(place), (holder) => new LockHeld({ file: place.file, holder }))
          : error
    )
  )

/** Takes the lock until the scope closes; the record is written, and taken away before the lock is. */
export const hold = Effect.fn("FileLock.hold")(function* (place: Place, about: About = {}) {
  yield* take(place)
  const since = new Date(yield* Clock.currentTimeMillis).toISOString()
  let holder: Holder = { pid: process.pid, since, ...about }
  yield* Effect.acquireRelease(writeRecord(place, holder), () =>
    Effect.ignore(Effect.tryPromise(() => rm(place.record, { force: true })))
  )
  const note: Held["note"] = (more) =>
    Effect.suspend(() => {
      holder = { ...holder, ...more }
      return writeRecord(place, holder)
    })
  return { note } satisfies Held
})

/**
 * Who holds the lock; none where nobody does, whatever the record says. The record is believed where the lock cannot be
 * looked at (another user's), and where its process is not seen within the patience (in a container, for example).
 */
export const holder = Effect.fn("FileLock.holder")((place: Place): Effect.Effect<Option.Option<Holder>> => {
  const free = Effect.scoped(
    Effect.flatMap(connection(place), (looking) =>
      attempt(place, looking, "SELECT count(*) FROM sqlite_master")
    )
  )
  return Effect.gen(function* () {
    // Looked at without opening it: to close a file frees what this process has locked of it.
    if (!existsSync(place.file) || (yield* free)) return Option.none<Holder>()
    const known = yield* readRecord(place)
    return Option.exists(known, ({ pid }) => isAlive(pid)) ? known : yield* Effect.fail("unsaid" as const)
  }).pipe(
    Effect.retry({ while: (error) => error === "unsaid", schedule: patience }),
    Effect.catchAll(() => readRecord(place))
  )
})
