/** Frames of a session's log, and of what travels beside it. Source: spec 5 §1 (Viewer). */
import { amount, name, object, type ReadableEvent, string } from "@causeway/transcript/Read"

/**
 * How far a person's message has come: stored, on the host, taken by the agent, answered; or taken back before its turn
 * (where the agent had begun it, it says so later).
 */
export type Delivery = "accepted" | "received" | "withdrawn" | "processing" | "processed"

export type Frame =
  | { readonly _tag: "Event"; readonly event: ReadableEvent }
  /** Partial text and progress; never stored. */
  | { readonly _tag: "Ephemeral"; readonly payload: { readonly [key: string]: unknown } }
  | { readonly _tag: "Delivery"; readonly uuid: string; readonly status: Delivery }
  /** The hub no longer has all that is missing here. */
  | { readonly _tag: "Truncated" }

const statuses: ReadonlyMap<string, Delivery> = new Map([
  ["DELIVERY_STATUS_RECEIVED", "received"],
  ["DELIVERY_STATUS_PROCESSING", "processing"],
  ["DELIVERY_STATUS_PROCESSED", "processed"],
  ["DELIVERY_STATUS_WITHDRAWN", "withdrawn"]
])

/** The frame that an object `{event, data}` is; undefined where it is of a kind unknown here, or broken. */
export const read = (value: unknown): Frame | undefined => {
  const frame = object(value)
  if (frame["event"] === "catch_up_truncated") return { _tag: "Truncated" }
  const data = object(frame["data"])
  const uuid = name(data["event_id"])
  if (frame["event"] === "delivery_update") {
    const status = statuses.get(string(data["status"]) ?? "")
    return uuid === null || status === undefined ? undefined : { _tag: "Delivery", uuid, status }
  }
  const payload = data["payload"]
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) return undefined
  const seq = amount(data["sequence_num"])
  if (frame["event"] !== "client_event" || uuid === null || seq === null || seq === 0) {
    return { _tag: "Ephemeral", payload: object(payload) }
  }
  const at = Date.parse(string(data["created_at"]) ?? "")
  return {
    _tag: "Event",
    event: {
      seq,
      uuid,
      source: data["source"] === "client" ? "client" : "worker",
      createdAt: Number.isNaN(at) ? 0 : at,
      payload: { type: string(object(payload)["type"]) ?? "", json: object(payload) }
    }
  }
}
