/**
 * A hub as a model: one session's log in memory, behind the client's services. It loses answers, fails before and after
 * storing, and repeats what it delivered, as it is told to.
 */
import * as ClientError from "@causeway/client/ClientError"
import * as CodeSession from "@causeway/client/CodeSession"
import * as Credentials from "@causeway/client/Credentials"
import * as Ingress from "@causeway/client/Ingress"
import type * as Delivery from "@causeway/protocol/Delivery"
import { EventUuid, type SessionId } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"

/** What becomes of a call: done; done with its answer lost; not done; the client itself is broken. */
export type Fault = "ok" | "lost" | "failed" | "broken"

export interface ModelHub {
  /** Uuids of the worker's entries in the log, in order. */
  readonly log: Array<string>
  readonly texts: Array<string>
  readonly ephemeral: Array<string>
  readonly deliveries: Map<string, Delivery.Report>
  readonly statuses: Array<string>
  /** Faults of the calls to come, first in first out; `ok` after the last. */
  readonly faults: Array<Fault>
  /** Uuids that the log will never accept (413). */
  readonly refuses: Set<string>
  /** Events that the hub does not know: a report that names one is refused whole (400). */
  readonly strange: Set<string>
  /** Largest batch that somebody in between lets through, in bytes; larger ones get that one's own 413. */
  allows: number
  /** Calls that are not stored in the log, by name. */
  readonly calls: Array<string>
  /** How many client events before the asked position each new stream repeats. */
  repeat: number
  /** Number of the bridge process that lives; calls of earlier ones do nothing any more. */
  life: number
  /** Makes every call of the worker fail as that of a worker that was replaced. */
  superseded: boolean
  /** Makes every call of the worker fail as that for a session which the server does not know. */
  unknown: boolean
  /** Whether the worker's calls for the session are answered at an address (undefined: the configured one). */
  isAt: (address: string | undefined) => boolean
  /** Addresses to which such calls went, by name of the call. */
  readonly addresses: Array<readonly [operation: string, address: string | undefined]>
  /** What an ingress token is told that its session's agent is started with. */
  launchOptions: Payload.JsonObject | undefined
  /** Appends a client event. */
  readonly say: (payload: Payload.Payload) => Effect.Effect<void>
  /** The services, as the process that lives now sees them. */
  readonly layer: () => Layer.Layer<Ingress.Ingress | CodeSession.CodeSession | Credentials.Credentials>
}

const unreachable = (operation: string) =>
  new ClientError.HubUnreachable({ operation, reason: "Transport", detail: "cut" })

