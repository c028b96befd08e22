/** A link's own state: what waits for its attachment, and what all its parts know. */
import * as Backoff from "@causeway/client/Backoff"
import { isTransient } from "@causeway/client/ClientError"
import type * as CodeSession from "@causeway/client/CodeSession"
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import type { WorkerStatus } from "@causeway/protocol/http/CodeSessions"
import type { EnvironmentId, SessionId, WorkId } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import type { Journal, JournalFailed, SessionRecord } from "@causeway/runner/Journal"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Queue from "effect/Queue"
import type * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import type { BridgeEvent } from "../../BridgeEvent.ts"
import { type Detached, endOf } from "../Detached.ts"
import type { Outbox } from "../Outbox.ts"

/** The right to work on a session, as a work item brought it. */
export interface Attachment {
  readonly environmentId: EnvironmentId
  readonly workId: WorkId
  readonly token: Redacted.Redacted
  /** Where the hub says that the worker's calls go: used where the session is not found at the configured hub. */
  readonly apiBaseUrl: string | undefined
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

/** A note that durable lines are in the journal, or an ephemeral line itself. */
export type Waiting =
  | { readonly _tag: "Durable"; readonly count: number }
  | { readonly _tag: "Ephemeral"; readonly text: string }

export interface State extends Options {
  readonly sessionId: SessionId
  readonly journal: Journal["Type"]
  readonly codeSession: CodeSession.CodeSession["Type"]
  readonly outbox: Outbox
  readonly retryForever: <A>(effect: Effect.Effect<A, JournalFailed>) => Effect.Effect<A>
  /** Client events for the agent; unbounded, as each is in the journal already. */
  readonly inbound: Queue.Queue<Payload.Payload>
  readonly changes: Queue.Queue<AgentSettings>
  /** Slides: what it drops is ephemeral, or found in the journal. */
  readonly waiting: Queue.Queue<Waiting>
  readonly toReport: Queue.Queue<void>
  readonly toState: Queue.Queue<void>
  readonly status: Ref.Ref<WorkerStatus>
  readonly attached: SubscriptionRef.SubscriptionRef<boolean>
  readonly lastActive: Ref.Ref<number>
  /** Whether an attachment sends. */
  readonly writing: Ref.Ref<boolean>
}

/** One attachment, once it is registered. */
export interface Registered {
  readonly attachment: Attachment
  readonly epoch: number
}

/** Ephemeral lines, or deliveries, of one post. Source: spec 5 §1. */
export const POST_MAX = 100

export const touch = ({ lastActive }: State): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Ref.set(lastActive, now))

export const target = ({ sessionId }: State, { apiBaseUrl }: Attachment): CodeSession.Target => ({
  sessionId,
  apiBaseUrl
})

/** A call without which the attachment cannot go on. */
export const retryTransient = <A>(
  effect: Effect.Effect<A, CodeSession.WorkerError>
): Effect.Effect<A, Detached> =>
  effect.pipe(Effect.retry({ schedule: Backoff.uploads, while: isTransient }), Effect.mapError(endOf))

/** A call whose refusal for good (a 4xx without a meaning here) is logged and stops nothing. */
export const ignoreRefusal = <A>(
  { sessionId }: State,
  call: string,
  effect: Effect.Effect<A, CodeSession.WorkerError>
): Effect.Effect<Option.Option<A>, Detached> =>
  retryTransient(effect).pipe(
    Effect.asSome,
    Effect.catchIf(
      (error) => error.reason === "refused",
      ({ detail }) =>
        Effect.as(
          Effect.logWarning("call refused by the hub").pipe(
            Effect.annotateLogs({ session: sessionId, call, detail })
          ),
          Option.none()
        )
    )
  )
