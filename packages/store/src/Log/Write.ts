/** Writes what a batch has decided: a handful of statements, whatever its size. */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import { chunks, placeholders, run } from "../internal/statement.ts"
import type { EventValues } from "./Decide.ts"
import type { Draft } from "./Draft.ts"
import { encode, type RowCache } from "./Replay.ts"

export const writeEvents = (values: ReadonlyArray<EventValues>) =>
  Effect.gen(function* () {
    for (const some of chunks(values)) {
      yield* run(
        `INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, payload)
         VALUES ${placeholders(some.length, 9)}`,
        some.flat()
      )
    }
  })

/**
 * Marks the messages that were taken back, so that no worker reads them any more. One that an agent has begun stays as it
 * is; one that it has begun without having said so yet comes back with its next report.
 */
export const writeWithdrawals = (drafts: ReadonlyArray<Draft>, now: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    for (const { columns, withdrawals } of drafts) {
      if (withdrawals.every(({ covered }) => covered.length === 0)) continue
      const open = yield* sql<{
        readonly uuid: string
        readonly delivery: string | null
      }>`SELECT uuid, delivery
        FROM events WHERE sid = ${columns.sid} AND source = 'client' AND type = 'user'
          AND (delivery IS NULL OR delivery <> 'processed')`
      const states = new Map(open.map(({ delivery, uuid }) => [uuid, delivery]))
      const isToldAtWork = open.some(({ delivery }) => delivery === "processing")
      for (const { atWork, covered, taken } of withdrawals) {
        for (const uuid of covered) {
          const state = states.get(uuid)
          if ((state !== null && state !== "received") || (uuid === atWork && !isToldAtWork)) continue
          states.set(uuid, "withdrawn")
          taken.push(uuid)
          yield* sql`UPDATE sessions SET delivery_no = delivery_no + 1 WHERE sid = ${columns.sid}`
          yield* sql`UPDATE events SET delivery = 'withdrawn', delivered_at = ${now},
              delivery_no = (SELECT delivery_no FROM sessions WHERE sid = ${columns.sid})
            WHERE sid = ${columns.sid} AND uuid = ${uuid}`
        }
      }
    }
  })

export const writeSessions = (drafts: ReadonlyArray<Draft>, now: number, cache: RowCache) =>
  Effect.gen(function* () {
    for (const some of chunks(drafts)) {
      const values: Array<unknown> = []
      for (const draft of some) {
        const stored = encode(draft.row)
        cache.set(draft.columns.sid, stored, draft.row)
        values.push(
          draft.columns.sid,
          now,
          draft.row.archivedAt,
          draft.lastSeq,
          draft.workerHead,
          draft.workerHeadSeq,
          draft.workerSeenAt,
          draft.row.title,
          draft.row.status,
          stored.projection
        )
      }
      yield* run(
        `WITH v (sid, updated_at, archived_at, last_seq, worker_head, worker_head_seq, worker_seen_at, title, status,
          projection) AS (VALUES ${placeholders(some.length, 10)})
         UPDATE sessions SET updated_at = v.updated_at, archived_at = v.archived_at, last_seq = v.last_seq,
           worker_head = v.worker_head, worker_head_seq = v.worker_head_seq, worker_seen_at = v.worker_seen_at,
           title = v.title, status = v.status, projection = v.projection
         FROM v WHERE sessions.sid = v.sid`,
        values
      )
      // Of these columns others are computed that unique indexes hold: they are written where they change.
      for (const { before, columns, row } of some) {
        if (row.attributes === before.attributes) continue
        yield* run("UPDATE sessions SET attributes = ? WHERE sid = ?", [
          JSON.stringify(row.attributes),
          columns.sid
        ])
      }
    }
  })
