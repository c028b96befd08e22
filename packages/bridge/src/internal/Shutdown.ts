/**
 * The orderly shutdown: every step in its order, all of them under one bound, and an account of what did not finish.
 *
 * No more work, agents, lines, result, work items, sessions, environment, links. After a give-up nothing is stopped,
 * archived or deregistered: the next start takes everything up again. Source: spec 1 §6.
 */
import { randomUUID } from "node:crypto"
import type * as Environments from "@causeway/client/Environments"
import type * as Sessions from "@causeway/client/Sessions"
import * as Elapsed from "@causeway/protocol/Elapsed"
import type { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import type { Journal, JournalFailed } from "@causeway/runner/Journal"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type { ShutdownStep, Unfinished } from "../BridgeEvent.ts"
import type { PointerFailed } from "../Pointer.ts"
import type { Attached } from "./AttachedSessions.ts"

/** Bound of the whole shutdown. */
export const SHUTDOWN_TIMEOUT = Duration.seconds(15)

/** Parts of the bound by which the agents have ended and the lines are sent; the rest is for the calls. */
const AGENTS_UNTIL = 0.5
const FLUSH_UNTIL = 0.75

/** A result that says nothing but that the turn is over. Source: spec 5 §1 (`sendResult`). */
export const zeroedResult = (sessionId: SessionId): Payload.Payload =>
  Payload.make({
    type: "result",
    subtype: "success",
    is_error: false,
    result: "",
    duration_ms: 0,
    duration_api_ms: 0,
    num_turns: 0,
    stop_reason: null,
    total_cost_usd: 0,
    usage: { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
    modelUsage: {},
    permission_denials: [],
    session_id: sessionId,
    uuid: randomUUID()
  })

export interface Options {
  readonly timeout: Duration.DurationInput | undefined
  /** False after a give-up, or where the start did not succeed. */
  readonly orderly: boolean
  readonly perpetual: boolean
  readonly held: ReadonlyArray<Attached>
  /** Sessions that sleep: nothing of them is to be ended or sent. */
  readonly asleep: ReadonlyArray<SessionId>
  readonly environmentId: EnvironmentId
  readonly polling: Fiber.RuntimeFiber<void> | undefined
  readonly journal: Journal["Type"]
  readonly environments: Environments.Environments["Type"]
  readonly sessions: Sessions.Sessions["Type"]
  readonly removePointer: Effect.Effect<void, PointerFailed>
  /** Settles what the machine keeps of an archived session. */
  readonly cleared: (id: SessionId) => Effect.Effect<void>
}

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}

/** Sends what waits; where nothing can be sent, that is known at once. */
const flush = (
  held: Attached,
  journal: Journal["Type"]
): Effect.Effect<void, JournalFailed | Cause.TimeoutException> =>
  Effect.gen(function* () {
    if ((yield* journal.unconfirmed(held.link.sessionId)) === 0) return
    const attached = yield* held.link.attached
    yield* attached ? held.link.flush : Effect.timeout(held.link.flush, "1 second")
  })

export const run = (options: Options): Effect.Effect<ReadonlyArray<Unfinished>> =>
  Effect.gen(function* () {
    const { environments, held, journal, orderly, perpetual, sessions } = options
    const leaves = orderly && !perpetual
    const unfinished: Array<Unfinished> = []
    const bound = Duration.toMillis(options.timeout ?? SHUTDOWN_TIMEOUT)
    const begun = yield* Elapsed.millis

    const note = (step: ShutdownStep, sessionId: SessionId | undefined, detail: string) =>
      Effect.suspend(() => {
        unfinished.push({ step, sessionId, detail })
        return Effect.logWarning("shutdown step not finished").pipe(
          Effect.annotateLogs({ step, detail, ...(sessionId === undefined ? {} : { session: sessionId }) })
        )
      })

    /** Runs a step until `until` (a part of the bound); whether it succeeded. */
    const step = <E>(
      name: ShutdownStep,
      sessionId: SessionId | undefined,
      until: number,
      effect: Effect.Effect<unknown, E>
    ): Effect.Effect<boolean> =>
      Effect.gen(function* () {
        const left = Math.max(begun + bound * until - (yield* Elapsed.millis), 0)
        const outcome = yield* Effect.exit(Effect.timeoutOption(Effect.disconnect(effect), left))
        if (Exit.isSuccess(outcome) && Option.isSome(outcome.value)) return true
        yield* note(name, sessionId, Exit.isFailure(outcome) ? messageOf(outcome.cause) : "no time left")
        return false
      })
    const each = (run: (held: Attached, sessionId: SessionId) => Effect.Effect<unknown>) =>
      Effect.forEach(held, (one) => run(one, one.link.sessionId), { concurrency: "unbounded", discard: true })

    // No more work; no more words.
    if (options.polling !== undefined) yield* Fiber.interrupt(options.polling)
    yield* each((one, id) =>
      step("agents", id, AGENTS_UNTIL, Effect.flatMap(Ref.get(one.serving), Fiber.interrupt))
    )

    // What was said, and the result of a turn that nobody will end.
    const flushed = new Set<Attached>()
    if (orderly) {
      yield* each((one, id) =>
        Effect.gen(function* () {
          if (leaves && (yield* one.link.isTurnOpen)) {
            const result = { _tag: "Line" as const, payload: zeroedResult(id) }
            yield* step("result", id, FLUSH_UNTIL, one.link.write([result]))
          }
          if (yield* step("flush", id, FLUSH_UNTIL, flush(one, journal))) flushed.add(one)
        })
      )
    }

    // The work items.
    yield* each((one, id) =>
      Effect.gen(function* () {
        const attachment = yield* Ref.get(one.attachment)
        yield* step("stop", id, FLUSH_UNTIL, FiberHandle.clear(one.attaching))
        if (!orderly || Option.isNone(attachment)) return
        const { environmentId, workId } = attachment.value
        yield* step("stop", id, 1, environments.stop(environmentId, workId, { force: true }))
      })
    )

    // The sessions. One whose lines are here still is left as it is: the next start sends them.
    if (orderly && perpetual) yield* each((_, id) => step("archive", id, 1, journal.park(id)))
    const archived = new Set<Attached>()
    const left = new Set(options.asleep)
    if (leaves) {
      yield* Effect.forEach(
        options.asleep,
        (id) =>
          Effect.gen(function* () {
            if (!(yield* step("archive", id, 1, Effect.zipRight(sessions.archive(id), journal.end(id)))))
              return
            left.delete(id)
            yield* step("worktree", id, 1, options.cleared(id))
          }),
        { concurrency: 16, discard: true }
      )
      yield* each((one, id) =>
        Effect.gen(function* () {
          if (!flushed.has(one)) return
          const done = yield* step("archive", id, 1, sessions.archive(id))
          if (!done || !(yield* step("archive", id, 1, journal.end(id)))) return
          archived.add(one)
          yield* step("worktree", id, 1, options.cleared(id))
        })
      )
    }

    // The environment, unless a session of it is to be taken up again.
    if (leaves && left.size === 0 && held.every((one) => archived.has(one))) {
      yield* step("pointer", undefined, 1, options.removePointer)
      yield* step("deregister", undefined, 1, environments.deregister(options.environmentId))
    }
    return unfinished
  }).pipe(Effect.withSpan("Bridge.shutdown"))
