/** A bridge that runs: what its parts share. */
import type * as Environments from "@causeway/client/Environments"
import type * as Poller from "@causeway/client/Poller"
import type * as Sessions from "@causeway/client/Sessions"
import type { EnvironmentId, SessionId } from "@causeway/protocol/Ids"
import type { JournalFailed, SessionRecord } from "@causeway/runner/Journal"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import { BridgeEvent } from "../BridgeEvent.ts"
import type { Config } from "../Config.ts"
import type * as Pointer from "../Pointer.ts"
import * as AttachedSessions from "./AttachedSessions.ts"
import type { Connectivity } from "./Connectivity.ts"
import type { Registrar } from "./Registrar.ts"
import * as Supervised from "./Supervised.ts"

export interface Running {
  readonly config: Config
  readonly emit: (event: BridgeEvent) => Effect.Effect<void>
  readonly environments: Environments.Environments["Type"]
  readonly sessions: Sessions.Sessions["Type"]
  readonly poller: Poller.Poller["Type"]
  readonly pointers: Pointer.Pointers["Type"]
  readonly connectivity: Connectivity
  readonly registrar: Registrar
  readonly environment: Ref.Ref<EnvironmentId>
  readonly attached: AttachedSessions.State
  /** The home session; undefined before the start has made or taken up one. */
  readonly home: Ref.Ref<AttachedSessions.Attached | undefined>
  /** Everything that works for the sessions lives in it; the shutdown closes it last. */
  readonly scope: Scope.CloseableScope
}

/** Runs unattended, and begins again after a fault. */
export const background = (
  { emit, scope }: Running,
  what: string,
  effect: Effect.Effect<void>
): Effect.Effect<Fiber.RuntimeFiber<void>> =>
  Effect.forkIn(Effect.interruptible(Supervised.supervised({ what, emit })(effect)), scope)

export const openHome = (
  { attached, config, connectivity, emit, home, pointers }: Running,
  sessionId: SessionId,
  environmentId: EnvironmentId,
  reused: boolean
): Effect.Effect<AttachedSessions.Attached, JournalFailed | Pointer.PointerFailed> =>
  Effect.gen(function* () {
    const session = yield* AttachedSessions.take(attached, sessionId, environmentId, true)
    yield* pointers.write({ sessionId, environmentId, directory: config.dir })
    yield* Ref.set(home, session)
    yield* connectivity.saw({ homeless: false }, "the session is not attached yet")
    yield* emit(BridgeEvent.SessionReady({ sessionId, reused }))
    return session
  })

/** Asks for the work of a session that was alive here; `refused` where the hub will not offer it. */
export const sessionsOf = ({
  attached,
  config
}: Running): Effect.Effect<ReadonlyArray<SessionRecord>, JournalFailed> =>
  attached.journal.sessions(config.dir)

/** A saved session that cannot be taken up is forgotten at once, and said so. */
export const discard = ({ attached, emit }: Running, sessionId: SessionId, why: string) =>
  Effect.gen(function* () {
    yield* attached.journal.end(sessionId)
    yield* AttachedSessions.cleared(attached, sessionId)
    yield* emit(BridgeEvent.SavedSessionDropped({ sessionId, why }))
  })

export const currentHome = ({ home }: Running) => Effect.map(Ref.get(home), Option.fromNullable)
