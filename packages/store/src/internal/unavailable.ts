/** The database's failures at the edge of a repository. */
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { DatabaseHealth } from "../DatabaseHealth.ts"
import { StoreUnavailable } from "../Errors.ts"

/** `SqlError` becomes `StoreUnavailable`; other failures pass. */
export const unavailable = <A, E, R>(
  effect: Effect.Effect<A, E | SqlError, R>
): Effect.Effect<A, Exclude<E, SqlError> | StoreUnavailable, R> =>
  Effect.catchIf(
    effect,
    (error): error is Extract<E | SqlError, SqlError> =>
      typeof error === "object" && error !== null && "_tag" in error && error._tag === "SqlError",
    (cause) =>
      Effect.flatMap(DatabaseHealth, (health) =>
        Effect.flatMap(health.failed(cause), (detail) => new StoreUnavailable({ cause, detail }))
      )
  ) as Effect.Effect<A, Exclude<E, SqlError> | StoreUnavailable, R>

/** A note beside what was asked for. Where it cannot be written the database's trouble is told, and the call goes on. */
export const noted = <A, R>(write: Effect.Effect<A, SqlError, R>): Effect.Effect<void, never, R> =>
  Effect.catchAll(Effect.asVoid(write), (cause) =>
    Effect.flatMap(DatabaseHealth, (health) => Effect.asVoid(health.failed(cause)))
  )
