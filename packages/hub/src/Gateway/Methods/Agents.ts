/** The agents and models that clients ask for, and how the gateway is. */
import * as Params from "@causeway/protocol/Gateway/Params"
import { Sessions } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import { GatewayConfiguration } from "../Config.ts"
import { health as healthOf } from "../Health.ts"
import { answer, method } from "../Method.ts"
import * as Rows from "../Rows.ts"

const health = method("health", {
  scope: "any",
  params: Params.Anything,
  handle: (_, { organizationId }) =>
    Effect.gen(function* () {
      const sessions = yield* Sessions
      const configuration = yield* GatewayConfiguration
      return yield* Effect.flatMap(configuration.current, (config) =>
        Effect.map(healthOf(sessions, config, organizationId), (payload) => answer(payload))
      )
    })
})

const agents = method("agents.list", {
  scope: "operator.read",
  params: Params.Empty,
  handle: () =>
    Effect.flatMap(GatewayConfiguration, (configuration) =>
      Effect.map(configuration.current, (config) =>
        answer({
          defaultId: config.defaultAgentId,
          mainKey: config.mainKey,
          scope: config.scope,
          agents: config.agents.map((agent) =>
            Rows.compact({
              id: agent.id,
              name: agent.name,
              driver: agent.driver,
              environment: agent.environment
            })
          )
        })
      )
    )
})

const models = method("models.list", {
  scope: "operator.read",
  params: Params.Empty,
  handle: () =>
    Effect.flatMap(GatewayConfiguration, (configuration) =>
      Effect.map(configuration.current, (config) =>
        answer({
          models: config.models.map((model) =>
            Rows.compact({
              id: model.id,
              name: model.name ?? model.id,
              provider: model.provider,
              contextWindow: model.contextWindow
            })
          )
        })
      )
    )
})

export const methods = [health, agents, models]
