/** Metrics of the store, `store_<thing>_<unit>`. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

/** Requests that were committed in one transaction: how well the group commit works. */
export const batchRequests = Metric.histogram(
  "store_log_batch_requests",
  MetricBoundaries.exponential({ start: 1, factor: 2, count: 10 }),
  "Append requests committed in one transaction"
)

export const eventsStored = Metric.counter("store_log_events_total", {
  description: "Events stored",
  incremental: true
})

export const requestsRefused = Metric.counter("store_log_refused_total", {
  description: "Append requests refused by a guard or a rule",
  incremental: true
})

export const commitsFailed = Metric.counter("store_log_commits_failed_total", {
  description: "Transactions of appends that failed",
  incremental: true
})
