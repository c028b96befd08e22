/** `send SESSION TEXT [--wait]`: one message, under one uuid however often it has to be sent. */
import { randomUUID } from "node:crypto"
import * as ClientError from "@causeway/client/ClientError"
import type { Received } from "@causeway/client/CodeSession"
import * as Sessions from "@causeway/client/Sessions"
import * as Viewer from "@causeway/client/Viewer"
import type { EventUuid, SessionId } from "@causeway/protocol/Ids"
import * as Visible from "@causeway/protocol/Visible"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Turns from "@causeway/transcript/Turns"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import { Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import { sending } from "../Sending.ts"
import * as Session from "../Session.ts"
import * as StandardInput from "../StandardInput.ts"

const deliveryWords: { readonly [status: string]: string } = {
  DELIVERY_STATUS_RECEIVED: "on the host",
  DELIVERY_STATUS_PROCESSING: "taken by the agent",
  DELIVERY_STATUS_PROCESSED: "answered",
  DELIVERY_STATUS_WITHDRAWN: "withdrawn"
}

/** Sends the payload again, under its uuid, until the hub has answered. */
const accepted = (
  sessionId: SessionId,
  payload: { readonly uuid: string; readonly [key: string]: unknown }
) =>
  Effect.gen(function* () {
    const sessions = yield* Sessions.Sessions
    const output = yield* Output
    const sent = yield* sessions.sendEvents(sessionId, [payload]).pipe(
      Effect.tapError((error) =>
        ClientError.isTransient(error) ? output.progress(`not accepted yet: ${error.message}`) : Effect.void
      ),
      Effect.retry({ schedule: sending, while: ClientError.isTransient }),
      Effect.mapError(Remote.failure)
    )
    const event = sent.events[0]
    if (event === undefined)
      return yield* new Failure({ message: "the hub did not say what became of the message" })
    return { sequenceNum: event.sequence_num, waitingFor: sent.waiting_for ?? undefined }
  })

const readable = (event: Received) => ({
  seq: event.sequence_num,
  uuid: event.event_id,
  source: event.source,
  createdAt: Date.parse(event.created_at),
  payload: { type: event.event_type, json: event.payload }
})

/** Watches until the turn that answers `uuid` has ended. */
const answer = (sessionId: SessionId, uuid: EventUuid, from: number) =>
  Effect.gen(function* () {
    const viewer = yield* Viewer.Viewer
    const output = yield* Output
    const frames = viewer.watch(sessionId, from, {
      onConnection: (connection) =>
        Option.match(Viewer.wordsOf(connection), { onNone: () => Effect.void, onSome: output.progress })
    })
    return yield* frames.pipe(
      Stream.mapError(Remote.failure),
      Stream.tap((frame) => {
        if (frame._tag === "Delivery" && frame.update.event_id === uuid) {
          const words = deliveryWords[frame.update.status] ?? frame.update.status
          return Effect.zipRight(
            output.value({ event: "delivery", uuid, status: frame.update.status }),
            output.progress(words)
          )
        }
        if (frame._tag === "Event" && frame.event.source === "worker") {
          const request = Approvals.requestOf(readable(frame.event))
          if (request !== null) {
            const { toolUseId, toolName } = request
            return Effect.zipRight(
              output.value({ event: "approval_requested", tool_use_id: toolUseId, tool_name: toolName }),
              output.progress(
                `${Visible.line(toolName)} waits for your approval: approve ${sessionId} ${Visible.line(toolUseId)}`
              )
            )
          }
        }
        return Effect.void
      }),
      Stream.mapAccum(Turns.follow(uuid), (state, frame) => {
        const next =
          frame._tag === "Event"
            ? Turns.step(state, readable(frame.event))
            : frame._tag === "Delivery" &&
                frame.update.event_id === uuid &&
                frame.update.status === "DELIVERY_STATUS_WITHDRAWN"
              ? Turns.withdrawn(state)
              : state
        return [next, next.answer] as const
      }),
      Stream.filter((answer) => answer._tag !== "pending"),
      Stream.runHead,
      Effect.flatMap(
        Option.match({
          onNone: () => new Failure({ message: "the stream ended before the answer" }),
          onSome: Effect.succeed
        })
      )
    )
  })

export const send = Command.make(
  "send",
  "Send a message to a session",
  {
    ...Flags.remote,
    wait: Flag.toggle("wait", "Wait for the end of the turn, then print the answer"),
    session: Session.argument,
    text: Argument.text("TEXT", "The message; - reads standard input; -- before a dash")
  },
  ({ wait, session, text, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const content = yield* StandardInput.message(text)
      const { id } = yield* Session.find(session, { _tag: "open" })
      const uuid = randomUUID()
      const { sequenceNum, waitingFor } = yield* accepted(id, {
        type: "user",
        uuid,
        session_id: "",
        parent_tool_use_id: null,
        message: { role: "user", content }
      })
      yield* output.value({
        event: "accepted",
        uuid,
        session_id: id,
        sequence_num: sequenceNum,
        ...(waitingFor === undefined ? {} : { waiting_for: waitingFor })
      })
      yield* output.progress(`accepted by the hub as number ${sequenceNum}`)
      if (waitingFor !== undefined) yield* output.progress(Visible.text(waitingFor))
      if (!wait) return
      const end = yield* answer(id, uuid as EventUuid, sequenceNum - 1)
      yield* output.value({
        event: "answered",
        uuid,
        sequence_num: end.seq,
        text: end.text,
        result: end.result
      })
      yield* output.line(end.text)
      if (end._tag === "failed") {
        return yield* new Failure({
          message: end.reason === "failed" ? "the turn failed" : `the turn was ${end.reason}`,
          next: `logs ${id} shows what happened`
        })
      }
    }).pipe(Remote.withHub(flags))
)
