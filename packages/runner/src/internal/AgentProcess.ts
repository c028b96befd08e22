/** One process of an agent session: read, written to, watched, until it ends. */
import { randomUUID } from "node:crypto"
import type * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AgentOutput, AgentUnavailable } from "../Agent.ts"
import * as Ceiling from "../Ceiling.ts"
import * as Delivery from "../Delivery.ts"
import type { Connection, DriverLine } from "../Driver.ts"
import { describeExit, type ProcessExit } from "../Process/AgentProcess.ts"
import type { ProcessRegistry } from "../Process/ProcessRegistry.ts"
import * as SoundInput from "../SoundInput.ts"
import { apply, enter, problem, type State } from "./AgentState.ts"

/** Of the end of stderr, this many characters go into an entry of the log. */
const STDERR_IN_ENTRY = 4000

/** The mode that an agent moves to only where it was started for it. */
const BYPASS = "bypassPermissions"

/** How a process ended. */
export type End = "crashed" | "ended" | "idle"

const isInterrupt = (payload: Payload.Payload): boolean => {
  const request = payload.type === "control_request" ? payload.json["request"] : undefined
  return (
    typeof request === "object" && request !== null && "subtype" in request && request.subtype === "interrupt"
  )
}

// --- Read ---

const heard = ({ delivery, inForce }: State, payload: Payload.Payload): Delivery.Step => {
  const { before, own } = inForce.line(payload)
  const told = before.map((line): AgentOutput => ({ _tag: "Line", payload: line }))
  if (own) return { outputs: told, writes: [] }
  const step = delivery.line(payload)
  return told.length === 0 ? step : { ...step, outputs: [...told, ...step.outputs] }
}

const read = (state: State, line: DriverLine): Delivery.Step => {
  if (line._tag === "Payload") return heard(state, line.payload)
  const { excerpt, issue } = line
  const { now } = state
  const uuid = uuid5(now.runId, `unreadable ${now.unreadable++} ${excerpt}`)
  const message = `the agent wrote a line that is not an event: ${issue}`
  return { outputs: [problem("unreadable_line", message, { excerpt }, uuid)], writes: [] }
}

/** What one read of the pipe gave, at once: a flood costs by its bytes and not by its lines. */
const readAll = (state: State, lines: Chunk.Chunk<DriverLine>) =>
  Effect.suspend(() => {
    state.now.activity++
    const steps = Chunk.toReadonlyArray(lines).map((line) => read(state, line))
    return apply(state, {
      outputs: steps.flatMap(({ outputs }) => outputs),
      writes: steps.flatMap(({ writes }) => writes)
    })
  })

// --- Write ---

/** What was written to a process that is gone is in the books still, and given to the next one. */
const write = (state: State, to: Connection): Effect.Effect<never, never, Scope.Scope> =>
  Queue.take(state.writes).pipe(
    Effect.flatMap((payload) => {
      const { delivery } = state
      const sent = delivery.writing(payload) ? to.send(SoundInput.of(payload).payload) : Effect.void
      return Effect.matchEffect(sent, {
        onFailure: () => Effect.never,
        onSuccess: () => {
          const step = Effect.suspend(() => apply(state, delivery.written(payload)))
          return isInterrupt(payload)
            ? Effect.zipRight(Effect.forkScoped(enforce(state, to, payload)), step)
            : step
        }
      })
    }),
    Effect.forever
  )

/** An interrupt is a request first; an agent that does not follow it is signalled, harder each time. */
const enforce = ({ delivery, now, options }: State, to: Connection, interrupt: Payload.Payload) =>
  Effect.gen(function* () {
    const before = delivery.turns()
    const done = () =>
      (interrupt.uuid === undefined || !delivery.isOpen(interrupt.uuid)) &&
      (delivery.turns() > before || !delivery.turnRuns())
    for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
      yield* Effect.sleep(options.interruptGrace)
      if (done()) return
      now.forced = before
      yield* Effect.logWarning("Agent does not follow the interrupt, sending a signal").pipe(
        Effect.annotateLogs({ signal })
      )
      yield* to.signal(signal)
    }
  })

// --- Watch ---

const SWALLOWED =
  "the agent was restarted and took this prompt without answering it: it may have been answered in part; send it again if it was not"

/** Reports prompts that a resumed agent has passed over without a word. */
const watchSilence = (state: State) => {
  const { delivery, now, options } = state
  const waits = () => delivery.silent().length > 0 || delivery.isBusy()
  const look = Effect.gen(function* () {
    const before = now.activity
    yield* Effect.sleep(options.silence)
    if (now.activity !== before) return
    yield* apply(state, delivery.giveUp(delivery.silent(), "swallowed", SWALLOWED))
  })
  return Effect.whenEffect(Effect.repeat(look, { while: waits }), Effect.sync(waits))
}

