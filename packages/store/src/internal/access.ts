/** The steps of the schema about who may do what. */

/** Who sent an event, as JSON (`Author`); null for an agent's side, and for what was stored before. */
export const authorsStep: ReadonlyArray<string> = [`ALTER TABLE events ADD COLUMN author TEXT`]

/** The role of an access token. Those that were made before opened everything, and go on doing so. */
export const rolesStep: ReadonlyArray<string> = [
  `ALTER TABLE access_tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'owner'`
]
