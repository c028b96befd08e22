/**
 * The engine: joins an agent to a session's channel. Client events go to the agent, what the agent says goes up, and what
 * people decided ahead is answered here (`Policy`).
 *
 * The agent's conversation id is in the journal before its first launch. An agent that cannot be started, or that fails for
 * good, is reported in the log of its session and ends nothing: the next message tries again. Source: spec 3, spec 4 §3.
 */
import type * as Payload from "@causeway/protocol/Payload"
import * as Repairs from "@causeway/transcript/Repairs"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type AgentOutput, type AgentSession, AgentSessions, type AgentUnavailable } from "./Agent.ts"
import * as AgentOptions from "./AgentOptions.ts"
import * as CeilingSettings from "./Ceiling/Settings.ts"
import * as Ceiling from "./Ceiling.ts"
import type { Channel } from "./Channel.ts"
import { expire, follow, newLine, type Session, take } from "./Engine/Session.ts"
import * as Guarded from "./internal/Guarded.ts"
import * as Policy from "./Policy.ts"

/** Lines of an agent that may wait for the journal; a faster agent is held back. */
const BUFFERED = 512

/** How long an agent that was told to end may go on talking after its scope is closed. */
const LAST_LINES = Duration.seconds(3)

/** An agent that ended while it started is started again: after 0.5, 1 and 2 s. */
const startRetry = Schedule.intersect(Schedule.exponential("500 millis"), Schedule.recurs(3))

/** Starting again may help: something ended it, and nothing that a person must change. */
const mayStart = ({ reason }: AgentUnavailable): boolean => reason === "ExitedAtOnce" || reason === "Unknown"

export interface Options {
  /** Added to the agents' environment. */
  readonly env?: { readonly [name: string]: string }
  /** The most that may be asked of agents here; default {@link Ceiling.standard}: they ask before they act. */
  readonly ceiling?: Ceiling.Ceiling | undefined
}

/** Serves a channel; ends when its scope closes. */
export type Serve<C extends Channel = Channel> = (channel: C) => Effect.Effect<void, never, Scope.Scope>

/** Entries for the log where no agent works: why, and of each prompt that it will not be answered. */
export const failureReport = (
  error: { readonly reason: string; readonly message: string },
  unanswered: ReadonlyArray<Payload.Payload>
): ReadonlyArray<AgentOutput> => [
  newLine({
    type: "bridge_error",
    reason: "agent_unavailable",
    detail: error.reason,
    message: error.message
  }),
  ...unanswered.flatMap((payload): ReadonlyArray<AgentOutput> => {
    if (payload.uuid === undefined) return []
    const done: AgentOutput = { _tag: "Delivery", uuid: payload.uuid, state: "processed" }
    return payload.type === "user"
      ? [
          newLine({
            type: "result",
            subtype: "error_during_execution",
            is_error: true,
            terminal_reason: "agent_unavailable",
            errors: [error.message],
            user_message_uuid: payload.uuid,
            user_message_uuids: [payload.uuid]
          }),
          done
        ]
      : [done]
  })
]

/** Waits for something to do; leaves it in the journal, where whoever serves next finds it. */
export const awaitWork = (channel: Channel) =>
  Effect.flatMap(channel.unanswered, (waiting) =>
    waiting.length > 0 ? Effect.void : Effect.asVoid(Queue.take(channel.inbound))
  )

/**
 * Serves a channel once its directory is there. While it cannot be had, each prompt is told so, and tries again; `refused`
 * is told too.
 */
export const within =
  <C extends Channel>(
    ready: Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>,
    refused: (why: string) => Effect.Effect<void>,
    serve: Serve<C>
  ): Serve<C> =>
  (channel) =>
    ready.pipe(
      Effect.tapError(({ _tag: reason, message }) =>
        Effect.gen(function* () {
          yield* refused(message)
          yield* awaitWork(channel)
          yield* Queue.takeAll(channel.inbound)
          yield* channel.write(failureReport({ reason, message }, yield* channel.unanswered))
          yield* awaitWork(channel)
        })
      ),
      Effect.retry(Schedule.forever),
      Effect.orDie,
      Effect.zipRight(serve(channel))
    )

// --- One life of its agent ---

/**
 * Gives an agent that is new to the session the conversation that the log holds; true where there is one to resume. An
 * agent that cannot take it is started without, and the log says so.
 */
const takeUp = ({ agents, channel, env }: Session) =>
  Effect.gen(function* () {
    const history = yield* channel.history
    if (history.length === 0) return false
    const { agent, agentSessionId, cwd } = channel.record
    const repairs = yield* agents.adopt({ agent, agentSessionId, cwd, env }, history)
    const words = Option.flatMapNullable(repairs, Repairs.describe)
    if (Option.isSome(words)) {
      const message = `The earlier conversation was mended for the agent: ${words.value}.`
      yield* channel.write([newLine({ type: "system", subtype: "notification", message })])
    }
    return true
  }).pipe(
    Effect.catchAll((error) => {
      const message = `the agent starts without the earlier conversation: ${error.message}`
      return Effect.as(
        channel.write([newLine({ type: "bridge_error", reason: "history_not_taken", message })]),
        false
      )
    })
  )

