import { randomUUID } from "node:crypto"
import * as Payload from "@causeway/protocol/Payload"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Bus from "../src/Bus.ts"
import * as Database from "../src/Database.ts"
import * as Environments from "../src/Environments.ts"
import * as Log from "../src/Log.ts"
import * as Organizations from "../src/Organizations.ts"
import * as Retention from "../src/Retention.ts"
import * as Change from "../src/Session/Change.ts"
import * as Sessions from "../src/Session.ts"

const layer = Layer.mergeAll(
  Retention.layer,
  Log.layer,
  Organizations.layer,
  Sessions.layer,
  Environments.layer
).pipe(Layer.provideMerge(Layer.merge(Bus.layer, Database.layerSqlite({ filename: ":memory:" }))))

const organization = Effect.flatMap(Organizations.Organizations, (organizations) => organizations.create("o"))

const made = (organizationId: Sessions.CreateSession["organizationId"], environmentId?: string) =>
  Effect.flatMap(Sessions.Sessions, (sessions) =>
    sessions.create({
      organizationId,
      environmentId,
      source: undefined,
      context: "{}",
      permissionMode: undefined,
      tags: undefined,
      payloads: []
    })
  )

const line = (source: "worker" | "client", text: string) =>
  Payload.make({
    type: source === "worker" ? "assistant" : "user",
    uuid: randomUUID(),
    message: { role: source === "worker" ? "assistant" : "user", content: [{ type: "text", text }] }
  })

describe("keys of sessions that were made elsewhere", () => {
  it.scoped("name the default agent, the environment and the session", () =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      const environments = yield* Environments.Environments
      const { id } = yield* organization
      const { environment } = yield* environments.register({
        organizationId: id,
        machineName: "box",
        directory: "/srv/My App",
        branch: undefined,
        gitRepoUrl: undefined,
        maxSessions: undefined,
        metadata: undefined,
        reuseEnvironmentId: undefined
      })
      const placed = yield* made(id, environment.id)
      expect((yield* sessions.find({ sessions: [placed.session] }))?.key).toBe(
        `agent:main:${environment.name.toLowerCase().replaceAll(" ", "-")}:${placed.session.slice(0, 12)}`
      )
      yield* sessions.setDefaultAgent("ops")
      const free = yield* made(id)
      const record = yield* sessions.find({ sessions: [free.session] })
      expect(record).toMatchObject({ key: `agent:ops:session:${free.session.slice(0, 12)}`, agentId: "ops" })
    }).pipe(Effect.provide(layer))
  )

  it.scoped("a key that is taken does not stop a session from being made", () =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      const { id } = yield* organization
      const first = yield* made(id)
      const twin = `${first.session.slice(0, 12)}ffffffffffffffffffff`
      expect(first.key).toBe(`agent:main:session:${first.session.slice(0, 12)}`)
      const named = Change.keyFor(id, undefined, twin)
      expect((yield* named).key).toBe(`agent:main:session:${twin}`)
      yield* sessions.archive(first)
      expect((yield* named).key).toBe(first.key)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("an archived session leaves its key and label to another", () =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      const { id } = yield* organization
      const first = yield* made(id)
      yield* sessions.change(first, { key: "agent:main:x", label: "L" })
      const second = yield* made(id)
      expect((yield* Effect.either(sessions.change(second, { key: "agent:main:x" })))._tag).toBe("Left")
      yield* sessions.archive({ session: first.session, organizationId: id })
      yield* sessions.change(second, { key: "agent:main:x", label: "L" })
      expect(
        (yield* sessions.list({ organizationId: id, keys: ["agent:main:x"] })).map((each) => each.session)
      ).toEqual([second.session])
    }).pipe(Effect.provide(layer))
  )
})

