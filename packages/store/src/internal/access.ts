/** The steps of the schema about who may do what. */

/** The role of an access token. Those that were made before opened everything, and go on doing so. */
export const rolesStep: ReadonlyArray<string> = [
  `ALTER TABLE access_tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'owner'`
]
