/** Questions of the agent to the person, for permission and by forms, until each is decided or withdrawn. */
import type { Payload } from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ProcessGone } from "../../Process/AgentProcess.ts"
import * as Elicitation from "../Elicitation.ts"
import * as JsonRpc from "../JsonRpc.ts"
import * as Permission from "../Permission.ts"
import { type Asked, later, type State, translate } from "./State.ts"

/** The agent's answer to a question that nobody has decided. */
export const undecided = ({ form }: Asked): Either.Either<object> =>
  Either.right(form === undefined ? { outcome: Permission.cancelled.outcome } : { action: "cancel" })

export const requestIdOf = ({ run }: State, id: JsonRpc.RequestId): string => `acp_${run}_${typeof id}_${id}`

export const onPermissionRequest = (
  state: State,
  id: JsonRpc.RequestId,
  params: unknown
): Effect.Effect<void> => {
  const { toolCall, options } = Read.object(params)
  const requestId = requestIdOf(state, id)
  state.asked.set(requestId, { id, form: undefined })
  return translate(state, { _tag: "PermissionAsked", requestId, toolCall, options })
}

export const onElicitation = (state: State, id: JsonRpc.RequestId, params: unknown): Effect.Effect<void> => {
  const json = Read.object(params)
  const form = Elicitation.form(json)
  if (form === undefined) {
    return later(state, state.peer.respond(id, Either.left(JsonRpc.invalidParams("only forms can be shown"))))
  }
  const requestId = requestIdOf(state, id)
  state.asked.set(requestId, { id, form })
  return translate(state, {
    _tag: "QuestionAsked",
    requestId,
    toolCallId: Read.name(json["toolCallId"]),
    title: form.message,
    input: Elicitation.input(form)
  })
}

/** Takes a question back; the agent is told `refusal`, or that nobody has decided. */
export const withdraw = (
  state: State,
  requestId: string,
  refusal?: JsonRpc.RpcError
): Effect.Effect<void, ProcessGone> =>
  Effect.suspend(() => {
    const asked = state.asked.get(requestId)
    if (asked === undefined) return Effect.void
    state.asked.delete(requestId)
    return Effect.zipRight(
      translate(state, { _tag: "PermissionWithdrawn", requestId }),
      state.peer.respond(asked.id, refusal === undefined ? undecided(asked) : Either.left(refusal))
    )
  })

/** Cancels the turn; questions that are open are withdrawn. */
export const cancel = (state: State): Effect.Effect<void, ProcessGone> =>
  Effect.gen(function* () {
    if (state.running !== undefined) state.running.cancelled = true
    yield* state.peer.notify("session/cancel", { sessionId: state.translation?.acpSessionId })
    for (const requestId of [...state.asked.keys()]) yield* withdraw(state, requestId)
  })

/** The comment of a denial becomes a prompt, first of all that waits: it belongs to the turn that asked. */
const passOn = (state: State, requestId: string, words: string): void => {
  state.queue.unshift({
    uuid: uuid5(requestId, "comment"),
    words,
    blocks: [{ type: "text", text: words }],
    omitted: [],
    from: "host",
    refused: undefined
  })
}

export const onAnswer = (state: State, payload: Payload): Effect.Effect<void, ProcessGone> =>
  Effect.gen(function* () {
    const response = Read.object(payload.json["response"])
    const requestId = Read.string(response["request_id"]) ?? ""
    const asked = state.asked.get(requestId)
    const pending = state.translation?.permissions.get(requestId)
    if (asked === undefined || pending === undefined) return
    const { form, id } = asked
    state.asked.delete(requestId)
    const settle = (allowed: boolean, interrupt: boolean, answer: object) =>
      Effect.gen(function* () {
        yield* translate(state, { _tag: "PermissionAnswered", requestId, allowed })
        if (interrupt) yield* cancel(state)
        yield* state.peer.respond(id, Either.right(answer))
      })
    if (form !== undefined) {
      const given = Elicitation.answer(form, response)
      const interrupt = Read.object(response["response"])["interrupt"] === true
      return yield* settle(given.action === "accept", interrupt, given)
    }
    const { outcome, allowed, comment, interrupt } = Permission.answer(pending.options, response)
    if (comment !== undefined && !interrupt) {
      passOn(state, requestId, `${pending.toolName} was not allowed: ${comment}`)
    }
    yield* settle(allowed, interrupt, { outcome })
  })