/** Opens the agent in a scope of its own, under the session's: however the session ends, the agent ends with it. */
const open = (session: Session, resume: boolean, unanswered: ReadonlyArray<Payload.Payload>) =>
  Effect.gen(function* () {
    const { agents, ceiling, channel, env } = session
    const { agent, agentSessionId, cwd, launch, model, permissionMode } = channel.record
    const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
    const opened = yield* agents
      .open({
        sessionId: channel.sessionId,
        agent,
        cwd,
        agentSessionId,
        resume,
        forkOf: resume ? undefined : launch.forkOf,
        options: AgentOptions.merge(launch.options ?? AgentOptions.none, { model, permissionMode }),
        settings: CeilingSettings.judge(ceiling, yield* channel.settings).allowed,
        ceiling,
        env,
        unanswered
      })
      .pipe(
        Scope.extend(scope),
        Effect.interruptible,
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    return { opened, scope }
  }).pipe(Effect.uninterruptible)

/** One life of a session's agent: until it has failed, or the session is let go. */
const live = (session: Session) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const { ceiling, channel, first } = session
      yield* restore(Guarded.launch(ceiling, channel))
      // Whatever waits in the queue is among what was not answered.
      yield* Queue.takeAll(channel.inbound)
      const waiting = yield* channel.unanswered
      const given = new Set(waiting.map(({ uuid }) => uuid))
      const admitted = yield* Effect.forEach(waiting, (each) => Guarded.admitted(ceiling, channel, each))
      const unanswered = admitted.flat()
      const resume = !(yield* Ref.get(first)) || (!channel.home && (yield* restore(takeUp(session))))
      yield* Ref.set(channel.atWork, Effect.succeed(true))
      yield* Ref.set(session.desk, Policy.empty)
      const { opened, scope } = yield* restore(
        Effect.retry(open(session, resume, unanswered), { schedule: startRetry, while: mayStart })
      )
      yield* Ref.set(channel.atWork, opened.isAtWork)
      yield* Ref.set(session.agent, Option.some(opened))
      // Settings that came while it was being started.
      yield* opened.configure(CeilingSettings.judge(ceiling, yield* channel.settings).allowed)
      yield* channel.opened

      const listen = Mailbox.fromStream(opened.output, { capacity: BUFFERED }).pipe(
        Effect.flatMap((lines) =>
          Stream.runForEachChunk(Mailbox.toStream(lines), (outputs) =>
            take(session, Chunk.toReadonlyArray(outputs))
          )
        ),
        Effect.scoped
      )
      const tell = Stream.runForEach(opened.status.changes, channel.setStatus)
      const pass = Effect.forever(
        Effect.gen(function* () {
          const payload = yield* Queue.take(channel.inbound)
          if (given.has(payload.uuid)) return
          for (const each of yield* Guarded.admitted(ceiling, channel, payload)) {
            const now = yield* Clock.currentTimeMillis
            yield* Ref.update(session.desk, (at) => Policy.step(at, "client", each, now))
            yield* opened.input(each)
          }
        })
      )
      const listening = yield* Effect.fork(restore(listen))
      const telling = yield* Effect.fork(restore(tell))
      const exit = yield* restore(Effect.raceFirst(Fiber.join(listening), pass)).pipe(Effect.exit)
      yield* Ref.set(session.agent, Option.none())
      // The agent is ended while its last lines are still read.
      yield* Scope.close(scope, exit)
      yield* Fiber.await(listening).pipe(Effect.interruptible, Effect.timeoutOption(LAST_LINES))
      yield* Fiber.interrupt(listening)
      yield* Fiber.interrupt(telling)
      yield* channel.setStatus("idle")
      return yield* exit
    })
  )

/** An agent that has failed for good is reported, and nothing ends. */
const report = (channel: Channel, error: AgentUnavailable) =>
  Effect.logError("agent failed").pipe(
    Effect.annotateLogs({ agent: error.agent, reason: error.reason, detail: error.detail }),
    Effect.zipRight(channel.failed(error)),
    Effect.zipRight(channel.setStatus("idle"))
  )

/** Nothing is at work while there is nothing to do; what comes meanwhile is in the journal. */
const rest = (channel: Channel) =>
  Effect.zipRight(Ref.set(channel.atWork, Effect.succeed(false)), awaitWork(channel))

/** Serves channels with agents. */
export const make = (options: Options = {}): Effect.Effect<Serve, never, AgentSessions> =>
  Effect.map(
    AgentSessions,
    (agents): Serve =>
      (channel) =>
        Effect.gen(function* () {
          const session: Session = {
            channel,
            env: options.env,
            ceiling: options.ceiling ?? Ceiling.standard,
            agents,
            first: yield* Ref.make(!channel.record.launched),
            settings: yield* SubscriptionRef.make(yield* channel.settings),
            desk: yield* Ref.make(Policy.empty),
            reads: new Map(),
            agent: yield* Ref.make(Option.none<AgentSession>())
          }
          // A session of its own is ready before the first word; one that comes back idle starts when it is needed.
          const begin = channel.home && !channel.record.launched ? Effect.void : rest(channel)
          const lives = Effect.catchAll(live(session), (error) => report(channel, error))
          yield* Effect.all(
            [
              Effect.zipRight(begin, Effect.forever(Effect.zipRight(lives, rest(channel)))),
              follow(session),
              expire(session)
            ],
            { concurrency: "unbounded", discard: true }
          )
        }).pipe(Effect.annotateLogs({ session: channel.sessionId }))
  )
