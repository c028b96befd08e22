/** How an agent's process is supervised: bounds and waits. */
import type * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

export interface Supervision {
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

export const defaults: Supervision = {
  maxRapidEnds: 5,
  restartDelay: "500 millis",
  interruptGrace: "5 seconds",
  silence: "15 seconds",
  lastWords: "3 seconds",
  idleStop: undefined
}

/** Restarts in a row: at once, then after `restartDelay` doubling to 30 s; done when the session has failed. */
export const restarts = ({ maxRapidEnds, restartDelay }: Supervision) =>
  Schedule.recurs(1).pipe(
    Schedule.andThen(Schedule.exponential(restartDelay).pipe(Schedule.union(Schedule.spaced("30 seconds")))),
    Schedule.intersect(Schedule.recurs(Math.max(maxRapidEnds - 1, 0)))
  )
