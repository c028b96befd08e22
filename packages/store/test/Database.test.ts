import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Database from "../src/Database.ts"
import { migrations } from "../src/Migrations.ts"
import * as Organizations from "../src/Organizations.ts"
import * as fixtures from "./fixtures.ts"

const memory = Database.layerSqlite({ filename: ":memory:" })

describe("the database", () => {
  it.scopedLive("is brought to the newest version once, durable at every commit", () =>
    Effect.gen(function* () {
      const filename = `${yield* fixtures.directory}/x.db`
      const look = Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const versions = yield* sql`SELECT version FROM schema_version ORDER BY version`
        const [synchronous] = yield* sql`PRAGMA synchronous`
        const [journal] = yield* sql`PRAGMA journal_mode`
        return { versions: versions.length, synchronous, journal }
      })
      for (let start = 0; start < 2; start++) {
        expect(yield* look.pipe(Effect.provide(Database.layerSqlite({ filename })))).toEqual({
          versions: migrations.length,
          synchronous: { synchronous: 2 },
          journal: { journal_mode: "wal" }
        })
      }
    })
  )

  it.scopedLive("of a newer version is left alone", () =>
    Effect.gen(function* () {
      const filename = `${yield* fixtures.directory}/x.db`
      const layer = Database.layerSqlite({ filename })
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        yield* sql`INSERT INTO schema_version (version, applied_at) VALUES (1000, 0)`
      }).pipe(Effect.provide(layer))
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      expect(error).toMatchObject({ _tag: "DatabaseTooNew", found: 1000, known: migrations.length })
    })
  )

  it.scopedLive(
    "whose disk is full says which file, for reads and writes, and goes on when there is space",
    () =>
      Effect.gen(function* () {
        const filename = `${yield* fixtures.directory}/x.db`
        const layer = Organizations.layer.pipe(Layer.provideMerge(Database.layerSqlite({ filename })))
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const organizations = yield* Organizations.Organizations
          const [pages] = yield* sql<{ readonly page_count: number }>`PRAGMA page_count`
          yield* sql.unsafe(`PRAGMA max_page_count = ${pages?.page_count}`)
          const failed = yield* Effect.flip(
            Effect.forEach(Array.from({ length: 50 }), () => organizations.create("x".repeat(10_000)))
          )
          expect(failed._tag).toBe("StoreUnavailable")
          expect(failed.message).toBe(
            `the disk that holds ${filename} is full: free some space; then it goes on by itself (SQLITE_FULL)`
          )
          yield* sql.unsafe("PRAGMA max_page_count = 1000000")
          yield* organizations.create("again")
          expect((yield* organizations.list).map(({ name }) => name)).toContain("again")
        }).pipe(Effect.provide(layer))
      })
  )

  it.scopedLive("that cannot be opened is an error that says why", () =>
    Effect.gen(function* () {
      const filename = `${yield* fixtures.directory}/none/x.db`
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Database.layerSqlite({ filename }))))
      expect(error).toMatchObject({ _tag: "DatabaseUnusable", filename })
      expect(error.message).toContain(filename)
    })
  )
})

describe("a transaction", () => {
  const rows = Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql<{ readonly n: number }>`SELECT n FROM t ORDER BY n`
  )
  const setup = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE t (n INTEGER PRIMARY KEY)`
    yield* sql`CREATE TABLE u (n INTEGER REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED)`
    return sql
  })

  it.effect("whose commit fails is rolled back, is an error, and leaves the connection usable", () =>
    Effect.gen(function* () {
      const sql = yield* setup
      const broken = sql.withTransaction(
        Effect.zipRight(sql`INSERT INTO t VALUES (1)`, sql`INSERT INTO u VALUES (99)`)
      )
      expect(yield* Effect.flip(broken)).toMatchObject({ _tag: "SqlError" })
      yield* sql.withTransaction(sql`INSERT INTO t VALUES (2)`)
      expect(yield* rows).toEqual([{ n: 2 }])
    }).pipe(Effect.provide(memory))
  )

  it.effect("that fails, dies or is interrupted leaves nothing", () =>
    Effect.gen(function* () {
      const sql = yield* setup
      const insert = (n: number) => sql`INSERT INTO t VALUES (${n})`
      expect(yield* Effect.flip(sql.withTransaction(Effect.zipRight(insert(1), Effect.fail("no"))))).toBe(
        "no"
      )
      const died = yield* Effect.exit(sql.withTransaction(Effect.zipRight(insert(2), Effect.die("oh"))))
      expect(Exit.isFailure(died) && Cause.isDie(died.cause)).toBe(true)
      const fiber = yield* Effect.fork(sql.withTransaction(Effect.zipRight(insert(3), Effect.never)))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      yield* sql.withTransaction(insert(4))
      expect(yield* rows).toEqual([{ n: 4 }])
    }).pipe(Effect.provide(memory))
  )

  it.effect(
    "holds up every other statement until it has ended, and nobody who waited and left holds up the rest",
    () =>
      Effect.gen(function* () {
        const sql = yield* setup
        const open = yield* Effect.makeLatch(false)
        const order: Array<string> = []
        const says = (name: string) => Effect.sync(() => order.push(name))
        const first = yield* Effect.fork(
          sql.withTransaction(Effect.all([sql`INSERT INTO t VALUES (1)`, open.await, says("first")]))
        )
        yield* Effect.yieldNow()
        const left = yield* Effect.fork(sql.withTransaction(says("left")))
        const statement = yield* Effect.fork(
          Effect.zipRight(sql`INSERT INTO t VALUES (2)`, says("statement"))
        )
        const gone = yield* Effect.fork(Effect.zipRight(sql`INSERT INTO t VALUES (3)`, says("gone")))
        const last = yield* Effect.fork(
          sql.withTransaction(Effect.zipRight(sql`INSERT INTO t VALUES (4)`, says("last")))
        )
        yield* Effect.yieldNow()
        yield* Fiber.interruptAll([left, gone])
        expect(order).toEqual([])
        yield* open.open
        yield* Fiber.join(first)
        yield* Fiber.join(statement)
        yield* Fiber.join(last)
        expect(order).toEqual(["first", "statement", "last"])
        expect(yield* rows).toEqual([{ n: 1 }, { n: 2 }, { n: 4 }])
      }).pipe(Effect.provide(memory))
  )

  it.effect("inside another is a savepoint", () =>
    Effect.gen(function* () {
      const sql = yield* setup
      yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`INSERT INTO t VALUES (1)`
          yield* Effect.ignore(
            sql.withTransaction(Effect.zipRight(sql`INSERT INTO t VALUES (2)`, Effect.fail("no")))
          )
          yield* sql.withTransaction(sql`INSERT INTO t VALUES (3)`)
        })
      )
      expect(yield* rows).toEqual([{ n: 1 }, { n: 3 }])
    }).pipe(Effect.provide(memory))
  )
})
