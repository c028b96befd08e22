/** `send SESSION TEXT [--wait]`: one message, under one uuid however often it has to be sent. */
import { randomUUID } from "node:crypto"
import type { Received } from "@causeway/client/CodeSession"
import type { Frame } from "@causeway/client/Viewer"
import * as Delivery from "@causeway/protocol/Delivery"
import { EventUuid, type SessionId } from "@causeway/protocol/Ids"
import * as Visible from "@causeway/protocol/Visible"
import * as Approvals from "@causeway/transcript/Approvals"
import * as Turns from "@causeway/transcript/Turns"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Argument from "../Cli/Argument.ts"
import * as Flag from "../Cli/Flag.ts"
import { Failure } from "../Failure.ts"
import { Output } from "../Output.ts"
import * as Remote from "../Remote.ts"
import { post, watch } from "../Sending.ts"
import * as Session from "../Session.ts"
import * as StandardInput from "../StandardInput.ts"

const readable = (event: Received) => ({
  seq: event.sequence_num,
  uuid: event.event_id,
  source: event.source,
  createdAt: Date.parse(event.created_at),
  payload: { type: event.event_type, json: event.payload }
})

/** Tells of the message on its way, and of what the agent asks meanwhile. */
const tell = (sessionId: SessionId, uuid: EventUuid, frame: Frame) =>
  Effect.gen(function* () {
    const output = yield* Output
    if (frame._tag === "Delivery" && frame.update.event_id === uuid) {
      const { status } = frame.update
      yield* output.value({ event: "delivery", uuid, status })
      const state = Delivery.fromWire(status)
      yield* output.progress(state === undefined ? status : Delivery.words[state])
    }
    const request = frame._tag === "Event" ? Approvals.requestOf(readable(frame.event)) : null
    if (request === null) return
    const { toolUseId, toolName } = request
    yield* output.value({ event: "approval_requested", tool_use_id: toolUseId, tool_name: toolName })
    yield* output.progress(
      `${Visible.line(toolName)} waits for your approval: approve ${sessionId} ${Visible.line(toolUseId)}`
    )
  })

/** Watches until the turn that answers `uuid` has ended. */
const answer = (sessionId: SessionId, uuid: EventUuid, from: number) =>
  watch(sessionId, from).pipe(
    Stream.tap((frame) => tell(sessionId, uuid, frame)),
    Stream.mapAccum(Turns.follow(uuid), (state, frame) => {
      const isWithdrawn =
        frame._tag === "Delivery" &&
        frame.update.event_id === uuid &&
        Delivery.fromWire(frame.update.status) === "withdrawn"
      const next =
        frame._tag === "Event"
          ? Turns.step(state, readable(frame.event))
          : isWithdrawn
            ? Turns.withdrawn(state)
            : state
      return [next, next.answer] as const
    }),
    Stream.filter((answer) => answer._tag !== "pending"),
    Stream.runHead,
    Effect.flatMap(
      Option.match({
        onNone: () => Failure.failed("the stream ended before the answer"),
        onSome: Effect.succeed
      })
    )
  )

export const send = Remote.command(
  "send",
  "Send a message to a session",
  {
    wait: Flag.toggle("wait", "Wait for the end of the turn, then print the answer"),
    session: Session.argument,
    text: Argument.text("TEXT", "The message; - reads standard input; -- before a dash")
  },
  ({ wait, session, text }, output) =>
    Effect.gen(function* () {
      const content = yield* StandardInput.message(text)
      const { id } = yield* Session.find(session, "open")
      const uuid = EventUuid.make(randomUUID())
      const { sequenceNum, waitingFor } = yield* post(id, {
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
        waiting_for: waitingFor
      })
      yield* output.progress(`accepted by the hub as number ${sequenceNum}`)
      if (waitingFor !== undefined) yield* output.progress(waitingFor)
      if (!wait) return
      const {
        _tag,
        reason,
        result,
        seq,
        text: said
      } = { reason: "", ...(yield* answer(id, uuid, sequenceNum - 1)) }
      yield* output.tell({ event: "answered", uuid, sequence_num: seq, text: said, result }, said)
      if (_tag === "failed") {
        return yield* Failure.failed(
          reason === "failed" ? "the turn failed" : `the turn was ${reason}`,
          `logs ${id} shows what happened`
        )
      }
    })
)
