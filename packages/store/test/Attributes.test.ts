/** Every attribute of a session is told by its log: a row that is computed anew from it is the row that is stored. */
import { randomUUID } from "node:crypto"
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import type { OrganizationId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import type * as SessionAttributes from "@causeway/protocol/SessionAttributes"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Bus from "../src/Bus.ts"
import * as Database from "../src/Database.ts"
import { Appends } from "../src/Log/Appends.ts"
import { encode } from "../src/Log/Replay.ts"
import * as Log from "../src/Log.ts"
import { migrations } from "../src/Migrations.ts"
import * as Organizations from "../src/Organizations.ts"
import * as Retention from "../src/Retention.ts"
import type * as Store from "../src/Session/Change.ts"
import * as Sessions from "../src/Session.ts"

const layer = Layer.mergeAll(Log.layer, Organizations.layer, Retention.layer, Sessions.layer).pipe(
  Layer.provideMerge(Layer.merge(Bus.layer, Database.layerSqlite({ filename: ":memory:" })))
)

const organization = Effect.flatMap(Organizations.Organizations, (organizations) => organizations.create("o"))

const made = (organizationId: OrganizationId, given: Partial<Store.CreateSession> = {}) =>
  Effect.flatMap(Sessions.Sessions, (sessions) =>
    sessions.create({
      organizationId,
      environmentId: undefined,
      source: undefined,
      context: "{}",
      permissionMode: undefined,
      tags: undefined,
      payloads: [],
      ...given
    })
  )

interface Row {
  readonly attributes: unknown
  readonly projection: unknown
  readonly title: string | null
  readonly status: string
  readonly archived_at: number | null
  readonly last_seq: number
  readonly session_key: string | null
  readonly agent_id: string | null
  readonly label: string | null
  readonly parent_key: string | null
  readonly spawned_by: string | null
}

const parsed = (row: Pick<Row, "attributes" | "projection">) => ({
  attributes: JSON.parse(String(row.attributes)),
  projection: JSON.parse(String(row.projection))
})

const rowOf = (sid: number) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql<Row>`SELECT attributes, projection, title, status, archived_at, last_seq, session_key, agent_id, label,
        parent_key, spawned_by FROM sessions WHERE sid = ${sid}`,
      ([row]) => row && { ...row, ...parsed(row) }
    )
  )

const replay = (sid: number) => Effect.flatMap(Appends, (appends) => appends.replay(sid))

/** The row as the log tells it. */
const toldBy = (sid: number) =>
  Effect.map(replay(sid), (row): Row => {
    const { attributes } = row
    return {
      ...parsed(encode(row)),
      title: row.title,
      status: row.status,
      archived_at: row.archivedAt,
      last_seq: row.lastSeq,
      session_key: attributes.key ?? null,
      agent_id: attributes.agentId ?? null,
      label: attributes.label ?? null,
      parent_key: attributes.parentKey ?? null,
      spawned_by: attributes.spawnedBy ?? null
    }
  })

type Step =
  | { readonly _tag: "Rename"; readonly title: string }
  | { readonly _tag: "Change"; readonly change: SessionAttributes.Change }
  | { readonly _tag: "Settings"; readonly settings: AgentSettings }
  | { readonly _tag: "Say"; readonly text: string }
  | { readonly _tag: "Title"; readonly title: string }
  | { readonly _tag: "Archive" }

