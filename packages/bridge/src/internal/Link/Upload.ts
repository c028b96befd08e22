/** Up: what an agent says, journalled and sent. Source: ARCHITECTURE.md ("Up"). */
import { randomUUID } from "node:crypto"
import * as ClientError from "@causeway/client/ClientError"
import { EventUuid } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import type { AgentOutput } from "@causeway/runner/Agent"
import { type Identified, KEPT_AT, type Outgoing } from "@causeway/runner/Journal"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Metrics from "../../Metrics.ts"
import { type Detached, endOf } from "../Detached.ts"
import { POST_MAX, type Registered, type State, target, touch, type Waiting } from "./State.ts"

/** Largest line that is sent, in bytes of JSON; the hub's default limit. Larger ones are reported instead. */
const MAX_LINE = 4 * 1024 * 1024

/** Whether a text has more bytes than this; counted only where it may have. */
const isLonger = (text: string, bytes: number): boolean =>
  text.length * 3 > bytes && Buffer.byteLength(text) > bytes

/** What the log says to a person in the place of a line that is too long to send. */
const tooLong = (payload: Payload.Payload, limit: number): Identified => {
  const uuid = payload.uuid ?? EventUuid.make(randomUUID())
  const report = Payload.make({
    type: "bridge_error",
    uuid,
    reason: "line_too_long",
    message: `the agent wrote a line of ${Buffer.byteLength(payload.text)} bytes, and the hub takes at most ${limit}: its beginning stands here, the whole of it is kept ${KEPT_AT}`,
    line_type: payload.type,
    line_start: payload.text.slice(0, 2_000)
  })
  return { ...report, uuid }
}

const outgoing = (output: AgentOutput, limit: number): Outgoing => {
  if (output._tag === "Delivery") return output
  if (isLonger(output.payload.text, limit)) {
    const payload = tooLong(output.payload, limit)
    const why = `larger than ${limit} bytes`
    return { _tag: "Line", payload, original: { payload: output.payload, why } }
  }
  const sized = output.payload
  if (sized.uuid !== undefined) return { _tag: "Line", payload: { ...sized, uuid: sized.uuid } }
  const json = { ...sized.json, uuid: EventUuid.make(randomUUID()) }
  return {
    _tag: "Line",
    payload: { ...sized, json, text: JSON.stringify(json), uuid: json.uuid }
  }
}

const isEphemeral = (output: AgentOutput) => output._tag === "Line" && Payload.isEphemeral(output.payload)

/** Journals what an agent said, in its order; ephemeral lines wait for an attachment that sends. */
export const write = (state: State, outputs: ReadonlyArray<AgentOutput>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { journal, maxLine = MAX_LINE, retryForever, sessionId, toReport, waiting, writing } = state
    yield* touch(state)
    const durable = outputs
      .filter((output) => !isEphemeral(output))
      .map((output) => outgoing(output, maxLine))
    if (durable.length > 0) {
      yield* retryForever(journal.record(sessionId, durable))
      yield* Metric.incrementBy(Metrics.linesJournalled, durable.filter(({ _tag }) => _tag === "Line").length)
      if (durable.some((output) => output._tag === "Delivery")) yield* Queue.offer(toReport, undefined)
    }
    if (!(yield* Ref.get(writing))) return
    for (const output of outputs) {
      if (output._tag !== "Line") continue
      yield* Queue.offer(
        waiting,
        Payload.isEphemeral(output.payload)
          ? { _tag: "Ephemeral", text: output.payload.text }
          : { _tag: "Durable", count: 1 }
      )
    }
  })

/** Posts ephemeral lines once; what cannot be sent now is dropped. */
const post = (state: State, { attachment, epoch }: Registered, texts: ReadonlyArray<string>) =>
  Effect.forEach(
    Array.chunksOf(texts, POST_MAX),
    (chunk) =>
      state.codeSession
        .postEvents(
          target(state, attachment),
          epoch,
          chunk.map((text) => ({ text, ephemeral: true }))
        )
        .pipe(
          Effect.catchIf(
            (error) =>
              ClientError.isTransient(error) ||
              error._tag === "RequestFailed" ||
              error._tag === "InvalidResponse",
            (error) =>
              Effect.logDebug("progress dropped").pipe(
                Effect.annotateLogs({ session: state.sessionId, events: chunk.length, detail: error.message })
              )
          ),
          Effect.mapError(endOf)
        ),
    { discard: true }
  )

/** Sends what waits, then what comes, until the attachment ends. */
export const send = (state: State, registered: Registered): Effect.Effect<never, Detached> =>
  Effect.gen(function* () {
    const { outbox, waiting, writing } = state
    // What waits from before is sent first, without its progress.
    yield* Queue.takeAll(waiting)
    yield* Ref.set(writing, true)
    const to = { target: target(state, registered.attachment), epoch: registered.epoch }
    const drain: Effect.Effect<void, Detached> = Effect.flatMap(outbox.send(to), (more) =>
      more ? drain : Effect.void
    )
    yield* drain
    return yield* Effect.gen(function* () {
      const taken: Array.NonEmptyArray<Waiting> = [
        yield* Queue.take(waiting),
        ...(yield* Queue.takeAll(waiting))
      ]
      for (const run of Array.groupWith(taken, (a, b) => a._tag === b._tag)) {
        if (run[0]._tag === "Durable") yield* outbox.send(to, run.length)
        else {
          yield* post(
            state,
            registered,
            run.flatMap((item) => (item._tag === "Ephemeral" ? [item.text] : []))
          )
        }
      }
      // Lines beyond one batch, and those whose note slid out of the queue.
      if ((yield* Queue.size(waiting)) === 0) yield* drain
    }).pipe(Effect.forever)
  }).pipe(Effect.ensuring(Ref.set(state.writing, false)))
