/**
 * Diagnostic events: stable names, no personal data, each a log line and a counter of the same name. Annotations are
 * ids, statuses and counts, never tokens, message bodies or what a peer wrote. Source: spec 1 §7.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

const descriptions = {
  session_persist_fail_status: "appends answered with a status that is retried",
  session_persist_fail_transport: "appends that got no answer",
  session_persist_fail_bad_token: "appends refused because of their token",
  session_persist_recovered_from_409: "appends whose conflict showed that an earlier attempt had stored them",
  session_persist_409_adopt_server_uuid: "appends that adopted another writer's head",
  session_persist_409_no_head: "appends refused without a head to adopt",
  session_persist_error_retries_exhausted: "appends given up after the last attempt",
  session_get_fail_bad_token: "reads of a session refused because of their token",
  session_get_fail_status: "reads of a session answered with an unexpected status",
  session_archive_fail: "sessions that did not archive when their scope closed",
  teleport_events_not_found: "transcripts that were not found under teleport-events",
  teleport_events_deleted: "transcripts that vanished while they were read",
  teleport_events_page_cap: "transcripts cut at the page cap",
  teleport_events_cursor_stuck: "transcripts whose cursor led to itself",
  teleport_fallback_ingress: "transcripts read from the ingress log instead",
  poll_fail: "polls that failed",
  poll_recovered: "runs of failed polls ended by a success",
  poll_gave_up: "runs of failed polls that ended polling",
  poll_unauthorized: "environments refused for good",
  poll_environment_gone: "environments found to be gone",
  work_unusable: "work items stopped because they cannot be done here",
  work_stop_fail: "work items that could not be stopped",
  work_lease_lost: "leases lost",
  work_heartbeat_fail: "heartbeats that failed",
  worker_stream_connected: "worker and viewer streams that connected",
  worker_stream_lost: "worker and viewer streams that were lost",
  worker_stream_held_back: "worker and viewer streams that were held back, and asked for piece by piece",
  worker_stream_bad_frame: "stream frames that did not decode",
  credentials_refreshed: "credentials refreshed after a refusal",
  credentials_refresh_fail: "credentials that could not be refreshed"
} as const

export type Name = keyof typeof descriptions

/** The counters, by name. */
export const counters: { readonly [N in Name]: Metric.Metric.Counter<number> } = (() => {
  const out: Partial<Record<Name, Metric.Metric.Counter<number>>> = {}
  for (const [name, description] of Object.entries(descriptions)) {
    out[name as Name] = Metric.counter(name, { description, incremental: true })
  }
  return out as Record<Name, Metric.Metric.Counter<number>>
})()

/** Counts the event and logs it at `level` (default: a warning). */
export const record = (
  name: Name,
  annotations: { readonly [key: string]: string | number | boolean | undefined },
  level: "info" | "debug" | "warning" = "warning"
): Effect.Effect<void> =>
  Metric.increment(counters[name]).pipe(
    Effect.zipRight(logs[level](name)),
    Effect.annotateLogs(Object.fromEntries(Object.entries(annotations).filter(([, v]) => v !== undefined)))
  )

const logs: { readonly [level in "info" | "debug" | "warning"]: (name: Name) => Effect.Effect<void> } = {
  info: (name) => Effect.logInfo(name),
  debug: (name) => Effect.logDebug(name),
  warning: (name) => Effect.logWarning(name)
}