const words = FastCheck.constantFrom("one", "two", " three ", "")
const orNull = <A>(of: FastCheck.Arbitrary<A>) => FastCheck.option(of, { nil: null })
const members = FastCheck.dictionary(
  FastCheck.constantFrom("a", "b", "c"),
  orNull(FastCheck.oneof(FastCheck.integer(), words, FastCheck.dictionary(words, words))),
  { maxKeys: 3 }
)
const change: FastCheck.Arbitrary<SessionAttributes.Change> = FastCheck.record(
  {
    key: FastCheck.constantFrom("agent:main:x", "agent:main:y"),
    agentId: orNull(FastCheck.constantFrom("main", "ops")),
    label: orNull(FastCheck.constantFrom("one", "two", "three")),
    parentKey: orNull(FastCheck.constantFrom("agent:main:p", "agent:main:q")),
    spawnedBy: orNull(FastCheck.constantFrom("agent:main:p", "agent:main:q")),
    entry: members,
    context: members
  },
  { requiredKeys: [] }
)
const steps: FastCheck.Arbitrary<ReadonlyArray<Step>> = FastCheck.array(
  FastCheck.oneof(
    FastCheck.record({ _tag: FastCheck.constant("Rename" as const), title: words }),
    FastCheck.record({ _tag: FastCheck.constant("Change" as const), change }),
    FastCheck.record({
      _tag: FastCheck.constant("Settings" as const),
      settings: FastCheck.constantFrom<AgentSettings>(
        { model: "opus" },
        { permission_mode: "plan" },
        { flag_settings: { fastMode: true } }
      )
    }),
    FastCheck.record({
      _tag: FastCheck.constant("Say" as const),
      text: FastCheck.constantFrom("hi", "there")
    }),
    FastCheck.record({ _tag: FastCheck.constant("Title" as const), title: words }),
    FastCheck.record({ _tag: FastCheck.constant("Archive" as const) })
  ),
  { maxLength: 12 }
)

const carryOut = (session: Sessions.Session, step: Step) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.Sessions
    const log = yield* Log.Log
    yield* TestClock.adjust("1 second")
    const say = (source: "client" | "worker", json: Payload.JsonObject & { readonly type: string }) =>
      log.append({ ...session, source, payloads: [Payload.make({ uuid: randomUUID(), ...json })] })
    switch (step._tag) {
      case "Rename":
        return yield* sessions.rename(session, step.title)
      case "Change":
        return yield* sessions.change(session, step.change)
      case "Settings":
        return yield* say("client", { type: "session_update", ...step.settings })
      case "Say":
        return yield* say("client", { type: "user", message: { role: "user", content: step.text } })
      case "Title":
        return yield* say("worker", { type: "custom-title", customTitle: step.title })
      case "Archive":
        return yield* sessions.archive(session)
    }
  }).pipe(Effect.either)

describe("a session's row", () => {
  it.effect.prop(
    "is the one that its log gives, whatever was changed by whom",
    [steps],
    ([all]) =>
      Effect.gen(function* () {
        const { id } = yield* organization
        const session = yield* made(id, {
          source: "test",
          context: '{"model":"m","cwd":null}',
          permissionMode: "plan",
          tags: '["t"]'
        })
        // Another that has a label and a key, which this one cannot get.
        yield* made(id, { attributes: { key: "agent:main:y", agentId: "main", label: "two" } })
        expect(session.attributes).toMatchObject({
          source: "test",
          context: { model: "m", cwd: null },
          permissionMode: "plan",
          tags: ["t"]
        })
        for (const step of all) yield* carryOut(session, step)
        const row = yield* rowOf(session.sid)
        expect(yield* toldBy(session.sid)).toEqual(row)
        if (row?.label != null) expect(row.title).toBe(row.label)
      }).pipe(Effect.provide(layer)),
    { fastCheck: { numRuns: 60 } }
  )

  it.scoped("says the same of a log that was trimmed, and of its archive", () =>
    Effect.gen(function* () {
      const retention = yield* Retention.Retention
      const { id } = yield* organization
      const session = yield* made(id)
      const all: ReadonlyArray<Step> = [
        { _tag: "Change", change: { label: "L", entry: { a: 1 }, context: { model: "m" } } },
        { _tag: "Settings", settings: { model: "opus" } },
        { _tag: "Say", text: "one" },
        { _tag: "Say", text: "two" },
        { _tag: "Change", change: { entry: { b: 2 } } }
      ]
      for (const step of all) yield* carryOut(session, step)
      const before = yield* toldBy(session.sid)
      const archive = yield* made(id)
      yield* retention.trim({ sid: session.sid, archive: archive.sid, keep: 1, archivedAt: 7 })
      const after = yield* replay(session.sid)
      expect(after.attributes).toEqual(before.attributes)
      expect(after).toMatchObject({ title: "L", chosen: { model: "opus" } })
      expect(yield* rowOf(session.sid)).toMatchObject({ label: "L", session_key: session.key })
      const kept = yield* rowOf(archive.sid)
      expect(yield* toldBy(archive.sid)).toEqual(kept)
      expect(kept).toMatchObject({ session_key: session.key, label: null, archived_at: 7 })
    }).pipe(Effect.provide(layer))
  )
})

