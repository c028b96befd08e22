/**
 * The step of the schema for what is asked over all sessions at once: who waits for a person, and what all of it costs. The
 * figures are those of the projection; their index answers without reading a row.
 */
export const overviewStep: ReadonlyArray<string> = [
  `CREATE INDEX sessions_waiting ON sessions (organization_id, updated_at)
    WHERE status = 'requires_action' AND archived_at IS NULL`,
  `ALTER TABLE sessions ADD COLUMN cost_usd REAL
    GENERATED ALWAYS AS (json_extract(projection, '$.totalCostUsd')) VIRTUAL`,
  `ALTER TABLE sessions ADD COLUMN num_turns INTEGER
    GENERATED ALWAYS AS (json_extract(projection, '$.numTurns')) VIRTUAL`,
  `ALTER TABLE sessions ADD COLUMN context_tokens INTEGER
    GENERATED ALWAYS AS (json_extract(projection, '$.contextTokens')) VIRTUAL`,
  `CREATE INDEX sessions_figures ON sessions (organization_id, archived_at, status, cost_usd, num_turns, context_tokens)`
]
