/** `health` and what of it stands in `hello-ok`. Source: spec 2 §1 (`hello-ok`). */
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { StoreUnavailable } from "@causeway/store/Errors"
import type { Sessions } from "@causeway/store/Session"
import type { JsonObject } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { GatewayConfig } from "./Config.ts"
import * as Rows from "./Rows.ts"

/** How the hub is, and how many sessions each agent has. */
export const health = (
  sessions: Sessions["Type"],
  config: GatewayConfig,
  organizationId: OrganizationId
): Effect.Effect<JsonObject, StoreUnavailable> =>
  Effect.gen(function* () {
    const ts = yield* Clock.currentTimeMillis
    const agents = yield* Effect.forEach(config.agents, (agent) =>
      Effect.map(sessions.count({ organizationId, agentId: agent.id }), (count) => ({
        agentId: agent.id,
        ...(agent.name === undefined ? {} : { name: agent.name }),
        isDefault: agent.id === config.defaultAgentId,
        sessions: { path: Rows.storeLocator(agent.id), count, recent: [] }
      }))
    )
    return {
      ok: true,
      ts,
      durationMs: (yield* Clock.currentTimeMillis) - ts,
      channels: {},
      channelOrder: [],
      channelLabels: {},
      defaultAgentId: config.defaultAgentId,
      agents,
      sessions: agents.find((agent) => agent.isDefault)?.sessions ?? { path: "", count: 0, recent: [] }
    }
  })
