/**
 * Statements of the hot path: multi-row, so that a batch costs the same few statements whatever its size, and run on the
 * transaction's connection itself, which costs a tenth of a `Statement` with its compiler and span.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"

/** Runs a statement in the caller's transaction; outside one it is a defect. `A` is what the statement selects. */
export const run = <A>(
  text: string,
  values: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<A>, SqlError> =>
  Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (transaction) =>
    transaction._tag === "Some"
      ? transaction.value[0].execute(text, values, undefined)
      : Effect.dieMessage("a statement of the log was run outside a transaction")
  )

/** `(?,?,?),(?,?,?)` for `rows` rows of `columns` columns. */
export const placeholders = (rows: number, columns: number): string => {
  const row = `(${"?,".repeat(columns - 1)}?)`
  return rows === 1 ? row : `${`${row},`.repeat(rows - 1)}${row}`
}

/** Rows in one statement: SQLite binds at most 32,766 values. */
export const ROWS_MAX = 1000

/** `items` in pieces of at most {@link ROWS_MAX}. */
export const chunks = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> => {
  if (items.length <= ROWS_MAX) return items.length === 0 ? [] : [items]
  const out: Array<ReadonlyArray<A>> = []
  for (let at = 0; at < items.length; at += ROWS_MAX) out.push(items.slice(at, at + ROWS_MAX))
  return out
}
