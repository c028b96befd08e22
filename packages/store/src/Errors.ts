/** What can go wrong in the store, one tag per decision a caller can take. */
import * as Data from "effect/Data"

/** No such session in the caller's organisation. */
export class SessionUnknown extends Data.TaggedError("SessionUnknown")<{
  /** Session body, see `Ids.sessionBody`. */
  readonly session: string
}> {
  override get message(): string {
    return `no session ${this.session}`
  }
}

/** People's messages are not taken by an archived session. */
export class SessionArchived extends Data.TaggedError("SessionArchived")<{ readonly session: string }> {
  override get message(): string {
    return `session ${this.session} is archived`
  }
}

/** The environment that a session was to run in is unknown, archived or of another organisation. */
export class EnvironmentUnknown extends Data.TaggedError("EnvironmentUnknown")<{
  readonly environmentId: string
}> {
  override get message(): string {
    return `no environment ${this.environmentId}`
  }
}

/** The environment was archived: it takes no work any more. */
export class EnvironmentArchived extends Data.TaggedError("EnvironmentArchived")<{
  readonly environmentId: string
}> {
  override get message(): string {
    return `environment ${this.environmentId} is archived`
  }
}

/** The cursor was not made here. */
export class CursorInvalid extends Data.TaggedError("CursorInvalid")<{ readonly cursor: string }> {
  override get message(): string {
    return "this cursor was not made by this hub"
  }
}

/** The writer's `Last-Uuid` is not the head of the chain. `head`: the last transcript entry of source worker, if any. */
export class HeadMoved extends Data.TaggedError("HeadMoved")<{ readonly head: string | undefined }> {
  override get message(): string {
    return this.head === undefined
      ? "Last-Uuid names no entry of this log, which has no worker's entry yet"
      : `the last entry of this log is ${this.head}`
  }
}

/** A newer worker has taken over: its epoch is `current`. */
export class WorkerSuperseded extends Data.TaggedError("WorkerSuperseded")<{
  readonly given: number
  readonly current: number
}> {
  override get message(): string {
    return `worker epoch ${this.given} is superseded by ${this.current}`
  }
}

/** The token was issued for an epoch that a newer one has replaced. */
export class TokenSuperseded extends Data.TaggedError("TokenSuperseded")<{
  readonly given: number
  readonly current: number
}> {
  override get message(): string {
    return `the token's epoch ${this.given} is superseded by ${this.current}`
  }
}

/** The request was answered before, and otherwise. */
export class AlreadyAnswered extends Data.TaggedError("AlreadyAnswered")<{
  readonly requestId: string
  /** Uuid of the event that holds the first answer, where the log has it. */
  readonly answeredBy: string | undefined
}> {
  override get message(): string {
    return `request ${this.requestId} was already answered otherwise`
  }
}

/** The database did not do it: nothing was stored. Worth retrying. */
export class StoreUnavailable extends Data.TaggedError("StoreUnavailable")<{
  readonly cause: unknown
  /** Which file, what is wrong with it, and what to do. */
  readonly detail: string
}> {
  override get message(): string {
    return this.detail
  }
}

/** More appends wait than may: nothing was stored. Worth retrying after a while. */
export class LogBusy extends Data.TaggedError("LogBusy")<{ readonly waiting: number }> {
  override get message(): string {
    return `${this.waiting} appends are waiting`
  }
}
