/** The writer's statements for SQLite, prepared once: all the SQL that an append runs. */
import { randomUUID } from "node:crypto"
import { EnvironmentId } from "@causeway/protocol/Ids"
import * as SessionRow from "@causeway/transcript/SessionRow"
import type { Database } from "better-sqlite3"
import * as Item from "../Work/Item.ts"
import type { EventValues } from "./Decide.ts"
import type { Draft, Head, Known, StoredAnswer } from "./Draft.ts"
import { decode, payloadOf, type ReplayedEvent, type StoredRow, step } from "./Replay.ts"

interface HeadColumns extends StoredRow {
  readonly sid: number
  readonly body: string
  readonly organization_id: string
  readonly environment_id: string | null
  readonly last_seq: number
  readonly worker_head: string | null
  readonly worker_head_seq: number
  readonly worker_epoch: number
  readonly token_epoch: number
}

/** Events that are read at a time where a log is replayed. */
const REPLAYED = 500

type Figures = readonly [status: string, cost: number | null, turns: number, contextTokens: number | null]

const figuresOf = (row: SessionRow.SessionRow): Figures => [
  row.status,
  row.totalCostUsd,
  row.numTurns,
  row.contextTokens
]

export const make = (db: Database) => {
  const head = db.prepare<
    [string],
    HeadColumns
  >(`SELECT sid, body, organization_id, environment_id, last_seq, worker_head,
    worker_head_seq, worker_epoch, token_epoch, projection, attributes FROM sessions WHERE body = ?`)
  const event = db.prepare<[number, string], Known>(
    "SELECT seq, created_at AS createdAt FROM events WHERE sid = ? AND uuid = ?"
  )
  const answers = db.prepare<[number, string], Known & { readonly uuid: string; readonly payload: string }>(
    `SELECT uuid, seq, created_at AS createdAt, payload FROM events
     WHERE sid = ? AND type = 'control_response' AND payload LIKE ? ESCAPE '\\' ORDER BY seq`
  )
  const log = db.prepare<[number, number, number, number], ReplayedEvent>(
    `SELECT seq, uuid, source, created_at, payload FROM events
     WHERE sid = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?`
  )
  const insert = db.prepare<[...EventValues]>(
    `INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, author, payload)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
  )
  const update = db.prepare<Array<string | number | null>>(
    `UPDATE sessions SET updated_at = ?, last_seq = ?, worker_head = ?, worker_head_seq = ?,
      worker_seen_at = coalesce(?, worker_seen_at), title = ?, projection = ? WHERE sid = ?`
  )
  // What other indexes hold is written where it changes.
  const updateFigures = db.prepare<[...Figures, number]>(
    "UPDATE sessions SET status = ?, cost_usd = ?, num_turns = ?, context_tokens = ? WHERE sid = ?"
  )
  const updateArchived = db.prepare<[number | null, number]>(
    "UPDATE sessions SET archived_at = ? WHERE sid = ?"
  )
  const updateAttributes = db.prepare<[string, number]>("UPDATE sessions SET attributes = ? WHERE sid = ?")
  const openMessages = db.prepare<[number], { readonly uuid: string; readonly delivery: string | null }>(
    `SELECT uuid, delivery FROM events WHERE sid = ? AND source = 'client' AND type = 'user'
       AND (delivery IS NULL OR delivery <> 'processed')`
  )
  const nextDelivery = db
    .prepare<[number], number>(
      "UPDATE sessions SET delivery_no = delivery_no + 1 WHERE sid = ? RETURNING delivery_no"
    )
    .pluck()
  const withdraw = db.prepare<[number, number, number, string]>(
    "UPDATE events SET delivery = 'withdrawn', delivered_at = ?, delivery_no = ? WHERE sid = ? AND uuid = ?"
  )
  const ensureWork = db.prepare<[string, number, number], string>(Item.ENSURE).pluck()
  const stopWork = db.prepare<[number, number], string>(Item.STOP_OF_SESSION).pluck()

  const replay = (sid: number, through = Number.MAX_SAFE_INTEGER): SessionRow.SessionRow => {
    let row = SessionRow.initial
    // What the session was made with stands at position 0.
    for (let after = -1; ; ) {
      const events = log.all(sid, after, through, REPLAYED)
      for (const each of events) row = step(row, each)
      const last = events.at(-1)
      if (last === undefined || events.length < REPLAYED) return row
      after = last.seq
    }
  }

  return {
    replay,
    head: (body: string): Head | undefined => {
      const found = head.get(body)
      return (
        found && {
          sid: found.sid,
          body: found.body,
          organizationId: found.organization_id,
          environmentId: found.environment_id,
          workerEpoch: found.worker_epoch,
          tokenEpoch: found.token_epoch,
          lastSeq: found.last_seq,
          workerHead: found.worker_head,
          workerHeadSeq: found.worker_head_seq,
          row: decode(found) ?? replay(found.sid)
        }
      )
    },
    event: (sid: number, uuid: string): Known | undefined => event.get(sid, uuid),
    /** The answers to a request, oldest first. `id`: the request's or the tool call's. */
    answers: (sid: number, id: string): ReadonlyArray<StoredAnswer> => {
      const pattern = JSON.stringify(id)
        .slice(1, -1)
        .replace(/[\\%_]/g, "\\$&")
      return answers.all(sid, `%${pattern}%`).map(({ createdAt, payload, seq, uuid }) => ({
        uuid,
        known: { seq, createdAt },
        json: payloadOf(payload).json
      }))
    },
    insert: (values: EventValues): void => void insert.run(...values),
    update: ({ head: { row: before, sid }, row, ...draft }: Draft, now: number): void => {
      update.run(
        now,
        draft.lastSeq,
        draft.workerHead,
        draft.workerHeadSeq,
        draft.workerSeen ? now : null,
        row.title,
        SessionRow.toJson(row),
        sid
      )
      const figures = figuresOf(row)
      const old = figuresOf(before)
      if (figures.some((figure, index) => figure !== old[index])) updateFigures.run(...figures, sid)
      if (row.archivedAt !== before.archivedAt) updateArchived.run(row.archivedAt, sid)
      if (row.attributes !== before.attributes) updateAttributes.run(JSON.stringify(row.attributes), sid)
    },
    /** People's messages that no agent has answered. */
    openMessages: (sid: number) => openMessages.all(sid),
    withdraw: (sid: number, uuid: string, now: number): void =>
      void withdraw.run(now, nextDelivery.get(sid) ?? 0, sid, uuid),
    /** See `Work.ensure`. */
    ensureWork: (sid: number, now: number): ReadonlyArray<EnvironmentId> =>
      ensureWork.all(`work_${randomUUID()}`, now, sid).map((id) => EnvironmentId.make(id)),
    /** Ends the unfinished items of a session that was archived; answers with the environments where room was made. */
    stopWork: (sid: number, now: number): ReadonlyArray<EnvironmentId> =>
      stopWork.all(now, sid).map((id) => EnvironmentId.make(id))
  }
}

export type Statements = ReturnType<typeof make>
