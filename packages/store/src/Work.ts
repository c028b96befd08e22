/**
 * The work queue: one unfinished item a session, offered to its environment, leased, and never to two at once.
 *
 * An item is `queued` until a poller acknowledges it (`starting`), `active` from its first heartbeat, `stopping` once a
 * stop was asked for while a worker held it, and `stopped` for good. A queued item that was offered is kept back for a
 * short while, then offered again; one in another state is held while its lease lasts, then offered again under a new
 * epoch. An item counts against its environment's `max_sessions` while it is held or kept back, unless its session is idle
 * and the poller puts idle sessions to sleep. What cannot be offered
 * waits; nothing is given to another environment. Source: spec 5 §2 and §3.
 */

import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Bus } from "./Bus.ts"
import * as Cursor from "./internal/cursor.ts"
import { recordOf } from "./internal/record.ts"
import { unavailable } from "./internal/unavailable.ts"
import * as Item from "./Work/Item.ts"
import * as Lease from "./Work/Lease.ts"
import * as Poll from "./Work/Poll.ts"
import { type ItemKey, type Row, WorkQueue } from "./Work/WorkQueue.ts"

export { ensure } from "./Work/Item.ts"
export { waitingFor } from "./Work/Places.ts"
export { RECLAIM_DEFAULT_MILLIS } from "./Work/Poll.ts"
export * from "./Work/WorkQueue.ts"

const list = (sql: SqlClient.SqlClient): WorkQueue["Type"]["list"] =>
  Effect.fn("WorkQueue.list")(function* ({ cursor, environmentId, limit }) {
    const after = yield* Cursor.decode(cursor)
    const from =
      after === undefined ? sql`1 = 1` : sql`(w.created_at, w.id) < (${after.createdAt}, ${after.id})`
    const rows = yield* sql<Row>`SELECT ${sql.literal(Item.COLUMNS)} FROM work w
      WHERE w.environment_id = ${environmentId} AND ${from}
      ORDER BY w.created_at DESC, w.id DESC LIMIT ${limit + 1}`
    return Cursor.page(rows.map(recordOf), limit)
  }, unavailable)

const updateMetadata = (sql: SqlClient.SqlClient): WorkQueue["Type"]["updateMetadata"] =>
  Effect.fn("WorkQueue.updateMetadata")(
    function* (key) {
      yield* Item.read(sql, key)
      // A merge patch (RFC 7396) is exactly this: null removes, the rest stays.
      yield* sql`UPDATE work SET metadata = json_patch(metadata, ${JSON.stringify(key.patch)}) WHERE id = ${key.workId}`
      return yield* Item.read(sql, key)
    },
    sql.withTransaction,
    unavailable
  )

export const layer: Layer.Layer<WorkQueue, never, SqlClient.SqlClient | Bus> = Layer.effect(
  WorkQueue,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const bus = yield* Bus
    const pollers: Poll.Pollers = new Map()
    return WorkQueue.of({
      poll: Poll.poll(sql, bus, pollers),
      acknowledge: Lease.acknowledge(sql),
      heartbeat: Lease.heartbeat(sql),
      stop: Lease.stop(sql, bus),
      requeue: Lease.requeue(sql, bus),
      get: Effect.fn("WorkQueue.get")((key: ItemKey) => Item.read(sql, key), unavailable),
      list: list(sql),
      stats: Poll.stats(sql, pollers),
      updateMetadata: updateMetadata(sql)
    })
  })
)
