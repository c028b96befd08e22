/**
 * The log of a session: append and read.
 *
 * Appends that wait at the same moment are committed as one transaction by one writer fiber (group commit), and each is
 * answered after the commit. Inside a batch every request has its own outcome: one that is refused writes nothing and
 * disturbs no other. Sequence numbers are dense per session; a uuid is stored once, for ever. The session's row is
 * computed by `SessionRow.step` in the same transaction. Source: spec 5 §3.1 and §3.3.
 */
import type { DeliveryState, Source, WorkerDeliveryStatus } from "@causeway/protocol/Event"
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { Payload } from "@causeway/protocol/Payload"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Bus } from "./Bus.ts"
import { DatabaseHealth } from "./DatabaseHealth.ts"
import {
  type AlreadyAnswered,
  type HeadMoved,
  LogBusy,
  type SessionArchived,
  SessionUnknown,
  StoreUnavailable,
  type TokenSuperseded,
  WorkerSuperseded
} from "./Errors.ts"
import { type Applied, apply, rowCache } from "./internal/apply.ts"
import { unavailable } from "./internal/unavailable.ts"
import * as Metrics from "./Metrics.ts"

/** An event as it is stored. Times are milliseconds since the epoch. */
export interface StoredEvent {
  readonly seq: number
  readonly uuid: string
  readonly source: Source
  readonly type: string
  readonly transcript: boolean
  readonly compaction: boolean
  readonly createdAt: number
  readonly delivery: DeliveryState | undefined
  readonly deliveredAt: number | undefined
  /** The JSON text as it arrived. */
  readonly payload: string
}

/** What a writer claims to know. Checked in the transaction that stores, before anything else. */
export type Guard =
  /** The ingress chain. `lastUuid`: value of `Last-Uuid`. */
  | { readonly kind: "lastUuid"; readonly lastUuid: string | undefined }
  /** The worker routes. Refused where a newer epoch has been given out. */
  | { readonly kind: "epoch"; readonly workerEpoch: number }

export interface AppendRequest {
  /** Session body, see `Ids.sessionBody`. */
  readonly session: string
  readonly organizationId: OrganizationId
  readonly source: Source
  /** At least one; stored in this order, whole or not at all. One without a uuid is given one. */
  readonly payloads: ReadonlyArray<Payload>
  readonly guard?: Guard
  /** Epoch of the token that the request came with; refused where a newer one was issued. */
  readonly tokenEpoch?: number
}

/** What became of one payload. */
export interface Appended {
  readonly seq: number
  readonly uuid: string
  /** Milliseconds since the epoch, of the event that is stored. */
  readonly createdAt: number
  /** Its uuid was in the log already: nothing was stored. */
  readonly duplicate: boolean
  /** The messages that it took back, see `Withdrawal`. */
  readonly withdrawn?: ReadonlyArray<string>
}

export type AppendError =
  | SessionUnknown
  | SessionArchived
  | HeadMoved
  | WorkerSuperseded
  | TokenSuperseded
  | AlreadyAnswered
  | LogBusy
  | StoreUnavailable

/** Which session, and whose. */
export interface SessionKey {
  readonly session: string
  readonly organizationId: OrganizationId
}

export interface ReadOptions extends SessionKey {
  /** Events after this sequence number; 0 for all. */
  readonly after: number
  readonly limit: number
  /**
   * `all`; `worker`: what people sent to the worker (`user` and `control_*` of source client) and did not take back;
   * `unprocessed`: of those, what no worker has reported as processed; `transcript`: see `Payload.isTranscript`; without what was withdrawn.
   */
  readonly select?: "all" | "worker" | "unprocessed" | "transcript"
}

/** A delivery state that has changed. `no` grows with every change in the session. */
export interface DeliveryChange {
  readonly no: number
  readonly seq: number
  readonly uuid: string
  readonly delivery: DeliveryState
  readonly deliveredAt: number
}

