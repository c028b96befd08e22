/**
 * The table of methods: the published ones, and our own beside them, all of whose names begin with `causeway.`. What stands
 * here is what `hello-ok` lists. A new method is one entry in a module of `Methods/`, and one line of `Permissions`.
 */
import type { MethodNeeds } from "@causeway/protocol/Permissions"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AccessTable from "../Auth/AccessTable.ts"
import type { Method } from "./Method.ts"
import * as Agents from "./Methods/Agents.ts"
import * as Approvals from "./Methods/Approvals.ts"
import * as Audit from "./Methods/Audit.ts"
import * as Checkpoints from "./Methods/Checkpoints.ts"
import * as Compaction from "./Methods/Compaction.ts"
import * as Environments from "./Methods/Environments.ts"
import * as Export from "./Methods/Export.ts"
import * as Hub from "./Methods/Hub.ts"
import * as Messages from "./Methods/Messages.ts"
import * as Overview from "./Methods/Overview.ts"
import * as Pairing from "./Methods/Pairing.ts"
import * as Push from "./Methods/Push.ts"
import * as Removal from "./Methods/Removal.ts"
import * as Replay from "./Methods/Replay.ts"
import * as Search from "./Methods/Search.ts"
import * as SessionManager from "./Methods/SessionManager.ts"
import * as Sessions from "./Methods/Sessions.ts"
import * as SessionsApi from "./Methods/SessionsApi.ts"
import * as Settings from "./Methods/Settings.ts"
import * as Subscriptions from "./Methods/Subscriptions.ts"
import * as Transcript from "./Methods/Transcript.ts"
import * as Watch from "./Methods/Watch.ts"

const published = [
  ...Agents.methods,
  ...Sessions.methods,
  ...Subscriptions.methods,
  ...Messages.methods,
  ...Transcript.methods,
  ...Settings.methods,
  ...Removal.methods,
  ...Compaction.methods,
  ...Checkpoints.methods,
  ...Pairing.methods
]

const own = [
  ...SessionsApi.methods,
  ...Watch.methods,
  ...Overview.methods,
  ...Replay.methods,
  ...Approvals.methods,
  ...Environments.methods,
  ...Search.methods,
  ...Export.methods,
  ...Pairing.own,
  ...Push.methods,
  ...SessionManager.methods,
  ...Hub.methods,
  ...Audit.methods
]

/** Every method with the schema of its parameters. */
export const schemas: ReadonlyArray<Pick<Method, "name" | "params">> = [...published, ...own]

/** The names that our own methods had before; pages that were loaded then still call them. */
const formerNames: { readonly [former: string]: string } = {
  "sessions.page": "causeway.sessions.page",
  "sessions.show": "causeway.sessions.show",
  "sessions.begin": "causeway.sessions.begin",
  "sessions.rename": "causeway.sessions.rename",
  "sessions.archive": "causeway.sessions.archive",
  "sessions.append": "causeway.sessions.append",
  "sessions.watch": "causeway.sessions.watch",
  "sessions.unwatch": "causeway.sessions.unwatch",
  "sessions.events.replay": "causeway.events.replay",
  "sessions.deliveries.list": "causeway.deliveries.list",
  "sessions.approvals.list": "causeway.approvals.list",
  "sessions.approvals.answer": "causeway.approvals.answer",
  "environments.list": "causeway.environments.list",
  "sessions.search": "causeway.search",
  "sessions.export": "causeway.export",
  "device.code.create": "causeway.device.code.create",
  "push.key": "causeway.push.key",
  "push.subscribe": "causeway.push.subscribe",
  "push.unsubscribe": "causeway.push.unsubscribe",
  "hub.metrics": "causeway.metrics",
  "tokens.list": "causeway.tokens.list"
}

type Needs = Effect.Effect.Context<ReturnType<(typeof published | typeof own)[number]["handle"]>>

export class GatewayMethods extends Context.Tag("@causeway/hub/GatewayMethods")<
  GatewayMethods,
  {
    readonly byName: ReadonlyMap<string, Method>
    /** What a method needs; undefined where there is none of this name. */
    readonly needs: (name: string) => MethodNeeds | undefined
  }
>() {}

export const layer = Layer.effect(
  GatewayMethods,
  Effect.map(Effect.all([Effect.context<Needs>(), AccessTable.needs]), ([context, needsOf]) => {
    const all = [...published, ...own].map((method: Method<Needs>): Method => {
      const { handle } = method
      return { ...method, handle: (params, caller) => Effect.provide(handle(params, caller), context) }
    })
    const byName = new Map<string, Method>(all.map((each) => [each.name, each]))
    for (const [former, name] of Object.entries(formerNames)) {
      const method = byName.get(name)
      if (method !== undefined) byName.set(former, method)
    }
    const needs = new Map([...byName].map(([name, each]) => [name, needsOf(each.name)]))
    return { byName, needs: (name) => needs.get(name) }
  })
)
