/**
 * Agent sessions over any driver: one conversation, kept alive across the ends of its process.
 *
 * A process that ends by itself is started again, resumes the conversation and is given what it had not answered, under
 * the same uuids. Five ends in a row without a turn completed, and the session has failed.
 */

import { randomUUID } from "node:crypto"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type * as Payload from "@causeway/protocol/Payload"
import * as Repairs from "@causeway/transcript/Repairs"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import {
  type AgentOutput,
  type AgentSession,
  type AgentSessionSpec,
  AgentSessions,
  type AgentStatus,
  AgentUnavailable
} from "./Agent.ts"
import * as Delivery from "./Delivery.ts"
import { type Driver, Drivers } from "./Driver.ts"
import * as InForce from "./InForce.ts"
import * as AgentProcess from "./internal/AgentProcess.ts"
import { apply, enter, type Now, notice, problem, type State } from "./internal/AgentState.ts"
import { ProcessRegistry } from "./Process/ProcessRegistry.ts"
import * as SoundInput from "./SoundInput.ts"
import * as Supervision from "./Supervision.ts"

/** Outputs that wait for the reader, beside those of one read of the pipe; all others stay in the agent's pipe. */
const OUTPUT_BUFFER = 16

const makeState = (options: Supervision.Supervision, spec: AgentSessionSpec, driver: Driver) =>
  Effect.gen(function* () {
    const now: Now = {
      runId: randomUUID(),
      phase: "starting",
      connection: undefined,
      late: [],
      closing: false,
      idling: false,
      forced: undefined,
      activity: 0,
      unreadable: 0
    }
    const runId = () => now.runId
    const delivery = Delivery.make(spec.agentSessionId, runId)
    const inForce = InForce.make({
      agentSessionId: spec.agentSessionId,
      runId,
      base: { model: spec.options?.model, permissionMode: spec.options?.permissionMode },
      settings: spec.settings ?? AgentSettings.none
    })
    for (const payload of spec.unanswered ?? []) {
      inForce.given(payload)
      delivery.give(payload, true)
    }
    return {
      options,
      spec,
      driver,
      delivery,
      inForce,
      output: yield* Mailbox.make<AgentOutput, AgentUnavailable>(OUTPUT_BUFFER),
      writes: yield* Queue.unbounded<Payload.Payload>(),
      wake: yield* Queue.sliding<void>(1),
      wanted: yield* Queue.sliding<void>(1),
      status: yield* SubscriptionRef.make<AgentStatus>("starting"),
      started: yield* Deferred.make<void, AgentUnavailable>(),
      now
    } satisfies State
  })

// --- From process to process ---

/**
 * A fault of this program in one process's supervision ends that process and counts as one of its ends: the next one
 * takes the conversation up, or the session fails with words.
 */
const contained = <A, R>(state: State, effect: Effect.Effect<A, AgentUnavailable, R>) =>
  Effect.catchAllDefect(effect, (defect) =>
    Effect.gen(function* () {
      yield* Effect.logError("A defect ended an agent's supervision", defect)
      yield* apply(state, state.delivery.disconnected())
      state.now.connection = undefined
      const detail = `a defect of Causeway, please report it: ${defect instanceof Error ? defect.message : String(defect)}`
      return yield* new AgentUnavailable({ agent: state.spec.agent, reason: "Unknown", detail })
    })
  )

/** Asleep: shown as idle, started again by the next input. */
const sleep = ({ delivery, wake }: State) =>
  Effect.gen(function* () {
    // What woke it before counts no more; what came since is in the books, or wakes it now.
    yield* Queue.takeAll(wake)
    if (delivery.connected().writes.length === 0) yield* Queue.take(wake)
  })

/** Runs one process after the other until the session is closed, or has failed. The one place that restarts an agent. */
const keepRunning = (state: State) =>
  Effect.gen(function* () {
    const { delivery, now, options, spec } = state
    const restarts = yield* Schedule.driver(Supervision.restarts(options))
    let resume = spec.resume
    const life = Effect.gen(function* () {
      const before = delivery.turns()
      const outcome = yield* Effect.either(contained(state, AgentProcess.run(state, resume)))
      if (Either.isLeft(outcome) && now.phase === "starting") return yield* outcome.left
      if (now.closing) return true
      resume = true
      if (Either.isRight(outcome) && outcome.right === "idle") {
        yield* restarts.reset
        yield* sleep(state)
        return false
      }
      if (delivery.turns() > before) yield* restarts.reset
      yield* enter(state, "restarting")
      yield* Effect.mapError(restarts.next(undefined), () =>
        Either.isLeft(outcome)
          ? outcome.left
          : new AgentUnavailable({
              agent: spec.agent,
              reason: "ExitedAtOnce",
              detail: `its process ended ${options.maxRapidEnds} times in a row without completing a turn`
            })
      )
      return false
    })
    yield* Effect.repeat(life, { until: (over) => over })
  })

