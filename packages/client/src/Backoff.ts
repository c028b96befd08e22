/**
 * How long to wait before trying again. Every retry of this package follows one of these schedules. Source: spec 1 §3
 * and §5, spec 5 §1.
 */
import * as Array from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"

/** `first` doubling up to `cap`, which is the last of them. */
const doubled = (
  first: Duration.DurationInput,
  cap: Duration.DurationInput
): ReadonlyArray<Duration.Duration> => [
  ...Array.unfold(Duration.decode(first), (delay) =>
    Duration.lessThan(delay, cap) ? Option.some([delay, Duration.times(delay, 2)]) : Option.none()
  ),
  Duration.decode(cap)
]

/** The wait after failure number `failures`, counted from 1. */
const waitOf = (delays: ReadonlyArray<Duration.Duration>, failures: number): Duration.Duration =>
  delays[Math.min(failures, delays.length) - 1] ?? Duration.zero

/** Waits as the list says, and for ever as its last says. Answers the failure. */
const waiting = <In>(delays: ReadonlyArray<Duration.Duration>): Schedule.Schedule<In, In> =>
  Schedule.delayedSchedule(Schedule.map(Schedule.count, (failed) => waitOf(delays, failed + 1))).pipe(
    Schedule.intersect(Schedule.identity<In>()),
    Schedule.map(([, failure]) => failure)
  )

/** Shortens each delay by up to 20 %, to whole milliseconds: sums of them are exact. Never lengthens it. */
const shortened = <Out, In>(schedule: Schedule.Schedule<Out, In>): Schedule.Schedule<Out, In> =>
  Schedule.delayedEffect(schedule, (delay) =>
    Effect.map(Random.nextRange(0.8, 1), (part) =>
      Duration.millis(Math.ceil(Duration.toMillis(Duration.decode(delay)) * part))
    )
  )

/** `Retry-After` of a failure, in milliseconds; 0 where it has none. */
const retryAfter = (failure: unknown): number =>
  typeof failure === "object" &&
  failure !== null &&
  "retryAfterMillis" in failure &&
  typeof failure.retryAfterMillis === "number"
    ? failure.retryAfterMillis
    : 0

/** No less than `Retry-After`. */
const heeding = <In>(failure: In, delay: Duration.Duration): Duration.Duration =>
  Duration.max(delay, retryAfter(failure))

/** Answers the delays, in milliseconds. */
const telling = <Out, In>(schedule: Schedule.Schedule<Out, In>): Schedule.Schedule<number, In> =>
  Schedule.map(Schedule.delays(schedule), Duration.toMillis)

// --- Poll ---

/** No delay of the poll loop is longer, and no attempt may take longer. */
export const POLL_CAP_MILLIS = 60_000
const pollDelays = doubled("2 seconds", POLL_CAP_MILLIS)

/** The poll loop's wait after this many failures, before its shortening. */
export const pollDelay = (failures: number): Duration.Duration => waitOf(pollDelays, failures)

const POLL_GIVE_UP_MILLIS = 15 * 60_000

/** A run of failures without a success in between. */
export interface Run {
  /** Time of its first failure, in milliseconds since the epoch; later where the machine slept in between. */
  readonly since: number
  /** Failures so far. */
  readonly attempts: number
  /** Time of the last failure. */
  readonly last: number
}

/** The run that a failure belongs to; done where it has lasted too long. Waits for nothing. */
const run: Schedule.Schedule<Run, unknown> = Schedule.makeWithState(
  undefined as Run | undefined,
  (now, _failure: unknown, before) => {
    const slept = before !== undefined && now - before.last > 2 * POLL_CAP_MILLIS
    const run: Run = {
      since: before === undefined || slept ? now : before.since,
      attempts: (before?.attempts ?? 0) + 1,
      last: now
    }
    const decision =
      now - run.since >= POLL_GIVE_UP_MILLIS
        ? ScheduleDecision.done
        : ScheduleDecision.continueWith(ScheduleInterval.after(now))
    return Effect.succeed([run as Run | undefined, run, decision] as const)
  }
)

