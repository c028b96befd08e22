/** The inbox: client events, here before the agent gets them; each uuid is accepted once. */
import * as Delivery from "@causeway/protocol/Delivery"
import { EventUuid, type SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import * as Effect from "effect/Effect"
import type { Database } from "./Database.ts"
import type { Identified, Incoming, Told } from "./Model.ts"
import { readPayload, withUuid } from "./Payloads.ts"
import { set, settingsIn } from "./Sessions.ts"

/** How many processed client events a session keeps, as uuids only, to know them when they come again. */
export const REMEMBERED_EVENTS = 2_000

/** A state as the column `state` holds it, from 1. */
export const numberOf = (state: Delivery.State): number => Delivery.states.indexOf(state) + 1

/**
 * Steps that the hub has not been told. Of a message that was answered before the hub heard that it was begun, both: a
 * person may have taken it back at the hub meanwhile, and that it ran tells the hub that it was too late.
 */
const untold = (state: number, ran: boolean): ReadonlyArray<Delivery.State> =>
  ran ? ["processing", "processed"] : [Delivery.states[state - 1] ?? "received"]

export const make = (database: Database) => {
  const { atomically, run, sql } = database
  /** Takes messages back that no agent has begun; answers with what is left of `fresh`. */
  const withdraw = (session: string, seq: number, payload: Identified, fresh: Array<Identified>) =>
    Effect.gen(function* () {
      const withdrawal = Withdrawal.of(payload)
      if (withdrawal === undefined) return fresh
      const waiting = yield* sql<{
        readonly seq: number
        readonly uuid: string
      }>`SELECT seq, uuid FROM inbox
        WHERE session = ${session} AND seq < ${seq} AND (state < 3 OR reported < state)
          AND CASE WHEN state = 1 AND json_valid(payload) THEN json_extract(payload, '$.type') = 'user' ELSE 0 END`
      for (const message of waiting) {
        if (!Withdrawal.covers(withdrawal, message.uuid)) continue
        yield* sql`UPDATE inbox SET state = 4 WHERE session = ${session} AND seq = ${message.seq}`
      }
      return fresh.filter(({ type, uuid }) => type !== "user" || !Withdrawal.covers(withdrawal, uuid))
    })
  const receive = (id: SessionId, events: ReadonlyArray<Incoming>) =>
    Effect.gen(function* () {
      const session = sessionBody(id)
      let fresh: Array<Identified> = []
      // The write comes first: a transaction that reads first can find itself behind another process's.
      yield* sql`UPDATE sessions SET cursor = cursor WHERE session = ${session}`
      const rows = yield* sql<{
        readonly cursor: number
      }>`SELECT cursor FROM sessions WHERE session = ${session}`
      let cursor = rows[0]?.cursor
      if (cursor === undefined) return fresh
      for (const event of events) {
        if (event.sequenceNum <= cursor) continue
        cursor = event.sequenceNum
        const payload = withUuid(event)
        const entered = yield* sql`INSERT INTO inbox (session, seq, event_id, uuid, payload, state)
          VALUES (${session}, ${event.sequenceNum}, ${event.eventId}, ${payload.uuid}, ${payload.text}, 1)
          ON CONFLICT DO NOTHING RETURNING seq`
        if (entered.length === 1) {
          fresh = yield* withdraw(session, event.sequenceNum, payload, fresh)
          fresh.push(payload)
          yield* set(database, session, settingsIn(payload))
        } else {
          yield* sql`INSERT INTO inbox (session, seq, event_id, uuid, payload, state)
            VALUES (${session}, ${event.sequenceNum}, ${event.eventId}, NULL, '', 3) ON CONFLICT DO NOTHING`
        }
      }
      yield* sql`UPDATE sessions SET cursor = ${cursor} WHERE session = ${session}`
      return fresh
    }).pipe(atomically("receive"))
  const unanswered = (id: SessionId) =>
    sql<{ readonly payload: string }>`SELECT payload FROM inbox
      WHERE session = ${sessionBody(id)} AND state < 3 ORDER BY seq`.pipe(
      run("unanswered"),
      Effect.flatMap((rows) => Effect.forEach(rows, (row) => readPayload(row.payload)))
    )
  const reports = (id: SessionId, limit: number) =>
    sql<{ readonly event_id: string; readonly state: number; readonly ran: number }>`SELECT event_id, state,
        CASE WHEN state = 3 AND reported < 2 AND json_valid(payload)
          THEN json_extract(payload, '$.type') = 'user' ELSE 0 END AS ran
      FROM inbox WHERE session = ${sessionBody(id)} AND reported < state ORDER BY seq LIMIT ${limit}`.pipe(
      Effect.map((rows) =>
        rows.flatMap(({ event_id, ran, state }) =>
          untold(state, ran === 1).map((status) => ({ eventId: EventUuid.make(event_id), status }))
        )
      ),
      run("reports")
    )
  const reported = (id: SessionId, told: ReadonlyArray<Told>) =>
    Effect.gen(function* () {
      const session = sessionBody(id)
      for (const { eventId, status } of told) {
        // The agent may say that it had begun one while the hub is told that it was taken back: that stays to be told.
        yield* status === "withdrawn"
          ? sql`UPDATE inbox SET reported = 4, payload = ''
              WHERE session = ${session} AND event_id = ${eventId} AND state = 4`
          : sql`UPDATE inbox SET reported = max(reported, ${numberOf(status)}),
                payload = CASE WHEN state = 3 AND ${numberOf(status)} = 3 THEN '' ELSE payload END
              WHERE session = ${session} AND event_id = ${eventId}`
      }
      yield* sql`DELETE FROM inbox WHERE session = ${session} AND state >= 3 AND reported >= 3 AND seq <= (
        SELECT seq FROM inbox WHERE session = ${session} ORDER BY seq DESC LIMIT 1 OFFSET ${REMEMBERED_EVENTS})`
    }).pipe(atomically("reported"))

  return { receive, unanswered, reports, reported }
}
