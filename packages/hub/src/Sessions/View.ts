/** A session as the Sessions API shows it. */

import type { Session, SessionContext } from "@causeway/protocol/http/Sessions"
import { compatSessionId } from "@causeway/protocol/Ids"
import * as LaunchOptions from "@causeway/protocol/LaunchOptions"
import { scrubSources } from "@causeway/protocol/Scrub"
import { type Session as Record, rowOf } from "@causeway/store/Session"
import * as SessionRow from "@causeway/transcript/SessionRow"
import { isoOrNull } from "../internal/iso.ts"

/** A worker that was not seen for this long is not shown as connected. */
const CONNECTED_MILLIS = 90_000

/** `connected` where a worker holds the session, as far as the hub knows. */
export const connectionStatus = (record: Record, now: number): "connected" | "disconnected" =>
  record.connectionStatus === "connected" &&
  record.workerSeenAt !== undefined &&
  now - record.workerSeenAt < CONNECTED_MILLIS
    ? "connected"
    : "disconnected"

const iso = (millis: number): string => new Date(millis).toISOString()

/** `waitingFor`: what its queued work waits for, see `Work.waitingFor`. */
export const session = (record: Record, now: number, waitingFor: string | null): Session => {
  const row = rowOf(record)
  // What was made before may still hold a password.
  const context: SessionContext = scrubSources(LaunchOptions.shown(record.context))
  return {
    ...SessionRow.toSession(row),
    type: "session",
    id: compatSessionId(record.session),
    environment_id: record.environmentId ?? null,
    source: record.attributes.source ?? null,
    session_context: context,
    permission_mode: row.permissionMode ?? record.attributes.permissionMode ?? null,
    model: row.model ?? context.model ?? null,
    created_at: iso(record.createdAt),
    updated_at: iso(record.updatedAt),
    archived_at: isoOrNull(record.archivedAt),
    last_sequence_num: record.lastSeq,
    connection_status: connectionStatus(record, now),
    waiting_for: waitingFor
  }
}
