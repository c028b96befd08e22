/** What a bridge counts. */
import * as Metric from "effect/Metric"

/** Agent lines that are durable on this host. */
export const linesJournalled = Metric.counter("bridge_lines_journalled_total", { incremental: true })

/** Agent lines that the hub has confirmed. */
export const linesConfirmed = Metric.counter("bridge_lines_confirmed_total", { incremental: true })

/** Client events that are durable on this host; repeated ones count once. */
export const clientEvents = Metric.counter("bridge_client_events_total", { incremental: true })

/** Ends of attachments; `reason` is one of `DetachReason`. */
export const detachments = Metric.counter("bridge_detachments_total", { incremental: true })
