/**
 * A session with an ACP agent while its process lives: one prompt at a time, its updates translated in their order,
 * questions and answers, settings, cancellation. Source: spec 4 §2 and §3.
 */
import type { PromptCapabilities } from "@agentclientprotocol/sdk"
import type { Payload } from "@causeway/protocol/Payload"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as FiberHandle from "effect/FiberHandle"
import * as FiberMap from "effect/FiberMap"
import type * as Scope from "effect/Scope"
import type { ProcessGone } from "../Process/AgentProcess.ts"
import type * as JsonRpc from "./JsonRpc.ts"
import { onControl, set } from "./Session/Control.ts"
import { begin, onPrompt } from "./Session/Prompts.ts"
import { onAnswer, onElicitation, onPermissionRequest } from "./Session/Questions.ts"
import { onCancelRequest, serve } from "./Session/Serving.ts"
import * as State from "./Session/State.ts"
import { onUpdate } from "./Session/Updates.ts"
import type * as Settings from "./Settings.ts"
import * as Translate from "./Translate.ts"

export { describe } from "./Session/State.ts"

export interface Opened extends Pick<Translate.Opened, "acpSessionId" | "agent" | "settings"> {
  readonly takes: PromptCapabilities
}

export interface Session {
  readonly handlers: Pick<JsonRpc.Handlers, "onNotification" | "onRequest">
  /** From now on until `opened`, updates of this conversation are its history: known already, and not written again. */
  readonly replay: (acpSessionId: string) => void
  /** The agent has opened the session. What it told before is translated now. */
  readonly opened: (opened: Opened) => Effect.Effect<void>
  readonly notice: (text: string, severity: "info" | "warning") => Effect.Effect<void>
  /** Makes a change of settings; answers why not, in words for a person. Told to who listens unless `told` is false. */
  readonly set: (
    choose: Settings.Choose,
    told?: boolean
  ) => Effect.Effect<Either.Either<void, string>, ProcessGone>
  readonly send: (payload: Payload) => Effect.Effect<void, ProcessGone>
  /** The agent is gone and everything it said was handled. */
  readonly gone: Effect.Effect<void>
}

const open = (state: State.State, { acpSessionId, agent, settings, takes }: Opened): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { cwd, mcpServers, run, sessionId } = state
    state.takes = takes
    state.translation = Translate.initial({ sessionId, acpSessionId, run, cwd, agent, mcpServers, settings })
    const updates = state.early
    state.early = []
    for (const update of updates) yield* State.translate(state, { _tag: "Update", update })
  })

const gone = (state: State.State): Effect.Effect<void> =>
  Effect.gen(function* () {
    state.isGone = true
    state.asked.clear()
    const at = yield* Clock.currentTimeMillis
    const end = { _tag: "Gone", message: "the agent ended" } as const
    yield* State.translate(state, { _tag: "TurnEnded", end, at, queued: 0 })
  })

export const make = (options: State.SessionOptions): Effect.Effect<Session, never, Scope.Scope> =>
  Effect.gen(function* () {
    const state = yield* State.make(options)
    const serving = yield* FiberMap.make<string>()
    const quiet = yield* FiberHandle.make()
    const handlers: Session["handlers"] = {
      onNotification: (method, params) =>
        method === "session/update"
          ? onUpdate(state, quiet, params)
          : method === "$/cancel_request"
            ? onCancelRequest(state, serving, params)
            : Effect.logDebug("Unknown notification").pipe(Effect.annotateLogs({ module: "Acp", method })),
      onRequest: (id, method, params) =>
        Effect.zipRight(
          begin(state),
          Effect.suspend(() =>
            method === "session/request_permission" && state.translation !== undefined
              ? onPermissionRequest(state, id, params)
              : method === "elicitation/create" && state.translation !== undefined
                ? onElicitation(state, id, params)
                : serve(state, serving, id, method, params)
          )
        )
    }
    return {
      handlers,
      replay: (acpSessionId) => {
        state.replaying = acpSessionId
        state.early = []
      },
      opened: (opened) => open(state, opened),
      notice: (text, severity) => State.translate(state, { _tag: "Notice", text, severity }),
      set: (choose, told) => set(state, choose, told),
      send: (payload) => {
        switch (payload.type) {
          case "user":
            return onPrompt(state, payload)
          case "control_request":
            return onControl(state, payload)
          case "control_response":
            return onAnswer(state, payload)
          default:
            return Effect.void
        }
      },
      gone: gone(state)
    }
  })
