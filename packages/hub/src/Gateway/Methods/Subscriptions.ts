/** Events that a connection asks for. Source: spec 2 §2. */
import * as Params from "@causeway/protocol/Gateway/Params"
import * as Effect from "effect/Effect"
import { answer, method, requireKey } from "../Method.ts"
import * as SessionCommands from "../SessionCommands.ts"

const subscribe = method("sessions.subscribe", {
  scope: "operator.read",
  params: Params.Anything,
  handle: (_, { connection }) =>
    Effect.sync(() => {
      connection.allSessions = true
      return answer({ subscribed: true })
    })
})

const unsubscribe = method("sessions.unsubscribe", {
  scope: "operator.read",
  params: Params.Anything,
  handle: (_, { connection }) =>
    Effect.sync(() => {
      connection.allSessions = false
      return answer({ subscribed: false })
    })
})

const messagesSubscribe = method("sessions.messages.subscribe", {
  scope: "operator.read",
  params: Params.SessionsKey,
  handle: (params, { connection }) =>
    Effect.gen(function* () {
      const key = yield* SessionCommands.canonical(yield* requireKey(params.key))
      connection.messageKeys.add(key)
      return answer({ subscribed: true, key })
    })
})

const messagesUnsubscribe = method("sessions.messages.unsubscribe", {
  scope: "operator.read",
  params: Params.SessionsKey,
  handle: (params, { connection }) =>
    Effect.gen(function* () {
      const key = yield* SessionCommands.canonical(yield* requireKey(params.key))
      connection.messageKeys.delete(key)
      return answer({ subscribed: false, key })
    })
})

export const methods = [subscribe, unsubscribe, messagesSubscribe, messagesUnsubscribe]
