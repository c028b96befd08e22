/**
 * Payloads of people, as an agent can take them. The hub refuses what no model takes; a log may still hold it from before, or
 * from another hub.
 */
import * as MessageContent from "@causeway/protocol/MessageContent"
import type * as Payload from "@causeway/protocol/Payload"
import * as Approvals from "@causeway/transcript/Approvals"
import { object } from "@causeway/transcript/Read"
import * as Repair from "@causeway/transcript/Repair"
import { none, type Repairs } from "@causeway/transcript/Repairs"

export interface SoundInput {
  /** The given payload itself where nothing was mended. */
  readonly payload: Payload.Payload
  readonly repairs: Repairs
}

const remade = (payload: Payload.Payload, json: Payload.JsonObject): Payload.Payload => ({
  ...payload,
  json,
  text: JSON.stringify(json)
})

/** A refusal becomes a tool's failed result, and no model takes one that says nothing. */
const refusal = (payload: Payload.Payload): Payload.Payload => {
  const outer = object(payload.json["response"])
  const inner = object(outer["response"])
  if (inner["behavior"] !== "deny") return payload
  const { message } = inner
  if (typeof message === "string" && !MessageContent.isBlank(message)) return payload
  return remade(payload, {
    ...payload.json,
    response: { ...outer, response: { ...inner, message: Approvals.DENIED } }
  })
}

export const of = (payload: Payload.Payload): SoundInput => {
  if (payload.type === "control_response") return { payload: refusal(payload), repairs: none }
  if (payload.type !== "user") return { payload, repairs: none }
  const { json, repairs } = Repair.message(payload.json)
  return json === payload.json ? { payload, repairs } : { payload: remade(payload, json), repairs }
}
