/**
 * Operations of an environment's work, for callers that are authorised. Source: spec 1 §5, spec 5 §2 and §3.
 */
import type {
  Heartbeat,
  HeartbeatInput,
  HeartbeatQuery,
  PollQuery,
  WorkItem,
  WorkStats
} from "@causeway/protocol/http/Environments"
import { compatSessionId, type EnvironmentId, toInfra } from "@causeway/protocol/Ids"
import * as WorkSecret from "@causeway/protocol/WorkSecret"
import { Bus } from "@causeway/store/Bus"
import * as Work from "@causeway/store/Work"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Auth } from "../Auth/Auth.ts"
import type { WorkAccessError } from "../Auth/WorkAccess.ts"
import { mapStoreErrors, type StoreError } from "../Failure.ts"
import { isoOrNull } from "../internal/iso.ts"
import { objectOf } from "../internal/json.ts"
import * as Metrics from "../Metrics.ts"

/** Page size of a list, where none is asked for. */
const LIST_DEFAULT = 100

/** The item as it is sent; `data.id` of a session is in the infrastructure spelling. */
const toWire = (item: Work.WorkRecord, secret: string | null = null): WorkItem => ({
  id: item.id,
  type: "work",
  environment_id: item.environmentId,
  state: item.state,
  data: {
    type: item.type,
    id: item.session === undefined ? item.id : toInfra(compatSessionId(item.session))
  },
  secret,
  created_at: new Date(item.createdAt).toISOString(),
  acknowledged_at: isoOrNull(item.acknowledgedAt),
  started_at: isoOrNull(item.startedAt),
  latest_heartbeat_at: isoOrNull(item.latestHeartbeatAt),
  stop_requested_at: isoOrNull(item.stopRequestedAt),
  stopped_at: isoOrNull(item.stoppedAt),
  metadata: objectOf(item.metadata)
})

interface Services {
  readonly auth: Auth["Type"]
  readonly bus: Bus["Type"]
  readonly queue: Work.WorkQueue["Type"]
}

/** The item with the secret that opens its session from this moment on. */
const withSecret = ({ auth }: Services, { epoch, item, organizationId }: Work.Offer, apiBaseUrl: string) =>
  item.session === undefined || epoch === undefined
    ? Effect.succeed(toWire(item))
    : Effect.map(auth.issueIngress(item.session, organizationId, epoch), ({ token }) =>
        toWire(item, WorkSecret.encode({ sessionIngressToken: Redacted.value(token), apiBaseUrl }))
      )

export interface Poll {
  readonly environmentId: EnvironmentId
  readonly query: typeof PollQuery.Type
  readonly workerId: string | undefined
  /** Where the session's calls shall go. */
  readonly apiBaseUrl: string
  /** Run again after each wait: meanwhile the secret may have rotated. */
  readonly authorize: Effect.Effect<unknown, WorkAccessError>
}

/**
 * Waits until there is work, `block_ms` have passed, or the caller's right ends. Woken by the bus, and by the clock
 * where only time stands between an item and its next offer. `null`: no work.
 */
const poll = (services: Services, { apiBaseUrl, authorize, environmentId, query, workerId }: Poll) =>
  Effect.gen(function* () {
    const { bus, queue } = services
    const subscription = yield* bus.subscribe(`environment:${environmentId}`)
    const deadline = (yield* Clock.currentTimeMillis) + (query.block_ms ?? 0)
    const look = Effect.all({
      polled: queue.poll({
        environmentId,
        reclaimOlderThanMillis: query.reclaim_older_than_ms ?? Work.RECLAIM_DEFAULT_MILLIS,
        workerId,
        makesRoom: query.make_room === "true"
      }),
      now: Clock.currentTimeMillis
    })
    const found = yield* Effect.iterate(yield* look, {
      while: ({ now, polled }) => polled.offer === undefined && now < deadline,
      body: ({ now, polled: { due = deadline } }) =>
        Effect.raceFirst(subscription.take, Effect.sleep(Math.max(1, Math.min(deadline, due) - now))).pipe(
          Effect.zipRight(authorize),
          Effect.zipRight(look)
        )
    })
    const { offer } = found.polled
    if (offer === undefined) return null
    yield* Metrics.workOffered
    return yield* withSecret(services, offer, apiBaseUrl)
  }).pipe(Effect.scoped, Metrics.polling, mapStoreErrors)

/** The query goes before the body, member by member. */
const heartbeat = (
  { queue }: Services,
  {
    body,
    query,
    ...call
  }: Work.ItemKey & {
    readonly workerId: string | undefined
    readonly query: typeof HeartbeatQuery.Type
    readonly body: typeof HeartbeatInput.Type | null
  }
) =>
  queue
    .heartbeat({
      ...call,
      expected: query.expected_last_heartbeat ?? body?.expected_last_heartbeat ?? undefined,
      ttlSeconds: query.desired_ttl_seconds ?? body?.desired_ttl_seconds ?? undefined
    })
    .pipe(
      Effect.map(
        (beat): Heartbeat => ({
          type: "work_heartbeat",
          last_heartbeat: beat.lastHeartbeat,
          lease_extended: true,
          state: beat.state,
          ttl_seconds: beat.ttlSeconds
        })
      ),
      mapStoreErrors
    )

const list = (
  { queue }: Services,
  call: {
    readonly environmentId: EnvironmentId
    readonly limit: number | undefined
    readonly cursor: string | undefined
  }
) =>
  queue.list({ ...call, limit: call.limit ?? LIST_DEFAULT }).pipe(
    Effect.map(({ items, next = null }) => ({
      data: items.map((item) => toWire(item)),
      next_cursor: next,
      next_page: next
    })),
    mapStoreErrors
  )

const stats = ({ queue }: Services, environmentId: EnvironmentId) =>
  queue.stats(environmentId).pipe(
    Effect.map((found): typeof WorkStats.Type => ({
      type: "work_queue_stats",
      depth: found.depth,
      pending: found.pending,
      oldest_queued_at: isoOrNull(found.oldestQueuedAt),
      workers_polling: found.workersPolling
    })),
    mapStoreErrors
  )

const show = <E extends StoreError>(item: Effect.Effect<Work.WorkRecord, E>) =>
  mapStoreErrors(Effect.map(item, (found) => toWire(found)))

export const make = Effect.gen(function* () {
  const services: Services = { auth: yield* Auth, bus: yield* Bus, queue: yield* Work.WorkQueue }
  const { queue } = services
  return {
    poll: (call: Poll) => poll(services, call),
    heartbeat: (call: Parameters<typeof heartbeat>[1]) => heartbeat(services, call),
    acknowledge: (call: Parameters<typeof queue.acknowledge>[0]) => show(queue.acknowledge(call)),
    stop: (call: Parameters<typeof queue.stop>[0]) => show(queue.stop(call)),
    get: (key: Work.ItemKey) => show(queue.get(key)),
    updateMetadata: (call: Parameters<typeof queue.updateMetadata>[0]) => show(queue.updateMetadata(call)),
    list: (call: Parameters<typeof list>[1]) => list(services, call),
    stats: (environmentId: EnvironmentId) => stats(services, environmentId)
  }
})
