/** How commands send what a person said: again, under the same uuid, until the hub has answered. */
import * as Backoff from "@causeway/client/Backoff"
import * as Schedule from "effect/Schedule"

/** The client's backoff for uploads, for one minute: a person waits for this. */
export const sending = Backoff.uploads.pipe(Schedule.upTo("1 minute"))
