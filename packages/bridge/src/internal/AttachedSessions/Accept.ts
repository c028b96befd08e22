/** Offers of work: taken where there is a place, and attached. */
import * as Backoff from "@causeway/client/Backoff"
import * as ClientError from "@causeway/client/ClientError"
import * as CodeSession from "@causeway/client/CodeSession"
import type * as Poller from "@causeway/client/Poller"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import { type SessionId, sameSession, sessionBody, toCompat } from "@causeway/protocol/Ids"
import * as LaunchOptions from "@causeway/protocol/LaunchOptions"
import type * as Payload from "@causeway/protocol/Payload"
import * as AgentOptions from "@causeway/runner/AgentOptions"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import { BridgeEvent } from "../../BridgeEvent.ts"
import type * as Link from "../../Link.ts"
import { attach } from "./Attach.ts"
import { roomForOffer } from "./Places.ts"
import { take, type Wishes } from "./Serving.ts"
import { aside, find, type State } from "./State.ts"

const isObject = (value: unknown): value is Payload.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value.length > 0 ? value : undefined

const contextIn = (raw: Payload.JsonObject): Payload.JsonObject =>
  isObject(raw["session_context"]) ? raw["session_context"] : {}

const retryTransient = <A, E extends { readonly _tag: string }>(call: Effect.Effect<A, E>) =>
  Effect.retry(call, {
    while: ClientError.isTransient,
    schedule: Schedule.intersect(Backoff.uploads, Schedule.recurs(3))
  })

/** What the hub tells that a session asks for. `options`: those that its agent is started with. */
const wishesIn = (raw: Payload.JsonObject, options: LaunchOptions.LaunchOptions): Wishes => {
  const { agent, model, worktree } = contextIn(raw)
  return {
    options: AgentOptions.merge(AgentOptions.ofLaunch(options), {
      model: text(model),
      permissionMode: text(raw["permission_mode"])
    }),
    settings: isObject(raw["agent_settings"]) ? AgentSettings.of(raw["agent_settings"]) : undefined,
    agent: text(agent),
    // A name stands for the wish to have one.
    worktree: worktree === true || text(worktree) !== undefined
  }
}

/** The launch options with their secrets, which a hub tells whoever has the session's work. */
const launchOptions = (state: State, { secret, sessionId }: Poller.Work, shown: unknown) => {
  const options = LaunchOptions.of(shown)
  if (!LaunchOptions.hasSecrets(options)) return Effect.succeed(options)
  // Where the session was found just now.
  const target = { sessionId, apiBaseUrl: undefined }
  return state.credentials.setIngressToken(sessionId, secret.sessionIngressToken).pipe(
    Effect.zipRight(Context.get(state.linkServices, CodeSession.CodeSession).getWorker(target)),
    // A hub that hides nothing has told them already.
    Effect.map((worker) =>
      worker.launch_options == null ? options : LaunchOptions.of(worker.launch_options)
    )
  )
}

const wishesOf = (state: State, work: Poller.Work, sessionId: SessionId) =>
  state.sessions.get(sessionId).pipe(
    Effect.map(({ raw }) => raw),
    retryTransient,
    // What cannot be read now may name another agent: the work comes again. A hub that never tells names none.
    Effect.catchIf(
      (error) => !ClientError.isTransient(error),
      (error) =>
        Effect.as(
          Effect.logWarning("settings of the session not read").pipe(
            Effect.annotateLogs({ session: sessionId, detail: error.message })
          ),
          {}
        )
    ),
    Effect.flatMap((raw) =>
      Effect.map(retryTransient(launchOptions(state, work, contextIn(raw)["options"])), (options) =>
        wishesIn(raw, options)
      )
    )
  )

/**
 * Answers an offer: attaches the session, anew if it is served already. At capacity the session that is idle for longest is
 * put to sleep for it; it is left alone while every place is busy.
 */
export const accept = (state: State, work: Poller.Work): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { config, emit, environments } = state
    const sessionId = toCompat(work.sessionId)
    const known = find(state, work.sessionId)
    const home = yield* Ref.get(state.home)
    if (config.spawnMode === "session" && !(home !== undefined && sameSession(home, sessionId))) {
      const why = "this bridge runs only its own session (--spawn session)"
      return yield* emit(BridgeEvent.WorkRefused({ sessionId, why }))
    }
    if (known === undefined && !(yield* roomForOffer(state))) {
      return yield* emit(
        BridgeEvent.AtCapacity({ sessionId: work.sessionId, maxSessions: config.maxSessions })
      )
    }
    // Another machine may have had it meanwhile.
    const wishes = known === undefined ? yield* wishesOf(state, work, sessionId) : {}
    yield* retryTransient(environments.ack(work.environmentId, work.workId))
    yield* FiberMap.remove(state.yielded, sessionBody(sessionId))
    const attachment: Link.Attachment = {
      environmentId: work.environmentId,
      workId: work.workId,
      token: work.secret.sessionIngressToken,
      apiBaseUrl: work.secret.apiBaseUrl
    }
    // Acknowledged work is not offered again for a while: a journal that fails now is waited for.
    const session =
      known ?? (yield* state.retryForever(take(state, sessionId, work.environmentId, false, wishes)))
    yield* aside(state, attach(state, session, attachment))
  }).pipe(
    Effect.catchAll((error) =>
      Effect.zipRight(
        Effect.logWarning("work not taken").pipe(
          Effect.annotateLogs({ session: work.sessionId, work: work.workId, detail: error.message })
        ),
        state.emit(BridgeEvent.WorkRefused({ sessionId: work.sessionId, why: error.message }))
      )
    )
  )
