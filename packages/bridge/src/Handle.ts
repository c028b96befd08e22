/** The handle of a bridge that has started: its home session for a program of its own, and its end. */
import { randomUUID } from "node:crypto"
import type * as Delivery from "@causeway/protocol/Delivery"
import type { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import type { AgentOutput } from "@causeway/runner/Agent"
import type { Serve } from "@causeway/runner/Engine"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import type { Unfinished } from "./BridgeEvent.ts"
import { currentHome, type Running } from "./internal/Running.ts"
import { zeroedResult } from "./internal/Shutdown.ts"
import type * as Lifecycle from "./Lifecycle.ts"
import type { Link } from "./Link.ts"

export interface Handle {
  /** The home session. Another one after the environment was lost and replaced: see `SessionReady`. */
  readonly sessionId: Effect.Effect<SessionId>
  readonly environmentId: Effect.Effect<EnvironmentId>
  /** Address of the home session's log. */
  readonly ingressUrl: Effect.Effect<string>
  readonly state: SubscriptionRef.SubscriptionRef<Lifecycle.State>
  /**
   * What people write to the home session, each once; empty where `serve` is given. One consumer each. A message counts
   * as answered when a result is written or the next message is asked for, whichever comes first.
   */
  readonly userMessages: Stream.Stream<Payload.Payload>
  readonly controlRequests: Stream.Stream<Payload.Payload>
  /** Writes entries to the home session's log; durable when it returns. Entries without a uuid get one. */
  readonly writeMessages: (messages: ReadonlyArray<Payload.Payload>) => Effect.Effect<void>
  /** The same for messages as JSON. `PayloadInvalid`: one of them is no event; none was written. */
  readonly writeSdkMessages: (
    messages: ReadonlyArray<Payload.JsonObject>
  ) => Effect.Effect<void, Payload.PayloadInvalid>
  readonly sendControlRequest: (requestId: string, request: Payload.JsonObject) => Effect.Effect<void>
  readonly sendControlResponse: (response: Payload.JsonObject) => Effect.Effect<void>
  readonly sendControlCancelRequest: (requestId: string) => Effect.Effect<void>
  /** Ends the turn with a zeroed result. */
  readonly sendResult: Effect.Effect<void>
  /** Waits until the bridge has given up. */
  readonly failed: Effect.Effect<Extract<Lifecycle.State, { readonly _tag: "Failed" }>>
  /** Shuts down in order, once; answers what did not finish. The scope's end does it otherwise. */
  readonly teardown: Effect.Effect<ReadonlyArray<Unfinished>>
}

/** Messages of the home session, for whoever holds the handle. */
export interface Inbox {
  readonly userMessages: Queue.Queue<Payload.Payload>
  readonly controlRequests: Queue.Queue<Payload.Payload>
}

export const inbox: Effect.Effect<Inbox> = Effect.all({
  userMessages: Queue.unbounded<Payload.Payload>(),
  controlRequests: Queue.unbounded<Payload.Payload>()
})

/** Serves where there is no host: the home session's messages are for whoever holds the handle. */
export const serve =
  ({ controlRequests, userMessages }: Inbox): Serve<Link> =>
  (link) =>
    Effect.gen(function* () {
      if (!link.home) return yield* Effect.never
      const sort = (payload: Payload.Payload) =>
        Queue.offer(payload.type === "user" ? userMessages : controlRequests, payload)
      yield* Queue.takeAll(link.inbound)
      const before = yield* link.unanswered
      yield* Effect.forEach(before, sort, { discard: true })
      const known = new Set(before.map(({ uuid }) => uuid))
      return yield* Effect.forever(
        Effect.flatMap(Queue.take(link.inbound), (payload) =>
          known.has(payload.uuid) ? Effect.void : sort(payload)
        )
      )
    })

const delivered = ({ uuid }: Payload.Payload, state: Delivery.Report): ReadonlyArray<AgentOutput> =>
  uuid === undefined ? [] : [{ _tag: "Delivery", uuid, state }]

export const make = (
  running: Running,
  { controlRequests, userMessages }: Inbox,
  teardown: Handle["teardown"]
): Effect.Effect<Handle> =>
  Effect.gen(function* () {
    const homeLink = Effect.flatMap(
      currentHome(running),
      Option.match({
        onNone: () => Effect.dieMessage("a started bridge has a home session"),
        onSome: ({ link }) => Effect.succeed(link)
      })
    )
    /** The message that whoever holds the handle works on. */
    const current = yield* Ref.make<Payload.Payload | undefined>(undefined)
    const write = (messages: ReadonlyArray<Payload.Payload>) =>
      Effect.gen(function* () {
        const link = yield* homeLink
        const answered = messages.some(({ type }) => type === "result")
          ? yield* Ref.getAndSet(current, undefined)
          : undefined
        yield* link.write([
          ...messages.map((payload) => ({ _tag: "Line" as const, payload })),
          ...(answered === undefined ? [] : delivered(answered, "processed"))
        ])
      })
    const send = (json: Payload.JsonObject & { readonly type: string }) =>
      write([Payload.make({ uuid: randomUUID(), ...json })])
    /** Emits each, and counts the one before as answered when the next is asked for. */
    const consumed = (queue: Queue.Dequeue<Payload.Payload>) =>
      Stream.unfoldEffect(undefined as Payload.Payload | undefined, (before) =>
        Effect.gen(function* () {
          const link = yield* homeLink
          if (before !== undefined) yield* link.write(delivered(before, "processed"))
          const next = yield* Queue.take(queue)
          if (next.type === "user") yield* Ref.set(current, next)
          yield* link.write(delivered(next, "processing"))
          return Option.some([next, next] as const)
        })
      )
    return {
      sessionId: Effect.map(homeLink, (link) => link.sessionId),
      environmentId: Ref.get(running.environment),
      ingressUrl: Effect.map(homeLink, (link) => link.ingressUrl),
      state: running.connectivity.state,
      userMessages: consumed(userMessages),
      controlRequests: consumed(controlRequests),
      writeMessages: write,
      writeSdkMessages: (messages) =>
        Effect.flatMap(
          Effect.forEach(messages, (message) => {
            const json = { uuid: randomUUID(), ...message }
            return Payload.fromJson(json, JSON.stringify(json))
          }),
          write
        ),
      sendControlRequest: (requestId, request) =>
        send({ type: "control_request", request_id: requestId, request }),
      sendControlResponse: (response) => send({ type: "control_response", response }),
      sendControlCancelRequest: (requestId) =>
        send({ type: "control_cancel_request", request_id: requestId }),
      sendResult: Effect.flatMap(homeLink, (link) => write([zeroedResult(link.sessionId)])),
      failed: running.connectivity.failed,
      teardown
    }
  })
