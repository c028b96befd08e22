/** Sessions entered into the journal, and served. */
import { randomUUID } from "node:crypto"
import type { AgentSettings } from "@causeway/protocol/AgentSettings"
import { type EnvironmentId, type SessionId, sessionBody } from "@causeway/protocol/Ids"
import type { AgentOptions } from "@causeway/runner/AgentOptions"
import * as Engine from "@causeway/runner/Engine"
import type { JournalFailed, SessionRecord } from "@causeway/runner/Journal"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as FiberHandle from "effect/FiberHandle"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as AgentChoice from "../../AgentChoice.ts"
import { BridgeEvent } from "../../BridgeEvent.ts"
import * as Link from "../../Link.ts"
import * as Schedules from "../Schedules.ts"
import * as Supervised from "../Supervised.ts"
import type { Attached, State } from "./State.ts"

/** What a session asks for; the bridge's own where it asks for nothing. */
export interface Wishes {
  readonly options?: AgentOptions | undefined
  /** Settings that its log tells. */
  readonly settings?: AgentSettings | undefined
  readonly agent?: string | undefined
  /** Whether it asks for a worktree of its own. */
  readonly worktree?: boolean
}

/**
 * A session that works elsewhere than in the bridge's directory works in its worktree; one whose agent is not offered
 * is not served.
 */
export const servingOf = (
  { config, emit, offered, serve: otherwise, worktrees }: State,
  { agent, cwd, sessionId }: SessionRecord
): Engine.Serve<Link.Link> => {
  const serve = config.serve ?? otherwise
  const chosen = AgentChoice.chosen(offered, agent)
  if (Either.isRight(chosen) && cwd === config.dir) return serve
  return Engine.within(
    Effect.zipRight(chosen, cwd === config.dir ? Effect.void : worktrees.open(sessionId, config.dir)),
    (why) => emit(BridgeEvent.WorkRefused({ sessionId, why })),
    serve
  )
}

/** Serves a link in a fiber of its own. */
export const served = ({ emit }: State, link: Link.OwnedLink, serve: Engine.Serve<Link.Link>) =>
  Effect.scoped(serve(link)).pipe(
    Supervised.supervised({ what: `the work on ${link.sessionId}`, sessionId: link.sessionId, emit }),
    Effect.interruptible,
    Effect.forkDaemon
  )

const open = (state: State, entered: SessionRecord): Effect.Effect<Attached, JournalFailed> =>
  Effect.gen(function* () {
    const { config, connectivity, emit, offered, scope } = state
    const { home, sessionId } = entered
    const agent = Either.getOrElse(AgentChoice.chosen(offered, entered.agent), () => entered.agent)
    const record = { ...entered, agent }
    const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
    const link = yield* Link.make({
      record,
      sessionIngressUrl: config.sessionIngressUrl ?? config.baseUrl,
      onEvent: emit,
      onConnection: (connection) => {
        if (!home) return Effect.void
        return connection._tag === "Connected"
          ? // The hub can be reached, whatever the poll that waits will say.
            connectivity.saw({ home: true, polls: true }, "")
          : connectivity.saw({ home: false }, connection.error, Duration.millis(connection.delayMillis))
      }
    }).pipe(Scope.extend(own), Effect.provide(state.linkServices))
    const session: Attached = {
      link,
      scope: own,
      serving: yield* Ref.make(yield* served(state, link, servingOf(state, entered))),
      asleep: yield* Ref.make(false),
      attaching: yield* Scope.extend(FiberHandle.make(), own),
      turn: yield* Effect.makeSemaphore(1),
      attachment: yield* Ref.make(Option.none<Link.Attachment>()),
      asking: yield* Schedule.driver(Schedules.askAgain),
      lease: yield* Scope.extend(FiberHandle.make<never, Link.Detached>(), scope)
    }
    state.attached.set(sessionBody(sessionId), session)
    state.slept.delete(sessionBody(sessionId))
    return session
  }).pipe(Effect.uninterruptible)

/** Enters a session into the journal and serves it. */
export const take = (
  state: State,
  sessionId: SessionId,
  environmentId: EnvironmentId,
  home: boolean,
  wishes: Wishes = {}
): Effect.Effect<Attached, JournalFailed> =>
  Effect.gen(function* () {
    const { config, journal, offered, worktrees } = state
    const { agent, options, settings } = wishes
    if (home) yield* Ref.set(state.home, sessionId)
    const apart = (config.spawnMode === "worktree" || wishes.worktree === true) && !home
    const record = yield* journal.enter({
      sessionId,
      environmentId,
      directory: config.dir,
      home,
      agentSessionId: randomUUID(),
      agent: agent === undefined ? config.agent : AgentChoice.entered(offered, agent),
      cwd: apart ? yield* worktrees.placeOf(sessionId, config.dir) : config.dir,
      model: options?.model ?? config.model,
      permissionMode: options?.permissionMode ?? config.permissionMode,
      launch: options === undefined ? {} : { options }
    })
    if (settings !== undefined) yield* journal.chosen(sessionId, settings)
    return yield* open(state, { ...record, home })
  })
