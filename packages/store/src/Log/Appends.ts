/** The log's writer: one implementation a database (`SqliteAppends.ts`). Everything that is appended to a log passes here. */
import type { EnvironmentId } from "@causeway/protocol/Ids"
import type * as SessionRow from "@causeway/transcript/SessionRow"
import type { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Outcome } from "./Decide.ts"
import type { AppendRequest } from "./Request.ts"

export interface Applied {
  /** One a request, in order. */
  readonly outcomes: ReadonlyArray<Outcome>
  /** Bodies of the sessions that have new events. */
  readonly sessions: ReadonlyArray<string>
  /** Environments whose work has changed. */
  readonly environments: ReadonlyArray<EnvironmentId>
}

export class Appends extends Context.Tag("@causeway/store/Log/Appends")<
  Appends,
  {
    /** Applies a batch in one transaction: durable when it answers. `now`: the time that its events get. */
    readonly commit: (requests: ReadonlyArray<AppendRequest>, now: number) => Effect.Effect<Applied, SqlError>
    /** The same inside the caller's transaction. */
    readonly apply: (requests: ReadonlyArray<AppendRequest>, now: number) => Effect.Effect<Applied, SqlError>
    /** A session's row, computed from its log up to and including a position; default: the whole. */
    readonly replay: (sid: number, through?: number) => Effect.Effect<SessionRow.SessionRow, SqlError>
  }
>() {}