/**
 * The poll loop's: 2 s doubling to 60 s, each delay shortened by up to 20 % at random; done at the first failure that
 * comes 15 minutes or more after the first of its run. A gap of more than 120 s between two failures is time that the
 * machine slept (no attempt and no delay is longer than 60 s): the 15 minutes start anew then.
 *
 * Retry one poll with it, not the loop: each poll that is begun starts from the first delay, so one success resets
 * delay and clock.
 */
export const poll: Schedule.Schedule<Run, unknown> = shortened(waiting<unknown>(pollDelays)).pipe(
  Schedule.intersect(run),
  Schedule.map(([, run]) => run)
)

// --- Leases ---

/** Longest time between two heartbeats. */
const BEAT_MAX = Duration.seconds(30)

/** A heartbeat that failed. `remainingMillis`: what is left of the lease. */
export interface BeatLoss {
  readonly ttlMillis: number
  readonly remainingMillis: number
}

/** Half of the lease, 30 s at most. */
const beatEvery = ({ ttlMillis }: { readonly ttlMillis: number }): Duration.Duration =>
  Duration.min(ttlMillis / 2, BEAT_MAX)

/** Heartbeats of a lease that is held: every min(ttl/2, 30 s), for ever. Answers the lease. */
export const beats = <Held extends { readonly ttlMillis: number }>(): Schedule.Schedule<Held, Held> =>
  Schedule.addDelay(Schedule.identity<Held>(), beatEvery)

/**
 * A heartbeat that failed: 1 s doubling to min(ttl/2, 30 s), for ever. The last one of a lease comes at its end, not after
 * it.
 */
export const beat: Schedule.Schedule<unknown, BeatLoss> = Schedule.modifyDelay(
  waiting<BeatLoss>(doubled("1 second", BEAT_MAX)),
  (loss, delay) =>
    Duration.max("1 millis", Duration.min(Duration.min(delay, beatEvery(loss)), loss.remainingMillis))
)

// --- Append ---

const APPEND_ATTEMPTS = 10

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
export const append: Schedule.Schedule<number, unknown> = waiting<unknown>(
  doubled("500 millis", "8 seconds")
).pipe(
  Schedule.modifyDelay((failure, delay) => (immediately(failure) ? Duration.zero : heeding(failure, delay))),
  Schedule.intersect(Schedule.recurs(APPEND_ATTEMPTS - 1)),
  Schedule.map(([, failed]) => failed + 1)
)

// --- Streams ---

/** A connection that held at least this long was stable: the next loss starts from the first delay. */
const STABLE_MILLIS = 30_000

/** The loss of a stream's connection; `heldMillis` is 0 where it never stood. */
export interface StreamLoss {
  readonly heldMillis: number
  readonly retryAfterMillis?: number | undefined
}

/**
 * A stream's reconnects: 1 s doubling to 30 s, each shortened by up to 20 %, for ever; a connection that stood for
 * 30 s resets it. `Retry-After` is honoured where longer. Answers the delay in milliseconds.
 */
export const stream: Schedule.Schedule<number, StreamLoss> = waiting<StreamLoss>(
  doubled("1 second", "30 seconds")
).pipe(
  Schedule.resetWhen(({ heldMillis }) => heldMillis >= STABLE_MILLIS),
  shortened,
  Schedule.modifyDelay(heeding),
  telling
)

/**
 * A worker's uploads (events, deliveries, state): 0.5 s doubling to 30 s, each shortened by up to 20 %, for ever;
 * `Retry-After` of the failure is honoured where longer. Answers the delay in milliseconds. Combine with
 * `while: ClientError.isTransient`.
 */
export const uploads: Schedule.Schedule<number, unknown> = shortened(
  waiting<unknown>(doubled("500 millis", "30 seconds"))
).pipe(Schedule.modifyDelay(heeding), telling)
