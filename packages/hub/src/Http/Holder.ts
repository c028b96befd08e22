/** Requests that stay open, as the registry of who is connected knows them. */
import type { Credential } from "@causeway/store/Standing"
import * as Effect from "effect/Effect"
import { Connected } from "../Connected.ts"
import * as Forwarded from "../Forwarded.ts"
import type { HotRequest } from "../HotRoutes.ts"

/**
 * Holds a request until the scope closes; the inner effect completes with words when what opened it has ended. Workers are
 * not counted by address: one machine may serve thousands of sessions.
 */
export const make = Effect.gen(function* () {
  const connected = yield* Connected
  const trusted = yield* Forwarded.TrustedProxies
  return ({ incoming }: Pick<HotRequest, "incoming">, credential: Credential) =>
    Effect.map(
      connected.hold({
        credentials: [credential],
        address:
          credential._tag === "Token" ? Forwarded.counted(Forwarded.arrivedOf(incoming), trusted) : undefined
      }),
      Effect.map(({ words }) => words)
    )
})
