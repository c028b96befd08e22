/**
 * One session that this bridge holds: what goes up, what comes down, and what the hub is told of it.
 *
 * A link outlives its attachments. What the agent says is journalled whether or not the hub can be reached; each
 * attachment (one token, one epoch, one lease) sends what waits, receives what is new, and ends with a reason. At most
 * one attachment writes at a time: {@link Link.attach} of a newer one comes after the end of the older one.
 * Source: spec 1 §6, ARCHITECTURE.md ("Up", "Down", "One writer").
 */
import { randomUUID } from "node:crypto"
import * as Backoff from "@causeway/client/Backoff"
import * as ClientError from "@causeway/client/ClientError"
import * as CodeSession from "@causeway/client/CodeSession"
import * as Credentials from "@causeway/client/Credentials"
import * as Ingress from "@causeway/client/Ingress"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { WorkerStatus } from "@causeway/protocol/http/CodeSessions"
import { type EnvironmentId, EventUuid, type SessionId, toCompat, type WorkId } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import type { AgentOutput, AgentStatus } from "@causeway/runner/Agent"
import type { Channel } from "@causeway/runner/Channel"
import { failureReport } from "@causeway/runner/Engine"
import type { Identified, Incoming, JournalFailed, Outgoing, SessionRecord } from "@causeway/runner/Journal"
import { Journal, KEPT_AT } from "@causeway/runner/Journal"
import * as JournalRetry from "@causeway/runner/JournalRetry"
import * as Array from "effect/Array"
import type * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { BridgeEvent } from "./BridgeEvent.ts"
import { Detached, endOf } from "./internal/Detached.ts"
import * as Outbox from "./internal/Outbox.ts"
import * as Metrics from "./Metrics.ts"

/** Largest line that is sent, in bytes of JSON; the hub's default limit. Larger ones are reported instead. */
export const MAX_LINE = 4 * 1024 * 1024

/** Ephemeral lines that may wait to be sent; older ones are dropped for newer. */
const EPHEMERAL_WAITING = 1_000

/** Ephemeral lines of one post. Source: spec 5 §1. */
const POST_MAX = 100

/** Time to the next heartbeat after one that was refused. Source: spec 5 §1. */
const HEARTBEAT = Duration.seconds(20)

/** Life of a token that does not tell. Source: spec 5 §1 (4 h). */
const TOKEN_LIFE = Duration.hours(4)

/** The right to work on a session, as a work item brought it. */
export interface Attachment {
  readonly environmentId: EnvironmentId
  readonly workId: WorkId
  readonly token: Redacted.Redacted
  /** Where the hub says that the worker's calls go: used where the session is not found at the configured hub. */
  readonly apiBaseUrl: string | undefined
}

export { Detached } from "./internal/Detached.ts"

export interface Link extends Channel {
  readonly environmentId: EnvironmentId
  /** The session's log, where lines are `PUT`. */
  readonly ingressUrl: string
  /** The session as the journal knew it when the link was opened. */
  readonly record: SessionRecord
  /** When anything last came up or down, in milliseconds since the epoch. */
  readonly lastActive: Effect.Effect<number>
  /** Whether an attachment's stream stands. */
  readonly attached: SubscriptionRef.SubscriptionRef<boolean>
  /** Whether a prompt waits for its result. */
  readonly isTurnOpen: Effect.Effect<boolean>
}

/** A link with what only the bridge may do. */
export interface OwnedLink extends Link {
  /** Works until the attachment ends; `lease` fails when the hub does not grant it any more. */
  readonly attach: (attachment: Attachment, lease: Effect.Effect<never, Detached>) => Effect.Effect<Detached>
  /** Waits until the hub has confirmed every line. */
  readonly flush: Effect.Effect<void, JournalFailed>
}

export interface Options {
  readonly record: SessionRecord
  /** Base of the session's ingress log. */
  readonly sessionIngressUrl: string
  readonly onEvent: (event: BridgeEvent) => Effect.Effect<void>
  /** Told of losses and returns of the session's stream. */
  readonly onConnection: (connection: CodeSession.Connection) => Effect.Effect<void>
  readonly maxLine?: number
}

