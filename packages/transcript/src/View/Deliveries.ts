/** How far people's messages have come. A message only ever comes further; late news change nothing. */
import type { DeliveryState } from "@causeway/protocol/Event"
import { object, type ReadableEvent, string } from "../Read.ts"
import { promptsOf } from "../Turns.ts"

/**
 * `sending`: the hub has not answered; `unknown`: it has not for so long that nobody tries any more, and it may have the
 * message or not; `refused`: it will never take it; `accepted`: it is in the log. The others are told by the worker;
 * `withdrawn`: taken back before its turn, unless the agent had begun it and says so later.
 */
export type Stage = "sending" | "unknown" | "refused" | "accepted" | DeliveryState

const rank: { readonly [S in Stage]: number } = {
  sending: 0,
  unknown: 0,
  refused: 0,
  accepted: 1,
  received: 2,
  withdrawn: 3,
  processing: 4,
  processed: 5
}

/** The stage after news of `to`. */
export const advance = (from: Stage | undefined, to: Stage): Stage =>
  from === undefined || rank[to] > rank[from] || (rank[to] === 0 && rank[from] === 0) ? to : from

/** Whether `to` is no step back from `from`. */
export const isForward = (from: Stage, to: Stage): boolean => rank[to] >= rank[from]

const told: ReadonlyMap<string, DeliveryState> = new Map(
  (["received", "withdrawn", "processing", "processed"] as const).map((state) => [
    `DELIVERY_STATUS_${state.toUpperCase()}`,
    state
  ])
)

/** The state that viewers are told by this name; undefined for a name unknown here. */
export const ofStatus = (status: unknown): DeliveryState | undefined => told.get(string(status) ?? "")

export const words: { readonly [S in Stage]: string } = {
  sending: "sending",
  unknown: "unknown whether the hub has it",
  refused: "refused",
  accepted: "accepted",
  received: "on the host",
  withdrawn: "withdrawn",
  processing: "taken by the agent",
  processed: "answered"
}

/** Stages of messages that are in the log, by uuid. A message that is not named is `accepted`. */
export type Deliveries = ReadonlyMap<string, Stage>

/** Messages whose stage is remembered; the oldest give way. */
export const MAX = 4096

/** The deliveries after some news. Returns the same map where nothing changed. */
export const step = (
  deliveries: Deliveries,
  news: Iterable<readonly [uuid: string, to: Stage]>
): Deliveries => {
  let next: Map<string, Stage> | undefined
  for (const [uuid, to] of news) {
    const known = (next ?? deliveries).get(uuid)
    if (advance(known ?? "accepted", to) === (known ?? "accepted")) continue
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