export class Log extends Context.Tag("@causeway/store/Log")<
  Log,
  {
    /**
     * Stores, durably, and wakes `session:<body>` (and the environment that the session's work was queued for). One
     * answer a payload, in order. People's events to a session that has an environment and no unfinished work item
     * queue one, in the same transaction.
     */
    readonly append: (request: AppendRequest) => Effect.Effect<ReadonlyArray<Appended>, AppendError>
    /** In the order of the log; fewer than `limit` only where there are no more now. */
    readonly read: (
      options: ReadOptions
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, SessionUnknown | StoreUnavailable>
    /** Transcript entries from the last compaction boundary on (that one included); all, where there is none. */
    readonly afterLastCompaction: (
      key: SessionKey
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, SessionUnknown | StoreUnavailable>
    /** The event of this uuid. */
    readonly byUuid: (
      key: SessionKey & { readonly uuid: string }
    ) => Effect.Effect<StoredEvent | undefined, SessionUnknown | StoreUnavailable>
    /**
     * Records how far client events have come, on behalf of a worker of this epoch. A state never goes back
     * (`received` → `processing` → `processed`); unknown uuids are ignored. What was taken back stays so, but where the
     * agent had begun it before it heard of that: then it says so (`processing`). Wakes the session.
     */
    readonly deliver: (
      request: SessionKey & {
        readonly workerEpoch: number
        readonly updates: ReadonlyArray<{ readonly uuid: string; readonly status: WorkerDeliveryStatus }>
      }
    ) => Effect.Effect<void, SessionUnknown | WorkerSuperseded | StoreUnavailable>
    /** `no` of the last delivery change before this time (milliseconds since the epoch); 0 where there is none. */
    readonly deliveriesBefore: (
      key: SessionKey & { readonly at: number }
    ) => Effect.Effect<number, SessionUnknown | StoreUnavailable>
    /** Delivery changes after `no`, oldest first. */
    readonly deliveries: (
      key: SessionKey & { readonly after: number; readonly limit: number }
    ) => Effect.Effect<ReadonlyArray<DeliveryChange>, SessionUnknown | StoreUnavailable>
  }
>() {}

// --- Group commit ---

/** Most requests in one transaction. */
const BATCH_REQUESTS = 512
/** Most payload text in one transaction, in UTF-16 units; a single larger request goes alone. */
const BATCH_UNITS = 16 * 1024 * 1024
/** Most requests that wait; further ones are refused with `LogBusy`. */
const WAITING_MAX = 20_000
/** Sessions whose decoded row is kept at hand. */
const CACHED_ROWS = 1000

interface Waiting {
  readonly request: AppendRequest
  readonly resume: (outcome: Effect.Effect<ReadonlyArray<Appended>, AppendError>) => void
}

/** The requests that wait, and the writer that waits for them. */
class Inbox {
  private waiting: Array<Waiting> = []
  private writer: (() => void) | undefined = undefined
  private closed = false

  /** False where too many wait. */
  offer(waiting: Waiting): boolean {
    if (this.closed || this.waiting.length >= WAITING_MAX) return false
    this.waiting.push(waiting)
    const writer = this.writer
    this.writer = undefined
    writer?.()
    return true
  }

  get size(): number {
    return this.waiting.length
  }

  /**
   * Waits for a request and then for one turn of the event loop, in which the requests of other connections come in:
   * fibers alone run in microtasks, between two socket callbacks, and would find a batch of one every time.
   */
  readonly nextBatch: Effect.Effect<ReadonlyArray<Waiting>> = Effect.async<ReadonlyArray<Waiting>>(
    (resume) => {
      let turn: NodeJS.Immediate | undefined
      const collect = () => {
        turn = setImmediate(() => resume(Effect.sync(() => this.take())))
      }
      if (this.waiting.length > 0) collect()
      else this.writer = collect
      return Effect.sync(() => {
        this.writer = undefined
        clearImmediate(turn)
      })
    }
  )

  /** Takes no more, and hands back what waits. */
  close(): ReadonlyArray<Waiting> {
    this.closed = true
    const rest = this.waiting
    this.waiting = []
    return rest
  }

  private take(): ReadonlyArray<Waiting> {
    let units = 0
    let count = 0
    for (const { request } of this.waiting) {
      for (const payload of request.payloads) units += payload.text.length
      if (count > 0 && (count >= BATCH_REQUESTS || units > BATCH_UNITS)) break
      count++
    }
    return this.waiting.splice(0, count)
  }
}

// --- Rows ---

interface EventColumns {
  readonly seq: number
  readonly uuid: string
  readonly source: Source
  readonly type: string
  readonly transcript: number
  readonly compaction: number
  readonly created_at: number
  readonly delivery: DeliveryState | null
  readonly delivered_at: number | null
  readonly payload: string
}

const toEvent = (row: EventColumns): StoredEvent => ({
  seq: row.seq,
  uuid: row.uuid,
  source: row.source,
  type: row.type,
  transcript: row.transcript === 1,
  compaction: row.compaction === 1,
  createdAt: row.created_at,
  delivery: row.delivery ?? undefined,
  deliveredAt: row.delivered_at ?? undefined,
  payload: row.payload
})

const COLUMNS = "seq, uuid, source, type, transcript, compaction, created_at, delivery, delivered_at, payload"

const FOR_WORKER =
  "source = 'client' AND type IN ('user', 'control_request', 'control_response', 'control_cancel_request')"

/** It was not taken back before an agent had it. */
export const NOT_WITHDRAWN = "(delivery IS NULL OR delivery <> 'withdrawn')"

/** Each is written so that a partial index of the schema serves it. */
const selections: { readonly [S in NonNullable<ReadOptions["select"]>]: string } = {
  all: "",
  worker: `AND ${FOR_WORKER} AND ${NOT_WITHDRAWN}`,
  unprocessed: `AND ${FOR_WORKER} AND (delivery IS NULL OR delivery <> 'processed') AND ${NOT_WITHDRAWN}`,
  // What was taken back was never part of the conversation.
  transcript: `AND transcript = 1 AND ${NOT_WITHDRAWN}`
}

const ranks: { readonly [S in WorkerDeliveryStatus]: number } = { received: 1, processing: 2, processed: 3 }

// --- The service ---

export const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const bus = yield* Bus
  const cache = rowCache(CACHED_ROWS)
  const inbox = new Inbox()

  const transact = (requests: ReadonlyArray<AppendRequest>): Effect.Effect<Applied, SqlError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      sql.withTransaction(apply(requests, now, cache)).pipe(Effect.provideService(SqlClient.SqlClient, sql))
    )

  const answer = (batch: ReadonlyArray<Waiting>, applied: Applied) =>
    Effect.sync(() => {
      Metrics.batchRequests.unsafeUpdate(batch.length, [])
      for (const session of applied.sessions) bus.changed(`session:${session}`)
      for (const environment of applied.environments) bus.changed(`environment:${environment}`)
      for (const [index, { resume }] of batch.entries()) {
        const outcome = applied.outcomes[index]
        if (outcome === undefined) {
          resume(Effect.dieMessage("an append without an outcome"))
          continue
        }
        if (Either.isLeft(outcome)) Metrics.requestsRefused.unsafeUpdate(1, [])
        else Metrics.eventsStored.unsafeUpdate(outcome.right.filter((each) => !each.duplicate).length, [])
        resume(outcome)
      }
    })

  const health = yield* DatabaseHealth

  const fail = ({ request, resume }: Waiting, cause: Cause.Cause<SqlError>) =>
    Effect.gen(function* () {
      if (Option.isNone(Cause.failureOption(cause))) {
        yield* Effect.logError("an append failed", cause).pipe(
          Effect.annotateLogs({ module: "Log", session: request.session })
        )
      }
      const failure = Cause.squash(cause)
      const detail = yield* health.failed(failure)
      Metrics.commitsFailed.unsafeUpdate(1, [])
      resume(new StoreUnavailable({ cause: failure, detail }))
    })

  const stores = ({ outcomes }: Applied) =>
    outcomes.some((outcome) => Either.isRight(outcome) && outcome.right.some((each) => !each.duplicate))

  /** Commits a batch and answers everyone in it; where that fails, each alone, so that none fails for another's sake. */
  const commit = (batch: ReadonlyArray<Waiting>): Effect.Effect<void> =>
    Effect.matchCauseEffect(transact(batch.map(({ request }) => request)), {
      onSuccess: (applied) =>
        Effect.zipRight(stores(applied) ? health.written : Effect.void, answer(batch, applied)),
      onFailure: (cause) =>
        batch.length > 1
          ? Effect.forEach(batch, (each) => commit([each]), { discard: true })
          : Effect.forEach(batch, (each) => fail(each, cause), { discard: true })
    })

  yield* Effect.forkScoped(
    Effect.forever(
      Effect.uninterruptibleMask((restore) => Effect.flatMap(restore(inbox.nextBatch), commit))
    ).pipe(Effect.withTracerEnabled(false))
  )
  // Closed before the writer is interrupted: finalizers run in reverse order.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const { resume } of inbox.close()) {
        const detail = "the hub is shutting down: try again"
        resume(new StoreUnavailable({ cause: new Error("the log is closed"), detail }))
      }
    })
  )

  const append = (request: AppendRequest) =>
    Effect.async<ReadonlyArray<Appended>, AppendError>((resume) => {
      if (!inbox.offer({ request, resume })) resume(new LogBusy({ waiting: inbox.size }))
    })

  const sidOf = ({ session, organizationId }: SessionKey) =>
    Effect.flatMap(
      sql<{ readonly sid: number }>`SELECT sid FROM sessions WHERE body = ${session}
        AND organization_id = ${organizationId}`,
      ([row]) => (row === undefined ? new SessionUnknown({ session }) : Effect.succeed(row.sid))
    )

  const read = Effect.fnUntraced(function* (options: ReadOptions) {
    const sid = yield* sidOf(options)
    const rows = yield* sql.unsafe<EventColumns>(
      `SELECT ${COLUMNS} FROM events WHERE sid = ? AND seq > ? ${selections[options.select ?? "all"]}
       ORDER BY seq LIMIT ?`,
      [sid, options.after, options.limit]
    )
    return rows.map(toEvent)
  }, unavailable)

  const afterLastCompaction = Effect.fnUntraced(function* (key: SessionKey) {
    const sid = yield* sidOf(key)
    const rows = yield* sql.unsafe<EventColumns>(
      `SELECT ${COLUMNS} FROM events WHERE sid = ? AND transcript = 1 AND ${NOT_WITHDRAWN} AND seq >= coalesce(
         (SELECT max(seq) FROM events WHERE sid = ? AND compaction = 1), 0) ORDER BY seq`,
      [sid, sid]
    )
    return rows.map(toEvent)
  }, unavailable)

  const byUuid = Effect.fnUntraced(function* (key: SessionKey & { readonly uuid: string }) {
    const sid = yield* sidOf(key)
    const rows = yield* sql.unsafe<EventColumns>(`SELECT ${COLUMNS} FROM events WHERE sid = ? AND uuid = ?`, [
      sid,
      key.uuid
    ])
    return rows[0] === undefined ? undefined : toEvent(rows[0])
  }, unavailable)

  const wake = (session: string) => Effect.sync(() => bus.changed(`session:${session}`))

  const deliver = (request: Parameters<Log["Type"]["deliver"]>[0]) =>
    Effect.gen(function* () {
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
          WHERE sid = ${row.sid} AND uuid = ${uuid} AND source = 'client' AND ${ranks[status]} >
            CASE delivery WHEN 'received' THEN 1 WHEN 'processing' THEN 2 WHEN 'processed' THEN 3
              WHEN 'withdrawn' THEN ${status === "processing" ? 1 : 3} ELSE 0 END
          RETURNING seq`
        no += changed.length
      }
      yield* sql`UPDATE sessions SET delivery_no = ${no}, worker_seen_at = ${now} WHERE sid = ${row.sid}`
      return no > row.delivery_no
    }).pipe(
      sql.withTransaction,
      unavailable,
      Effect.flatMap((changed) => (changed ? wake(request.session) : Effect.void))
    )

  const deliveries = Effect.fnUntraced(function* (
    key: SessionKey & { readonly after: number; readonly limit: number }
  ) {
    const sid = yield* sidOf(key)
    const rows = yield* sql<{
      readonly delivery_no: number
      readonly seq: number
      readonly uuid: string
      readonly delivery: DeliveryState
      readonly delivered_at: number
    }>`SELECT delivery_no, seq, uuid, delivery, delivered_at FROM events
      WHERE sid = ${sid} AND delivery_no > ${key.after} AND delivery_no IS NOT NULL ORDER BY delivery_no LIMIT ${key.limit}`
    return rows.map(
      (row): DeliveryChange => ({
        no: row.delivery_no,
        seq: row.seq,
        uuid: row.uuid,
        delivery: row.delivery,
        deliveredAt: row.delivered_at
      })
    )
  }, unavailable)

  const deliveriesBefore = Effect.fnUntraced(function* (key: SessionKey & { readonly at: number }) {
    const sid = yield* sidOf(key)
    // Numbers grow with time, so the newest changes are few and stand at the end of the index.
    const rows = yield* sql<{ readonly delivery_no: number }>`SELECT delivery_no FROM events
      WHERE sid = ${sid} AND delivery_no IS NOT NULL AND delivered_at < ${key.at} ORDER BY delivery_no DESC LIMIT 1`
    return rows[0]?.delivery_no ?? 0
  }, unavailable)

  return Log.of({ append, read, afterLastCompaction, byUuid, deliver, deliveries, deliveriesBefore })
})

export const layer: Layer.Layer<Log, never, SqlClient.SqlClient | Bus> = Layer.scoped(Log, make)
