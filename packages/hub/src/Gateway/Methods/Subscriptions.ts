/** Events that a connection asks for. Source: spec 2 §2. */
import * as Params from "@causeway/protocol/Gateway/Params"
import * as Effect from "effect/Effect"
import { answer, read, requireKey } from "../Method.ts"
import * as SessionCommands from "../SessionCommands.ts"

/** Of all sessions. */
const ofAll = (name: string, subscribed: boolean) =>
  read(name, Params.Anything, (_, { connection }) =>
    Effect.sync(() => {
      connection.allSessions = subscribed
      return answer({ subscribed })
    })
  )

/** Of one session, which need not exist. */
const ofOne = (name: string, subscribed: boolean) =>
  read(name, Params.SessionsKey, function* (params, { connection }) {
    const key = yield* SessionCommands.canonical(yield* requireKey(params.key))
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
