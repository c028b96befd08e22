/**
 * Sessions that a bridge serves: taken, attached, attached again, and let go.
 *
 * Each has one link for as long as it is held, one agent (or whatever `serve` is), and at most one attachment at a
 * time. Who lets a session go is told why; what the journal says of it is decided here: ended where nobody can work
 * on it any more, parked where it may come back.
 */
import * as Credentials from "@causeway/client/Credentials"
import * as Environments from "@causeway/client/Environments"
import * as Ingress from "@causeway/client/Ingress"
import * as Poller from "@causeway/client/Poller"
import * as Sessions from "@causeway/client/Sessions"
import type { SessionId } from "@causeway/protocol/Ids"
import { Journal } from "@causeway/runner/Journal"
import * as JournalRetry from "@causeway/runner/JournalRetry"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import { BridgeEvent } from "../BridgeEvent.ts"
import { Worktrees } from "../Worktrees.ts"
import type { LinkServices, Options, State } from "./AttachedSessions/State.ts"

export { accept } from "./AttachedSessions/Accept.ts"
export { askAgain } from "./AttachedSessions/Attach.ts"
export { cleared, finish, forget } from "./AttachedSessions/Release.ts"
export { take } from "./AttachedSessions/Serving.ts"
export { type Attached, complain, find, type State } from "./AttachedSessions/State.ts"

export const make = (
  options: Options
): Effect.Effect<
  State,
  never,
  LinkServices | Environments.Environments | Sessions.Sessions | Poller.Poller | Worktrees
> =>
  Effect.gen(function* () {
    const { emit, scope } = options
    return {
      ...options,
      journal: yield* Journal,
      environments: yield* Environments.Environments,
      sessions: yield* Sessions.Sessions,
      ingress: yield* Ingress.Ingress,
      credentials: yield* Credentials.Credentials,
      poller: yield* Poller.Poller,
      worktrees: yield* Worktrees,
      linkServices: yield* Effect.context<LinkServices>(),
      attached: new Map(),
      home: yield* Ref.make<SessionId | undefined>(undefined),
      slept: new Map(),
      yielded: yield* Scope.extend(FiberMap.make<string>(), scope),
      making: yield* Effect.makeSemaphore(1),
      retryForever: JournalRetry.make((message) =>
        emit(BridgeEvent.Warning({ message, sessionId: undefined }))
      )
    }
  })
