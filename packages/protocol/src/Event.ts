/**
 * Events of a session's log, as the hub stores and serves them.
 *
 * Source: spec 5 §1 (frames) and §3.1 (one log per session).
 */
import * as Schema from "effect/Schema"
import { EventUuid } from "./Ids.ts"
import type { Payload } from "./Payload.ts"

/** Who wrote an event: the agent's side (`worker`) or people (`client`). */
export const Source = Schema.Literal("worker", "client")
export type Source = typeof Source.Type

/** Position in a session's log: dense, from 1, over all stored events of both sources. */
export const SequenceNum = Schema.Int.pipe(Schema.positive(), Schema.brand("SequenceNum"))
export type SequenceNum = typeof SequenceNum.Type

/** One stored event of a session's log, as programs hold it. `createdAt` is in milliseconds since the epoch. */
export interface LogEvent {
  readonly seq: SequenceNum
  readonly uuid: EventUuid
  readonly source: Source
  readonly createdAt: number
  readonly payload: Payload
}

/** How far a client event has come, as the worker reports it. */
export const WorkerDeliveryStatus = Schema.Literal("received", "processing", "processed")
export type WorkerDeliveryStatus = typeof WorkerDeliveryStatus.Type

/** How far a client event has come: what its worker reports, or that it was taken back before the agent began it. */
export const DeliveryState = Schema.Literal(...WorkerDeliveryStatus.literals, "withdrawn")
export type DeliveryState = typeof DeliveryState.Type

/** The same as viewers are told. */
export const DeliveryStatus = Schema.Literal(
  "DELIVERY_STATUS_RECEIVED",
  "DELIVERY_STATUS_PROCESSING",
  "DELIVERY_STATUS_PROCESSED",
  /** Ours: only viewers that ask for it are told so. */
  "DELIVERY_STATUS_WITHDRAWN"
)
export type DeliveryStatus = typeof DeliveryStatus.Type

/** `received` → `DELIVERY_STATUS_RECEIVED`, and so on. */
export const deliveryStatus = (status: DeliveryState): DeliveryStatus =>
  `DELIVERY_STATUS_${status.toUpperCase() as Uppercase<DeliveryState>}`

/** One event as `client_event` frames and `logs --json` show it. Times are ISO 8601. */
export const ClientEvent = Schema.Struct({
  event_id: EventUuid,
  sequence_num: SequenceNum,
  event_type: Schema.String,
  source: Source,
  created_at: Schema.String,
  payload: Schema.Record({ key: Schema.String, value: Schema.Unknown })
})
export type ClientEvent = typeof ClientEvent.Type

/** `delivery_update` frames of the viewer's stream. */
export const DeliveryUpdate = Schema.Struct({
  event_id: EventUuid,
  status: DeliveryStatus,
  timestamp: Schema.String
})
export type DeliveryUpdate = typeof DeliveryUpdate.Type
