/** Frames of a session's log, and of what travels beside it. Source: spec 5 §1 (Viewer). */
import * as Delivery from "@causeway/protocol/Delivery"
import { amount, name, object, string } from "../Read.ts"
import type { Entry } from "./Window.ts"

export type Frame =
  | { readonly _tag: "Event"; readonly event: Entry }
  /** Partial text and progress; never stored. */
  | { readonly _tag: "Ephemeral"; readonly payload: { readonly [key: string]: unknown } }
  | { readonly _tag: "Delivery"; readonly uuid: string; readonly status: Delivery.State }
  /** The hub no longer has all that is missing here. */
  | { readonly _tag: "Truncated" }

/** The frame that an object `{event, data}` is; undefined where it is of a kind unknown here, or broken. */
export const read = (value: unknown): Frame | undefined => {
  const frame = object(value)
  if (frame["event"] === "catch_up_truncated") return { _tag: "Truncated" }
  const data = object(frame["data"])
  const uuid = name(data["event_id"])
  if (frame["event"] === "delivery_update") {
    const status = Delivery.fromWire(data["status"])
    return uuid === null || status === undefined ? undefined : { _tag: "Delivery", uuid, status }
  }
  const payload = data["payload"]
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) return undefined
  const json = object(payload)
  const seq = amount(data["sequence_num"])
  if (frame["event"] !== "client_event" || uuid === null || seq === null || seq === 0) {
    return { _tag: "Ephemeral", payload: json }
  }
  const at = Date.parse(string(data["created_at"]) ?? "")
  return {
    _tag: "Event",
    event: {
      seq,
      uuid,
      source: data["source"] === "client" ? "client" : "worker",
      createdAt: Number.isNaN(at) ? 0 : at,
      payload: { type: string(json["type"]) ?? "", json }
    }
  }
}

/** The events among frames. */
export const events = (frames: ReadonlyArray<Frame>): ReadonlyArray<Entry> =>
  frames.flatMap((frame) => (frame._tag === "Event" ? [frame.event] : []))
