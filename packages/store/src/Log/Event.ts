/** An event as it stands in the log, and the conditions by which events are chosen. */
import type * as Delivery from "@causeway/protocol/Delivery"
import type { Source } from "@causeway/protocol/Event"
import * as Limits from "@causeway/protocol/Limits"
import * as Payload from "@causeway/protocol/Payload"
import * as RawJson from "@causeway/protocol/RawJson"

/** Times are milliseconds since the epoch. */
export interface StoredEvent {
  readonly seq: number
  readonly uuid: string
  readonly source: Source
  readonly type: string
  readonly transcript: boolean
  readonly compaction: boolean
  readonly createdAt: number
  readonly delivery: Delivery.State | undefined
  readonly deliveredAt: number | undefined
  /** JSON text of who sent it (`Author`, protocol), where that is known. */
  readonly author: string | undefined
  /** The JSON text as it arrived, up to {@link Limits.STORED_DEPTH}. */
  readonly payload: string
}

export interface EventColumns {
  readonly seq: number
  readonly uuid: string
  readonly source: Source
  readonly type: string
  readonly transcript: number
  readonly compaction: number
  readonly created_at: number
  readonly delivery: Delivery.State | null
  readonly delivered_at: number | null
  readonly author: string | null
  readonly payload: string
}

export const COLUMNS =
  "seq, uuid, source, type, transcript, compaction, created_at, delivery, delivered_at, author, payload"

export const toEvent = (row: EventColumns): StoredEvent => ({
  seq: row.seq,
  uuid: row.uuid,
  source: row.source,
  type: row.type,
  transcript: row.transcript === 1,
  compaction: row.compaction === 1,
  createdAt: row.created_at,
  delivery: row.delivery ?? undefined,
  deliveredAt: row.delivered_at ?? undefined,
  author: row.author ?? undefined,
  payload: RawJson.upTo(row.payload, Limits.STORED_DEPTH)
})

/** It was not taken back before an agent had it. */
export const NOT_WITHDRAWN = "(delivery IS NULL OR delivery <> 'withdrawn')"

const listed = (types: ReadonlyArray<string>): string => types.map((type) => `'${type}'`).join(", ")

const FOR_WORKER = `source = 'client' AND type IN (${listed(Payload.workerTypes)}) AND ${NOT_WITHDRAWN}`
const UNPROCESSED = "(delivery IS NULL OR delivery <> 'processed')"
const VISIBLE = "transcript = 1 AND (type IN ('user', 'assistant') OR compaction = 1)"
const PROMPT = "source = 'client' AND type = 'user'"

/** Each is written so that a partial index of the schema serves it. */
export const selections = {
  all: "1",
  /** People's events to the worker (`user` and `control_*`) that were not taken back. */
  worker: FOR_WORKER,
  /** The same, and what people change of the session: settings of its agent, say. */
  workerUpdates: `source = 'client' AND type IN (${listed([...Payload.workerTypes, "session_update"])}) AND ${NOT_WITHDRAWN}`,
  /** Of the worker's events, the ones that no worker has reported as processed. */
  unprocessed: `${FOR_WORKER} AND ${UNPROCESSED}`,
  /** The same, and all that people changed of the session. */
  unprocessedUpdates: `source = 'client' AND (type = 'session_update' OR ${FOR_WORKER} AND ${UNPROCESSED})`,
  /** See `Payload.isTranscript`; what was taken back was never part of the conversation. */
  transcript: `transcript = 1 AND ${NOT_WITHDRAWN}`,
  /** Transcript entries, those that were taken back included. */
  entries: "transcript = 1",
  /** Messages and compactions: what a reader of the conversation counts. */
  visible: VISIBLE,
  /** All others; they are the fewer, and have an index. */
  hidden: `NOT (${VISIBLE})`,
  /** Boundaries of compactions. */
  compactions: "compaction = 1",
  /** People's messages. */
  prompts: PROMPT,
  /** People's messages that no agent has answered and nobody has taken back. */
  openPrompts: `${PROMPT} AND ${UNPROCESSED} AND ${NOT_WITHDRAWN}`,
  /** People's messages that came with a copied transcript: in this log they were neither sent nor delivered. */
  copied: "delivery = 'processed' AND delivery_no IS NULL"
} as const

export type Selection = keyof typeof selections
