/** Sessions while a batch is applied to them: what the database knows that the batch needs, read in a few statements. */
import type { Source } from "@causeway/protocol/Event"
import * as Limits from "@causeway/protocol/Limits"
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"
import * as Approvals from "@causeway/transcript/Approvals"
import type * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { chunks, placeholders, run } from "../internal/statement.ts"
import { decode, type RowCache, replay } from "./Replay.ts"
import type { AppendRequest } from "./Request.ts"

interface SessionColumns {
  readonly sid: number
  readonly body: string
  readonly organization_id: string
  readonly environment_id: string | null
  readonly archived_at: number | null
  readonly last_seq: number
  readonly worker_head: string | null
  readonly worker_head_seq: number
  readonly worker_epoch: number
  readonly token_epoch: number
  readonly worker_seen_at: number | null
  readonly projection: string
  readonly attributes: string
}

export interface Known {
  readonly seq: number
  readonly createdAt: number
}

/** A session while a batch is applied to it. */
export interface Draft {
  readonly columns: SessionColumns
  readonly before: SessionRow.SessionRow
  row: SessionRow.SessionRow
  lastSeq: number
  workerHead: string | null
  workerHeadSeq: number
  workerSeenAt: number | null
  readonly known: Map<string, Known>
  /** Answers that the log holds, of the requests that this batch answers. */
  readonly answers: Array<{ readonly uuid: string; readonly known: Known; readonly json: Payload.JsonObject }>
  /** What people take back in this batch, in order. */
  readonly withdrawals: Array<Taking>
  changed: boolean
  forWorker: boolean
  /** The session has nothing to do any more: its place can be given to another. */
  rested: boolean
}

/** A withdrawal, the messages that were open when it came, and those that it was found to take back. */
export interface Taking {
  readonly covered: ReadonlyArray<string>
  /** The oldest open one, where the agent was at work: it is likely to be the one that it worked on. */
  readonly atWork: string | undefined
  readonly taken: Array<string>
}

/** The request that a payload of people answers, if it is an answer. */
export const answered = (source: Source, payload: Payload.Payload): Approvals.Answer | null =>
  source === "client" && payload.type === "control_response" ? Approvals.answerOf(payload.json) : null

export const readSessions = (bodies: ReadonlyArray<string>, cache: RowCache) =>
  Effect.gen(function* () {
    const drafts = new Map<string, Draft>()
    for (const some of chunks(bodies)) {
      const rows = yield* run<SessionColumns>(
        `SELECT sid, body, organization_id, environment_id, archived_at, last_seq, worker_head, worker_head_seq,
          worker_epoch, token_epoch, worker_seen_at, projection, attributes FROM sessions WHERE body IN ${placeholders(1, some.length)}`,
        some
      )
      for (const columns of rows) {
        const row = cache.get(columns.sid, columns) ?? decode(columns) ?? (yield* replay(columns.sid))
        drafts.set(columns.body, {
          columns,
          row,
          before: row,
          lastSeq: columns.last_seq,
          workerHead: columns.worker_head,
          workerHeadSeq: columns.worker_head_seq,
          workerSeenAt: columns.worker_seen_at,
          known: new Map(),
          answers: [],
          withdrawals: [],
          changed: false,
          forWorker: false,
          rested: false
        })
      }
    }
    return drafts
  })

/** Finds which of the uuids that the requests name are in the log. */
export const readKnown = (requests: ReadonlyArray<AppendRequest>, drafts: ReadonlyMap<string, Draft>) =>
  Effect.gen(function* () {
    const wanted: Array<readonly [sid: number, uuid: string]> = []
    const bySid = new Map<number, Draft>()
    for (const request of requests) {
      const draft = drafts.get(request.session)
      if (draft === undefined) continue
      bySid.set(draft.columns.sid, draft)
      if (request.guard?.kind === "lastUuid" && request.guard.lastUuid !== undefined) {
        // The usual writer names the head, which the session's row holds.
        if (request.guard.lastUuid === draft.workerHead) {
          draft.known.set(draft.workerHead, { seq: draft.workerHeadSeq, createdAt: 0 })
        } else {
          wanted.push([draft.columns.sid, request.guard.lastUuid])
        }
      }
      for (const payload of request.payloads) {
        if (payload.uuid !== undefined) wanted.push([draft.columns.sid, payload.uuid])
      }
    }
    for (const some of chunks(wanted)) {
      const rows = yield* run<{
        readonly sid: number
        readonly uuid: string
        readonly seq: number
        readonly created_at: number
      }>(
        `WITH k (sid, uuid) AS (VALUES ${placeholders(some.length, 2)})
         SELECT e.sid, e.uuid, e.seq, e.created_at FROM k JOIN events e ON e.sid = k.sid AND e.uuid = k.uuid`,
        some.flat()
      )
      for (const row of rows) {
        bySid.get(row.sid)?.known.set(row.uuid, { seq: row.seq, createdAt: row.created_at })
      }
    }
  })

/** Reads the stored answers to the requests that this batch answers. A batch without answers reads nothing. */
export const readAnswers = (requests: ReadonlyArray<AppendRequest>, drafts: ReadonlyMap<string, Draft>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    for (const request of requests) {
      const draft = drafts.get(request.session)
      if (draft === undefined) continue
      for (const payload of request.payloads) {
        const answer = answered(request.source, payload)
        const id = answer?.requestId ?? answer?.toolUseId
        if (id === undefined || id === null) continue
        const pattern = `%${JSON.stringify(id)
          .slice(1, -1)
          .replace(/[\\%_]/g, "\\$&")}%`
        const rows = yield* sql<{
          readonly uuid: string
          readonly seq: number
          readonly created_at: number
          readonly payload: string
        }>`SELECT uuid, seq, created_at, payload FROM events
          WHERE sid = ${draft.columns.sid} AND type = 'control_response'
            AND payload LIKE ${pattern} ESCAPE '\\' ORDER BY seq`
        for (const row of rows) {
          draft.answers.push({
            uuid: row.uuid,
            known: { seq: row.seq, createdAt: row.created_at },
            json: Either.getOrThrow(Payload.decode(RawJson.upTo(row.payload, Limits.STORED_DEPTH))).json
          })
        }
      }
    }
  })
