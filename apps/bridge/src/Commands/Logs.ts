/** `logs SESSION [--follow]`: the log, event by event. */

import type { Received } from "@causeway/client/CodeSession"
import * as Viewer from "@causeway/client/Viewer"
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Visible from "@causeway/protocol/Visible"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
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
    if (typeof block !== "object" || block === null) return []
    const fields = block as JsonObject
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

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? (value as JsonObject)[name] : undefined

/** What an event says. */
const describe = (event: Received): ReadonlyArray<Part> => {
  const { payload } = event
  switch (event.event_type) {
    case "user":
    case "assistant":
      return partsOf(member(payload["message"], "content"))
    case "result":
      return words(
        `${String(payload["subtype"])}${payload["is_error"] === true ? ` (failed): ${String(payload["result"] ?? "")}` : ""}`
      )
    case "system":
      return words(String(payload["subtype"] ?? ""))
    case "control_request":
      return words(
        `${String(member(payload["request"], "subtype"))} ${String(member(payload["request"], "tool_name") ?? "")}`
      )
    case "bridge_error":
      return words(String(payload["message"] ?? payload["error"] ?? ""))
    default:
      return []
  }
}

export const logs = Command.make(
  "logs",
  "Print a session's log",
  {
    ...Flags.remote,
    follow: Flag.toggle("follow", "Go on with what comes, until interrupted", "f"),
    session: Session.argument
  },
  ({ follow, session, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const viewer = yield* Viewer.Viewer
      const { id, last_sequence_num: last = 0 } = yield* Session.find(session, { _tag: "read" })
      if (!follow && last === 0) return
      const events = viewer
        .watch(id, 0, {
          onConnection: (connection) =>
            Option.match(Viewer.wordsOf(connection), { onNone: () => Effect.void, onSome: output.progress })
        })
        .pipe(
          Stream.filterMap((frame) => (frame._tag === "Event" ? Option.some(frame.event) : Option.none())),
          Stream.mapError(Remote.failure)
        )
      yield* (follow ? events : Stream.takeUntil(events, (event) => event.sequence_num >= last)).pipe(
        Stream.runForEach((event) =>
          output.json
            ? output.jsonLines(
                `{"sequence_num":${event.sequence_num},"uuid":${JSON.stringify(event.event_id)},"source":"${event.source}",` +
                  `"created_at":${JSON.stringify(event.created_at)},"payload":${event.payloadText}}\n`
              )
            : Effect.zipRight(
                output.line(
                  `${event.sequence_num} ${event.created_at} ${event.source} ${Visible.line(event.event_type)}`,
                  "dim"
                ),
                Effect.forEach(
                  describe(event),
                  ({ isOutput, text }) => (isOutput ? output.output(text) : output.line(text)),
                  { discard: true }
                )
              )
        )
      )
    }).pipe(Remote.withHub(flags))
)
