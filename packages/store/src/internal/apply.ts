/**
 * Applies append requests to the database, inside the caller's transaction: a handful of statements a batch, whatever
 * its size. A request that is refused writes nothing and disturbs no other.
 */

import { randomUUID } from "node:crypto"
import type { Source } from "@causeway/protocol/Event"
import { EnvironmentId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import * as Approvals from "@causeway/transcript/Approvals"
import * as SessionRow from "@causeway/transcript/SessionRow"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import {
  AlreadyAnswered,
  HeadMoved,
  SessionArchived,
  SessionUnknown,
  TokenSuperseded,
  WorkerSuperseded
} from "../Errors.ts"
import type { AppendError, Appended, AppendRequest } from "../Log.ts"
import * as Work from "../Work.ts"
import { chunks, placeholders, run } from "./statement.ts"

export type Refusal = Exclude<AppendError, { readonly _tag: "StoreUnavailable" | "LogBusy" }>
export type Outcome = Either.Either<ReadonlyArray<Appended>, Refusal>

export interface Applied {
  /** One a request, in order. */
  readonly outcomes: ReadonlyArray<Outcome>
  /** Bodies of the sessions that have new events. */
  readonly sessions: ReadonlyArray<string>
  /** Environments whose work has changed. */
  readonly environments: ReadonlyArray<EnvironmentId>
}

/**
 * Decoded rows of sessions, so that a row is not parsed again for every batch. An entry counts only while the stored text
 * is the one it was decoded from: the cache can be stale, never wrong.
 */
export interface RowCache {
  readonly get: (sid: number, text: string) => SessionRow.SessionRow | undefined
  readonly set: (sid: number, text: string, row: SessionRow.SessionRow) => void
}

export const rowCache = (capacity: number): RowCache => {
  const entries = new Map<number, { readonly text: string; readonly row: SessionRow.SessionRow }>()
  return {
    get: (sid, text) => {
      const entry = entries.get(sid)
      return entry !== undefined && entry.text === text ? entry.row : undefined
    },
    set: (sid, text, row) => {
      entries.delete(sid)
      entries.set(sid, { text, row })
      if (entries.size > capacity) {
        for (const oldest of entries.keys()) {
          entries.delete(oldest)
          break
        }
      }
    }
  }
}

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
}

interface Known {
  readonly seq: number
  readonly createdAt: number
}

/** A session while a batch is applied to it. */
interface Draft {
  readonly columns: SessionColumns
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
interface Taking {
  readonly covered: ReadonlyArray<string>
  /** The oldest open one, where the agent was at work: it is likely to be the one that it worked on. */
  readonly atWork: string | undefined
  readonly taken: Array<string>
}

type EventValues = readonly [
  sid: number,
  seq: number,
  uuid: string,
  source: Source,
  type: string,
  transcript: number,
  compaction: number,
  createdAt: number,
  payload: string
]

/** The request that a payload of people answers, if it is an answer. */
const answered = (source: Source, payload: Payload.Payload): Approvals.Answer | null =>
  source === "client" && payload.type === "control_response" ? Approvals.answerOf(payload.json) : null

// --- Reading ---

/** Computes a session's row from its log: for a row that was written by another version. */
export const replay = (sid: number): Effect.Effect<SessionRow.SessionRow, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    let row = SessionRow.initial
    for (;;) {
      const events = yield* sql<{
        readonly seq: number
        readonly uuid: string
        readonly source: Source
        readonly created_at: number
        readonly payload: string
      }>`SELECT seq, uuid, source, created_at, payload FROM events
        WHERE sid = ${sid} AND seq > ${row.lastSeq} ORDER BY seq LIMIT 500`
      for (const event of events) {
        // What stands in the log was decoded before it was stored.
        const payload = Either.getOrThrow(Payload.decode(event.payload))
        row = SessionRow.step(row, {
          seq: event.seq,
          uuid: event.uuid,
          source: event.source,
          createdAt: event.created_at,
          payload
        })
      }
      if (events.length < 500) return row
    }
  })

