/**
 * Joins an agent to a link: what people send goes to the agent, what the agent says goes into the journal.
 *
 * The agent's conversation id is in the journal before its first launch. An agent that cannot be started, or that
 * fails for good, is reported in the log of its session and ends nothing: the next message tries again.
 * Source: spec 4 §3, ARCHITECTURE.md ("Up", "Down").
 */
import { randomUUID } from "node:crypto"
import type { WorkerStatus } from "@causeway/protocol/http/CodeSessions"
import * as Payload from "@causeway/protocol/Payload"
import {
  type AgentOutput,
  AgentSessions,
  type AgentStatus,
  type AgentUnavailable
} from "@causeway/runner/Agent"
import * as FileBefore from "@causeway/runner/FileBefore"
import * as Repairs from "@causeway/transcript/Repairs"
import * as Chunk from "effect/Chunk"
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
import type { Link } from "./Link.ts"

/** Lines of an agent that may wait for the journal; a faster agent is held back. */
const BUFFERED = 512

/** How long an agent that was told to end may go on talking after its scope is closed. */
const LAST_LINES = Duration.seconds(3)

/** An agent that ended while it started is started again: after 0.5, 1 and 2 s. */
const restart = Schedule.intersect(Schedule.exponential("500 millis"), Schedule.recurs(3))

/** Whether starting again may help: something ended it, and nothing that a person must change. */
const mayStart = ({ reason }: AgentUnavailable): boolean => reason === "ExitedAtOnce" || reason === "Unknown"

export interface Options {
  /** Added to the agents' environment. */
  readonly env?: { readonly [name: string]: string }
}

/** What a bridge does with each session that it holds; ends when its scope closes. */
export type Serve = (link: Link) => Effect.Effect<void, never, Scope.Scope>

const workerStatus = (status: AgentStatus): WorkerStatus => {
  switch (status) {
    case "running":
    case "restarting":
      return "running"
    case "requires_action":
      return "requires_action"
    default:
      return "idle"
  }
}

const line = (json: Payload.JsonObject & { readonly type: string }): AgentOutput => ({
  _tag: "Line",
  payload: Payload.make({ ...json, uuid: randomUUID() })
})

