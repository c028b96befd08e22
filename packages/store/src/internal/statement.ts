/** Multi-row values, so that a batch costs the same few statements whatever its size. */

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
