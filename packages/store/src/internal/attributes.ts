/**
 * The step of the schema by which all attributes of a session are told by its log: `attributes` is folded from its events,
 * and what filters and unique indexes need is computed from it.
 *
 * What stood in columns becomes the log's first event, at position 0. A label becomes an event at the log's end, with the
 * title that the session has: earlier titles, which left the label as it was, would take it away.
 */
const json = (column: string): string => `json(CASE WHEN json_valid(${column}) THEN ${column} ELSE '{}' END)`

const title = `CASE WHEN json_extract(projection, '$.titleOrigin') = 'given' THEN title ELSE gateway_label END`

const computed = (name: string, path: string): string =>
  `ALTER TABLE sessions ADD COLUMN ${name} TEXT
    GENERATED ALWAYS AS (json_extract(attributes, '$.${path}')) VIRTUAL`

const dropped = ["key", "agent", "label", "parent", "spawned_by", "entry"].map((name) => `gateway_${name}`)

export const attributesStep: ReadonlyArray<string> = [
  `ALTER TABLE sessions ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}'`,
  // Merging into an empty object leaves out what is null.
  `UPDATE sessions SET attributes = json_set(json_patch('{}', json_object('key', gateway_key, 'agentId', gateway_agent,
      'parentKey', gateway_parent, 'spawnedBy', gateway_spawned_by, 'source', source, 'permissionMode', permission_mode,
      'tags', json(CASE WHEN json_valid(tags) THEN tags END))),
    '$.entry', ${json("gateway_entry")}, '$.context', ${json("context")})`,
  `INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, payload)
    SELECT sid, 0, 'opening-' || body, 'client', 'session_update', 0, 0, created_at,
      json_object('type', 'session_update', 'uuid', 'opening-' || body, 'attributes', json(attributes)) FROM sessions`,

  `INSERT INTO events (sid, seq, uuid, source, type, transcript, compaction, created_at, payload)
    SELECT sid, last_seq + 1, 'label-' || body, 'client', 'session_update', 0, 0, updated_at,
      json_object('type', 'session_update', 'uuid', 'label-' || body, 'title', ${title},
        'attributes', json_object('label', gateway_label)) FROM sessions WHERE gateway_label IS NOT NULL`,
  `UPDATE sessions SET last_seq = last_seq + 1, title = ${title},
      attributes = json_set(attributes, '$.label', gateway_label),
      projection = json_set(projection, '$.title', ${title}, '$.titleOrigin', 'given', '$.lastSeq', last_seq + 1,
        '$.updatedAt', updated_at, '$.counts.events', json_extract(projection, '$.counts.events') + 1)
    WHERE gateway_label IS NOT NULL`,

  `DROP TRIGGER sessions_gateway_key`,
  ...["key", "label", "history", "parent", "spawner"].map((name) => `DROP INDEX sessions_by_gateway_${name}`),
  ...[...dropped, "source", "context", "permission_mode", "tags"].map(
    (name) => `ALTER TABLE sessions DROP COLUMN ${name}`
  ),
  computed("session_key", "key"),
  computed("agent_id", "agentId"),
  computed("label", "label"),
  computed("parent_key", "parentKey"),
  computed("spawned_by", "spawnedBy"),
  `CREATE UNIQUE INDEX sessions_by_key ON sessions (organization_id, session_key) WHERE archived_at IS NULL`,
  `CREATE UNIQUE INDEX sessions_by_label ON sessions (organization_id, coalesce(agent_id, ''), label)
    WHERE archived_at IS NULL`,
  `CREATE INDEX sessions_by_parent ON sessions (organization_id, parent_key) WHERE parent_key IS NOT NULL`,
  `CREATE INDEX sessions_by_spawner ON sessions (organization_id, spawned_by) WHERE spawned_by IS NOT NULL`
]
