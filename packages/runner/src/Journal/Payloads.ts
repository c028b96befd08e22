/** Payloads as the journal keeps them. */
import * as Payload from "@causeway/protocol/Payload"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { type Identified, type Incoming, JournalFailed } from "./Model.ts"

/** The payload with a uuid: its own, or its event's. */
export const withUuid = (event: Incoming): Identified => {
  const { payload, eventId } = event
  if (payload.uuid !== undefined) return { ...payload, uuid: payload.uuid }
  const json = { ...payload.json, uuid: eventId }
  return { ...payload, json, text: JSON.stringify(json), uuid: eventId }
}

/** What stands in the journal was written by it: a payload, with a uuid. */
export const readPayload = (text: string): Effect.Effect<Identified, JournalFailed> =>
  Either.match(Payload.decode(text), {
    onLeft: (error) => new JournalFailed({ operation: "read", detail: error.message }),
    onRight: (payload) =>
      payload.uuid === undefined
        ? new JournalFailed({ operation: "read", detail: "a payload has no uuid" })
        : Effect.succeed({ ...payload, uuid: payload.uuid })
  })