const readSessions = (bodies: ReadonlyArray<string>, cache: RowCache) =>
  Effect.gen(function* () {
    const drafts = new Map<string, Draft>()
    for (const some of chunks(bodies)) {
      const rows = yield* run<SessionColumns>(
        `SELECT sid, body, organization_id, environment_id, archived_at, last_seq, worker_head, worker_head_seq,
          worker_epoch, token_epoch, worker_seen_at, projection FROM sessions WHERE body IN ${placeholders(1, some.length)}`,
        some
      )
      for (const columns of rows) {
        const row =
          cache.get(columns.sid, columns.projection) ??
          SessionRow.fromJson(columns.projection) ??
          (yield* replay(columns.sid))
        drafts.set(columns.body, {
          columns,
          row,
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
const readKnown = (requests: ReadonlyArray<AppendRequest>, drafts: ReadonlyMap<string, Draft>) =>
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
const readAnswers = (requests: ReadonlyArray<AppendRequest>, drafts: ReadonlyMap<string, Draft>) =>
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
            json: Either.getOrThrow(Payload.decode(row.payload)).json
          })
        }
      }
    }
  })

// --- Deciding ---

const refusal = (request: AppendRequest, draft: Draft | undefined): Refusal | undefined => {
  if (draft === undefined || draft.columns.organization_id !== request.organizationId) {
    return new SessionUnknown({ session: request.session })
  }
  const { columns } = draft
  if (request.tokenEpoch !== undefined && request.tokenEpoch < columns.token_epoch) {
    return new TokenSuperseded({ given: request.tokenEpoch, current: columns.token_epoch })
  }
  const { guard } = request
  if (guard?.kind === "epoch" && guard.workerEpoch < columns.worker_epoch) {
    return new WorkerSuperseded({ given: guard.workerEpoch, current: columns.worker_epoch })
  }
  if (guard?.kind === "lastUuid") {
    const last = guard.lastUuid === undefined ? 0 : draft.known.get(guard.lastUuid)?.seq
    if (last === undefined || last < draft.workerHeadSeq) {
      return new HeadMoved({ head: draft.workerHead ?? undefined })
    }
  }
  if (
    draft.row.archivedAt !== null &&
    request.source === "client" &&
    request.payloads.some(
      (payload) =>
        payload.type !== "session_update" && (payload.uuid === undefined || !draft.known.has(payload.uuid))
    )
  ) {
    return new SessionArchived({ session: request.session })
  }
  return undefined
}

/** The stored event that holds the answer which won. */
const winner = (draft: Draft, answer: Approvals.Answer) =>
  draft.answers.find(({ json }) => {
    const stored = Approvals.answerOf(json)
    return (
      stored !== null &&
      (answer.requestId !== null
        ? stored.requestId === answer.requestId
        : stored.toolUseId === answer.toolUseId)
    )
  })

/** What is to be done with one payload of a request that the guards let through. */
type Plan =
  | { readonly _tag: "Store"; readonly payload: Payload.Payload; readonly uuid: string }
  | { readonly _tag: "Known"; readonly uuid: string; readonly known: Known }

const plan = (request: AppendRequest, draft: Draft): Either.Either<ReadonlyArray<Plan>, AlreadyAnswered> => {
  const plans: Array<Plan> = []
  for (const payload of request.payloads) {
    const known = payload.uuid === undefined ? undefined : draft.known.get(payload.uuid)
    if (known !== undefined && payload.uuid !== undefined) {
      plans.push({ _tag: "Known", uuid: payload.uuid, known })
      continue
    }
    const answer = answered(request.source, payload)
    if (answer !== null) {
      const verdict = Approvals.judge(draft.row.approvals, payload.json)?.verdict
      const first = winner(draft, answer)
      if (verdict === "conflict") {
        const requestId = answer.requestId ?? answer.toolUseId ?? ""
        return Either.left(new AlreadyAnswered({ requestId, answeredBy: first?.uuid }))
      }
      if (first !== undefined && verdict === "duplicate") {
        plans.push({ _tag: "Known", uuid: first.uuid, known: first.known })
        continue
      }
    }
    plans.push({ _tag: "Store", payload, uuid: payload.uuid ?? randomUUID() })
  }
  return Either.right(plans)
}

