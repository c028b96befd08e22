/**
 * The states of a run and the one function that moves between them. Source: spec 3 §1 and §7.
 *
 * A terminal state is left by a further message alone. `continue` leaves it as it is, and makes a new run.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

export const Status = Schema.Literal(
  "starting",
  "running",
  "waiting_input",
  "interrupting",
  "completed",
  "failed",
  "interrupted"
)
export type Status = typeof Status.Type

/** What happens to a run. */
export type Move =
  /** Its agent is up. */
  | "spawned"
  /** The agent asked, and a person must answer. */
  | "asked"
  /** Nothing is left to answer. */
  | "answered"
  /** A person wants it to stop: the intent, before anything is done about it. */
  | "interrupt"
  /** Its turn ended well. */
  | "succeeded"
  /** Its turn ended in an error, or its agent cannot be had. */
  | "failed"
  /** Its agent is gone without a result. */
  | "ended"
  /** A further message came after its turn had ended: another turn of the same conversation. */
  | "prompted"

const table: { readonly [S in Status]: { readonly [M in Move]?: Status } } = {
  starting: {
    spawned: "running",
    interrupt: "interrupting",
    succeeded: "completed",
    failed: "failed",
    ended: "failed"
  },
  running: {
    asked: "waiting_input",
    interrupt: "interrupting",
    succeeded: "completed",
    failed: "failed",
    ended: "failed"
  },
  waiting_input: {
    answered: "running",
    interrupt: "interrupting",
    succeeded: "completed",
    failed: "failed",
    ended: "failed"
  },
  // However its turn ends now, it was interrupted.
  interrupting: { succeeded: "interrupted", failed: "interrupted", ended: "interrupted" },
  completed: { prompted: "starting" },
  failed: { prompted: "starting" },
  interrupted: { prompted: "starting" }
}

/** Where a move leads; none where it changes nothing. */
export const transition = (from: Status, move: Move): Option.Option<Status> =>
  Option.fromNullable(table[from][move])

/** Whether a run's turn has ended. */
export const isTerminal = (status: Status): boolean =>
  status === "completed" || status === "failed" || status === "interrupted"
