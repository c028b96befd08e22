/** Down: client events, each in the journal before the agent gets it. Source: ARCHITECTURE.md ("Down"). */
import type * as CodeSession from "@causeway/client/CodeSession"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import * as Payload from "@causeway/protocol/Payload"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import type { Incoming } from "@causeway/runner/Journal"
import * as Array from "effect/Array"
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { BridgeEvent } from "../../BridgeEvent.ts"
import * as Metrics from "../../Metrics.ts"
import { Detached, endOf } from "../Detached.ts"
import { type Registered, type State, target, touch } from "./State.ts"

/** The change that archives a session; the lease would tell of it later. */
const isArchiving = ({ json, type }: Payload.Payload): boolean =>
  type === "session_update" && json["archived"] === true

/** Messages that nobody has taken yet are not given any more. */
const takeBack = (inbound: State["inbound"], withdrawals: ReadonlyArray<Withdrawal.Withdrawal>) =>
  withdrawals.length === 0
    ? Effect.void
    : Effect.flatMap(Queue.takeAll(inbound), (left) =>
        Queue.offerAll(
          inbound,
          Array.filter(
            left,
            ({ type, uuid }) =>
              type !== "user" ||
              uuid === undefined ||
              !withdrawals.some((withdrawal) => Withdrawal.covers(withdrawal, uuid))
          )
        )
      )

const take = (state: State, received: Chunk.Chunk<CodeSession.Received>) =>
  Effect.gen(function* () {
    const { changes, inbound, journal, retryForever, sessionId, toReport } = state
    const events: Array<Incoming> = []
    for (const event of received) {
      // Echoes of what this side wrote.
      if (event.source !== "client") continue
      const payload = Payload.fromJson(event.payload, event.payloadText)
      if (Either.isRight(payload)) {
        events.push({ eventId: event.event_id, sequenceNum: event.sequence_num, payload: payload.right })
      } else {
        yield* Effect.logWarning("client event not readable").pipe(
          Effect.annotateLogs({ session: sessionId, event: event.event_id, detail: payload.left.issue })
        )
      }
    }
    if (events.length === 0) return
    yield* touch(state)
    const fresh = yield* retryForever(journal.receive(sessionId, events))
    yield* Metric.incrementBy(Metrics.clientEvents, fresh.length)
    const [others, given] = Array.partition(fresh, Payload.isForWorker)
    if (others.length > 0) {
      yield* retryForever(
        journal.record(
          sessionId,
          others.flatMap(({ uuid }) =>
            uuid === undefined ? [] : [{ _tag: "Delivery" as const, uuid, state: "processed" as const }]
          )
        )
      )
    }
    yield* takeBack(
      inbound,
      given.flatMap((payload) => Withdrawal.of(payload) ?? [])
    )
    yield* Queue.offerAll(inbound, given)
    yield* Queue.offerAll(
      changes,
      others.filter(({ type }) => type === "session_update").map(({ json }) => AgentSettings.of(json))
    )
    yield* Queue.offer(toReport, undefined)
    if (others.some(isArchiving)) {
      return yield* new Detached({ reason: "session_gone", detail: "the session was archived" })
    }
  })

/** Brings client events into the journal, and from there to the agent, until the attachment ends. */
export const receive = (state: State, { attachment }: Registered): Effect.Effect<never, Detached> =>
  Effect.gen(function* () {
    const { attached, codeSession, journal, onConnection, onEvent, retryForever, sessionId } = state
    const known = yield* retryForever(journal.session(sessionId))
    const from = Option.match(known, { onNone: () => 0, onSome: ({ cursor }) => cursor })
    const held = yield* Ref.make(false)
    yield* codeSession
      .stream(target(state, attachment), from, {
        onConnection: (connection) =>
          Effect.gen(function* () {
            yield* SubscriptionRef.set(attached, connection._tag === "Connected")
            if (connection._tag === "Connected") {
              const now = connection.polling
              if ((yield* Ref.getAndSet(held, now)) !== now) {
                yield* onEvent(BridgeEvent.StreamHeld({ sessionId, held: now }))
              }
            }
            yield* onConnection(connection)
          })
      })
      .pipe(
        Stream.mapError(endOf),
        Stream.runForEachChunk((received) => take(state, received))
      )
    return yield* new Detached({ reason: "lease_lost", detail: "the session's stream ended" })
  }).pipe(Effect.ensuring(SubscriptionRef.set(state.attached, false)))
