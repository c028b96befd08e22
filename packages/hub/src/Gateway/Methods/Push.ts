/** Pushes to a browser: the hub's key, and where to send. A subscription is its device's own. */
import * as Params from "@causeway/protocol/Gateway/Params"
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

const key = method("causeway.push.key", {
  scope: "operator.read",
  params: Params.Empty,
  handle: () => Effect.flatMap(Push, (push) => Effect.succeed(answer({ publicKey: push.publicKey })))
})

const subscribe = method("causeway.push.subscribe", {
  scope: "operator.read",
  params: Params.PushSubscribe,
  handle: ({ subscription }, { connection, organizationId }) =>
    Effect.gen(function* () {
      const push = yield* Push
      const deviceId = yield* deviceOf(connection)
      const { endpoint, keys } = subscription
      yield* push
        .subscribe({ organizationId, deviceId, endpoint, p256dh: keys.p256dh, auth: keys.auth })
        .pipe(Effect.catchTag("SubscriptionRefused", ({ message }) => Effect.fail(invalid(message))))
      return answer({})
    })
})

const unsubscribe = method("causeway.push.unsubscribe", {
  scope: "operator.read",
  params: Params.PushEndpoint,
  handle: ({ endpoint }, { connection }) =>
    Effect.flatMap(Push, (push) =>
      Effect.flatMap(deviceOf(connection), (deviceId) =>
        Effect.as(push.unsubscribe(deviceId, endpoint), answer({}))
      )
    )
})

const told = ({ last, subscribed }: PushStatus) =>
  answer({
    subscribed,
    last: Option.getOrNull(Option.map(last, ({ at, failure }) => ({ at, failure: failure ?? null })))
  })

const status = method("causeway.push.status", {
  scope: "operator.read",
  params: Params.PushEndpoint,
  handle: ({ endpoint }, { connection, organizationId }) =>
    Effect.flatMap(Push, (push) =>
      Effect.flatMap(deviceOf(connection), (deviceId) =>
        Effect.map(push.status({ organizationId, deviceId, endpoint }), told)
      )
    )
})

const test = method("causeway.push.test", {
  scope: "operator.read",
  params: Params.PushEndpoint,
  handle: ({ endpoint }, { connection, organizationId }) =>
    Effect.flatMap(Push, (push) =>
      Effect.flatMap(deviceOf(connection), (deviceId) =>
        Effect.map(push.test({ organizationId, deviceId, endpoint }), told)
      )
    )
})

export const methods = [key, subscribe, unsubscribe, status, test]
