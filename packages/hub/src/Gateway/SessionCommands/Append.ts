/** People's events on their way into a session's log. */
import { randomUUID } from "node:crypto"
import * as MessageContent from "@causeway/protocol/MessageContent"
import * as Payload from "@causeway/protocol/Payload"
import { Log } from "@causeway/store/Log"
import type { Session } from "@causeway/store/Session"
import type { JsonObject } from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import { invalid, unavailable } from "../Failure.ts"

export type Line = JsonObject & { readonly type: string }

/** A person's event as it was stored. */
export interface Written {
  readonly uuid: string
  readonly duplicate: boolean
  /** The messages that it took back. */
  readonly withdrawn: ReadonlyArray<string>
}

/** Stored as one, or not at all. */
export const appendAll = Effect.fn("SessionCommands.append")(
  function* (record: Session, lines: ReadonlyArray<Line>) {
    const payloads = lines.map((json) => Payload.make({ uuid: randomUUID(), ...json }))
    for (const payload of payloads) {
      const problem = MessageContent.problemOf(payload)
      if (problem !== undefined) return yield* invalid(problem)
    }
    const { organizationId, session } = record
    const appended = yield* (yield* Log).append({ session, organizationId, source: "client", payloads })
    return appended.map(
      ({ duplicate, uuid, withdrawn }): Written => ({ uuid, duplicate, withdrawn: withdrawn ?? [] })
    )
  },
  (effect, { key }) =>
    Effect.catchTags(effect, {
      SessionUnknown: () => invalid(`session not found: ${key}`),
      SessionArchived: () => invalid(`session not found: ${key}`),
      AlreadyAnswered: (error) => invalid(error.message),
      // People's events carry no guard, and no token's epoch.
      HeadMoved: Effect.die,
      WorkerSuperseded: Effect.die,
      TokenSuperseded: Effect.die,
      LogBusy: () => unavailable("too much is being written at once; try again in a moment")
    })
)

export const append = (record: Session, line: Line) =>
  Effect.flatMap(appendAll(record, [line]), ([written]) =>
    written === undefined ? Effect.dieMessage("an append without an answer") : Effect.succeed(written)
  )