/** What the log says where no agent works: why, and of each prompt that it will not be answered. */
export const failureReport = (
  error: { readonly reason: string; readonly message: string },
  unanswered: ReadonlyArray<Payload.Payload>
): ReadonlyArray<AgentOutput> => [
  line({ type: "bridge_error", reason: "agent_unavailable", detail: error.reason, message: error.message }),
  ...unanswered.flatMap((payload): ReadonlyArray<AgentOutput> => {
    if (payload.uuid === undefined) return []
    const done: AgentOutput = { _tag: "Delivery", uuid: payload.uuid, state: "processed" }
    return payload.type === "user"
      ? [
          line({
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
export const awaitWork = (link: Link) =>
  Effect.flatMap(link.unanswered, (waiting) =>
    waiting.length > 0 ? Effect.void : Effect.asVoid(Queue.take(link.inbound))
  )

/**
 * Serves a link once its directory is there. While it cannot be had, each prompt is told so, and tries again; `refused`
 * is told too.
 */
export const within =
  (
    ready: Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>,
    refused: (why: string) => Effect.Effect<void>,
    serve: Serve
  ): Serve =>
  (link) =>
    Effect.gen(function* () {
      while (true) {
        const outcome = yield* Effect.either(ready)
        if (outcome._tag === "Right") return yield* serve(link)
        const { _tag: reason, message } = outcome.left
        yield* refused(message)
        yield* awaitWork(link)
        yield* Queue.takeAll(link.inbound)
        yield* link.write(failureReport({ reason, message }, yield* link.unanswered))
        yield* awaitWork(link)
      }
    })

/** What an agent said, and before each request to change a file what stands in it. */
const withFiles = (
  directory: string,
  outputs: ReadonlyArray<AgentOutput>
): Effect.Effect<ReadonlyArray<AgentOutput>> =>
  Effect.map(
    Effect.forEach(outputs, (output) =>
      output._tag !== "Line"
        ? Effect.succeed([output])
        : Effect.map(FileBefore.of(directory, output.payload), (before) =>
            before === null ? [output] : [line(before), output]
          )
    ),
    (all) => all.flat()
  )

/** Serves links with agents. */
export const make = (options: Options = {}): Effect.Effect<Serve, never, AgentSessions> =>
  Effect.gen(function* () {
    const agents = yield* AgentSessions

    /**
     * Gives an agent that is new to the session the conversation that the log holds; true where there is one to resume.
     * An agent that cannot take it is started without, and the log says so.
     */
    const takeUp = (link: Link): Effect.Effect<boolean> =>
      Effect.flatMap(link.history, (history) =>
        history.length === 0
          ? Effect.succeed(false)
          : agents
              .adopt(
                {
                  agent: link.record.agent,
                  cwd: link.record.cwd,
                  agentSessionId: link.record.agentSessionId,
                  env: options.env
                },
                history
              )
              .pipe(
                Effect.tap(
                  Option.match({
                    onNone: () => Effect.void,
                    onSome: (repairs) => {
                      const words = Repairs.describe(repairs)
                      return words === null
                        ? Effect.void
                        : link.write([
                            line({
                              type: "system",
                              subtype: "notification",
                              message: `The earlier conversation was mended for the agent: ${words}.`
                            })
                          ])
                    }
                  })
                ),
                Effect.as(true),
                Effect.catchAll((error) =>
                  Effect.as(
                    link.write([
                      line({
                        type: "bridge_error",
                        reason: "history_not_taken",
                        message: `the agent starts without the earlier conversation: ${error.message}`
                      })
                    ]),
                    false
                  )
                )
              )
      )

    /** One life of a link's agent: until it has failed, or the session is let go. */
    const live = (link: Link, first: Ref.Ref<boolean>) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const { record } = link
          // Whatever waits in the queue is among what was not answered.
          yield* Queue.takeAll(link.inbound)
          yield* Queue.takeAll(link.changes)
          const settings = yield* link.settings
          const unanswered = yield* link.unanswered
          const given = new Set(unanswered.map(({ uuid }) => uuid))
          const resume = !(yield* Ref.get(first)) || (!link.home && (yield* restore(takeUp(link))))
          // Part of the session's scope: however this ends, the agent ends with it.
          const parent = yield* Effect.scope
          const open = Effect.gen(function* () {
            const scope = yield* Scope.fork(parent, ExecutionStrategy.sequential)
            const agent = yield* Effect.interruptible(
              agents
                .open({
                  sessionId: link.sessionId,
                  agent: record.agent,
                  cwd: record.cwd,
                  agentSessionId: record.agentSessionId,
                  resume,
                  options: { model: record.model, permissionMode: record.permissionMode },
                  settings,
                  env: options.env,
                  unanswered
                })
                .pipe(Scope.extend(scope))
            ).pipe(Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))))
            return { agent, scope }
          })
          yield* Ref.set(link.atWork, Effect.succeed(true))
          const { agent: opened, scope } = yield* restore(
            Effect.retry(Effect.uninterruptible(open), { schedule: restart, while: mayStart })
          )

          yield* Ref.set(link.atWork, opened.isAtWork)
          const listen = Effect.scoped(
            Effect.gen(function* () {
              const lines = yield* Mailbox.fromStream(opened.output, { capacity: BUFFERED })
              while (true) {
                const [taken, done] = yield* lines.takeAll
                const outputs = Chunk.toReadonlyArray(taken)
                if ((yield* Ref.get(first)) && outputs.some(({ _tag }) => _tag === "Line")) {
                  yield* link.launched
                  yield* Ref.set(first, false)
                }
                yield* link.write(yield* withFiles(record.cwd, outputs))
                if (done) return
              }
            })
          )
          const tell = opened.status.changes.pipe(
            Stream.runForEach((status) => link.setStatus(workerStatus(status)))
          )
          const give = Effect.forever(
            Effect.flatMap(Queue.take(link.inbound), (payload) =>
              given.has(payload.uuid) ? Effect.void : opened.input(payload)
            )
          )
          const configure = Effect.forever(Effect.flatMap(Queue.take(link.changes), opened.configure))
          const listening = yield* Effect.fork(restore(listen))
          const telling = yield* Effect.fork(
            restore(Effect.all([tell, configure], { concurrency: "unbounded" }))
          )
          const exit = yield* restore(Effect.raceFirst(Fiber.join(listening), give)).pipe(Effect.exit)
          // The agent is ended while its last lines are still read.
          yield* Scope.close(scope, exit)
          yield* Fiber.await(listening).pipe(Effect.interruptible, Effect.timeoutOption(LAST_LINES))
          yield* Fiber.interrupt(listening)
          yield* Fiber.interrupt(telling)
          yield* link.setStatus("idle")
          return yield* exit
        })
      )

    /** Nothing is at work while there is nothing to do; what comes meanwhile is in the journal. */
    const rest = (link: Link) => Effect.zipRight(Ref.set(link.atWork, Effect.succeed(false)), awaitWork(link))

    return (link) =>
      Effect.gen(function* () {
        const first = yield* Ref.make(!link.record.launched)
        // A session of its own is ready before the first word; one that comes back idle starts when it is needed.
        if (!(link.home && (yield* Ref.get(first)))) yield* rest(link)
        while (true) {
          yield* live(link, first).pipe(
            Effect.catchAll((error) =>
              Effect.gen(function* () {
                yield* Effect.logError("agent failed").pipe(
                  Effect.annotateLogs({ agent: error.agent, reason: error.reason, detail: error.detail })
                )
                yield* link.write(failureReport(error, yield* link.unanswered))
                yield* link.setStatus("idle")
              })
            )
          )
          yield* rest(link)
        }
      }).pipe(Effect.annotateLogs({ session: link.sessionId }))
  })