export const make = (sessionId: SessionId): Effect.Effect<ModelHub> =>
  Effect.gen(function* () {
    const client = yield* SubscriptionRef.make<ReadonlyArray<Payload.Payload>>([])
    const next = (hub: ModelHub): Fault => hub.faults.shift() ?? "ok"
    let epoch = 0

    /** One call: refused, failed before it was done, or after. */
    const call = <A>(
      life: number,
      operation: string,
      done: () => A
    ): Effect.Effect<A, CodeSession.WorkerError> =>
      Effect.suspend((): Effect.Effect<A, CodeSession.WorkerError> => {
        if (hub.superseded) return new ClientError.WorkerSuperseded({ sessionId })
        if (hub.unknown) return new ClientError.SessionNotFound({ sessionId })
        const fault = hub.life === life ? next(hub) : "failed"
        if (fault === "broken") return Effect.dieMessage("boom")
        if (fault === "failed") return unreachable(operation)
        hub.calls.push(operation)
        const answer = done()
        return fault === "lost" ? unreachable(operation) : Effect.succeed(answer)
      })

    /** A call at an address; there may be nothing of the session there. */
    const placed = <A>(
      { apiBaseUrl }: CodeSession.Target,
      operation: string,
      done: Effect.Effect<A, CodeSession.WorkerError>
    ): Effect.Effect<A, CodeSession.WorkerError> =>
      Effect.suspend(() => {
        hub.addresses.push([operation, apiBaseUrl])
        return hub.isAt(apiBaseUrl) ? done : new ClientError.SessionNotFound({ sessionId })
      })

    const append = (
      life: number,
      entries: ReadonlyArray<{ readonly uuid: EventUuid; readonly text: string }>
    ) =>
      Effect.suspend((): Effect.Effect<void, Ingress.AppendError> => {
        if (hub.superseded) return new ClientError.IngressTokenRejected({ sessionId })
        const fault = hub.life === life ? next(hub) : "failed"
        if (entries.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) > hub.allows) {
          const lastCause = new ClientError.HubUnreachable({
            operation: "append",
            reason: "Intermediary",
            detail: "somebody in between answered 413",
            status: 413
          })
          return new ClientError.RetriesExhausted({ sessionId, attempts: 1, lastCause })
        }
        if (entries.some(({ uuid }) => hub.refuses.has(uuid))) {
          const lastCause = new ClientError.RequestFailed({ operation: "append", status: 413 })
          return new ClientError.RetriesExhausted({ sessionId, attempts: 10, lastCause })
        }
        if (fault !== "failed") {
          for (const { text, uuid } of entries) {
            if (hub.log.includes(uuid)) continue
            hub.log.push(uuid)
            hub.texts.push(text)
          }
        }
        return fault === "ok"
          ? Effect.void
          : new ClientError.RetriesExhausted({ sessionId, attempts: 10, lastCause: unreachable("append") })
      })

    const received = (payload: Payload.Payload, index: number): CodeSession.Received => ({
      event_id: payload.uuid ?? EventUuid.make(`event-${index}`),
      sequence_num: (index + 1) as CodeSession.Received["sequence_num"],
      event_type: payload.type,
      source: "client",
      created_at: "2026-01-01T00:00:00.000Z",
      payload: payload.json,
      payloadText: payload.text
    })

    const hub: ModelHub = {
      log: [],
      texts: [],
      ephemeral: [],
      deliveries: new Map(),
      statuses: [],
      faults: [],
      refuses: new Set(),
      strange: new Set(),
      allows: Number.POSITIVE_INFINITY,
      calls: [],
      isAt: () => true,
      addresses: [],
      repeat: 0,
      superseded: false,
      unknown: false,
      launchOptions: undefined,
      life: 0,
      say: (payload) => SubscriptionRef.update(client, (all) => [...all, payload]),
      layer: () => {
        const { life } = hub
        return Layer.mergeAll(
          Layer.mock(Ingress.Ingress, {
            append: (_, entry) => append(life, [entry]),
            appendBatch: (_, entries) => append(life, entries),
            clear: () => Effect.void
          }),
          Layer.mock(CodeSession.CodeSession, {
            register: (target) =>
              placed(
                target,
                "register",
                call(life, "register", () => ++epoch)
              ),
            putWorker: (target, { status }) =>
              placed(
                target,
                "putWorker",
                call(life, "putWorker", () => {
                  if (status !== undefined) hub.statuses.push(status)
                })
              ),
            postEvents: (_, __, events) =>
              call(life, "postEvents", () => {
                hub.ephemeral.push(...events.map(({ text }) => text))
              }),
            postDelivery: (_, __, updates) => {
              if (updates.some(({ eventId }) => hub.strange.has(eventId))) {
                return new ClientError.RequestFailed({ operation: "postDelivery", status: 400 })
              }
              return call(life, "postDelivery", () => {
                for (const { eventId, status } of updates) hub.deliveries.set(eventId, status)
              })
            },
            getWorker: () =>
              call(life, "getWorker", () => ({
                session_id: sessionId,
                worker_epoch: epoch,
                worker_status: "idle" as const,
                connection_status: "connected" as const,
                external_metadata: null,
                last_sequence_num: 0,
                launch_options: hub.launchOptions
              })),
            heartbeat: () => call(life, "heartbeat", () => Duration.seconds(20)),
            refreshToken: () => call(life, "refreshToken", () => Duration.hours(4)),
            stream: (_, from, options) =>
              Stream.unwrap(
                Effect.gen(function* () {
                  if (hub.superseded) return Stream.fail(new ClientError.IngressTokenRejected({ sessionId }))
                  yield* options?.onConnection?.({ _tag: "Connected", polling: false }) ?? Effect.void
                  let after = Math.max(0, from - hub.repeat)
                  return client.changes.pipe(
                    Stream.mapConcat((all) => {
                      const fresh = all.slice(after).map((payload, i) => received(payload, after + i))
                      after = all.length
                      return fresh
                    })
                  )
                })
              )
          }),
          Layer.mock(Credentials.Credentials, {
            setIngressToken: () => Effect.void,
            forgetIngressToken: () => Effect.void,
            refreshIngressToken: () => Effect.succeed(Option.none())
          })
        )
      }
    }
    return hub
  })
