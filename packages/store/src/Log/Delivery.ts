/** How far people's events have come on their way to the agent. */
import * as Delivery from "@causeway/protocol/Delivery"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { SessionUnknown, WorkerSuperseded } from "../Errors.ts"
import { rows } from "../Sqlite.ts"
import type { SessionKey } from "./Request.ts"

/** A delivery state that has changed. `no` grows with every change in the session. */
export interface DeliveryChange {
  readonly no: number
  readonly seq: number
  readonly uuid: string
  readonly delivery: Delivery.State
  readonly deliveredAt: number
}

/** Of a worker of this epoch. */
export interface DeliveryReport extends SessionKey {
  readonly workerEpoch: number
  readonly updates: ReadonlyArray<{ readonly uuid: string; readonly status: Delivery.Report }>
}

/** Answers with the number of changes. To be run inside a transaction. */
export const report = (request: DeliveryReport) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    const [row] = yield* sql<{
      readonly sid: number
      readonly worker_epoch: number
      readonly delivery_no: number
    }>`SELECT sid, worker_epoch, delivery_no FROM sessions WHERE body = ${request.session}
      AND organization_id = ${request.organizationId}`
    if (row === undefined) return yield* new SessionUnknown({ session: request.session })
    if (request.workerEpoch < row.worker_epoch) {
      return yield* new WorkerSuperseded({ given: request.workerEpoch, current: row.worker_epoch })
    }
    let no = row.delivery_no
    for (const { uuid, status } of request.updates) {
      const changed = yield* sql<{ readonly seq: number }>`UPDATE events
        SET delivery = ${status}, delivered_at = ${now}, delivery_no = ${no + 1}
        WHERE sid = ${row.sid} AND uuid = ${uuid} AND source = 'client'
          AND (delivery IS NULL OR ${sql.in("delivery", Delivery.before(status))})
        RETURNING seq`
      no += changed.length
    }
    yield* sql`UPDATE sessions SET delivery_no = ${no}, worker_seen_at = ${now} WHERE sid = ${row.sid}`
    return no - row.delivery_no
  })

/** Changes after number `after`, oldest first. */
export const changes = (
  sid: number,
  { after, limit }: { readonly after: number; readonly limit: number }
): Effect.Effect<ReadonlyArray<DeliveryChange>, SqlError, SqlClient.SqlClient> =>
  rows<DeliveryChange>(
    `SELECT delivery_no AS no, seq, uuid, delivery, delivered_at AS deliveredAt FROM events
     WHERE sid = ? AND delivery_no > ? AND delivery_no IS NOT NULL ORDER BY delivery_no LIMIT ?`,
    [sid, after, limit]
  )

/** Number of the last change before this time; 0 where there is none. */
export const lastBefore = (sid: number, at: number): Effect.Effect<number, SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      // Numbers grow with time, so the newest changes are few and stand at the end of the index.
      sql<{ readonly delivery_no: number }>`SELECT delivery_no FROM events WHERE sid = ${sid}
        AND delivery_no IS NOT NULL AND delivered_at < ${at} ORDER BY delivery_no DESC LIMIT 1`,
      ([row]) => row?.delivery_no ?? 0
    )
  )
