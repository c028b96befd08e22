/** Pushes to a browser: the hub's key, and where to send. A subscription is its device's own. */
import * as Params from "@causeway/protocol/Gateway/Params"
import type { MethodName } from "@causeway/protocol/Permissions"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Push, type PushStatus } from "../../Push/Push.ts"
import type { Connection } from "../Connections.ts"
import { invalid } from "../Failure.ts"
import { answer, method } from "../Method.ts"

const deviceOf = ({ info }: Connection) =>
  info.deviceId === undefined
    ? Effect.fail(invalid("only a device that is paired takes pushes"))
    : Effect.succeed(info.deviceId)

const key = method("causeway.push.key", Params.Empty, function* () {
  return answer({ publicKey: (yield* Push).publicKey })
})

const subscribe = method(
  "causeway.push.subscribe",
  Params.PushSubscribe,
  function* ({ subscription }, { connection, organizationId }) {
    const { endpoint, keys } = subscription
    const deviceId = yield* deviceOf(connection)
    yield* (yield* Push)
      .subscribe({ organizationId, deviceId, endpoint, p256dh: keys.p256dh, auth: keys.auth })
      .pipe(Effect.catchTag("SubscriptionRefused", ({ message }) => invalid(message)))
    return answer({})
  }
)

const unsubscribe = method(
  "causeway.push.unsubscribe",
  Params.PushEndpoint,
  function* ({ endpoint }, { connection }) {
    yield* (yield* Push).unsubscribe(yield* deviceOf(connection), endpoint)
    return answer({})
  }
)

/** Answers with how the last push to a browser of the caller's ended. */
const told = (name: MethodName, ask: "status" | "test") =>
  method(name, Params.PushEndpoint, function* ({ endpoint }, { connection, organizationId }) {
    const push = yield* Push
    const deviceId = yield* deviceOf(connection)
    const { last, subscribed }: PushStatus = yield* push[ask]({ organizationId, deviceId, endpoint })
    return answer({
      subscribed,
      last: Option.getOrNull(Option.map(last, ({ at, failure }) => ({ at, failure: failure ?? null })))
    })
  })

export const methods = [
  key,
  subscribe,
  unsubscribe,
  told("causeway.push.status", "status"),
  told("causeway.push.test", "test")
]
