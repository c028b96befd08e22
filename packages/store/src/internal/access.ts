/** The steps of the schema about who may do what. */

/** Who sent an event, as JSON (`Author`); null for an agent's side, and for what was stored before. */
export const authorsStep: ReadonlyArray<string> = [`ALTER TABLE events ADD COLUMN author TEXT`]

/** The audit log, of all organisations; see `Audit`. Nobody changes or deletes a line of it. */
export const auditStep: ReadonlyArray<string> = [
  `CREATE TABLE audit (
    no INTEGER PRIMARY KEY,
    organization_id TEXT,
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    author TEXT,
    address TEXT,
    subject TEXT,
    details TEXT NOT NULL,
    hash TEXT NOT NULL
  )`,
  `CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN
    SELECT raise(ABORT, 'the audit log is only added to'); END`,
  `CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN
    SELECT raise(ABORT, 'the audit log is only added to'); END`
]

/** The token or device that made a token, let in a device or made its code; null where that is not known. */
export const issuersStep: ReadonlyArray<string> = ["access_tokens", "gateway_devices", "device_codes"].map(
  (table) => `ALTER TABLE ${table} ADD COLUMN issued_by TEXT`
)

/** The role of an access token. Those that were made before opened everything, and go on doing so. */
export const rolesStep: ReadonlyArray<string> = [
  `ALTER TABLE access_tokens ADD COLUMN role TEXT NOT NULL DEFAULT 'owner'`
]
