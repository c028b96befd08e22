/** Events that a connection asks for. Source: spec 2 §2. */
import * as Params from "@causeway/protocol/Gateway/Params"
import * as Limits from "@causeway/protocol/Limits"
import type { MethodName } from "@causeway/protocol/Permissions"
import * as Effect from "effect/Effect"
import { invalid } from "../Failure.ts"
import { answer, method, requireKey } from "../Method.ts"
import * as SessionCommands from "../SessionCommands.ts"

/** Of all sessions. */
const ofAll = (name: MethodName, subscribed: boolean) =>
  method(name, Params.Anything, (_, { connection }) =>
    Effect.sync(() => {
      connection.allSessions = subscribed
      return answer({ subscribed })
    })
  )

/** Of one session, which need not exist. */
const ofOne = (name: MethodName, subscribed: boolean) =>
  method(name, Params.SessionsKey, function* (params, { connection }) {
    const key = yield* SessionCommands.canonical(yield* requireKey(params.key))
    if (key.length > Limits.KEY_CHARACTERS) {
      return yield* invalid(`a key has at most ${Limits.KEY_CHARACTERS} characters`)
    }
    if (
      subscribed &&
      !connection.messageKeys.has(key) &&
      connection.messageKeys.size >= Limits.MESSAGE_KEYS
    ) {
      return yield* invalid(
        `a connection is told the messages of at most ${Limits.MESSAGE_KEYS} sessions; sessions.messages.unsubscribe one`
      )
    }
    if (subscribed) connection.messageKeys.add(key)
    else connection.messageKeys.delete(key)
    return answer({ subscribed, key })
  })

export const methods = [
  ofAll("sessions.subscribe", true),
  ofAll("sessions.unsubscribe", false),
  ofOne("sessions.messages.subscribe", true),
  ofOne("sessions.messages.unsubscribe", false)
]
