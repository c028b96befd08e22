/** Requests of the agent that this program serves itself: files and terminals. */
import * as Read from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberMap from "effect/FiberMap"
import * as JsonRpc from "../JsonRpc.ts"
import { requestIdOf, withdraw } from "./Questions.ts"
import { later, type State } from "./State.ts"

/** Requests of the agent that are worked on at once; more are refused. */
const SERVED_MAX = 256

const key = (id: JsonRpc.RequestId): string => `${typeof id} ${id}`

const error = (code: keyof typeof JsonRpc.codes, message: string): JsonRpc.RpcError =>
  new JsonRpc.RpcError({ code: JsonRpc.codes[code], message })

const cancelled = error("cancelled", "cancelled")

/** `serving`: the requests that are worked on. */
export const serve = (
  state: State,
  serving: FiberMap.FiberMap<string>,
  id: JsonRpc.RequestId,
  method: string,
  params: unknown
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const respond = (outcome: Either.Either<unknown, JsonRpc.RpcError>) => state.peer.respond(id, outcome)
    const refuse = (cause: JsonRpc.RpcError) => respond(Either.left(cause))
    const service = state.services.get(method)
    if (service === undefined) {
      return yield* later(state, refuse(error("methodNotFound", `there is no method ${method}`)))
    }
    if ((yield* FiberMap.size(serving)) >= SERVED_MAX) {
      return yield* later(state, refuse(error("internal", `${SERVED_MAX} requests are worked on already`)))
    }
    const work = service(params).pipe(
      Effect.either,
      Effect.flatMap(respond),
      Effect.onInterrupt(() => Effect.ignore(refuse(cancelled))),
      Effect.ignore
    )
    yield* FiberMap.run(serving, key(id), work)
  })

export const onCancelRequest = (
  state: State,
  serving: FiberMap.FiberMap<string>,
  params: unknown
): Effect.Effect<void> => {
  const { requestId: id } = Read.object(params)
  if (typeof id !== "string" && typeof id !== "number") return Effect.void
  return Effect.zipRight(
    FiberMap.remove(serving, key(id)),
    later(state, withdraw(state, requestIdOf(state, id), cancelled))
  )
}