/** Address of a session's log. Source: spec 5 §3.1. */
export const ingressUrlOf = (base: string, sessionId: SessionId): string =>
  `${base.replace(/\/+$/, "")}/v1/session_ingress/session/${toCompat(sessionId)}`

/** Prompts behind the agent's last word come through the stream; they are not history yet. */
const answered = (
  entries: ReadonlyArray<{ readonly json: Payload.JsonObject; readonly text: string }>
): ReadonlyArray<Payload.Payload> =>
  entries
    .slice(0, entries.findLastIndex(({ json }) => json["type"] === "assistant") + 1)
    .flatMap(({ json, text }) => Option.toArray(Either.getRight(Payload.fromJson(json, text))))

const Claims = Schema.parseJson(Schema.Struct({ exp: Schema.Number, iat: Schema.optional(Schema.Number) }))

/** How long a token lives from `now`, read from its claims without trusting them: only to choose when to refresh. */
export const lifeOf = (token: Redacted.Redacted, now: number): Duration.Duration =>
  Option.fromNullable(Redacted.value(token).split(".")[1]).pipe(
    Option.flatMap((claims) => Either.getRight(Encoding.decodeBase64UrlString(claims))),
    Option.flatMap(Schema.decodeOption(Claims)),
    // From when it was issued, by the clock that issued it: this machine's may be another, or be set meanwhile.
    Option.map(({ exp, iat }) =>
      Duration.millis(Math.max(exp * 1000 - (iat === undefined ? now : iat * 1000), 0))
    ),
    Option.getOrElse(() => TOKEN_LIFE)
  )

/** Whether a text has more bytes than this; counted only where it may have. */
const isLonger = (text: string, bytes: number): boolean =>
  text.length * 3 > bytes && Buffer.byteLength(text) > bytes

/** What the log says to a person in the place of a line that is too long to send. */
const tooLong = (payload: Payload.Payload, limit: number): Identified => {
  const uuid = payload.uuid ?? EventUuid.make(randomUUID())
  const report = Payload.make({
    type: "bridge_error",
    uuid,
    reason: "line_too_long",
    message: `the agent wrote a line of ${Buffer.byteLength(payload.text)} bytes, and the hub takes at most ${limit}: its beginning stands here, the whole of it is kept ${KEPT_AT}`,
    line_type: payload.type,
    line_start: payload.text.slice(0, 2_000)
  })
  return { ...report, uuid }
}

const workerStatus = (status: AgentStatus): WorkerStatus => {
  switch (status) {
    case "running":
    case "restarting":
      return "running"
    case "requires_action":
      return "requires_action"
    default:
      return "idle"
  }
}

/** What waits to be sent: a note that durable lines are in the journal, or an ephemeral line itself. */
type Waiting =
  | { readonly _tag: "Durable"; readonly count: number }
  | { readonly _tag: "Ephemeral"; readonly text: string }

/** The change that archives a session; the lease would tell of it later. */
const isArchiving = ({ json, type }: Payload.Payload): boolean =>
  type === "session_update" && json["archived"] === true

/** Whether an answer says that a session is not to be found at this address; an outage says nothing of the kind. */
const mayBeElsewhere = (error: CodeSession.WorkerError): boolean => {
  switch (error._tag) {
    case "SessionNotFound":
    case "IngressTokenRejected":
    case "RequestFailed":
      return true
    case "HubUnreachable":
      return error.reason === "Intermediary" && (error.status === 404 || error.status === 405)
    default:
      return false
  }
}

/** Runs to its end although the fiber that asks is being interrupted; given up after 2 s. */
const lastWords = <E>(effect: Effect.Effect<void, E>): Effect.Effect<void> =>
  effect.pipe(
    Effect.interruptible,
    Effect.timeout("2 seconds"),
    Effect.catchAll((error) =>
      Effect.logDebug("not told that the worker is gone").pipe(Effect.annotateLogs({ detail: String(error) }))
    ),
    Effect.forkDaemon,
    Effect.flatMap(Fiber.await),
    Effect.asVoid
  )

