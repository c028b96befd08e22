/**
 * How long to wait before trying again. Every retry of this package follows one of these schedules. Source: spec 1 §3
 * and §5, spec 5 §1.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"

const after = (now: number, delayMillis: number) =>
  ScheduleDecision.continueWith(ScheduleInterval.after(now + delayMillis))

/** `first` doubling up to `cap`: the wait after failure number `failures`, counted from 1. In milliseconds. */
const doubling = (first: number, cap: number, failures: number): number =>
  // Beyond 2^30 the product could only be the cap; without the bound it would overflow to Infinity.
  Math.min(first * 2 ** Math.min(failures - 1, 30), cap)

/** Shortens a delay by up to `most` (0.2: 20 %), never lengthens it. Whole milliseconds. */
const shortened = (millis: number, most: number) =>
  Effect.map(Random.next, (random) => Math.ceil(millis * (1 - most * random)))

/** `Retry-After` of a failure, in milliseconds; 0 where it has none. */
const retryAfter = (failure: unknown): number =>
  typeof failure === "object" &&
  failure !== null &&
  "retryAfterMillis" in failure &&
  typeof failure.retryAfterMillis === "number"
    ? failure.retryAfterMillis
    : 0

// --- Poll ---

export const POLL_FIRST_MILLIS = 2_000
/** No delay of the poll loop is longer, and no attempt may take longer. */
export const POLL_CAP_MILLIS = 60_000
/** The poll loop's wait after this many failures, before its shortening. */
export const pollDelay = (failures: number): Duration.Duration =>
  Duration.millis(doubling(POLL_FIRST_MILLIS, POLL_CAP_MILLIS, failures))

export const POLL_GIVE_UP_MILLIS = 15 * 60_000

/** A run of failures without a success in between. */
export interface Run {
  /** Time of its first failure, in milliseconds since the epoch; later where the machine slept in between. */
  readonly since: number
  /** Failures so far. */
  readonly attempts: number
  /** Time of the last failure. */
  readonly last: number
}

/**
 * The poll loop's: 2 s doubling to 60 s, each delay shortened by up to 20 % at random; done at the first failure that
 * comes 15 minutes or more after the first of its run. A gap of more than 120 s between two failures is time that the
 * machine slept (no attempt and no delay is longer than 60 s): the 15 minutes start anew then.
 *
 * Retry one poll with it, not the loop: each poll that is begun starts from the first delay, so one success resets
 * delay and clock.
 */
export const poll: Schedule.Schedule<Run, unknown> = Schedule.makeWithState(
  undefined as Run | undefined,
  (now, _failure: unknown, before) => {
    const slept = before !== undefined && now - before.last > 2 * POLL_CAP_MILLIS
    const run: Run = {
      since: before === undefined || slept ? now : before.since,
      attempts: (before?.attempts ?? 0) + 1,
      last: now
    }
    if (now - run.since >= POLL_GIVE_UP_MILLIS) {
      return Effect.succeed([run as Run | undefined, run, ScheduleDecision.done] as const)
    }
    return Effect.map(
      shortened(doubling(POLL_FIRST_MILLIS, POLL_CAP_MILLIS, run.attempts), 0.2),
      (delay) => [run as Run | undefined, run, after(now, delay)] as const
    )
  }
)

// --- Append ---

export const APPEND_ATTEMPTS = 10

/**
 * What the schedule reads of a failed attempt: `immediately` says that something is different now (the head was
 * adopted, the token refreshed), so that there is nothing to wait for.
 */
const immediately = (failure: unknown): boolean =>
  typeof failure === "object" && failure !== null && "immediately" in failure && failure.immediately === true

/**
 * One append's: at most 10 attempts; before attempt n+1 min(500 ms · 2^(n−1), 8 s), or `Retry-After` where that is
 * longer; no wait where the failure says `immediately: true`. Answers the number of failed attempts.
 */
export const append: Schedule.Schedule<number, unknown> = Schedule.makeWithState(
  0,
  (now, failure: unknown, failed) => {
    const attempts = failed + 1
    if (attempts >= APPEND_ATTEMPTS) {
      return Effect.succeed([attempts, attempts, ScheduleDecision.done] as const)
    }
    const delay = immediately(failure) ? 0 : Math.max(doubling(500, 8_000, attempts), retryAfter(failure))
    return Effect.succeed([attempts, attempts, after(now, delay)] as const)
  }
)

// --- Streams ---

/** A connection that held at least this long was stable: the next loss starts from the first delay. */
export const STABLE_MILLIS = 30_000

/** The loss of a stream's connection; `heldMillis` is 0 where it never stood. */
export interface StreamLoss {
  readonly heldMillis: number
  readonly retryAfterMillis?: number | undefined
}

/**
 * A stream's reconnects: 1 s doubling to 30 s, each shortened by up to 20 %, for ever; a connection that stood for
 * 30 s resets it. `Retry-After` is honoured where longer. Answers the delay in milliseconds.
 */
export const stream: Schedule.Schedule<number, StreamLoss> = Schedule.makeWithState(
  0,
  (now, loss: StreamLoss, before) => {
    const failures = (loss.heldMillis >= STABLE_MILLIS ? 0 : before) + 1
    return Effect.map(shortened(doubling(1_000, 30_000, failures), 0.2), (jittered) => {
      const delay = Math.max(jittered, retryAfter(loss))
      return [failures, delay, after(now, delay)] as const
    })
  }
)

/**
 * A worker's uploads (events, deliveries, state): 0.5 s doubling to 30 s, each shortened by up to 20 %, for ever;
 * `Retry-After` of the failure is honoured where longer. Answers the delay in milliseconds. Combine with
 * `while: ClientError.isTransient`.
 */
export const uploads: Schedule.Schedule<number, unknown> = Schedule.makeWithState(
  0,
  (now, failure: unknown, before) =>
    Effect.map(shortened(doubling(500, 30_000, before + 1), 0.2), (jittered) => {
      const delay = Math.max(jittered, retryAfter(failure))
      return [before + 1, delay, after(now, delay)] as const
    })
)
