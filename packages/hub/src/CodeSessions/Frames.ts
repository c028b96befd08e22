/** Frames of the event streams, written by each kind of route in its own way. Source: spec 5 §1. */
import * as Delivery from "@causeway/protocol/Delivery"
import type { DeliveryUpdate } from "@causeway/protocol/Event"
import { EventUuid } from "@causeway/protocol/Ids"
import type { Ephemeral } from "@causeway/store/Bus"
import type { StoredEvent } from "@causeway/store/Log"
import type { Frame } from "../Streams/EventStream.ts"

const iso = (millis: number): string => new Date(millis).toISOString()

/** A stored event. The payload's text is sent as it is stored. `own`: for a reader that knows our words. */
export const stored = (event: StoredEvent, own: boolean): Frame => ({
  event: "client_event",
  id: event.seq,
  data: `{"event_id":${JSON.stringify(event.uuid)},"sequence_num":${event.seq},"event_type":${JSON.stringify(
    event.type
  )},"source":"${event.source}","created_at":"${iso(event.createdAt)}",${
    own && event.author !== undefined ? `"author":${event.author},` : ""
  }"payload":${event.payload}}`
})

/**
 * A message that is not stored: without an id and a sequence number, so that a reader neither counts it nor resumes
 * from it.
 */
export const ephemeral = (message: Ephemeral): Frame => ({
  event: "client_event",
  data: `{"event_id":${JSON.stringify(message.uuid)},"event_type":${JSON.stringify(
    message.type
  )},"source":"worker","created_at":"${iso(message.createdAt)}","ephemeral":true,"payload":${message.payload}}`
})

/** How far a client event has come. `own`: for a viewer that knows our words; to others what was taken back is done with. */
export const delivery = (uuid: string, status: Delivery.State, at: number, own: boolean): Frame => {
  const update: DeliveryUpdate = {
    event_id: EventUuid.make(uuid),
    status: Delivery.toWire(status === "withdrawn" && !own ? "processed" : status),
    timestamp: iso(at)
  }
  return { event: "delivery_update", data: JSON.stringify(update) }
}

/** Only where the reader is now: an event that it is not sent stands there. */
export const position = (seq: number): Frame => ({ event: "", id: seq, data: "" })

/** The next event does not go on where the reader stood: the log's beginning was cut off (a compaction by lines). */
export const truncated: Frame = { event: "catch_up_truncated", data: "{}" }

/** A frame as JSON text, for where there is no event stream. */
export const toJson = ({ event, data }: Frame): string => `{"event":"${event}","data":${data}}`
