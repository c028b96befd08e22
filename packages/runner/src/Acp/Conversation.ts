/** How an ACP agent takes a conversation up: a new one, one that it is to load or resume, or a fork of another. */
import type { JsonObject } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { AgentUnavailable } from "../Agent.ts"
import type { ProcessGone } from "../Process/AgentProcess.ts"
import { type Announced, bounded, can, type Start } from "./Handshake.ts"
import * as JsonRpc from "./JsonRpc.ts"
import type { Record } from "./Record.ts"
import { describe, type Session } from "./Session.ts"
import * as Settings from "./Settings.ts"

export interface Opened {
  readonly id: string
  readonly resumed: boolean
  /** Why the agent does not know what was said before. */
  readonly lost: string | undefined
}

type Failure = AgentUnavailable | JsonRpc.RpcError | ProcessGone

/** Opens a session; it is told within the reading fiber, before any update that follows the reply. */
const request = (
  start: Start,
  agent: Announced,
  session: Session,
  method: string,
  params: JsonObject
): Effect.Effect<string, Failure> =>
  Effect.gen(function* () {
    const done = yield* Deferred.make<string, JsonRpc.RpcError | ProcessGone>()
    const opened = (reply: JsonRpc.Reply) =>
      Effect.gen(function* () {
        const json = Read.object(yield* reply)
        // Taken up, a session keeps its id; a fork has one of its own.
        const known = method === "session/fork" ? undefined : params["sessionId"]
        const acpSessionId = Read.string(known) ?? Read.string(json["sessionId"])
        if (acpSessionId === null) {
          return yield* new JsonRpc.RpcError({ code: JsonRpc.codes.internal, message: "it named no session" })
        }
        yield* session.opened({
          acpSessionId,
          agent,
          takes: Read.object(agent.capabilities["promptCapabilities"]),
          settings: Settings.opened(json)
        })
        return acpSessionId
      })
    yield* start.peer.call(method, params, (reply) => Effect.asVoid(Effect.intoDeferred(opened(reply), done)))
    return yield* bounded(start, method, Deferred.await(done))
  })

/** `parent`: the agent's id of the conversation to fork; undefined where it is not known here. */
export const open = (
  start: Start,
  agent: Announced,
  session: Session,
  record: Record,
  surroundings: JsonObject,
  fork: { readonly parent: string | undefined } | undefined
): Effect.Effect<Opened, Failure> => {
  const ask = (method: string, params: JsonObject) =>
    request(start, agent, session, method, { ...params, ...surroundings })
  const fresh = (lost?: string): Effect.Effect<Opened, Failure> =>
    Effect.map(ask("session/new", {}), (id) => ({ id, resumed: false, lost }))
  /** Takes a conversation up, or begins another one and says what was lost. */
  const orFresh = (takeUp: Effect.Effect<string, Failure>): Effect.Effect<Opened, Failure> =>
    takeUp.pipe(
      Effect.map((id) => ({ id, resumed: true, lost: undefined })),
      Effect.catchTag("RpcError", (cause) =>
        cause.code === JsonRpc.codes.authRequired ? cause : fresh(describe(cause))
      )
    )
  const earlier = record.acpSessionId()
  if (earlier !== undefined) {
    const canLoad = agent.capabilities["loadSession"] === true
    const canResume = can(agent, "resume")
    if (!canLoad && !canResume) return fresh("it can neither load nor resume a session")
    // The history tells whether the agent had taken a prompt; otherwise resuming is enough.
    const loads = canLoad && (!canResume || record.open().length > 0)
    return orFresh(
      Effect.suspend(() => {
        if (loads) session.replay(earlier)
        return ask(loads ? "session/load" : "session/resume", { sessionId: earlier })
      })
    )
  }
  if (fork === undefined) return fresh()
  if (fork.parent === undefined)
    return fresh("the conversation that this one starts from is not known on this machine")
  return can(agent, "fork")
    ? orFresh(ask("session/fork", { sessionId: fork.parent }))
    : fresh("it cannot fork a session")
}
