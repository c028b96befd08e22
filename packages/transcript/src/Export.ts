/** The transcript of a log. */
import type { LogEvent } from "@causeway/protocol/Event"
import * as Payload from "@causeway/protocol/Payload"

/** The transcript's entries (`Payload.isTranscript`), each uuid once, in the order of the log. */
export const transcriptOf = (events: Iterable<LogEvent>): ReadonlyArray<LogEvent> => {
  const seen = new Set<string>()
  const entries: Array<LogEvent> = []
  for (const event of events) {
    if (seen.has(event.uuid) || !Payload.isTranscript(event.payload)) continue
    seen.add(event.uuid)
    entries.push(event)
  }
  return entries
}
