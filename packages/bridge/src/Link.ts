/**
 * One session that this bridge holds: what goes up, what comes down, and what the hub is told of it.
 *
 * A link outlives its attachments. What the agent says is journalled whether or not the hub can be reached; each
 * attachment (one token, one epoch, one lease) sends what waits, receives what is new, and ends with a reason. At most
 * one attachment writes at a time: {@link Link.attach} of a newer one comes after the end of the older one.
 * Source: spec 1 §6, ARCHITECTURE.md ("Up", "Down", "One writer").
 */
import * as Backoff from "@causeway/client/Backoff"
import * as ClientError from "@causeway/client/ClientError"
import * as CodeSession from "@causeway/client/CodeSession"
import * as Credentials from "@causeway/client/Credentials"
import * as Ingress from "@causeway/client/Ingress"
import type * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { WorkerStatus } from "@causeway/protocol/http/CodeSessions"
import { type EnvironmentId, toCompat } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import type { AgentStatus } from "@causeway/runner/Agent"
import type { Channel } from "@causeway/runner/Channel"
import { failureReport } from "@causeway/runner/Engine"
import { Journal, type JournalFailed, type SessionRecord } from "@causeway/runner/Journal"
import * as JournalRetry from "@causeway/runner/JournalRetry"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { BridgeEvent } from "./BridgeEvent.ts"
import type { Detached } from "./internal/Detached.ts"
import { receive } from "./internal/Link/Download.ts"
import type { Attachment, Options, State, Waiting } from "./internal/Link/State.ts"
import { send, write } from "./internal/Link/Upload.ts"
import * as Worker from "./internal/Link/Worker.ts"
import * as Outbox from "./internal/Outbox.ts"

export { Detached } from "./internal/Detached.ts"
export type { Attachment, Options } from "./internal/Link/State.ts"
export { lifeOf } from "./internal/Link/Worker.ts"

/** Ephemeral lines that may wait to be sent; older ones are dropped for newer. */
const EPHEMERAL_WAITING = 1_000

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

/** Prompts behind the agent's last word come through the stream; they are not history yet. */
const answered = (
  entries: ReadonlyArray<{ readonly json: Payload.JsonObject; readonly text: string }>
): ReadonlyArray<Payload.Payload> =>
  entries
    .slice(0, entries.findLastIndex(({ json }) => json["type"] === "assistant") + 1)
    .flatMap(({ json, text }) => Option.toArray(Either.getRight(Payload.fromJson(json, text))))

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

const makeState = (options: Options, ingressUrl: string) =>
  Effect.gen(function* () {
    const { onEvent, record } = options
    const { sessionId } = record
    const retryForever = JournalRetry.make((message) => onEvent(BridgeEvent.Warning({ message, sessionId })))
    return {
      ...options,
      sessionId,
      journal: yield* Journal,
      codeSession: yield* CodeSession.CodeSession,
      outbox: yield* Outbox.make({ sessionId, ingressUrl, retryForever, onEvent }),
      retryForever,
      inbound: yield* Effect.acquireRelease(Queue.unbounded<Payload.Payload>(), Queue.shutdown),
      changes: yield* Effect.acquireRelease(Queue.unbounded<AgentSettings.AgentSettings>(), Queue.shutdown),
      waiting: yield* Queue.sliding<Waiting>(EPHEMERAL_WAITING),
      toReport: yield* Queue.sliding<void>(1),
      toState: yield* Queue.sliding<void>(1),
      status: yield* Ref.make<WorkerStatus>("idle"),
      attached: yield* SubscriptionRef.make(false),
      lastActive: yield* Ref.make(yield* Clock.currentTimeMillis),
      writing: yield* Ref.make(false)
    } satisfies State
  })

/** Works under an attachment until it or its lease ends. */
const attach = (
  state: State,
  credentials: Credentials.Credentials["Type"],
  offered: Attachment,
  lease: Effect.Effect<never, Detached>
): Effect.Effect<Detached> =>
  Effect.gen(function* () {
    const { codeSession, onEvent, sessionId, status, toReport } = state
    yield* credentials.setIngressToken(sessionId, offered.token)
    const registered = yield* Worker.arriving(state, Worker.register(state, offered))
    const { attachment, epoch } = registered
    yield* Worker.arriving(
      state,
      codeSession.putWorker(
        { sessionId, apiBaseUrl: attachment.apiBaseUrl },
        { epoch, status: yield* Ref.get(status), connection: "connected" }
      )
    )
    yield* onEvent(BridgeEvent.SessionAttached({ sessionId, epoch }))
    yield* Queue.offer(toReport, undefined)
    return yield* Effect.all(
      [
        send(state, registered),
        receive(state, registered),
        Worker.report(state, registered),
        Worker.tellStatus(state, registered),
        Worker.beat(state, registered),
        Worker.refresh(state, registered)
      ],
      { concurrency: "unbounded", discard: true }
    ).pipe(
      Effect.zipRight(Effect.never),
      // The hub is told on the way out; it learns it from the silence otherwise.
      Effect.onInterrupt(() => Worker.tellGone(state, registered))
    )
  }).pipe(
    // The lease is held from the start: registering may take a while on a bad network.
    Effect.raceFirst(lease),
    Effect.flip,
    Effect.annotateLogs({ session: state.sessionId, environment: offered.environmentId }),
    Effect.withSpan("Link.attach", { attributes: { "session.id": state.sessionId } })
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
    const { record } = options
    const { sessionId } = record
    const ingressUrl = Ingress.url(options.sessionIngressUrl, toCompat(sessionId))
    const state = yield* makeState(options, ingressUrl)
    const { attached, changes, inbound, journal, lastActive, retryForever, status, toState } = state
    const ingress = yield* Ingress.Ingress
    const credentials = yield* Credentials.Credentials
    const flush = Effect.gen(function* () {
      yield* state.outbox.confirmed.changes.pipe(
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
      write: (outputs) => write(state, outputs),
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
          write(state, failureReport(error, unanswered))
        ),
      keep: (snapshot) => retryForever(journal.keep(sessionId, snapshot)),
      launched: retryForever(journal.launched(sessionId)),
      setStatus: (agentStatus) => {
        const next = workerStatus(agentStatus)
        return Effect.flatMap(Ref.getAndSet(status, next), (before) =>
          before === next ? Effect.void : Effect.asVoid(Queue.offer(toState, undefined))
        )
      },
      atWork: yield* Ref.make<Effect.Effect<boolean> | undefined>(undefined),
      lastActive: Ref.get(lastActive),
      attached,
      isTurnOpen: Effect.map(retryForever(journal.unanswered(sessionId)), (waiting) =>
        waiting.some(({ type }) => type === "user")
      ),
      attach: (attachment, lease) => attach(state, credentials, attachment, lease),
      flush
    }
  })