describe("lists", () => {
  const words = FastCheck.constantFrom("alpha", "beta", "ga_ma", "de%ta", "Alpha Beta")
  const given = FastCheck.array(
    FastCheck.record({
      agentId: FastCheck.constantFrom("main", "ops"),
      label: FastCheck.option(words, { nil: undefined }),
      parentKey: FastCheck.option(FastCheck.constantFrom("agent:main:p", "agent:main:q"), { nil: undefined }),
      updatedAt: FastCheck.integer({ min: 1, max: 50 })
    }),
    { minLength: 1, maxLength: 12 }
  )
  const filters = FastCheck.record(
    {
      agentId: FastCheck.constantFrom("main", "ops"),
      search: FastCheck.constantFrom("alpha", "_", "%", "beta", "agent:ops"),
      linkedTo: FastCheck.constantFrom("agent:main:p", "agent:main:q"),
      updatedAfter: FastCheck.integer({ min: 1, max: 50 }),
      limit: FastCheck.integer({ min: 1, max: 5 })
    },
    { requiredKeys: [] }
  )

  it.effect.prop(
    "hold what every filter lets through, newest first, and no more than was asked for",
    [given, filters],
    ([rows, filter]) =>
      Effect.gen(function* () {
        const sessions = yield* Sessions.Sessions
        const { id } = yield* organization
        const all: Array<Sessions.Session> = []
        for (const [i, row] of rows.entries()) {
          const { updatedAt, ...attributes } = row
          yield* TestClock.setTime(updatedAt)
          const record = yield* sessions.change(yield* made(id), {
            ...attributes,
            key: `agent:${row.agentId}:s${i}`,
            // Labels are unique among the sessions of an agent.
            label: row.label === undefined ? undefined : `${row.label} ${i}`
          })
          if (record !== undefined) all.push(record)
        }
        const expected = all
          .filter((each) => filter.agentId === undefined || each.agentId === filter.agentId)
          .filter((each) => filter.linkedTo === undefined || each.parentKey === filter.linkedTo)
          .filter((each) => filter.updatedAfter === undefined || each.updatedAt >= filter.updatedAfter)
          .filter((each) => {
            const text = filter.search
            return (
              text === undefined || each.key.includes(text) || (each.label ?? "").toLowerCase().includes(text)
            )
          })
          .sort((a, b) => b.updatedAt - a.updatedAt || b.sid - a.sid)
          .slice(0, filter.limit ?? all.length)
        const { linkedTo, ...rest } = filter
        const listed = yield* sessions.list({
          organizationId: id,
          ...rest,
          ...(linkedTo === undefined ? {} : { linkedTo: [linkedTo] })
        })
        expect(listed.map((each) => each.key)).toEqual(expected.map((each) => each.key))
      }).pipe(Effect.provide(layer)),
    { fastCheck: { numRuns: 40 } }
  )
})

describe("copies of logs", () => {
  it.effect.prop(
    "hold the transcript before a position, dense, with the same uuids, and the row of it",
    [
      FastCheck.array(FastCheck.constantFrom("worker" as const, "client" as const), {
        minLength: 1,
        maxLength: 12
      }),
      FastCheck.integer({ min: 1, max: 14 })
    ],
    ([sources, beforeSeq]) =>
      Effect.gen(function* () {
        const retention = yield* Retention.Retention
        const log = yield* Log.Log
        const { id } = yield* organization
        const from = yield* made(id)
        for (const [i, source] of sources.entries()) {
          yield* log.append({
            session: from.session,
            organizationId: id,
            source,
            payloads: [line(source, `t${i}`)]
          })
        }
        const to = yield* made(id)
        const copied = yield* retention.copyTranscript({ from: from.sid, to: to.sid, beforeSeq })
        const before = yield* log.events(from.sid, { after: 0, limit: 100 })
        const after = yield* log.events(to.sid, { after: 0, limit: 100 })
        const wanted = before.filter((event) => event.seq < beforeSeq)
        expect(copied).toBe(wanted.length)
        expect(after.map((event) => event.seq)).toEqual(wanted.map((_, i) => i + 1))
        expect(after.map((event) => [event.uuid, event.source, event.payload])).toEqual(
          wanted.map((event) => [event.uuid, event.source, event.payload])
        )
        expect(
          after.filter((event) => event.source === "client").every((event) => event.delivery === "processed")
        ).toBe(true)
        // The copy can be written on: the worker's next entry follows the last one of the copy.
        const head = after.findLast((event) => event.source === "worker")?.uuid
        const [next] = yield* log.append({
          session: to.session,
          organizationId: id,
          source: "worker",
          payloads: [line("worker", "next")],
          guard: { kind: "lastUuid", lastUuid: head }
        })
        expect(next?.seq).toBe(copied + 1)
      }).pipe(Effect.provide(layer)),
    { fastCheck: { numRuns: 25 } }
  )

  it.scoped("trimming keeps the last entries, and the whole log under another session", () =>
    Effect.gen(function* () {
      const sessions = yield* Sessions.Sessions
      const retention = yield* Retention.Retention
      const log = yield* Log.Log
      const { id } = yield* organization
      const session = yield* made(id)
      for (let i = 0; i < 5; i++) {
        yield* log.append({
          session: session.session,
          organizationId: id,
          source: "client",
          payloads: [line("client", `t${i}`)]
        })
      }
      const archive = yield* made(id)
      yield* retention.trim({ sid: session.sid, archive: archive.sid, keep: 2, archivedAt: 7 })
      expect((yield* log.events(session.sid, { after: 0, limit: 10 })).map((event) => event.seq)).toEqual([
        4, 5
      ])
      // The archive's log ends with its archiving.
      const kept = yield* log.events(archive.sid, { after: 0, limit: 10 })
      expect(kept.map(({ type }) => type)).toEqual([...Array(5).fill("user"), "session_update"])
      expect(yield* sessions.find({ sessions: [archive.session] })).toBeUndefined()
      expect(yield* sessions.find({ sessions: [archive.session], archived: "all" })).toMatchObject({
        archivedAt: 7,
        lastSeq: 6
      })
      const [next] = yield* log.append({
        session: session.session,
        organizationId: id,
        source: "client",
        payloads: [line("client", "t5")]
      })
      expect(next?.seq).toBe(6)
    }).pipe(Effect.provide(layer))
  )
})
