/**
 * Agent sessions over any driver: one conversation, kept alive across the ends of its process.
 *
 * A process that ends by itself is started again, resumes the conversation and is given what it had not answered, under
 * the same uuids. Five ends in a row without a turn completed, and the session has failed.
 */

import { randomUUID } from "node:crypto"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import * as Repairs from "@causeway/transcript/Repairs"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
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
import { type Connection, type DriverLine, Drivers } from "./Driver.ts"
import * as InForce from "./InForce.ts"
import { describeExit, type ProcessExit } from "./Process/AgentProcess.ts"
import { ProcessRegistry } from "./Process/ProcessRegistry.ts"
import * as SoundInput from "./SoundInput.ts"

export interface SupervisionOptions {
  /** Ends of the process in a row, without a completed turn between them, after which the session has failed. */
  readonly maxRapidEnds: number
  /** Before the second start in a row; doubles with each to 30 s. The first restart is immediate. */
  readonly restartDelay: Duration.DurationInput
  /** How long an interrupt may take before each of SIGINT, SIGTERM and SIGKILL. */
  readonly interruptGrace: Duration.DurationInput
  /**
   * How long a resumed agent may show no sign of a prompt that it was given again before the prompt is reported as
   * swallowed.
   */
  readonly silence: Duration.DurationInput
  /** How long a closed session's agent may go on talking after the end of its input. */
  readonly lastWords: Duration.DurationInput
  /** Ends an idle agent's process after this long; the next input starts it again. `undefined`: never. */
  readonly idleStop: Duration.DurationInput | undefined
}

export const defaultSupervision: SupervisionOptions = {
  maxRapidEnds: 5,
  restartDelay: "500 millis",
  interruptGrace: "5 seconds",
  silence: "15 seconds",
  lastWords: "3 seconds",
  idleStop: undefined
}

/** Outputs that wait for the reader, beside those of one read of the pipe; all others stay in the agent's pipe. */
const OUTPUT_BUFFER = 16

const longestDelay = Duration.seconds(30)

/** Of the end of stderr, this many characters go into an entry of the log. */
const STDERR_IN_ENTRY = 4000

/** The mode that an agent moves to only where it was started for it. */
const BYPASS = "bypassPermissions"

type Why = "crashed" | "ended" | "idle"

const isInterrupt = (payload: Payload.Payload): boolean => {
  const request = payload.type === "control_request" ? payload.json["request"] : undefined
  return (
    typeof request === "object" && request !== null && "subtype" in request && request.subtype === "interrupt"
  )
}

const problem = (
  reason: string,
  message: string,
  more: { readonly [key: string]: unknown } = {},
  uuid: string = randomUUID()
): AgentOutput => ({
  _tag: "Line",
  payload: Payload.make({ type: "bridge_error", reason, message, ...more, uuid })
})

/** Told to people, and no part of the conversation. */
const notice = (message: string): AgentOutput => ({
  _tag: "Line",
  payload: Payload.make({ type: "system", subtype: "notification", message, uuid: randomUUID() })
})

