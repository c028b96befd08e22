/**
 * Which messages of people an event takes back.
 *
 * A message is taken back while it waits: by an interrupt with `cancel_queued` (all that came before it), or by
 * `cancel_async_message` (one). What the agent had begun by then was not taken back; an interrupt stops it. The log, the
 * bridge's journal and the agent's queue each decide by this. Source: spec 4 §1 (Interrupt, queue, duplicates).
 */
import * as Schema from "effect/Schema"
import { EventUuid } from "./Ids.ts"
import type * as Payload from "./Payload.ts"

export type Withdrawal =
  /** All messages before the event. */
  { readonly _tag: "All" } | { readonly _tag: "One"; readonly uuid: EventUuid }

const isUuid = Schema.is(EventUuid)

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && name in value
    ? (value as { readonly [key: string]: unknown })[name]
    : undefined

/** The withdrawal that an event of a person is, if any. */
export const of = (event: Pick<Payload.Payload, "type" | "json">): Withdrawal | undefined => {
  if (event.type !== "control_request") return undefined
  const request = event.json["request"]
  switch (member(request, "subtype")) {
    case "interrupt":
      return member(request, "cancel_queued") === true ? { _tag: "All" } : undefined
    case "cancel_async_message": {
      const uuid = member(request, "message_uuid")
      return isUuid(uuid) ? { _tag: "One", uuid } : undefined
    }
    default:
      return undefined
  }
}

/** It takes back the message of this uuid, which came before it. */
export const covers = (withdrawal: Withdrawal, uuid: string): boolean =>
  withdrawal._tag === "All" || withdrawal.uuid === uuid

/** Stops the turn and takes back all that waits. */
export const all = (requestId: string): Payload.JsonObject & { readonly type: string } => ({
  type: "control_request",
  request_id: requestId,
  request: { subtype: "interrupt", cancel_queued: true }
})

/** Takes back one message. */
export const one = (requestId: string, uuid: string): Payload.JsonObject & { readonly type: string } => ({
  type: "control_request",
  request_id: requestId,
  request: { subtype: "cancel_async_message", message_uuid: uuid }
})
