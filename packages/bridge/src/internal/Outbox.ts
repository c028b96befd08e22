/**
 * The way of the journal's lines to the hub: in order, in batches, until the hub has confirmed each.
 *
 * What is not stored is sent again. A batch that is refused is made smaller until the line that is meant stands alone. A
 * line that the hub itself can never store leaves a report in its place and is kept in the journal. A line that somebody
 * in between refuses stays where it is, the session is told, and it is sent again until it goes through.
 * Source: ARCHITECTURE.md ("Up").
 */
import { createHash, randomUUID } from "node:crypto"
import type * as ClientError from "@causeway/client/ClientError"
import * as CodeSession from "@causeway/client/CodeSession"
import * as Ingress from "@causeway/client/Ingress"
import { EventUuid, type SessionId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { Journal, type JournalFailed, KEPT_AT, type OutboxEntry } from "@causeway/runner/Journal"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { BridgeEvent } from "../BridgeEvent.ts"
import * as Metrics from "../Metrics.ts"
import { type Detached, detached } from "./Detached.ts"
import * as Schedules from "./Schedules.ts"

/** One upload of durable lines. The hub stores it whole or not at all. */
export const BATCH = { count: 500, bytes: 1024 * 1024 }

/** A batch is not made smaller than this, in bytes; then its lines are sent one by one. */
const BATCH_MIN_BYTES = 64 * 1024

/** Before a batch that was not stored is sent again; an append has its own delays before it gives up. */
const RESEND = Duration.seconds(1)

/** Where an attachment's calls go, and under which epoch. */
export interface To {
  readonly target: CodeSession.Target
  readonly epoch: number
}

export interface Outbox {
  /** Sends the oldest lines, at most `count`; false where none waited. */
  readonly send: (to: To, count?: number) => Effect.Effect<boolean, Detached>
  /** How many lines the hub has confirmed. */
  readonly confirmed: SubscriptionRef.SubscriptionRef<number>
}

export interface Options {
  readonly sessionId: SessionId
  readonly ingressUrl: string
  /** Runs what the journal does until it succeeds. */
  readonly retryForever: <A>(effect: Effect.Effect<A, JournalFailed>) => Effect.Effect<A>
  readonly onEvent: (event: BridgeEvent) => Effect.Effect<void>
}

/** The line that does not get through: which, how often it was tried, and whether people were told. */
interface Stuck {
  readonly position: number
  readonly failures: number
  readonly told: boolean
}

type NotStored = ClientError.ConcurrentModification | ClientError.RetriesExhausted

/** A uuid that is the same for a line whenever it is told of. */
const noticeOf = (uuid: EventUuid): EventUuid =>
  EventUuid.make(`stuck-${createHash("sha256").update(uuid).digest("hex").slice(0, 32)}`)

const stuckWords = (bytes: number, type: string, cause: ClientError.HubUnreachable): string =>
  `a line of the agent (${type}, ${bytes} bytes) does not get through to the hub: ${cause.detail}. Nothing is lost: it is kept here and sent again until it goes through, and later lines wait behind it.${
    cause.status === 413
      ? " Whoever runs the proxy can allow larger bodies (nginx: client_max_body_size)."
      : ""
  }`

export const make = (
  options: Options
): Effect.Effect<Outbox, never, Journal | Ingress.Ingress | CodeSession.CodeSession> =>
  Effect.gen(function* () {
    const { ingressUrl, retryForever, onEvent, sessionId } = options
    const journal = yield* Journal
    const ingress = yield* Ingress.Ingress
    const codeSession = yield* CodeSession.CodeSession
    const confirmed = yield* SubscriptionRef.make(0)
    /** How many of the oldest lines are sent one by one, because a batch of them was refused. */
    const singly = yield* Ref.make(0)
    /** Bytes of a batch: less where somebody in between refuses more. */
    const budget = yield* Ref.make(BATCH.bytes)
    const stuck = yield* Ref.make<Stuck | undefined>(undefined)
    const resending = yield* Schedule.driver(Schedules.stuckLine)

    const stored = (batch: ReadonlyArray<OutboxEntry>, last: OutboxEntry) =>
      Effect.gen(function* () {
        yield* retryForever(journal.confirm(sessionId, last.position, last.payload.uuid))
        yield* Metric.incrementBy(Metrics.linesConfirmed, batch.length)
        yield* SubscriptionRef.update(confirmed, (n) => n + batch.length)
        const before = yield* Ref.getAndSet(stuck, undefined)
        const line = batch.find(({ position }) => position === before?.position)
        if (before?.told !== true || line === undefined) return
        const bytes = Buffer.byteLength(line.payload.text)
        yield* onEvent(BridgeEvent.LineWentThrough({ sessionId, bytes }))
      })

    /** The hub will never store this line: a report takes its place, and the journal keeps it. */
    const setAside = ({ payload, position }: OutboxEntry, why: string) =>
      Effect.gen(function* () {
        const uuid = EventUuid.make(randomUUID())
        const message = `the hub does not take a line of the agent (${why}): there is a gap here, and the line is kept ${KEPT_AT}`
        const report = Payload.make({
          type: "bridge_error",
          uuid,
          reason: "line_refused",
          message,
          line_type: payload.type,
          line_uuid: payload.uuid
        })
        yield* retryForever(journal.setAside(sessionId, position, { ...report, uuid }, why))
        yield* onEvent(BridgeEvent.Warning({ message, sessionId }))
      })

    /** Whether the hub answers at all: then it is this line that somebody refuses. */
    const reachable = ({ target }: To) => Effect.isSuccess(codeSession.getWorker(target))

    /** Tells the session, beside the line that is held up, and whoever runs the bridge. */
    const tell = (to: To, { payload }: OutboxEntry, cause: ClientError.HubUnreachable) =>
      Effect.gen(function* () {
        const bytes = Buffer.byteLength(payload.text)
        const words = stuckWords(bytes, payload.type, cause)
        yield* onEvent(BridgeEvent.LineStuck({ sessionId, bytes, words }))
        const notice = Payload.make({
          type: "bridge_error",
          uuid: noticeOf(payload.uuid),
          reason: "line_stuck",
          message: words,
          line_type: payload.type,
          line_uuid: payload.uuid,
          line_bytes: bytes
        })
        yield* codeSession
          .postEvents(to.target, to.epoch, [{ text: notice.text }])
          .pipe(
            Effect.catchAll((error) =>
              Effect.logWarning("the session was not told of a stuck line").pipe(
                Effect.annotateLogs({ session: sessionId, detail: error.message })
              )
            )
          )
      })

    /** One line that nobody of the hub answered to. */
    const heldUp = (to: To, line: OutboxEntry, cause: ClientError.HubUnreachable) =>
      Effect.gen(function* () {
        const before = yield* Ref.get(stuck)
        const known = before?.position === line.position ? before : undefined
        const failures = (known?.failures ?? 0) + 1
        // A proxy that says the size is certain; anything else may have been an outage that ended just now.
        const certain = cause.reason === "Intermediary" && cause.status === 413
        const news = known?.told !== true && (certain || failures > 1) && (yield* reachable(to))
        yield* Ref.set(stuck, { position: line.position, failures, told: known?.told === true || news })
        if (news) yield* tell(to, line, cause)
        if (known === undefined) yield* resending.reset
        // The schedule has no end.
        yield* Effect.ignore(resending.next(undefined))
      })

    const notStored = (to: To, batch: ReadonlyArray<OutboxEntry>, error: NotStored) =>
      Effect.gen(function* () {
        yield* Effect.logWarning("lines not stored, trying again").pipe(
          Effect.annotateLogs({ session: sessionId, lines: batch.length, detail: error.message })
        )
        const [only] = batch
        const cause = error._tag === "RetriesExhausted" ? error.lastCause : undefined
        if (cause?._tag === "RequestFailed" && (cause.status === 400 || cause.status === 413)) {
          yield* Effect.sleep(RESEND)
          if (batch.length > 1) yield* Ref.set(singly, batch.length)
          else if (only !== undefined) yield* setAside(only, cause.message)
          return
        }
        if (cause?._tag !== "HubUnreachable") return yield* Effect.sleep(RESEND)
        if (batch.length === 1 && only !== undefined) return yield* heldUp(to, only, cause)
        if (cause.reason === "Intermediary") {
          const bytes = yield* Ref.updateAndGet(budget, (now) => Math.max(now / 2, BATCH_MIN_BYTES))
          if (bytes === BATCH_MIN_BYTES) yield* Ref.set(singly, batch.length)
          if (cause.status === 413) return
        }
        yield* Effect.sleep(RESEND)
      })

    const send: Outbox["send"] = (to, count = BATCH.count) =>
      Effect.gen(function* () {
        const alone = yield* Ref.getAndUpdate(singly, (n) => Math.max(n - 1, 0))
        const limit = {
          count: alone > 0 ? 1 : Math.min(count, BATCH.count),
          bytes: yield* Ref.get(budget)
        }
        const batch = yield* retryForever(journal.pending(sessionId, limit))
        const last = batch.at(-1)
        if (last === undefined) return false
        const entries = batch.map(({ payload }) => payload)
        yield* ingress.appendBatch(sessionId, entries, ingressUrl).pipe(
          Effect.matchEffect({
            onSuccess: () => stored(batch, last),
            onFailure: (error) =>
              error._tag === "IngressTokenMissing" || error._tag === "IngressTokenRejected"
                ? detached("token_refused", error)
                : notStored(to, batch, error)
          })
        )
        return true
      })

    return { send, confirmed }
  })
