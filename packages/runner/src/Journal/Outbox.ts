/** The outbox: lines of an agent, here before the first attempt to send them, gone when the hub has confirmed. */
import * as GroupCommit from "@causeway/protocol/GroupCommit"
import { type EventUuid, type SessionId, sessionBody } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Array from "effect/Array"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Database } from "./Database.ts"
import { numberOf } from "./Inbox.ts"
import { type Identified, JournalFailed, type Outgoing } from "./Model.ts"
import { readPayload } from "./Payloads.ts"
import { countOutbox, set, settingsIn } from "./Sessions.ts"

interface Waiting {
  readonly session: string
  readonly outputs: ReadonlyArray<Outgoing>
  readonly done: Deferred.Deferred<void, JournalFailed>
}

/** Lines of one statement; SQLite takes at most 32,766 parameters. */
const INSERT_CHUNK = 100

export const make = Effect.fnUntraced(function* (database: Database) {
  const { atomically, run, sql } = database
  const commit = (batch: ReadonlyArray<Waiting>) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      for (const { session, outputs } of batch) {
        for (const output of outputs) {
          if (output._tag !== "Line" || output.original === undefined) continue
          const { payload, why } = output.original
          yield* sql`INSERT INTO kept (session, payload, why, kept_at)
            VALUES (${session}, ${payload.text}, ${why}, ${now})`
        }
      }
      const lines = batch.flatMap(({ session, outputs }) =>
        outputs.flatMap((output) =>
          output._tag === "Line"
            ? [{ session, uuid: output.payload.uuid as string, payload: output.payload.text }]
            : []
        )
      )
      for (const chunk of Array.chunksOf(lines, INSERT_CHUNK)) {
        yield* sql`INSERT INTO outbox ${sql.insert(chunk)} ON CONFLICT DO NOTHING`
      }
      for (const { session, outputs } of batch) {
        for (const output of outputs) {
          if (output._tag === "Line") {
            yield* set(database, session, settingsIn(output.payload))
            continue
          }
          // What the agent had begun before it heard of the withdrawal was not taken back, and the hub is told so.
          yield* sql`UPDATE inbox SET
              reported = CASE WHEN state = 4 AND ${numberOf(output.state)} = 2 THEN 1 ELSE reported END,
              state = CASE WHEN state = 4 AND ${numberOf(output.state)} = 2 THEN 2
                ELSE max(state, ${numberOf(output.state)}) END
            WHERE session = ${session} AND uuid = ${output.uuid}`
        }
      }
    }).pipe(atomically("record"))
  const settle = (batch: ReadonlyArray<Waiting>) =>
    Effect.flatMap(Effect.exit(commit(batch)), (exit) =>
      Effect.forEach(batch, ({ done }) => Deferred.done(done, exit), { discard: true })
    )
  // What was taken is settled, also while the journal is being closed.
  const group = yield* GroupCommit.make<Waiting>({ settle, settleRest: settle })
  const record = (id: SessionId, outputs: ReadonlyArray<Outgoing>) =>
    outputs.length === 0
      ? Effect.void
      : Effect.flatMap(Deferred.make<void, JournalFailed>(), (done) =>
          group.offer({ session: sessionBody(id), outputs, done })
            ? Deferred.await(done)
            : new JournalFailed({ operation: "record", detail: "the journal is closed" })
        )

  const pending = (id: SessionId, limit: { readonly count: number; readonly bytes: number }) =>
    sql<{
      readonly position: number
      readonly payload: string
    }>`SELECT position, payload FROM (
        SELECT position, payload, sum(length(payload)) OVER (ORDER BY position) - length(payload) AS before
        FROM (SELECT position, payload FROM outbox WHERE session = ${sessionBody(id)}
          ORDER BY position LIMIT ${limit.count}))
      WHERE before < ${limit.bytes} ORDER BY position`.pipe(
      run("pending"),
      Effect.flatMap((rows) =>
        Effect.forEach(rows, ({ position, payload }) =>
          Effect.map(readPayload(payload), (payload) => ({ position, payload }))
        )
      )
    )
  const confirm = (id: SessionId, position: number, head: EventUuid) =>
    Effect.gen(function* () {
      yield* sql`DELETE FROM outbox WHERE session = ${sessionBody(id)} AND position <= ${position}`
      yield* sql`UPDATE sessions SET head = ${head} WHERE session = ${sessionBody(id)}`
    }).pipe(atomically("confirm"))
  const setAside = (id: SessionId, position: number, instead: Identified, why: string) =>
    Effect.gen(function* () {
      const session = sessionBody(id)
      const now = yield* Clock.currentTimeMillis
      yield* sql`INSERT INTO kept (session, payload, why, kept_at)
        SELECT session, payload, ${why}, ${now} FROM outbox WHERE session = ${session} AND position = ${position}`
      yield* sql`UPDATE outbox SET uuid = ${instead.uuid}, payload = ${instead.text}
        WHERE session = ${session} AND position = ${position}`
    }).pipe(atomically("set aside"))
  const kept = (id: SessionId) =>
    sql<{
      readonly payload: string
      readonly why: string
    }>`SELECT payload, why FROM kept WHERE session = ${sessionBody(id)} ORDER BY id`.pipe(
      run("kept"),
      Effect.flatMap((rows) =>
        Effect.forEach(rows, ({ payload, why }) =>
          Either.match(Payload.decode(payload), {
            onLeft: (error) => new JournalFailed({ operation: "read", detail: error.message }),
            onRight: (payload) => Effect.succeed({ payload, why })
          })
        )
      )
    )
  const unconfirmed = (id: SessionId) => run("unconfirmed")(countOutbox(database, sessionBody(id)))

  return { record, pending, confirm, setAside, kept, unconfirmed }
})
