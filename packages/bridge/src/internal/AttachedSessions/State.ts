/** What the operations on attached sessions share, and what each session has. */

import type * as CodeSession from "@causeway/client/CodeSession"
import type * as Credentials from "@causeway/client/Credentials"
import type * as Environments from "@causeway/client/Environments"
import type * as Ingress from "@causeway/client/Ingress"
import type * as Poller from "@causeway/client/Poller"
import type * as Sessions from "@causeway/client/Sessions"
import { type EnvironmentId, type SessionId, sessionBody } from "@causeway/protocol/Ids"
import type { Serve } from "@causeway/runner/Engine"
import type { Journal, JournalFailed } from "@causeway/runner/Journal"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as FiberHandle from "effect/FiberHandle"
import type * as FiberMap from "effect/FiberMap"
import type * as Option from "effect/Option"
import type * as Ref from "effect/Ref"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as AgentChoice from "../../AgentChoice.ts"
import { BridgeEvent } from "../../BridgeEvent.ts"
import type { Config } from "../../Config.ts"
import type * as Link from "../../Link.ts"
import type { Worktrees } from "../../Worktrees.ts"
import type { Connectivity } from "../Connectivity.ts"
import type { Registrar } from "../Registrar.ts"
import * as Supervised from "../Supervised.ts"

/** A session that this bridge serves. */
export interface Attached {
  readonly link: Link.OwnedLink
  readonly scope: Scope.CloseableScope
  /** What serves it; interrupting it ends the agent and waits for its last lines. */
  readonly serving: Ref.Ref<Fiber.RuntimeFiber<void>>
  /** The home session alone: its agent was ended to make room, and takes a place again when it is needed. */
  readonly asleep: Ref.Ref<boolean>
  /** The one attachment that works, and what follows it. */
  readonly attaching: FiberHandle.FiberHandle
  /** Attachments follow each other. */
  readonly turn: Effect.Semaphore
  /** The newest attachment, also after its end. */
  readonly attachment: Ref.Ref<Option.Option<Link.Attachment>>
  /** Waits before its work is asked for again; reset by an attachment that lasted. */
  readonly asking: Schedule.ScheduleDriver<unknown>
  /** Renews the attachment's lease. Not ended with the attachment: a session may be left and its lease kept. */
  readonly lease: FiberHandle.FiberHandle<never, Link.Detached>
}

export interface Options {
  readonly config: Config
  /** The agents that sessions may ask for. */
  readonly offered: ReadonlyArray<AgentChoice.Offered>
  readonly emit: (event: BridgeEvent) => Effect.Effect<void>
  readonly environment: Ref.Ref<EnvironmentId>
  readonly connectivity: Connectivity
  readonly registrar: Registrar
  /** Serves a session where the configuration has no `serve`. */
  readonly serve: Serve<Link.Link>
  /** Told when the home session is let go for good. */
  readonly onHomeEnded: Effect.Effect<void>
  /** In it, everything that works for the sessions lives. */
  readonly scope: Scope.Scope
}

/** Services that a link needs. */
export type LinkServices = Journal | Ingress.Ingress | CodeSession.CodeSession | Credentials.Credentials

export interface State extends Options {
  readonly journal: Journal["Type"]
  readonly environments: Environments.Environments["Type"]
  readonly sessions: Sessions.Sessions["Type"]
  readonly ingress: Ingress.Ingress["Type"]
  readonly credentials: Credentials.Credentials["Type"]
  readonly poller: Poller.Poller["Type"]
  readonly worktrees: Worktrees["Type"]
  readonly linkServices: Context.Context<LinkServices>
  /** By the body of their ids. */
  readonly attached: Map<string, Attached>
  /** The home session, also when it was let go and may come back. */
  readonly home: Ref.Ref<SessionId | undefined>
  /** Sessions that sleep, by the body of their ids. */
  readonly slept: Map<string, SessionId>
  /** Sessions that were left to other workers, by the body of their ids. */
  readonly yielded: FiberMap.FiberMap<string>
  /** One at a time makes room. */
  readonly making: Effect.Semaphore
  readonly retryForever: <A>(effect: Effect.Effect<A, JournalFailed>) => Effect.Effect<A>
}

export const find = ({ attached }: State, id: SessionId): Attached | undefined =>
  attached.get(sessionBody(id))

/** Reports a failure that stops nothing. */
export const complain =
  ({ emit }: Pick<State, "emit">, what: string, sessionId: SessionId) =>
  <E extends { readonly message: string }>(effect: Effect.Effect<void, E>): Effect.Effect<void> =>
    Effect.catchAll(effect, ({ message }) =>
      Effect.zipRight(
        Effect.logError(what).pipe(Effect.annotateLogs({ session: sessionId, detail: message })),
        emit(BridgeEvent.Warning({ message: `${what}: ${message}`, sessionId }))
      )
    )

/** Runs in a fiber that the end of a session does not end. */
export const aside = ({ emit, scope }: State, effect: Effect.Effect<void>): Effect.Effect<void> =>
  effect.pipe(
    Supervised.contained({ what: "a step of a session", emit }, () => undefined),
    Effect.interruptible,
    Effect.forkIn(scope),
    Effect.asVoid
  )
