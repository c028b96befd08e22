/**
 * Events of a session's log, as the hub stores and serves them.
 *
 * Source: spec 5 §1 (frames) and §3.1 (one log per session).
 */
import * as Schema from "effect/Schema"
import * as Delivery from "./Delivery.ts"
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

/** Who sent an event, as it was then: an access token or a device, its name, and the role that it acted in. */
export const Author = Schema.Struct({
  kind: Schema.Literal("token", "device", "client"),
  id: Schema.String,
  name: Schema.String,
  role: Schema.String
})
export type Author = typeof Author.Type

/** One event as `client_event` frames and `logs --json` show it. Times are ISO 8601. */
export const ClientEvent = Schema.Struct({
  event_id: EventUuid,
  sequence_num: SequenceNum,
  event_type: Schema.String,
  source: Source,
  created_at: Schema.String,
  /** Of what people sent, since the hub knows it. */
  author: Schema.optional(Author),
  payload: Schema.Record({ key: Schema.String, value: Schema.Unknown })
})
export type ClientEvent = typeof ClientEvent.Type

/** `delivery_update` frames of the viewer's stream. `withdrawn` is ours: only viewers that ask for it are told so. */
export const DeliveryUpdate = Schema.Struct({
  event_id: EventUuid,
  status: Schema.Literal(...Delivery.states.map(Delivery.toWire)),
  timestamp: Schema.String
})
export type DeliveryUpdate = typeof DeliveryUpdate.Type