const failed = (state: State, cause: AgentUnavailable) =>
  Effect.gen(function* () {
    const { output, started } = state
    if (yield* Deferred.fail(started, cause)) return yield* output.end
    yield* Effect.logError("Agent session failed", cause)
    yield* output.offer(problem("agent_unavailable", cause.message))
    yield* enter(state, "failed")
    return yield* output.fail(cause)
  })

/** Ends the process. What it still says is read as long as somebody listens. */
const close = (state: State, supervisor: Fiber.RuntimeFiber<unknown>) =>
  Effect.gen(function* () {
    const { delivery, now, options, output } = state
    now.closing = true
    if (now.connection !== undefined) {
      // In the middle of a turn the end of input would fail what waits for a person, and be remembered by the
      // agent; a signal leaves the turn as it is, for the next start to take up.
      yield* delivery.isBusy() ? now.connection.signal("SIGTERM") : now.connection.endInput
      yield* Effect.interruptible(Fiber.await(supervisor)).pipe(Effect.timeoutOption(options.lastWords))
    }
    yield* Fiber.interrupt(supervisor)
    yield* enter(state, "stopped")
    yield* output.end
  })

// --- The session ---

const input = (state: State, payload: Payload.Payload) =>
  Effect.gen(function* () {
    const { delivery, inForce, now, output, wake, wanted } = state
    now.activity++
    inForce.given(payload)
    yield* apply(state, delivery.give(payload))
    const words = Repairs.describe(SoundInput.of(payload).repairs)
    if (words !== null) yield* output.offer(notice(`A message was mended for the agent: ${words}.`))
    yield* Queue.offer(wake, undefined)
    yield* Queue.offer(wanted, undefined)
  })

const configure = ({ inForce, now, writes }: State, settings: AgentSettings.AgentSettings) =>
  Effect.suspend(() => {
    const requests = inForce.set(settings)
    if (now.connection !== undefined) return Effect.asVoid(Queue.offerAll(writes, requests))
    // One that does not run is started in what is set; one that is just starting is asked then.
    now.late.push(...requests)
    return Effect.void
  })

const open = (
  options: Supervision.Supervision,
  driver: Driver,
  spec: AgentSessionSpec
): Effect.Effect<AgentSession, AgentUnavailable, ProcessRegistry | Scope.Scope> =>
  Effect.gen(function* () {
    const state = yield* makeState(options, spec, driver)
    const { delivery, now, output, started, status } = state
    yield* Effect.acquireRelease(
      contained(state, keepRunning(state)).pipe(
        Effect.catchAll((cause) => failed(state, cause)),
        Effect.annotateLogs({ module: "AgentSessions", session: spec.sessionId, agent: spec.agent }),
        Effect.interruptible,
        Effect.forkDaemon
      ),
      (supervisor) => close(state, supervisor)
    )
    yield* Deferred.await(started)
    return {
      output: Mailbox.toStream(output),
      input: (payload) => input(state, payload),
      isAtWork: Effect.sync(() => now.phase !== "stopped" && now.phase !== "failed" && delivery.isAtWork()),
      configure: (settings) => configure(state, settings),
      status,
      process: Effect.sync(() => Option.fromNullable(now.connection?.pid))
    }
  })

export const make = (
  options: Supervision.Supervision
): Effect.Effect<typeof AgentSessions.Service, never, Drivers> =>
  Effect.gen(function* () {
    const drivers = yield* Drivers
    const registry = yield* ProcessRegistry
    return AgentSessions.of({
      open: (spec) =>
        Effect.flatMap(drivers.resolve(spec.agent), (driver) => open(options, driver, spec)).pipe(
          Effect.provideService(ProcessRegistry, registry)
        ),
      adopt: (spec, entries) =>
        Effect.flatMap(drivers.resolve(spec.agent), (driver) => driver.adopt(spec, entries))
    })
  })

export const layerWith = (
  options: Partial<Supervision.Supervision>
): Layer.Layer<AgentSessions, never, Drivers> =>
  Layer.effect(AgentSessions, make({ ...Supervision.defaults, ...options }))

export const layer: Layer.Layer<AgentSessions, never, Drivers> = layerWith({})
