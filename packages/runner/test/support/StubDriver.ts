/** An agent inside the test: what it is given is seen, what it says is said by the test. */
import * as Payload from "@causeway/protocol/Payload"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Queue from "effect/Queue"
import type { ConnectSpec, Driver, DriverLine } from "../../src/Driver.ts"
import { type ProcessExit, ProcessGone } from "../../src/Process/AgentProcess.ts"

/** One start of the agent. */
export interface Start {
  readonly spec: ConnectSpec
  /** What the agent was given, in order. */
  readonly given: Queue.Dequeue<Payload.Payload>
  readonly say: (
    line: Payload.JsonObject & { readonly type: string; readonly uuid?: string }
  ) => Effect.Effect<void>
  /** Signals that it was sent. */
  readonly signals: Queue.Dequeue<string>
  readonly end: (exit: ProcessExit) => Effect.Effect<void>
}

/** One that is deaf ends by SIGKILL alone; one that stays does not end with its input. */
export const makeWith = (options: {
  readonly deaf: boolean
  readonly stays?: boolean
  /** A fault in what drives it, at this text of a prompt. */
  readonly faulty?: string
}) =>
  Effect.gen(function* () {
    const starts = yield* Queue.unbounded<Start>()
    const driver: Driver = {
      connect: (spec) =>
        Effect.gen(function* () {
          const lines = yield* Mailbox.make<DriverLine>()
          const given = yield* Queue.unbounded<Payload.Payload>()
          const signals = yield* Queue.unbounded<string>()
          const exit = yield* Deferred.make<ProcessExit>()
          const end = (how: ProcessExit) =>
            Effect.zipRight(Deferred.succeed(exit, how), Effect.asVoid(lines.end))
          yield* Effect.addFinalizer(() => end({ _tag: "Signal", signal: "SIGKILL" }))
          yield* Queue.offer(starts, {
            spec,
            given,
            signals,
            say: (line) => Effect.asVoid(lines.offer({ _tag: "Payload", payload: Payload.make(line) })),
            end
          })
          return {
            pid: undefined,
            resumed: spec.resume,
            lines: Mailbox.toStream(lines),
            send: (payload) =>
              options.faulty !== undefined && payload.text.includes(options.faulty) && !spec.resume
                ? Effect.dieMessage("the driver broke")
                : Effect.flatMap(Deferred.isDone(exit), (gone) =>
                    gone ? new ProcessGone({ detail: "ended" }) : Effect.asVoid(Queue.offer(given, payload))
                  ),
            endInput: options.stays === true ? Effect.void : end({ _tag: "Code", code: 0 }),
            signal: (signal) =>
              Effect.zipRight(
                Queue.offer(signals, signal),
                options.deaf && signal !== "SIGKILL" ? Effect.void : end({ _tag: "Signal", signal })
              ),
            exit: Deferred.await(exit),
            stderr: Effect.succeed("")
          }
        }),
      adopt: () => Effect.succeedNone
    }
    return { driver, starts }
  })

export const make = makeWith({ deaf: false })
