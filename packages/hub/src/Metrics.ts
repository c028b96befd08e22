/** Metrics of the hub, `hub_<thing>_<unit>`; shown at `/metrics`. Labels have few values. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

const workOffers = Metric.counter("hub_work_offers_total", {
  description: "Work items given to pollers",
  incremental: true
})

const polls = Metric.gauge("hub_work_polls_open", { description: "Polls that wait for work now" })

/** One item was given to a poller. */
export const workOffered: Effect.Effect<void> = Metric.increment(workOffers)

/** Counts the poll as open while it runs. */
export const polling = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Metric.incrementBy(polls, 1),
    () => effect,
    () => Metric.incrementBy(polls, -1)
  )

const pushes = Metric.counter("hub_push_messages_total", {
  description: "Pushes to browsers, by what became of them",
  incremental: true
})

/** `gone`: the browser has ended its subscription. `dropped`: too many were under way. */
export const pushed = (outcome: "sent" | "gone" | "refused" | "failed" | "dropped"): Effect.Effect<void> =>
  Metric.increment(Metric.tagged(pushes, "outcome", outcome))