describe("changes of attributes", () => {
  it.scoped("of two at the same time both stay", () =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      const { id } = yield* organization
      const session = yield* made(id)
      const names = Array.from({ length: 8 }, (_, i) => `m${i}`)
      yield* Effect.forEach(names, (name) => sessions.change(session, { entry: { [name]: name } }), {
        concurrency: "unbounded"
      })
      const { entry } = yield* sessions.get(session)
      expect(entry).toEqual(Object.fromEntries(names.map((name) => [name, name])))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("a label is the title, and goes with a new one that no other session has", () =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      const { id } = yield* organization
      const session = yield* made(id, { attributes: { key: "agent:main:a", agentId: "main", label: "A" } })
      yield* made(id, { attributes: { key: "agent:main:b", agentId: "main", label: "B" } })
      const names = (of: Sessions.Session | undefined) =>
        of === undefined ? undefined : [of.label, Sessions.rowOf(of).title]
      expect(names(session)).toEqual(["A", "A"])
      expect(names(yield* sessions.change(session, { label: "A2" }))).toEqual(["A2", "A2"])
      expect(names(yield* sessions.rename(session, "A3"))).toEqual(["A3", "A3"])
      expect(names(yield* sessions.rename(session, "B"))).toEqual([undefined, "B"])
      expect((yield* Effect.either(sessions.change(session, { label: "B" })))._tag).toBe("Left")
      expect(names(yield* sessions.get(session))).toEqual([undefined, "B"])
    }).pipe(Effect.provide(layer))
  )

  it.scoped("a worker's events carry none", () =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      const log = yield* Log.Log
      const { id } = yield* organization
      const session = yield* made(id)
      const attributes = { key: "agent:main:stolen", entry: { sendPolicy: "allow" } }
      yield* log.append({
        ...session,
        source: "worker",
        payloads: [Payload.make({ type: "session_update", uuid: randomUUID(), attributes })]
      })
      expect(yield* sessions.get(session)).toMatchObject({ key: session.key, entry: {} })
    }).pipe(Effect.provide(layer))
  )
})