/** Ends a process with nothing to do. One that does not follow is signalled: at once when somebody needs it. */
const watchIdle = (
  { delivery, now, options, wanted }: State,
  to: Connection,
  after: Duration.DurationInput
) =>
  Effect.gen(function* () {
    const isIdle = Effect.gen(function* () {
      const before = now.activity
      yield* Effect.sleep(after)
      yield* Queue.takeAll(wanted)
      return now.activity === before && !delivery.isAtWork()
    })
    yield* Effect.repeat(isIdle, { until: (idle) => idle })
    now.idling = true
    yield* to.endInput
    yield* Effect.timeoutOption(Queue.take(wanted), options.lastWords)
    yield* to.signal("SIGTERM")
    yield* Effect.sleep(options.interruptGrace)
    yield* to.signal("SIGKILL")
  })

// --- From start to end ---

/** Starts the process; what it is to be given first waits in `writes`. */
const connect = (state: State, resume: boolean) =>
  Effect.gen(function* () {
    const { delivery, driver, inForce, now, output, spec, writes } = state
    now.runId = randomUUID()
    now.forced = undefined
    now.idling = false
    const exceeded = delivery.exceededAttempts()
    yield* apply(
      state,
      delivery.giveUp(
        exceeded,
        "agent_crashed",
        `the agent's process ended ${Delivery.MAX_ATTEMPTS} times while it worked on this prompt; it is not given again`
      )
    )
    const again = delivery.isBusy()
    now.late = []
    const { model, permissionMode, requests } = inForce.start()
    const agent = yield* driver.connect({
      ...spec,
      options: { ...spec.options, model, permissionMode },
      mayBypass:
        spec.ceiling === undefined
          ? spec.options?.permissionMode === BYPASS
          : Ceiling.allowsMode(spec.ceiling, BYPASS),
      runId: now.runId,
      resume,
      resumeInterrupted: resume && again && exceeded.length === 0
    })
    now.connection = agent
    if ((spec.resume || spec.forkOf !== undefined) && now.phase === "starting" && !agent.resumed) {
      yield* output.offer(
        problem(
          "conversation_missing",
          "the agent has no record of this conversation on this machine; it starts without its history"
        )
      )
    }
    yield* Queue.takeAll(writes)
    yield* Queue.offerAll(writes, [...requests, ...now.late, ...delivery.connected().writes])
    yield* enter(state, "up")
    yield* Deferred.succeed(state.started, undefined)
    return { agent, again }
  })

const ended = (state: State, exit: ProcessExit, stderr: string): Effect.Effect<End> =>
  Effect.gen(function* () {
    const { delivery, now, output } = state
    yield* apply(state, delivery.disconnected())
    if (now.closing) return "ended"
    if (now.forced !== undefined) {
      const message = `interrupted by a signal (${describeExit(exit)})`
      yield* apply(state, delivery.abandonTurn(message, now.forced))
      return "ended"
    }
    const inOrder = exit._tag === "Code" && exit.code === 0
    if (now.idling || (inOrder && !delivery.isBusy())) return "idle"
    yield* output.offer(
      problem("agent_ended", `the agent ended (${describeExit(exit)}); it is started again`, {
        exit: exit._tag === "Code" ? { code: exit.code } : { signal: exit.signal },
        stderr: stderr.slice(-STDERR_IN_ENTRY)
      })
    )
    return "crashed"
  })

/** One process, from its start to its end. */
export const run = (state: State, resume: boolean): Effect.Effect<End, AgentUnavailable, ProcessRegistry> =>
  Effect.gen(function* () {
    const { agent, again } = yield* connect(state, resume)
    const broken = yield* Deferred.make<never>()
    /** What works beside the reading; a defect there ends the process's supervision, as one in the reading does. */
    const beside = <A, R>(effect: Effect.Effect<A, never, R>) =>
      effect.pipe(
        Effect.catchAllDefect((defect) => Effect.asVoid(Deferred.die(broken, defect))),
        Effect.forkScoped
      )
    yield* beside(write(state, agent))
    if (again) yield* beside(watchSilence(state))
    const { idleStop } = state.options
    if (idleStop !== undefined) yield* beside(watchIdle(state, agent, idleStop))
    yield* Effect.raceFirst(
      Stream.runForEachChunk(agent.lines, (lines) => readAll(state, lines)),
      Deferred.await(broken)
    )
    const exit = yield* agent.exit
    state.now.connection = undefined
    return yield* ended(state, exit, yield* agent.stderr)
  }).pipe(Effect.scoped)
