import * as Effect from "effect/Effect"

/** The hot routes have this one and answer before HttpApi, which has it for the documents and the clients. */
export const answeredHot: Effect.Effect<never> = Effect.dieMessage("a hot route was asked at HttpApi")