describe("a database from before attributes were told by the log", () => {
  it.scoped("keeps every one of them", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { id } = yield* organization
      // As the step before left it: this one's columns away, the earlier ones back.
      const before = migrations.findIndex((step) =>
        step.some((text) => text.includes("ADD COLUMN attributes"))
      )
      const tables = yield* sql<{
        readonly type: string
        readonly name: string
      }>`SELECT type, name FROM sqlite_master
        WHERE type IN ('table', 'trigger') AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'transcript_search_%'`
      yield* sql`PRAGMA foreign_keys = OFF`
      for (const { name } of tables) yield* sql.unsafe(`DROP TABLE IF EXISTS "${name}"`)
      for (const step of migrations.slice(0, before)) for (const text of step) yield* sql.unsafe(text)
      yield* sql`CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)`
      for (let n = 1; n <= before; n++) yield* sql`INSERT INTO schema_version VALUES (${n}, 1)`
      yield* sql`PRAGMA foreign_keys = ON`
      yield* sql`INSERT INTO organizations (id, name, created_at) VALUES (${id}, 'o', 1)`

      const events = (title: string | undefined) => [
        Payload.make({ type: "user", uuid: "u1", message: { role: "user", content: "first words" } }),
        ...(title === undefined ? [] : [Payload.make({ type: "session_update", uuid: "u2", title })])
      ]
      const insert = (body: string, columns: Record<string, string | number | null>, title?: string) =>
        Effect.gen(function* () {
          let row = SessionRow.initial
          const all = events(title)
          for (const [i, payload] of all.entries()) {
            row = SessionRow.step(row, {
              seq: i + 1,
              uuid: payload.uuid ?? "",
              source: "client",
              createdAt: 5,
              payload
            })
          }
          const values = {
            body,
            organization_id: id,
            created_at: 5,
            updated_at: 6,
            last_seq: all.length,
            title: row.title,
            status: row.status,
            projection: SessionRow.toJson(row),
            ...columns
          }
          const names = Object.keys(values)
          const [made] = yield* sql.unsafe<{ readonly sid: number }>(
            `INSERT INTO sessions (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")}) RETURNING sid`,
            Object.values(values)
          )
          for (const [i, payload] of all.entries()) {
            yield* sql`INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, payload)
              VALUES (${made?.sid ?? 0}, ${i + 1}, ${payload.uuid ?? ""}, 'client', ${payload.type}, 0, 0, 5, ${payload.text})`
          }
        })
      yield* insert("plain", {
        context: '{"model":"m"}',
        source: "api",
        permission_mode: "plan",
        tags: '["t"]'
      })
      yield* insert("keyed", {
        gateway_key: "agent:ops:k",
        gateway_agent: "ops",
        gateway_label: "Mine",
        gateway_parent: "agent:main:p",
        gateway_spawned_by: "agent:main:s",
        gateway_entry: '{"thinkingLevel":"high","lastRun":{"status":"done"}}'
      })
      yield* insert(
        "drifted",
        { gateway_key: "agent:ops:d", gateway_agent: "ops", gateway_label: "Label" },
        "Title"
      )
      yield* insert("broken", { context: "{", gateway_entry: "not JSON" })

      yield* Database.migrate
      const sessions = yield* Sessions.Sessions
      const found = yield* sessions.list({ organizationId: id })
      const of = (body: string) => found.find(({ session }) => session === body)
      expect(of("plain")).toMatchObject({
        key: "agent:main:session:plain",
        agentId: "main",
        updatedAt: 6,
        lastSeq: 1,
        context: { model: "m" },
        attributes: { source: "api", permissionMode: "plan", tags: ["t"] }
      })
      expect(of("keyed")).toMatchObject({
        key: "agent:ops:k",
        agentId: "ops",
        label: "Mine",
        parentKey: "agent:main:p",
        spawnedBy: "agent:main:s",
        entry: { thinkingLevel: "high", lastRun: { status: "done" } }
      })
      expect(of("drifted")).toMatchObject({ label: "Label" })
      expect(of("broken")).toMatchObject({ context: {}, entry: {} })
      for (const session of found) {
        const told = yield* replay(session.sid)
        expect(told.attributes).toEqual(session.attributes)
        expect(told).toEqual(Sessions.rowOf(session))
        expect(yield* rowOf(session.sid)).toMatchObject({
          title: told.title,
          last_seq: told.lastSeq,
          label: told.attributes.label ?? null
        })
      }
      const titles = found.map((session) => [session.session, Sessions.rowOf(session).title])
      expect(Object.fromEntries(titles)).toMatchObject({
        plain: "first words",
        keyed: "Mine",
        drifted: "Title"
      })
      // It is a session like any other from then on.
      const keyed = of("keyed")
      if (keyed === undefined) return expect.fail("the session is gone")
      expect(yield* sessions.change(keyed, { entry: { thinkingLevel: null } })).toMatchObject({
        entry: { lastRun: { status: "done" } }
      })
    }).pipe(Effect.provide(layer))
  )
})