/** Carries a request out on the draft. */
const carryOut = (
  request: AppendRequest,
  draft: Draft,
  plans: ReadonlyArray<Plan>,
  now: number,
  values: Array<EventValues>
): ReadonlyArray<Appended> =>
  plans.map((each) => {
    if (each._tag === "Known") return { ...each.known, uuid: each.uuid, duplicate: true }
    const { payload, uuid } = each
    // A uuid that stands twice in one request is known the second time.
    const known = draft.known.get(uuid)
    if (known !== undefined) return { ...known, uuid, duplicate: true }
    const seq = draft.lastSeq + 1
    const transcript = Payload.isTranscript(payload)
    draft.lastSeq = seq
    draft.changed = true
    draft.known.set(uuid, { seq, createdAt: now })
    const withdrawal = request.source === "client" ? Withdrawal.of(payload) : undefined
    const taking: Taking | undefined =
      withdrawal === undefined
        ? undefined
        : {
            covered: draft.row.open.filter((message) => Withdrawal.covers(withdrawal, message)),
            atWork: draft.row.begun ? draft.row.open[0] : undefined,
            taken: []
          }
    if (taking !== undefined) draft.withdrawals.push(taking)
    if (request.source === "worker") {
      draft.workerSeenAt = now
      if (transcript) {
        draft.workerHead = uuid
        draft.workerHeadSeq = seq
      }
    } else {
      if (Payload.isForWorker(payload)) draft.forWorker = true
      if (payload.type === "control_response") {
        draft.answers.push({ uuid, known: { seq, createdAt: now }, json: payload.json })
      }
    }
    const { status } = draft.row
    draft.row = SessionRow.step(draft.row, {
      seq,
      uuid,
      source: request.source,
      createdAt: now,
      payload
    })
    draft.rested = draft.row.status === "idle" && (draft.rested || status !== "idle")
    values.push([
      draft.columns.sid,
      seq,
      uuid,
      request.source,
      payload.type,
      transcript ? 1 : 0,
      Payload.isCompaction(payload) ? 1 : 0,
      now,
      payload.text
    ])
    const appended = { seq, uuid, createdAt: now, duplicate: false }
    // Filled in once the batch stands in the log.
    return taking === undefined ? appended : { ...appended, withdrawn: taking.taken }
  })

// --- Writing ---

const writeEvents = (values: ReadonlyArray<EventValues>) =>
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
const writeWithdrawals = (drafts: ReadonlyArray<Draft>, now: number) =>
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

const writeSessions = (drafts: ReadonlyArray<Draft>, now: number, cache: RowCache) =>
  Effect.gen(function* () {
    for (const some of chunks(drafts)) {
      const values: Array<unknown> = []
      for (const draft of some) {
        const projection = SessionRow.toJson(draft.row)
        cache.set(draft.columns.sid, projection, draft.row)
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
          projection
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
    }
  })

/** Applies a batch. To be run inside a transaction; `now` is the time that new events get. */
export const apply = (
  requests: ReadonlyArray<AppendRequest>,
  now: number,
  cache: RowCache
): Effect.Effect<Applied, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const drafts = yield* readSessions([...new Set(requests.map((request) => request.session))], cache)
    yield* readKnown(requests, drafts)
    yield* readAnswers(requests, drafts)

    const values: Array<EventValues> = []
    const outcomes = requests.map((request): Outcome => {
      const draft = drafts.get(request.session)
      const refused = refusal(request, draft)
      if (refused !== undefined || draft === undefined) {
        return Either.left(refused ?? new SessionUnknown({ session: request.session }))
      }
      return Either.map(plan(request, draft), (plans) => carryOut(request, draft, plans, now, values))
    })

    const changed = [...drafts.values()].filter((draft) => draft.changed)
    if (changed.length === 0) return { outcomes, sessions: [], environments: [] }
    yield* writeEvents(values)
    yield* writeSessions(changed, now, cache)
    yield* writeWithdrawals(changed, now)
    const waking = changed.filter((draft) => draft.forWorker && draft.columns.environment_id !== null)
    const ended = changed.filter(
      (draft) => draft.columns.archived_at === null && draft.row.archivedAt !== null
    )
    const rested = changed.flatMap(({ columns, rested }) =>
      rested && columns.environment_id !== null ? [EnvironmentId.make(columns.environment_id)] : []
    )
    const environments =
      waking.length === 0 && ended.length === 0
        ? rested
        : [
            ...rested,
            ...(yield* Work.ensure(
              waking.map((draft) => draft.columns.sid),
              now
            )),
            ...(yield* Work.stopForSessions(
              ended.map((draft) => draft.columns.sid),
              now
            ))
          ]
    return { outcomes, sessions: changed.map((draft) => draft.columns.body), environments }
  })
