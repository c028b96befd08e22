/** One agent session across the ends of its process: what its parts share. */
import { randomUUID } from "node:crypto"
import * as Payload from "@causeway/protocol/Payload"
import type * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Mailbox from "effect/Mailbox"
import * as Queue from "effect/Queue"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { AgentOutput, AgentSessionSpec, AgentStatus, AgentUnavailable } from "../Agent.ts"
import type * as Delivery from "../Delivery.ts"
import type { Connection, Driver } from "../Driver.ts"
import type * as InForce from "../InForce.ts"
import type { Supervision } from "../Supervision.ts"

/** What changes while a session lives. */
export interface Now {
  /** Names the process that runs. */
  runId: string
  phase: "starting" | "up" | "restarting" | "stopped" | "failed"
  connection: Connection | undefined
  /** Settings that came while a process was being started. */
  late: Array<Payload.Payload>
  /** The session is being closed: its process is not started again. */
  closing: boolean
  /** The process is being ended because it has nothing to do. */
  idling: boolean
  /** Signals have taken over what an interrupt could not do: turns that had ended when it was given. */
  forced: number | undefined
  /** Counts lines and inputs: by it a wait sees that something happened meanwhile. */
  activity: number
  /** Lines that were no events, so far. */
  unreadable: number
}

export interface State {
  readonly options: Supervision
  readonly spec: AgentSessionSpec
  readonly driver: Driver
  readonly delivery: Delivery.Delivery
  readonly inForce: InForce.InForce
  /** Slow readers slow the agent down: what does not fit stays in the agent's pipe. */
  readonly output: Mailbox.Mailbox<AgentOutput, AgentUnavailable>
  /** For the process that runs; what is lost with it is in the books of `delivery`. */
  readonly writes: Queue.Queue<Payload.Payload>
  /** Wakes a session whose process has ended in order. */
  readonly wake: Queue.Queue<void>
  /** Told of each input: one that is being put to sleep is needed again. */
  readonly wanted: Queue.Queue<void>
  readonly status: SubscriptionRef.SubscriptionRef<AgentStatus>
  readonly started: Deferred.Deferred<void, AgentUnavailable>
  readonly now: Now
}

const current = ({ delivery, now }: State): AgentStatus =>
  now.phase === "up" ? delivery.status() : now.phase

/** Set from what is true when it is set, so that the last of two concurrent calls tells the truth. */
const showStatus = (state: State) =>
  Effect.flatMap(SubscriptionRef.get(state.status), (shown) =>
    shown === current(state) ? Effect.void : SubscriptionRef.update(state.status, () => current(state))
  )

export const enter = (state: State, phase: Now["phase"]): Effect.Effect<void> =>
  Effect.suspend(() => {
    state.now.phase = phase
    return showStatus(state)
  })

/** Does what a step of the books asks for. */
export const apply = (state: State, step: Delivery.Step): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (step.writes.length > 0) yield* Queue.offerAll(state.writes, step.writes)
    yield* showStatus(state)
    if (step.outputs.length > 0) yield* state.output.offerAll(step.outputs)
  })

export const problem = (
  reason: string,
  message: string,
  more: { readonly [key: string]: unknown } = {},
  uuid: string = randomUUID()
): AgentOutput => ({
  _tag: "Line",
  payload: Payload.make({ type: "bridge_error", reason, message, ...more, uuid })
})

/** Told to people, and no part of the conversation. */
export const notice = (message: string): AgentOutput => ({
  _tag: "Line",
  payload: Payload.make({ type: "system", subtype: "notification", message, uuid: randomUUID() })
})
