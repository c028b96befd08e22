/** Who sent an event, as the hub tells it. */
import type { Payload } from "@causeway/protocol/Payload"
import * as Option from "effect/Option"

export interface Author {
  readonly deviceId: string | undefined
  readonly role: string | undefined
}

/**
 * The author of an event. No hub tells it yet: what a payload says of itself is its sender's word. A policy that names
 * approvers refuses every answer until one does.
 */
export const of = (_payload: Payload): Option.Option<Author> => Option.none()
