/** How far the messages of a session's view have come. */
import * as Delivery from "@causeway/protocol/Delivery"
import { object, type ReadableEvent } from "../Read.ts"
import { promptsOf } from "../Turns.ts"

/** Stages of messages that are in the log, by uuid. A message that is not named is `accepted`. */
export type Deliveries = ReadonlyMap<string, Delivery.Stage>

/** Messages whose stage is remembered; the oldest give way. */
export const MAX = 4096

/** The deliveries after some news. Returns the same map where nothing changed. */
export const step = (
  deliveries: Deliveries,
  news: Iterable<readonly [uuid: string, to: Delivery.Stage]>
): Deliveries => {
  let next: Map<string, Delivery.Stage> | undefined
  for (const [uuid, to] of news) {
    const known = (next ?? deliveries).get(uuid)
    if (Delivery.advance(known ?? "accepted", to) === (known ?? "accepted")) continue
    next ??= new Map(deliveries)
    next.set(uuid, to)
    if (next.size > MAX) for (const oldest of [...next.keys()].slice(0, next.size - MAX)) next.delete(oldest)
  }
  return next ?? deliveries
}

/** Messages that an event proves to be answered, whether or not their delivery was told: a result names them. */
export const provedBy = ({ source, payload }: ReadableEvent): ReadonlyArray<string> => {
  const json = object(payload.json)
  return source === "worker" && json["type"] === "result" ? promptsOf(json) : []
}
