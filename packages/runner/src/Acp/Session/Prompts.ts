/** The queue of prompts: one at a time is given to the agent, each at most once. */
import type { Payload } from "@causeway/protocol/Payload"
import * as Read from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as JsonRpc from "../JsonRpc.ts"
import * as Prompt from "../Prompt.ts"
import type * as Translate from "../Translate.ts"
import { undecided } from "./Questions.ts"
import { describe, later, type State, terminalNews, translate } from "./State.ts"

/** Begins the turn of the prompt that was given, once. */
export const begin = (state: State): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { running } = state
    if (running === undefined || running.begun) return
    running.begun = true
    const { at, prompt } = running
    if (prompt.from === "host") yield* translate(state, { _tag: "Said", text: prompt.words })
    yield* translate(state, { _tag: "TurnStarted", prompt: prompt.uuid, words: prompt.words, at })
    for (const each of prompt.omitted) {
      yield* translate(state, {
        _tag: "Notice",
        severity: "warning",
        text: `left out of the prompt: ${each}`
      })
    }
  })

const end = (state: State, uuid: string, how: Translate.TurnEnd): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* begin(state)
    yield* terminalNews(state)
    const open = [...state.asked.values()]
    state.asked.clear()
    const at = yield* Clock.currentTimeMillis
    yield* translate(state, { _tag: "TurnEnded", end: how, at, queued: state.queue.length })
    // Asked and never decided: the agent may still wait for it.
    yield* later(
      state,
      Effect.forEach(open, (asked) => state.peer.respond(asked.id, undecided(asked)), { discard: true })
    )
    // What only ended with its agent was not answered; whoever gives the prompt again is told so.
    if (how._tag === "Gone") return
    yield* state.record
      .answered(uuid)
      .pipe(
        Effect.catchAll((cause) =>
          Effect.logWarning("Prompt not recorded as answered", cause).pipe(
            Effect.annotateLogs({ module: "Acp" })
          )
        )
      )
  })

/** How the reply to `session/prompt` ends the turn; undefined where the agent may not have taken the prompt. */
const endOf = ({ running }: State, reply: JsonRpc.Reply): Translate.TurnEnd | undefined => {
  if (Either.isRight(reply)) {
    const json = Read.object(reply.right)
    return { _tag: "Stopped", stopReason: Read.name(json["stopReason"]) ?? "end_turn", reply: json }
  }
  const cause = reply.left
  if (cause._tag === "RpcError") {
    return cause.code === JsonRpc.codes.cancelled
      ? { _tag: "Stopped", stopReason: "cancelled", reply: {} }
      : { _tag: "Failed", message: describe(cause) }
  }
  if (running?.cancelled === true) {
    const message = "the agent did not follow the interrupt and was ended"
    return { _tag: "Failed", message, reason: "aborted_by_signal" }
  }
  // An agent that died before it said a word may not have taken the prompt: its next start will tell.
  if (running?.begun !== true) return undefined
  return {
    _tag: "Gone",
    message:
      "the agent ended in mid-turn; what it had begun may be done in part, and the prompt is not given to it again"
  }
}

const onReply =
  (state: State, uuid: string) =>
  (reply: JsonRpc.Reply): Effect.Effect<void> =>
    Effect.gen(function* () {
      const how = endOf(state, reply)
      if (how !== undefined) yield* end(state, uuid, how)
      state.running = undefined
      yield* later(state, pump(state))
    })

/** Gives the next prompt when none runs. */
export const pump = (state: State): Effect.Effect<void> =>
  Effect.gen(function* () {
    const at = yield* Clock.currentTimeMillis
    if (state.running !== undefined || state.isGone) return
    const next = state.queue.shift()
    if (next === undefined) return
    state.running = { prompt: next, at, begun: false, cancelled: false }
    const refused =
      next.refused === undefined
        ? yield* state.record.given(next.uuid).pipe(
            Effect.as(undefined),
            Effect.catchAll(({ message }) => Effect.succeed({ message, reason: "not_recorded" }))
          )
        : { message: next.refused, reason: "swallowed" }
    if (refused !== undefined) {
      yield* end(state, next.uuid, { _tag: "Failed", ...refused })
      state.running = undefined
      return yield* pump(state)
    }
    yield* state.peer.call(
      "session/prompt",
      { sessionId: state.translation?.acpSessionId, prompt: next.blocks },
      onReply(state, next.uuid)
    )
  })

/** Why a prompt that an earlier process had must not be given again; undefined where it may. */
const refusal = ({ history, record }: State, uuid: string, words: string): string | undefined => {
  switch (record.progress(uuid)) {
    case "unknown":
      return undefined
    case "answered":
      return "the agent has answered this prompt already; its answer was lost before it was stored"
    case "given":
      return history !== undefined && !history.text.includes(words.trim())
        ? undefined
        : "the agent ended while it worked on this prompt; it may be done in part, so it is not given again"
  }
}

export const onPrompt = (state: State, payload: Payload): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { uuid } = payload
    if (uuid === undefined || state.known.has(uuid)) return Effect.void
    state.known.add(uuid)
    const { blocks, omitted } = Prompt.fromUser(payload.json, state.takes)
    const words = Prompt.words(blocks)
    state.queue.push({ uuid, words, blocks, omitted, from: "person", refused: refusal(state, uuid, words) })
    return pump(state)
  })
