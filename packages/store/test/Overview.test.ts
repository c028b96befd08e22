import * as Payload from "@causeway/protocol/Payload"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Bus from "../src/Bus.ts"
import * as Database from "../src/Database.ts"
import * as Log from "../src/Log.ts"
import * as Organizations from "../src/Organizations.ts"
import * as Overview from "../src/Overview.ts"
import * as Sessions from "../src/Session.ts"

const layer = Layer.mergeAll(Overview.layer, Log.layer, Organizations.layer, Sessions.layer).pipe(
  Layer.provideMerge(Layer.merge(Bus.layer, Database.layerSqlite({ filename: ":memory:" })))
)

const organization = Effect.flatMap(Organizations.Organizations, (organizations) => organizations.create("o"))

/** What a session went through. */
interface Told {
  readonly title: string
  readonly asks: boolean
  readonly costs: ReadonlyArray<number>
  readonly tokens: number
  readonly archived: boolean
}

const told = FastCheck.record({
  title: FastCheck.oneof(FastCheck.string(), FastCheck.constantFrom("Ängste ABC", "abc", "100 % done_")),
  asks: FastCheck.boolean(),
  costs: FastCheck.array(FastCheck.integer({ min: 0, max: 1000 }), { maxLength: 3 }),
  tokens: FastCheck.integer({ min: 0, max: 200_000 }),
  archived: FastCheck.boolean()
})

const play = (organizationId: Sessions.CreateSession["organizationId"], { title, ...one }: Told, n: number) =>
  Effect.gen(function* () {
    const log = yield* Log.Log
    const sessions = yield* Sessions.Sessions
    const { session, sid } = yield* sessions.create({
      organizationId,
      environmentId: undefined,
      source: undefined,
      context: "{}",
      permissionMode: undefined,
      tags: undefined,
      payloads: [Sessions.sessionUpdate({ title: title.trim() === "" ? "x" : title })]
    })
    const key = { session, organizationId }
    const lines = [
      ...one.costs.map((total_cost_usd, i) => ({
        type: "result",
        uuid: `r-${n}-${i}`,
        subtype: "success",
        num_turns: 1,
        total_cost_usd
      })),
      {
        type: "assistant",
        uuid: `a-${n}`,
        message: { id: "m", role: "assistant", usage: { input_tokens: one.tokens }, content: [] }
      },
      ...(one.asks
        ? [
            {
              type: "control_request",
              uuid: `q-${n}`,
              request_id: `q-${n}`,
              request: { subtype: "can_use_tool", tool_name: "Bash", tool_use_id: `t-${n}`, input: {} }
            }
          ]
        : [])
    ]
    yield* log.append({ ...key, source: "worker", payloads: lines.map((line) => Payload.make(line)) })
    if (one.archived) yield* sessions.archive(key)
    return { sid, session, ...one, title }
  })

describe("Overview", () => {
  it.effect.prop(
    "counts all that the logs tell, whatever stands in them",
    [FastCheck.array(told, { maxLength: 12 }), FastCheck.constantFrom("abc", "ÄNGSTE", "%", "_", "")],
    ([all, query]) =>
      Effect.gen(function* () {
        const overview = yield* Overview.Overview
        const { id: organizationId } = yield* organization
        yield* play(
          (yield* organization).id,
          { title: "abc", asks: true, costs: [9], tokens: 9, archived: false },
          99
        )
        const made = yield* Effect.forEach(all, (one, n) => play(organizationId, one, n))
        const sids = (list: ReadonlyArray<{ readonly sid: number }>) =>
          list.map(({ sid }) => sid).sort((a, b) => a - b)
        const waits = made.filter((one) => one.asks && !one.archived)
        const waiting = yield* overview.waiting({ organizationId, limit: 2 })
        expect(waiting.total).toBe(waits.length)
        expect(waiting.sessions.length).toBe(Math.min(2, waits.length))
        expect(sids(waits)).toEqual(expect.arrayContaining(sids(waiting.sessions)))
        const totals = yield* overview.totals(organizationId)
        expect(totals.costUsd).toBe(made.reduce((sum, { costs }) => sum + (costs.at(-1) ?? 0), 0))
        expect(totals.archived).toBe(made.filter(({ archived }) => archived).length)
        expect(Object.values(totals.open).reduce((sum, count) => sum + count, 0)).toBe(
          made.length - totals.archived
        )
        expect(totals.open["requires_action"] ?? 0).toBe(waits.length)
        expect(sids(yield* overview.dearest(organizationId, 100))).toEqual(
          sids(made.filter(({ costs }) => (costs.at(-1) ?? 0) > 0))
        )
        expect(sids(yield* overview.fullest(organizationId, 100))).toEqual(
          sids(made.filter(({ tokens, archived }) => tokens > 0 && !archived))
        )
        for (const archived of [true, false]) {
          expect(sids(yield* overview.find({ organizationId, query, archived, limit: 100 }))).toEqual(
            sids(
              made.filter(
                (one) => one.archived === archived && one.title.toLowerCase().includes(query.toLowerCase())
              )
            )
          )
        }
        const sessions = made.slice(0, 3).map(({ session }) => session)
        expect(sids(yield* overview.find({ organizationId, sessions, limit: 100 }))).toEqual(
          sids(made.slice(0, 3))
        )
      }).pipe(Effect.provide(layer)),
    { fastCheck: { numRuns: 25 } }
  )

  it.effect("finds who waits by an index, among however many", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const plan = yield* sql.unsafe<{ readonly detail: string }>(
        "EXPLAIN QUERY PLAN SELECT * FROM sessions WHERE organization_id = 'o' AND status = 'requires_action' AND archived_at IS NULL ORDER BY updated_at LIMIT 5"
      )
      expect(plan.map(({ detail }) => detail)).toEqual([
        "SEARCH sessions USING INDEX sessions_waiting (organization_id=?)"
      ])
    }).pipe(Effect.provide(layer))
  )
})