/** Opens a session's link over the journal. The session must have been entered. */
export const make = (
  options: Options
): Effect.Effect<
  OwnedLink,
  JournalFailed,
  Journal | Ingress.Ingress | CodeSession.CodeSession | Credentials.Credentials | Scope.Scope
> =>
  Effect.gen(function* () {
    const journal = yield* Journal
    const ingress = yield* Ingress.Ingress
    const codeSession = yield* CodeSession.CodeSession
    const credentials = yield* Credentials.Credentials
    const { record } = options
    const { sessionId } = record
    const limit = options.maxLine ?? MAX_LINE

    const inbound = yield* Effect.acquireRelease(Queue.unbounded<Payload.Payload>(), Queue.shutdown)
    const changes = yield* Effect.acquireRelease(
      Queue.unbounded<AgentSettings.AgentSettings>(),
      Queue.shutdown
    )
    const waiting = yield* Queue.sliding<Waiting>(EPHEMERAL_WAITING)
    const toReport = yield* Queue.sliding<void>(1)
    const toState = yield* Queue.sliding<void>(1)
    const status = yield* Ref.make<WorkerStatus>("idle")
    const attached = yield* SubscriptionRef.make(false)
    const atWork = yield* Ref.make<Effect.Effect<boolean> | undefined>(undefined)
    const lastActive = yield* Ref.make(yield* Clock.currentTimeMillis)
    const touch = Effect.flatMap(Clock.currentTimeMillis, (now) => Ref.set(lastActive, now))
    const writing = yield* Ref.make(false)
    const ingressUrl = ingressUrlOf(options.sessionIngressUrl, sessionId)

    const retryForever = JournalRetry.make((message) =>
      options.onEvent(BridgeEvent.Warning({ message, sessionId }))
    )

    const outbox = yield* Outbox.make({ sessionId, ingressUrl, retryForever, onEvent: options.onEvent })

    // --- Up ---

    const outgoing = (output: AgentOutput): Outgoing => {
      if (output._tag === "Delivery") return output
      if (isLonger(output.payload.text, limit)) {
        const payload = tooLong(output.payload, limit)
        const why = `larger than ${limit} bytes`
        return { _tag: "Line", payload, original: { payload: output.payload, why } }
      }
      const sized = output.payload
      if (sized.uuid !== undefined) return { _tag: "Line", payload: { ...sized, uuid: sized.uuid } }
      const json = { ...sized.json, uuid: EventUuid.make(randomUUID()) }
      return {
        _tag: "Line",
        payload: { ...sized, json, text: JSON.stringify(json), uuid: json.uuid }
      }
    }

    const isEphemeral = (output: AgentOutput) => output._tag === "Line" && Payload.isEphemeral(output.payload)

    const write = (outputs: ReadonlyArray<AgentOutput>) =>
      Effect.gen(function* () {
        yield* touch
        const durable = outputs.filter((output) => !isEphemeral(output)).map(outgoing)
        if (durable.length > 0) {
          yield* retryForever(journal.record(sessionId, durable))
          yield* Metric.incrementBy(
            Metrics.linesJournalled,
            durable.filter(({ _tag }) => _tag === "Line").length
          )
          if (durable.some((output) => output._tag === "Delivery")) yield* Queue.offer(toReport, undefined)
        }
        if (!(yield* Ref.get(writing))) return
        for (const output of outputs) {
          if (output._tag !== "Line") continue
          yield* Queue.offer(
            waiting,
            Payload.isEphemeral(output.payload)
              ? { _tag: "Ephemeral", text: output.payload.text }
              : { _tag: "Durable", count: 1 }
          )
        }
      })

    const target = (attachment: Attachment): CodeSession.Target => ({
      sessionId,
      apiBaseUrl: attachment.apiBaseUrl
    })

    /** A call whose refusal for good (a 4xx without a meaning here) is logged and stops nothing. */
    const tolerate = <A>(
      what: string,
      effect: Effect.Effect<A, CodeSession.WorkerError>
    ): Effect.Effect<Option.Option<A>, Detached> =>
      effect.pipe(
        Effect.retry({ schedule: Backoff.uploads, while: ClientError.isTransient }),
        Effect.asSome,
        Effect.mapError(endOf),
        Effect.catchIf(
          (error) => error.reason === "refused",
          ({ detail }) =>
            Effect.as(
              Effect.logWarning("call refused by the hub").pipe(
                Effect.annotateLogs({ session: sessionId, call: what, detail })
              ),
              Option.none()
            )
        )
      )

    /** A call without which the attachment cannot go on. */
    const persist = <A>(effect: Effect.Effect<A, CodeSession.WorkerError>): Effect.Effect<A, Detached> =>
      effect.pipe(
        Effect.retry({ schedule: Backoff.uploads, while: ClientError.isTransient }),
        Effect.mapError(endOf)
      )

    /** The same, where people wait for it: they are told why it does not arrive, once for each reason. */
    const arriving = <A>(effect: Effect.Effect<A, CodeSession.WorkerError>): Effect.Effect<A, Detached> => {
      let told = ""
      return persist(
        Effect.tapError(effect, (error) => {
          if (!ClientError.isTransient(error) || error.message === told) return Effect.void
          told = error.message
          return options.onEvent(BridgeEvent.AttachDelayed({ sessionId, why: error.message }))
        })
      )
    }

    /**
     * Registers at the hub that this bridge was given, by the address that it was given; where the session is not there,
     * at the address that came with the work. The hub may not know how others reach it.
     */
    const register = (attachment: Attachment) => {
      const at = (apiBaseUrl: string | undefined) =>
        Effect.map(codeSession.register({ sessionId, apiBaseUrl }), (epoch) => ({
          epoch,
          attachment: { ...attachment, apiBaseUrl }
        }))
      const { apiBaseUrl } = attachment
      return apiBaseUrl === undefined
        ? at(undefined)
        : Effect.catchIf(at(undefined), mayBeElsewhere, (error) =>
            Effect.mapError(at(apiBaseUrl), () => error)
          )
    }

    /** Posts ephemeral lines once; what cannot be sent now is dropped. */
    const post = (attachment: Attachment, epoch: number, texts: ReadonlyArray<string>) =>
      Effect.forEach(
        Array.chunksOf(texts, POST_MAX),
        (chunk) =>
          codeSession
            .postEvents(
              target(attachment),
              epoch,
              chunk.map((text) => ({ text, ephemeral: true }))
            )
            .pipe(
              Effect.catchIf(
                (error) =>
                  ClientError.isTransient(error) ||
                  error._tag === "RequestFailed" ||
                  error._tag === "InvalidResponse",
                (error) =>
                  Effect.logDebug("progress dropped").pipe(
                    Effect.annotateLogs({ session: sessionId, events: chunk.length, detail: error.message })
                  )
              ),
              Effect.mapError(endOf)
            ),
        { discard: true }
      )

    const send = (attachment: Attachment, epoch: number) =>
      Effect.gen(function* () {
        // What waits from before is sent first, without its progress.
        yield* Queue.takeAll(waiting)
        yield* Ref.set(writing, true)
        const to = { target: target(attachment), epoch }
        const drain: Effect.Effect<void, Detached> = Effect.flatMap(outbox.send(to), (more) =>
          more ? drain : Effect.void
        )
        yield* drain
        return yield* Effect.gen(function* () {
          const taken: Array.NonEmptyArray<Waiting> = [
            yield* Queue.take(waiting),
            ...(yield* Queue.takeAll(waiting))
          ]
          for (const run of Array.groupWith(taken, (a, b) => a._tag === b._tag)) {
            if (run[0]._tag === "Durable") yield* outbox.send(to, run.length)
            else {
              yield* post(
                attachment,
                epoch,
                run.flatMap((item) => (item._tag === "Ephemeral" ? [item.text] : []))
              )
            }
          }
          // Lines beyond one batch, and those whose note slid out of the queue.
          if ((yield* Queue.size(waiting)) === 0) yield* drain
        }).pipe(Effect.forever)
      }).pipe(Effect.ensuring(Ref.set(writing, false)))

    // --- Down ---

    /** Messages that nobody has taken yet are not given any more. */
    const takeBack = (withdrawals: ReadonlyArray<Withdrawal.Withdrawal>) =>
      withdrawals.length === 0
        ? Effect.void
        : Effect.flatMap(Queue.takeAll(inbound), (left) =>
            Queue.offerAll(
              inbound,
              Array.filter(
                left,
                ({ type, uuid }) =>
                  type !== "user" ||
                  uuid === undefined ||
                  !withdrawals.some((withdrawal) => Withdrawal.covers(withdrawal, uuid))
              )
            )
          )

    const take = (received: Chunk.Chunk<CodeSession.Received>) =>
      Effect.gen(function* () {
        const events: Array<Incoming> = []
        for (const event of received) {
          // Echoes of what this side wrote.
          if (event.source !== "client") continue
          const payload = Payload.fromJson(event.payload, event.payloadText)
          if (Either.isRight(payload)) {
            events.push({ eventId: event.event_id, sequenceNum: event.sequence_num, payload: payload.right })
          } else {
            yield* Effect.logWarning("client event not readable").pipe(
              Effect.annotateLogs({ session: sessionId, event: event.event_id, detail: payload.left.issue })
            )
          }
        }
        if (events.length === 0) return
        yield* touch
        const fresh = yield* retryForever(journal.receive(sessionId, events))
        yield* Metric.incrementBy(Metrics.clientEvents, fresh.length)
        const [others, given] = Array.partition(fresh, Payload.isForWorker)
        if (others.length > 0) {
          yield* retryForever(
            journal.record(
              sessionId,
              others.flatMap(({ uuid }) =>
                uuid === undefined ? [] : [{ _tag: "Delivery" as const, uuid, state: "processed" as const }]
              )
            )
          )
        }
        yield* takeBack(given.flatMap((payload) => Withdrawal.of(payload) ?? []))
        yield* Queue.offerAll(inbound, given)
        yield* Queue.offerAll(
          changes,
          others.filter(({ type }) => type === "session_update").map(({ json }) => AgentSettings.of(json))
        )
        yield* Queue.offer(toReport, undefined)
        if (others.some(isArchiving)) {
          return yield* new Detached({ reason: "session_gone", detail: "the session was archived" })
        }
      })

    const receive = (attachment: Attachment) =>
      Effect.gen(function* () {
        const known = yield* retryForever(journal.session(sessionId))
        const from = Option.match(known, { onNone: () => 0, onSome: ({ cursor }) => cursor })
        const held = yield* Ref.make(false)
        yield* codeSession
          .stream(target(attachment), from, {
            onConnection: (connection) =>
              Effect.gen(function* () {
                yield* SubscriptionRef.set(attached, connection._tag === "Connected")
                if (connection._tag === "Connected") {
                  const now = connection.polling
                  if ((yield* Ref.getAndSet(held, now)) !== now) {
                    yield* options.onEvent(BridgeEvent.StreamHeld({ sessionId, held: now }))
                  }
                }
                yield* options.onConnection(connection)
              })
          })
          .pipe(Stream.mapError(endOf), Stream.runForEachChunk(take))
        return yield* new Detached({ reason: "lease_lost", detail: "the session's stream ended" })
      }).pipe(Effect.ensuring(SubscriptionRef.set(attached, false)))

    // --- What the hub is told ---

    const report = (attachment: Attachment, epoch: number): Effect.Effect<never, Detached> =>
      Effect.gen(function* () {
        const reports = yield* retryForever(journal.reports(sessionId, POST_MAX))
        const told = (some: typeof reports) =>
          tolerate("delivery", codeSession.postDelivery(target(attachment), epoch, some))
        // One that the hub refuses for good is not known there and is not reported again; the others are.
        if (reports.length > 0 && Option.isNone(yield* told(reports)) && reports.length > 1) {
          yield* Effect.forEach(reports, (one) => told([one]), { discard: true })
        }
        if (reports.length > 0) yield* retryForever(journal.reported(sessionId, reports))
        if (reports.length < POST_MAX) yield* Queue.take(toReport)
      }).pipe(Effect.forever)

    const tellState = (attachment: Attachment, epoch: number): Effect.Effect<never, Detached> =>
      Effect.gen(function* () {
        yield* Queue.take(toState)
        yield* persist(codeSession.putWorker(target(attachment), { epoch, status: yield* Ref.get(status) }))
      }).pipe(Effect.forever)

    const beat = (attachment: Attachment, epoch: number): Effect.Effect<never, Detached> =>
      tolerate("heartbeat", codeSession.heartbeat(target(attachment), epoch)).pipe(
        Effect.flatMap((next) => Effect.sleep(Option.getOrElse(next, () => HEARTBEAT))),
        Effect.forever
      )

    const refresh = (attachment: Attachment): Effect.Effect<never, Detached> =>
      Effect.gen(function* () {
        let life = lifeOf(attachment.token, yield* Clock.currentTimeMillis)
        while (true) {
          yield* Effect.sleep(Duration.max(Duration.times(life, 0.5), Duration.seconds(10)))
          life = yield* persist(codeSession.refreshToken(target(attachment)))
        }
      })

    const attach = (offered: Attachment, lease: Effect.Effect<never, Detached>): Effect.Effect<Detached> =>
      Effect.gen(function* () {
        yield* credentials.setIngressToken(sessionId, offered.token)
        const { attachment, epoch } = yield* arriving(register(offered))
        yield* arriving(
          codeSession.putWorker(target(attachment), {
            epoch,
            status: yield* Ref.get(status),
            connection: "connected"
          })
        )
        yield* options.onEvent(BridgeEvent.SessionAttached({ sessionId, epoch }))
        yield* Queue.offer(toReport, undefined)
        return yield* Effect.all(
          [
            send(attachment, epoch),
            receive(attachment),
            report(attachment, epoch),
            tellState(attachment, epoch),
            beat(attachment, epoch),
            refresh(attachment)
          ],
          { concurrency: "unbounded", discard: true }
        ).pipe(
          Effect.zipRight(Effect.never),
          // The hub is told on the way out; it learns it from the silence otherwise.
          Effect.onInterrupt(() =>
            lastWords(codeSession.putWorker(target(attachment), { epoch, connection: "disconnected" }))
          )
        )
      }).pipe(
        // The lease is held from the start: registering may take a while on a bad network.
        Effect.raceFirst(lease),
        Effect.flip,
        Effect.annotateLogs({ session: sessionId, environment: offered.environmentId }),
        Effect.withSpan("Link.attach", { attributes: { "session.id": sessionId } })
      )

    const flush = Effect.gen(function* () {
      yield* outbox.confirmed.changes.pipe(
        Stream.mapEffect(() => journal.unconfirmed(sessionId)),
        Stream.filter((left) => left === 0),
        Stream.runHead
      )
    })

    return {
      sessionId,
      environmentId: record.environmentId,
      home: record.home,
      ingressUrl,
      record,
      write,
      inbound,
      unanswered: retryForever(journal.unanswered(sessionId)),
      history: ingress.fetch(sessionId, ingressUrl).pipe(
        Effect.retry({ schedule: Backoff.uploads, while: ClientError.isTransient }),
        Effect.map((entries) => answered(entries)),
        Effect.catchAll((error) =>
          Effect.as(
            Effect.logWarning("earlier conversation not read").pipe(
              Effect.annotateLogs({ session: sessionId, detail: error.message })
            ),
            []
          )
        )
      ),
      settings: Effect.map(
        retryForever(journal.session(sessionId)),
        Option.match({ onNone: () => record.settings, onSome: ({ settings }) => settings })
      ),
      changes,
      opened: Effect.void,
      failed: (error) =>
        Effect.flatMap(retryForever(journal.unanswered(sessionId)), (unanswered) =>
          write(failureReport(error, unanswered))
        ),
      keep: (snapshot) => retryForever(journal.keep(sessionId, snapshot)),
      launched: retryForever(journal.launched(sessionId)),
      setStatus: (agentStatus) => {
        const next = workerStatus(agentStatus)
        return Effect.flatMap(Ref.getAndSet(status, next), (before) =>
          before === next ? Effect.void : Effect.asVoid(Queue.offer(toState, undefined))
        )
      },
      atWork,
      lastActive: Ref.get(lastActive),
      attached,
      isTurnOpen: Effect.map(retryForever(journal.unanswered(sessionId)), (waiting) =>
        waiting.some(({ type }) => type === "user")
      ),
      attach,
      flush
    }
  })