export const make = (
  options: SupervisionOptions
): Effect.Effect<typeof AgentSessions.Service, never, Drivers> =>
  Effect.gen(function* () {
    const drivers = yield* Drivers
    const registry = yield* ProcessRegistry

    const open = (spec: AgentSessionSpec): Effect.Effect<AgentSession, AgentUnavailable, Scope.Scope> =>
      Effect.gen(function* () {
        const driver = yield* drivers.resolve(spec.agent)
        const output = yield* Mailbox.make<AgentOutput, AgentUnavailable>(OUTPUT_BUFFER)
        const writes = yield* Queue.unbounded<Payload.Payload>()
        /** Wakes a session whose process has ended in order. */
        const wake = yield* Queue.sliding<void>(1)
        /** Told of each input: one that is being put to sleep is needed again. */
        const wanted = yield* Queue.sliding<void>(1)
        const status = yield* SubscriptionRef.make<AgentStatus>("starting")
        const started = yield* Deferred.make<void, AgentUnavailable>()
        let runId: string = randomUUID()
        let phase: "starting" | "up" | "restarting" | "stopped" | "failed" = "starting"
        let connection: Connection | undefined
        /** Settings that came while a process was being started. */
        let late: Array<Payload.Payload> = []
        let closing = false
        /** Counts lines and inputs: by it a wait sees that something happened meanwhile. */
        let activity = 0
        let position = 0
        const delivery = Delivery.make(spec.agentSessionId, () => runId)
        const inForce = InForce.make({
          agentSessionId: spec.agentSessionId,
          runId: () => runId,
          base: { model: spec.options?.model, permissionMode: spec.options?.permissionMode },
          settings: spec.settings ?? AgentSettings.none
        })
        for (const payload of spec.unanswered ?? []) {
          inForce.given(payload)
          delivery.give(payload, true)
        }

        const current = (): AgentStatus => (phase === "up" ? delivery.status() : phase)
        /** Set from what is true when it is set, so that the last of two concurrent calls tells the truth. */
        const showStatus = Effect.flatMap(SubscriptionRef.get(status), (shown) =>
          shown === current() ? Effect.void : SubscriptionRef.update(status, current)
        )
        const enter = (next: typeof phase) =>
          Effect.zipRight(
            Effect.sync(() => {
              phase = next
            }),
            showStatus
          )

        const apply = (step: Delivery.Step) =>
          Effect.gen(function* () {
            if (step.writes.length > 0) yield* Queue.offerAll(writes, step.writes)
            yield* showStatus
            if (step.outputs.length > 0) yield* output.offerAll(step.outputs)
          })

        // --- One process ---

        const heard = (payload: Payload.Payload): Delivery.Step => {
          const { before, own } = inForce.line(payload)
          const told = before.map((line): AgentOutput => ({ _tag: "Line", payload: line }))
          if (own) return { outputs: told, writes: [] }
          const step = delivery.line(payload)
          return told.length === 0 ? step : { ...step, outputs: [...told, ...step.outputs] }
        }

        const read = (line: DriverLine): Delivery.Step =>
          line._tag === "Payload"
            ? heard(line.payload)
            : {
                outputs: [
                  problem(
                    "unreadable_line",
                    `the agent wrote a line that is not an event: ${line.issue}`,
                    { excerpt: line.excerpt },
                    uuid5(runId, `unreadable ${position++} ${line.excerpt}`)
                  )
                ],
                writes: []
              }

        /** What one read of the pipe gave, at once: a flood costs by its bytes and not by its lines. */
        const readAll = (lines: Chunk.Chunk<DriverLine>) =>
          Effect.suspend(() => {
            activity++
            const steps = Chunk.toReadonlyArray(lines).map(read)
            return apply({
              outputs: steps.flatMap(({ outputs }) => outputs),
              writes: steps.flatMap(({ writes }) => writes)
            })
          })

        const mended = (payload: Payload.Payload): Payload.Payload => SoundInput.of(payload).payload

        /** What was written to a process that is gone is in the books still, and given to the next one. */
        const write = (to: Connection) =>
          Queue.take(writes).pipe(
            Effect.flatMap((payload) =>
              (delivery.writing(payload) ? to.send(mended(payload)) : Effect.void).pipe(
                Effect.matchEffect({
                  onFailure: () => Effect.never,
                  onSuccess: () => {
                    const step = Effect.suspend(() => apply(delivery.written(payload)))
                    return isInterrupt(payload)
                      ? Effect.zipRight(Effect.forkScoped(enforce(to, payload)), step)
                      : step
                  }
                })
              )
            ),
            Effect.forever
          )

        /** Signals have taken over what an interrupt could not do: turns that had ended when it was given. */
        let forced: number | undefined

        /** An interrupt is a request first; an agent that does not follow it is signalled, harder each time. */
        const enforce = (to: Connection, interrupt: Payload.Payload) =>
          Effect.gen(function* () {
            const before = delivery.turns()
            const done = () =>
              (interrupt.uuid === undefined || !delivery.isOpen(interrupt.uuid)) &&
              (delivery.turns() > before || !delivery.turnRuns())
            for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
              yield* Effect.sleep(options.interruptGrace)
              if (done()) return
              forced = before
              yield* Effect.logWarning("Agent does not follow the interrupt, sending a signal").pipe(
                Effect.annotateLogs({ signal })
              )
              yield* to.signal(signal)
            }
          })

        /** Reports prompts that a resumed agent has passed over without a word. */
        const watchSilence = Effect.gen(function* () {
          while (delivery.silent().length > 0 || delivery.isBusy()) {
            const before = activity
            yield* Effect.sleep(options.silence)
            if (activity !== before) continue
            yield* apply(
              delivery.giveUp(
                delivery.silent(),
                "swallowed",
                "the agent was restarted and took this prompt without answering it: it may have been answered in part; send it again if it was not"
              )
            )
          }
        })

        /** Ends a process with nothing to do. One that does not follow is signalled: at once when somebody needs it. */
        const watchIdle = (to: Connection, after: Duration.DurationInput) =>
          Effect.gen(function* () {
            for (;;) {
              const before = activity
              yield* Effect.sleep(after)
              yield* Queue.takeAll(wanted)
              if (activity !== before || delivery.isAtWork()) continue
              idling = true
              yield* to.endInput
              yield* Effect.timeoutOption(Queue.take(wanted), options.lastWords)
              yield* to.signal("SIGTERM")
              yield* Effect.sleep(options.interruptGrace)
              return yield* to.signal("SIGKILL")
            }
          })
        let idling = false

        const run = (resume: boolean): Effect.Effect<Why, AgentUnavailable> =>
          Effect.gen(function* () {
            runId = randomUUID()
            forced = undefined
            idling = false
            const tired = delivery.poisonous()
            yield* apply(
              delivery.giveUp(
                tired,
                "agent_crashed",
                `the agent's process ended ${Delivery.MAX_ATTEMPTS} times while it worked on this prompt; it is not given again`
              )
            )
            const again = delivery.isBusy()
            late = []
            const { model, permissionMode, requests } = inForce.start()
            const agent = yield* driver
              .connect({
                ...spec,
                options: { ...spec.options, model, permissionMode },
                mayBypass: spec.options?.permissionMode === BYPASS,
                runId,
                resume,
                resumeInterrupted: resume && again && tired.length === 0
              })
              .pipe(Effect.provideService(ProcessRegistry, registry))
            connection = agent
            if ((spec.resume || spec.forkOf !== undefined) && phase === "starting" && !agent.resumed) {
              yield* output.offer(
                problem(
                  "conversation_missing",
                  "the agent has no record of this conversation on this machine; it starts without its history"
                )
              )
            }
            yield* Queue.takeAll(writes)
            yield* Queue.offerAll(writes, [...requests, ...late, ...delivery.connected().writes])
            yield* enter("up")
            yield* Deferred.succeed(started, undefined)
            const broken = yield* Deferred.make<never>()
            /** What works beside the reading; a defect there ends the process's supervision, as one in the reading does. */
            const beside = <R>(effect: Effect.Effect<void, never, R>) =>
              effect.pipe(
                Effect.catchAllDefect((defect) => Effect.asVoid(Deferred.die(broken, defect))),
                Effect.forkScoped
              )
            yield* beside(write(agent))
            if (again) yield* beside(watchSilence)
            if (options.idleStop !== undefined) yield* beside(watchIdle(agent, options.idleStop))
            yield* Effect.raceFirst(Stream.runForEachChunk(agent.lines, readAll), Deferred.await(broken))
            const exit = yield* agent.exit
            connection = undefined
            return yield* ended(exit, yield* agent.stderr)
          }).pipe(Effect.scoped)

        const ended = (exit: ProcessExit, stderr: string): Effect.Effect<Why> =>
          Effect.gen(function* () {
            yield* apply(delivery.disconnected())
            if (closing) return "ended"
            if (forced !== undefined) {
              yield* apply(delivery.abandonTurn(`interrupted by a signal (${describeExit(exit)})`, forced))
              return "ended"
            }
            const inOrder = exit._tag === "Code" && exit.code === 0
            if (idling || (inOrder && !delivery.isBusy())) return "idle"
            yield* output.offer(
              problem("agent_ended", `the agent ended (${describeExit(exit)}); it is started again`, {
                exit: exit._tag === "Code" ? { code: exit.code } : { signal: exit.signal },
                stderr: stderr.slice(-STDERR_IN_ENTRY)
              })
            )
            return "crashed"
          })

        // --- From process to process ---

        /**
         * A fault of this program in one process's supervision ends that process and counts as one of its ends: the next one
         * takes the conversation up, or the session fails with words.
         */
        const contained = <A>(effect: Effect.Effect<A, AgentUnavailable>) =>
          Effect.catchAllDefect(effect, (defect) =>
            Effect.logError("A defect ended an agent's supervision", defect).pipe(
              Effect.zipRight(apply(delivery.disconnected())),
              Effect.zipRight(
                Effect.sync(() => {
                  connection = undefined
                })
              ),
              Effect.zipRight(
                new AgentUnavailable({
                  agent: spec.agent,
                  reason: "Unknown",
                  detail: `a defect of Causeway, please report it: ${defect instanceof Error ? defect.message : String(defect)}`
                })
              )
            )
          )

        const keepRunning = Effect.gen(function* () {
          let rapid = 0
          let resume = spec.resume
          for (;;) {
            const before = delivery.turns()
            const outcome = yield* Effect.either(contained(run(resume)))
            if (Either.isLeft(outcome) && phase === "starting") return yield* outcome.left
            if (closing) return
            resume = true
            if (Either.isRight(outcome) && outcome.right === "idle") {
              rapid = 0
              // Asleep: shown as idle, started again by the next input.
              // What woke it before counts no more; what came since is in the books, or wakes it now.
              yield* Queue.takeAll(wake)
              if (delivery.connected().writes.length === 0) yield* Queue.take(wake)
              continue
            }
            rapid = delivery.turns() > before ? 1 : rapid + 1
            if (rapid >= options.maxRapidEnds) {
              return yield* Either.isLeft(outcome)
                ? outcome.left
                : new AgentUnavailable({
                    agent: spec.agent,
                    reason: "ExitedAtOnce",
                    detail: `its process ended ${rapid} times in a row without completing a turn`
                  })
            }
            yield* enter("restarting")
            if (rapid > 1) {
              const delay = Duration.times(options.restartDelay, 2 ** (rapid - 2))
              yield* Effect.sleep(Duration.min(delay, longestDelay))
            }
          }
        })

        const failed = (cause: AgentUnavailable) =>
          Effect.gen(function* () {
            if (yield* Deferred.fail(started, cause)) return yield* output.end
            yield* Effect.logError("Agent session failed", cause)
            yield* output.offer(problem("agent_unavailable", cause.message))
            yield* enter("failed")
            return yield* output.fail(cause)
          })

        // An agent that is told to end may have last words; they are read as long as somebody listens.
        yield* Effect.acquireRelease(
          contained(keepRunning).pipe(
            Effect.catchAll(failed),
            Effect.annotateLogs({ module: "AgentSessions", session: spec.sessionId, agent: spec.agent }),
            Effect.interruptible,
            Effect.forkDaemon
          ),
          (supervisor) =>
            Effect.gen(function* () {
              closing = true
              if (connection !== undefined) {
                // In the middle of a turn the end of input would fail what waits for a person, and be remembered by the
                // agent; a signal leaves the turn as it is, for the next start to take up.
                yield* delivery.isBusy() ? connection.signal("SIGTERM") : connection.endInput
                yield* Effect.interruptible(Fiber.await(supervisor)).pipe(
                  Effect.timeoutOption(options.lastWords)
                )
              }
              yield* Fiber.interrupt(supervisor)
              yield* enter("stopped")
              yield* output.end
            })
        )
        yield* Deferred.await(started)

        return {
          output: Mailbox.toStream(output),
          input: (payload) =>
            Effect.suspend(() => {
              activity++
              inForce.given(payload)
              const words = Repairs.describe(SoundInput.of(payload).repairs)
              return Effect.zipRight(
                apply(delivery.give(payload)),
                Effect.zipRight(
                  words === null
                    ? Effect.void
                    : output.offer(notice(`A message was mended for the agent: ${words}.`)),
                  Effect.zipRight(Queue.offer(wake, undefined), Queue.offer(wanted, undefined))
                )
              )
            }),
          isAtWork: Effect.sync(() => phase !== "stopped" && phase !== "failed" && delivery.isAtWork()),
          configure: (settings) =>
            Effect.suspend(() => {
              const requests = inForce.set(settings)
              if (connection !== undefined) return Effect.asVoid(Queue.offerAll(writes, requests))
              // One that does not run is started in what is set; one that is just starting is asked then.
              late.push(...requests)
              return Effect.void
            }),
          status,
          process: Effect.sync(() => Option.fromNullable(connection?.pid))
        }
      })

    return AgentSessions.of({
      open,
      adopt: (spec, entries) =>
        Effect.flatMap(drivers.resolve(spec.agent), (driver) => driver.adopt(spec, entries))
    })
  })

export const layerWith = (options: Partial<SupervisionOptions>): Layer.Layer<AgentSessions, never, Drivers> =>
  Layer.effect(AgentSessions, make({ ...defaultSupervision, ...options }))

export const layer: Layer.Layer<AgentSessions, never, Drivers> = layerWith({})
