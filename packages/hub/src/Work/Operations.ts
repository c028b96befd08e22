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
import { compatSessionId, type EnvironmentId, toInfra, type WorkId } from "@causeway/protocol/Ids"
import * as WireError from "@causeway/protocol/WireError"
import * as WorkSecret from "@causeway/protocol/WorkSecret"
import * as Bus from "@causeway/store/Bus"
import * as Work from "@causeway/store/Work"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Auth } from "../Auth/Auth.ts"
import { isoOrNull } from "../internal/iso.ts"
import { objectOf } from "../internal/json.ts"
import { unavailable } from "../internal/unavailable.ts"
import * as Metrics from "../Metrics.ts"

/** Header by which a poller names itself. */
export { WORKER_ID_HEADER } from "@causeway/protocol/Headers"

/** Page size of a list, where none is asked for. */
export const LIST_DEFAULT = 100

/** The item as it is sent; `data.id` of a session is in the infrastructure spelling. */
export const toWire = (item: Work.WorkRecord, secret: string | null = null): WorkItem => ({
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

/** Which item, and by whom. */
export interface ItemCall {
  readonly environmentId: EnvironmentId
  readonly workId: WorkId
}

const unknown = (error: Work.WorkUnknown) => WireError.NotFound.of(error.message)
const refused = (error: Work.WorkRefused) =>
  WireError.Conflict.of(error.message, { current_state: { state: error.state } })

export const make = Effect.gen(function* () {
  const auth = yield* Auth
  const bus = yield* Bus.Bus
  const queue = yield* Work.WorkQueue

  /** The item with the secret that opens its session from this moment on. */
  const withSecret = (offer: Work.Offer, apiBaseUrl: string) =>
    Effect.gen(function* () {
      const { session } = offer.item
      if (session === undefined || offer.epoch === undefined) return toWire(offer.item)
      const issued = yield* auth.issueIngress(session, offer.organizationId, offer.epoch)
      return toWire(
        offer.item,
        WorkSecret.encode({ sessionIngressToken: Redacted.value(issued.token), apiBaseUrl })
      )
    })

  /**
   * Waits until there is work, `block_ms` have passed, or the caller's right ends. Woken by the bus, and by the clock
   * where only time stands between an item and its next offer. `null`: no work.
   */
  const poll = (call: {
    readonly environmentId: EnvironmentId
    readonly query: typeof PollQuery.Type
    readonly workerId: string | undefined
    /** Where the session's calls shall go. */
    readonly apiBaseUrl: string
    /** Run again after each wait: meanwhile the secret may have rotated. */
    readonly authorize: Effect.Effect<
      unknown,
      | WireError.Unauthenticated
      | WireError.Forbidden
      | WireError.NotFound
      | WireError.Gone
      | WireError.Unavailable
    >
  }) =>
    Effect.scoped(
      Effect.gen(function* () {
        const { environmentId, workerId } = call
        const reclaimOlderThanMillis = call.query.reclaim_older_than_ms ?? Work.RECLAIM_DEFAULT_MILLIS
        const subscription = yield* bus.subscribe(`environment:${environmentId}`)
        const deadline = (yield* Clock.currentTimeMillis) + (call.query.block_ms ?? 0)
        while (true) {
          const { offer, due } = yield* queue.poll({
            environmentId,
            reclaimOlderThanMillis,
            workerId,
            makesRoom: call.query.make_room === "true"
          })
          if (offer !== undefined) {
            yield* Metrics.workOffered
            return yield* withSecret(offer, call.apiBaseUrl)
          }
          const now = yield* Clock.currentTimeMillis
          if (now >= deadline) return null
          const until = Math.min(deadline, due ?? deadline)
          yield* Effect.raceFirst(subscription.take, Effect.sleep(Math.max(1, until - now)))
          yield* call.authorize
        }
      })
    ).pipe(
      Metrics.polling,
      Effect.catchTags({
        EnvironmentUnknown: (error) => WireError.NotFound.of(error.message),
        EnvironmentArchived: (error) => WireError.Gone.of(error.message),
        StoreUnavailable: unavailable
      })
    )

  const acknowledge = (call: ItemCall & { readonly workerId: string | undefined }) =>
    Effect.map(queue.acknowledge(call), (item) => toWire(item)).pipe(
      Effect.catchTags({ WorkUnknown: unknown, WorkRefused: refused, StoreUnavailable: unavailable })
    )

  /** The query goes before the body, member by member. */
  const heartbeat = (
    call: ItemCall & {
      readonly workerId: string | undefined
      readonly query: typeof HeartbeatQuery.Type
      readonly body: typeof HeartbeatInput.Type | null
    }
  ) =>
    Effect.map(
      queue.heartbeat({
        environmentId: call.environmentId,
        workId: call.workId,
        workerId: call.workerId,
        expected: call.query.expected_last_heartbeat ?? call.body?.expected_last_heartbeat ?? undefined,
        ttlSeconds: call.query.desired_ttl_seconds ?? call.body?.desired_ttl_seconds ?? undefined
      }),
      (beat): Heartbeat => ({
        type: "work_heartbeat",
        last_heartbeat: beat.lastHeartbeat,
        lease_extended: true,
        state: beat.state,
        ttl_seconds: beat.ttlSeconds
      })
    ).pipe(
      Effect.catchTags({
        WorkUnknown: unknown,
        WorkRefused: refused,
        LeaseMoved: (error) =>
          WireError.PreconditionFailed.of(error.message, {
            error_code: "heartbeat_precondition_failed",
            current_state: {
              last_heartbeat: error.lastHeartbeat ?? null,
              lease_extended: false,
              state: error.state,
              ttl_seconds: error.ttlSeconds
            }
          }),
        StoreUnavailable: unavailable
      })
    )

  const stop = (call: ItemCall & { readonly force: boolean }) =>
    Effect.map(queue.stop(call), (item) => toWire(item)).pipe(
      Effect.catchTags({ WorkUnknown: unknown, WorkRefused: refused, StoreUnavailable: unavailable })
    )

  const get = (call: ItemCall) =>
    Effect.map(queue.get(call), (item) => toWire(item)).pipe(
      Effect.catchTags({ WorkUnknown: unknown, StoreUnavailable: unavailable })
    )

  const updateMetadata = (call: ItemCall & { readonly patch: { readonly [name: string]: string | null } }) =>
    Effect.map(queue.updateMetadata(call), (item) => toWire(item)).pipe(
      Effect.catchTags({ WorkUnknown: unknown, StoreUnavailable: unavailable })
    )

  const list = (call: {
    readonly environmentId: EnvironmentId
    readonly limit: number | undefined
    readonly cursor: string | undefined
  }) =>
    Effect.map(queue.list({ ...call, limit: call.limit ?? LIST_DEFAULT }), (page) => {
      const next = page.next ?? null
      return { data: page.items.map((item) => toWire(item)), next_cursor: next, next_page: next }
    }).pipe(
      Effect.catchTags({
        CursorInvalid: (error) => WireError.BadRequest.of(error.message),
        StoreUnavailable: unavailable
      })
    )

  const stats = (environmentId: EnvironmentId) =>
    Effect.map(queue.stats(environmentId), (found): typeof WorkStats.Type => ({
      type: "work_queue_stats",
      depth: found.depth,
      pending: found.pending,
      oldest_queued_at: isoOrNull(found.oldestQueuedAt),
      workers_polling: found.workersPolling
    })).pipe(Effect.catchTag("StoreUnavailable", unavailable))

  return { poll, acknowledge, heartbeat, stop, get, updateMetadata, list, stats }
})
