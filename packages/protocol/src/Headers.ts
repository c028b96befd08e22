/** Header names and values of the wire. Source: spec 1 §1 and §3. */

/** The API version that every call names. */
export const ANTHROPIC_VERSION = "2023-06-01"
/** Beta of the Sessions API; without it the Sessions API answers 404. */
export const SESSIONS_BETA = "ccr-byoc-2025-07-29"
/** Beta of the environment and work calls; configurable. */
export const ENVIRONMENTS_BETA = "environments-2025-11-01"

export const ANTHROPIC_VERSION_HEADER = "anthropic-version"
export const ANTHROPIC_BETA_HEADER = "anthropic-beta"
export const ORGANIZATION_HEADER = "x-organization-uuid"
/** Request: which worker of an environment calls; its secret alone does not tell. Source: spec 5 §2. */
export const WORKER_ID_HEADER = "anthropic-worker-id"
/** Request: the last entry the writer knows to be stored. */
export const LAST_UUID_HEADER = "last-uuid"
/** Answer: the last transcript entry of source `worker`. */
export const X_LAST_UUID_HEADER = "x-last-uuid"

/**
 * Answer: the hub itself speaks. Every answer of a hub carries it, errors, streams and upgrades included; a proxy's own
 * answer does not. A client believes a refusal only where it stands, or where the body is an error of the wire.
 */
export const HUB_HEADER = "x-causeway-hub"
/** Value of {@link HUB_HEADER}: the version of what the header promises. */
export const HUB_HEADER_VALUE = "1"
/**
 * Request: the body of this append was uploaded in parts before, under this id. Ours alone: a hub that does not know the
 * parts' address gets bodies whole.
 */
export const UPLOAD_HEADER = "x-causeway-upload"
