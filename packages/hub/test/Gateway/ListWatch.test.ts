import { randomUUID } from "node:crypto"
import type { Session } from "@causeway/protocol/http/Sessions"
import { OrganizationId } from "@causeway/protocol/Ids"
import * as Bus from "@causeway/store/Bus"
import { Environments } from "@causeway/store/Environments"
import { Organizations } from "@causeway/store/Organizations"
import { Sessions } from "@causeway/store/Session"
import { describe, expect, it, layer as suite } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import { Connection } from "../../src/Gateway/Connections.ts"
import * as ListWatch from "../../src/Gateway/ListWatch.ts"
import * as Hub from "../../src/Hub.ts"
import { type Client, connected, type Frame, init, layer, said, target, worker } from "./harness.ts"

const EVENT = "causeway.sessions.changed"

const call = (client: Client, method: string, params?: unknown) =>
  Effect.promise(() => client.call(method, params))

/** The rows of each event so far. */
const told = (client: Client): ReadonlyArray<ReadonlyArray<Frame>> =>
  client.events(EVENT).map((frame) => frame["payload"].sessions)

/** Waits for a row that fits. */
const row = (client: Client, fits: (row: Frame) => boolean) =>
  Effect.map(
    Effect.promise(() => client.event(EVENT, ({ sessions }) => sessions.some(fits))),
    ({ sessions }) => (sessions as ReadonlyArray<Frame>).findLast(fits) as Frame
  )

