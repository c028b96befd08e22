/** The step of the schema for pairing and pushes: one-time codes, and where browsers take pushes. */
export const pairingStep: ReadonlyArray<string> = [
  // `hash` is SHA-256 of the code. `device_id` is the device that it let in; codes of a device that is removed end.
  `CREATE TABLE device_codes (
    hash TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    scopes TEXT NOT NULL,
    label TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    device_id TEXT,
    used_at INTEGER
  )`,
  `CREATE INDEX device_codes_by_expiry ON device_codes (expires_at)`,
  `CREATE INDEX device_codes_by_device ON device_codes (device_id) WHERE device_id IS NOT NULL`,

  // Browsers that take pushes. A subscription goes with its device.
  `CREATE TABLE push_subscriptions (
    endpoint TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    device_id TEXT NOT NULL REFERENCES gateway_devices (id) ON DELETE CASCADE,
    p256dh TEXT NOT NULL,
    auth TEXT NOT NULL,
    created_at INTEGER NOT NULL
  )`,
  `CREATE INDEX push_subscriptions_by_device ON push_subscriptions (device_id, created_at)`,
  `CREATE INDEX push_subscriptions_by_organization ON push_subscriptions (organization_id)`
]
