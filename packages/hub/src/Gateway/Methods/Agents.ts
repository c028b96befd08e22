/** The agents and models that clients ask for, and how the gateway is. */
import * as Params from "@causeway/protocol/Gateway/Params"
import { Sessions } from "@causeway/store/Session"
import { currentConfig } from "../Config.ts"
import { health as healthOf } from "../Health.ts"
import { answer, method } from "../Method.ts"
import * as Rows from "../Rows.ts"

const health = method("health", Params.Anything, function* (_, { organizationId }) {
  return answer(yield* healthOf(yield* Sessions, yield* currentConfig, organizationId))
})

const agents = method("agents.list", Params.Empty, function* () {
  const config = yield* currentConfig
  return answer({
    defaultId: config.defaultAgentId,
    mainKey: config.mainKey,
    scope: config.scope,
    agents: config.agents.map(({ driver, environment, id, name }) =>
      Rows.compact({ id, name, driver, environment })
    )
  })
})

const models = method("models.list", Params.Empty, function* () {
  const config = yield* currentConfig
  return answer({
    models: config.models.map(({ contextWindow, id, name = id, provider }) =>
      Rows.compact({ id, name, provider, contextWindow })
    )
  })
})

export const methods = [health, agents, models]
