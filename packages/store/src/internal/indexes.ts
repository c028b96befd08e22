/**
 * The step of the schema that spares an append most of the pages it wrote: a page of each index that holds what changes with
 * every event. Transcript entries are most of a log and are found by position; living and archived sessions have an index
 * each, and a list of both reads both. The figures of a session are columns of their own, written where they change, so that
 * their index is not written with every projection.
 */
const figures = [
  ["cost_usd", "REAL", "totalCostUsd"],
  ["num_turns", "INTEGER", "numTurns"],
  ["context_tokens", "INTEGER", "contextTokens"]
] as const

export const indexesStep: ReadonlyArray<string> = [
  `DROP INDEX events_transcript`,
  `DROP INDEX sessions_by_update`,
  `CREATE INDEX sessions_archived_by_update ON sessions (organization_id, updated_at DESC, sid DESC)
    WHERE archived_at IS NOT NULL`,
  `DROP INDEX sessions_figures`,
  ...figures.flatMap(([name, type]) => [
    `ALTER TABLE sessions DROP COLUMN ${name}`,
    `ALTER TABLE sessions ADD COLUMN ${name} ${type}`
  ]),
  `UPDATE sessions SET ${figures.map(([name, , member]) => `${name} = json_extract(projection, '$.${member}')`).join(", ")}`,
  `CREATE INDEX sessions_figures ON sessions (organization_id, archived_at, status, cost_usd, num_turns, context_tokens)`
]

/**
 * What readers of a conversation count is most of a log, too: it is counted as the whole less what they do not, and only this has
 * an index (`Read.count`).
 */
export const hiddenStep: ReadonlyArray<string> = [
  `DROP INDEX events_visible`,
  `CREATE INDEX events_hidden ON events (sid, seq)
    WHERE NOT (transcript = 1 AND (type IN ('user', 'assistant') OR compaction = 1))`
]
