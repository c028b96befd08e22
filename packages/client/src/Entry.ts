/** One line of a session's log as a writer sends it and a reader gets it back: the text and what it says. */

import { EventUuid } from "@causeway/protocol/Ids"
import type { JsonObject } from "@causeway/protocol/Payload"

export interface Entry {
  /** The JSON text, as it arrived or is to be sent. */
  readonly text: string
  /** The same, parsed. */
  readonly json: JsonObject
  /** `json.uuid` where there is one; summary and tag entries have none. */
  readonly uuid: EventUuid | undefined
}

/** An entry that can be a link of the log's chain. A `Payload` with a uuid is one. */
export interface ChainEntry extends Entry {
  readonly uuid: EventUuid
}

/** An entry made here. */
export const make = (json: JsonObject & { readonly uuid: string }): ChainEntry => ({
  text: JSON.stringify(json),
  json,
  uuid: EventUuid.make(json.uuid)
})
