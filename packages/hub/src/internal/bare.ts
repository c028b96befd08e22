import * as Effect from "effect/Effect"

/** The bare door knows this route and answers before HttpApi, which has it for the documents and the clients. */
export const answeredAtTheBareDoor: Effect.Effect<never> = Effect.dieMessage(
  "a route of the bare door was asked at HttpApi"
)
