/** `logs SESSION [--follow]`: the log, event by event. */

import type { Received } from "@causeway/client/CodeSession"
import * as Visible from "@causeway/protocol/Visible"
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Flag from "../Cli/Flag.ts"
import { watch } from "../Sending.ts"
import * as Session from "../Session.ts"

/** Words, or what a tool wrote. */
interface Part {
  readonly text: string
  readonly isOutput: boolean
}

const words = (text: string): ReadonlyArray<Part> => (text === "" ? [] : [{ text, isOutput: false }])

const partsOf = (value: unknown): ReadonlyArray<Part> => {
  if (typeof value === "string") return words(value)
  if (!Array.isArray(value)) return []
  return value.flatMap((block: unknown): ReadonlyArray<Part> => {
    const fields = Read.object(block)
    switch (fields["type"]) {
      case "text":
        return words(String(fields["text"] ?? ""))
      case "thinking":
        return words(`(thinking) ${String(fields["thinking"] ?? "")}`)
      case "tool_use":
        return words(`${String(fields["name"])} ${JSON.stringify(fields["input"])}`)
      case "tool_result": {
        const text = partsOf(fields["content"])
          .map((part) => part.text)
          .join("\n")
        return [{ text: `-> ${text}`, isOutput: true }]
      }
      default:
        return words(`[${String(fields["type"])}]`)
    }
  })
}

/** What an event says. */
const describe = (event: Received): ReadonlyArray<Part> => {
  const { payload } = event
  switch (event.event_type) {
    case "user":
    case "assistant":
      return partsOf(Read.object(payload["message"])["content"])
    case "result":
      return words(
        `${String(payload["subtype"])}${payload["is_error"] === true ? ` (failed): ${String(payload["result"] ?? "")}` : ""}`
      )
    case "system":
      return words(String(payload["subtype"] ?? ""))
    case "control_request":
      return words(
        `${String(Read.object(payload["request"])["subtype"])} ${String(Read.object(payload["request"])["tool_name"] ?? "")}`
      )
    case "bridge_error":
      return words(String(payload["message"] ?? payload["error"] ?? ""))
    default:
      return []
  }
}

export const logs = Session.command(
  "logs",
  "Print a session's log",
  "read",
  { follow: Flag.toggle("follow", "Keep printing new events, until interrupted", "f") },
  ({ id, last_sequence_num: last = 0 }, output, { follow }) => {
    if (!follow && last === 0) return Effect.void
    const events = Stream.filterMap(watch(id, 0), (frame) =>
      frame._tag === "Event" ? Option.some(frame.event) : Option.none()
    )
    const print = (event: Received) =>
      output.json
        ? output.jsonLines(
            `{"sequence_num":${event.sequence_num},"uuid":${JSON.stringify(event.event_id)},"source":"${event.source}",` +
              `"created_at":${JSON.stringify(event.created_at)},` +
              `${event.author === undefined ? "" : `"author":${JSON.stringify(event.author)},`}"payload":${event.payloadText}}\n`
          )
        : Effect.zipRight(
            output.line(
              Visible.line(
                `${event.sequence_num} ${event.created_at} ${event.source} ${event.event_type}${
                  event.author === undefined ? "" : ` by ${event.author.name}`
                }`
              ),
              "dim"
            ),
            Effect.forEach(
              describe(event),
              ({ isOutput, text }) => (isOutput ? output.output(text) : output.line(text)),
              { discard: true }
            )
          )
    return Stream.runForEach(
      follow ? events : Stream.takeUntil(events, (event) => event.sequence_num >= last),
      print
    )
  }
)