describe("the list as a watch", () => {
  suite(layer(), { excludeTestServices: true })((it) => {
    it.scoped("brings the row of what changes, as it is shown, and at most one of a session at a time", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const other = yield* connected(at)
        expect(yield* call(client, "causeway.sessions.subscribe")).toEqual({ subscribed: true })
        const { session } = yield* call(other, "causeway.sessions.begin", { title: "First" })
        expect((yield* row(client, ({ id }) => id === session.id))["title"]).toBe("First")
        const work = yield* worker(session.id.slice("session_".length))
        yield* work(init, ...Array.from({ length: 30 }, (_, i) => said(`line ${i}`)))
        for (const title of ["a", "b", "c"])
          yield* call(other, "causeway.sessions.rename", { sessionId: session.id, title })
        const last = yield* row(client, ({ id, title }) => id === session.id && title === "c")
        // Its links to others are of one session that is shown alone.
        const shown = (yield* call(other, "causeway.sessions.show", { sessionId: session.id })).session
        const { continued_from: _, continued_in: __, ...rowOf } = shown
        expect(last).toEqual(rowOf)
        yield* call(other, "causeway.sessions.archive", { sessionId: session.id })
        yield* row(client, ({ archived_at, id }) => id === session.id && archived_at !== null)
        for (const rows of told(client)) {
          const ids = rows.map(({ id }) => id)
          expect(ids).toEqual([...new Set(ids)])
        }
        expect(told(client).length).toBeLessThan(30)
      })
    )

    it.scoped("tells nothing of other organisations, and nothing more once it is left", () =>
      Effect.gen(function* () {
        const at = yield* target
        const client = yield* connected(at)
        const stays = yield* connected(at)
        yield* call(client, "causeway.sessions.subscribe")
        yield* call(stays, "causeway.sessions.subscribe")
        const { id: organizationId } = yield* (yield* Organizations).create("others")
        const sessions = yield* Sessions
        const foreign = yield* sessions.create({
          organizationId,
          environmentId: undefined,
          source: undefined,
          context: "{}",
          permissionMode: undefined,
          tags: undefined,
          payloads: []
        })
        yield* sessions.rename({ organizationId, session: foreign.session }, "Theirs")
        const { session } = yield* call(client, "causeway.sessions.begin", { title: "Ours" })
        yield* row(client, ({ title }) => title === "Ours")
        expect(
          told(client)
            .flat()
            .some(({ id }) => String(id).includes(foreign.session))
        ).toBe(false)
        expect(yield* call(client, "causeway.sessions.unsubscribe")).toEqual({ subscribed: false })
        const before = told(client).length
        yield* call(client, "causeway.sessions.rename", { sessionId: session.id, title: "Later" })
        // Who still watches has been told, and an answer comes after what was sent before it.
        yield* row(stays, ({ title }) => title === "Later")
        yield* call(client, "causeway.sessions.show", { sessionId: session.id })
        expect(told(client).length).toBe(before)
      })
    )

    it.scoped("brings what a session waits for, and the rows of those that wait for a place", () =>
      Effect.gen(function* () {
        const client = yield* connected(yield* target)
        yield* call(client, "causeway.sessions.subscribe")
        const { organizationId } = yield* Hub.Hub
        const { environment } = yield* (yield* Environments).register({
          organizationId,
          machineName: "box",
          directory: "/srv/app",
          branch: undefined,
          gitRepoUrl: undefined,
          maxSessions: 1,
          metadata: undefined,
          reuseEnvironmentId: undefined
        })
        const { session } = yield* call(client, "causeway.sessions.begin", { environmentId: environment.id })
        yield* call(client, "causeway.sessions.append", {
          sessionId: session.id,
          events: [{ type: "user", uuid: randomUUID(), message: { role: "user", content: "x" } }]
        })
        const waiting = yield* row(client, ({ id, waiting_for }) => id === session.id && waiting_for !== null)
        expect(waiting["waiting_for"]).toContain("has not come online yet")
        const seen = told(client).flat().length
        const bus = yield* Bus.Bus
        bus.changed(`environment:${environment.id}`)
        yield* Effect.promise(() =>
          client.until(() =>
            told(client)
              .flat()
              .slice(seen)
              .some(({ id }) => id === session.id)
          )
        )
      })
    )
  })

  it.live.prop(
    "however slow the client: the last row of each session is the latest, and what waits are names alone",
    [
      FastCheck.array(
        FastCheck.oneof(
          FastCheck.record({ change: FastCheck.nat(5) }),
          FastCheck.record({ millis: FastCheck.constantFrom(10, 100, 500) }),
          FastCheck.constant({ drain: true as const })
        ),
        { maxLength: 60 }
      )
    ],
    ([steps]) =>
      Effect.gen(function* () {
        const bus = yield* Bus.make
        const versions = new Map<string, number>()
        const sent: Array<ReadonlyArray<{ readonly id: string; readonly last_sequence_num: number }>> = []
        const leaving: Array<() => void> = []
        const connection = new Connection(
          { organizationId: OrganizationId.make("o") } as ConstructorParameters<typeof Connection>[0],
          {
            bufferedAmount: 0,
            send: (text, done) => {
              sent.push(JSON.parse(text).payload.sessions)
              leaving.push(() => done())
            },
            close: () => {}
          },
          1000
        )
        const run = yield* ListWatch.make(connection, bus, (_, topics) =>
          Effect.succeed(
            topics.map(
              (topic) => ({ id: topic, last_sequence_num: versions.get(topic) ?? 0 }) as unknown as Session
            )
          )
        )
        yield* Effect.forkScoped(run)
        const drain = Effect.gen(function* () {
          leaving.shift()?.()
          yield* Effect.yieldNow()
        })
        for (const step of steps) {
          if ("change" in step) {
            const topic: Bus.Topic = `session:${step.change}`
            versions.set(topic, (versions.get(topic) ?? 0) + 1)
            bus.changed(topic)
          } else if ("millis" in step) yield* TestClock.adjust(step.millis)
          else yield* drain
        }
        for (let left = 0; left < 4; left++) {
          yield* drain
          yield* TestClock.adjust("200 millis")
        }
        const last = new Map(sent.flat().map((each) => [each.id, each.last_sequence_num]))
        expect(last).toEqual(versions)
        for (const rows of sent) expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
      }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext))
  )
})
