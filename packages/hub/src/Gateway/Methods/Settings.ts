/** Settings of sessions. Source: spec 2 §2 (`sessions.patch`, `sessions.pluginPatch`). */
import * as Params from "@causeway/protocol/Gateway/Params"
import { rowOf, Sessions } from "@causeway/store/Session"
import { object } from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as AgentRuntime from "../AgentRuntime.ts"
import { currentConfig } from "../Config.ts"
import { invalid } from "../Failure.ts"
import { answer, method, requireKey, webchatGuard } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import { Patching } from "../Patching.ts"
import * as Rows from "../Rows.ts"
import { holds } from "../Scopes.ts"
import * as SessionCommands from "../SessionCommands.ts"

/** Bounds of a plugin's value. */
const MAX_DEPTH = 32
const MAX_NODES = 4096
const MAX_MEMBERS = 512
const MAX_STRING = 65_536
const MAX_BYTES = 256 * 1024

/** True for JSON within the bounds. */
export const isBoundedJson = (value: unknown): boolean => {
  let nodes = 0
  const walk = (at: unknown, depth: number): boolean => {
    nodes += 1
    if (nodes > MAX_NODES || depth > MAX_DEPTH) return false
    switch (typeof at) {
      case "string":
        return at.length <= MAX_STRING
      case "number":
        return Number.isFinite(at)
      case "boolean":
        return true
      case "object": {
        if (at === null) return true
        if (Array.isArray(at)) return at.every((each) => walk(each, depth + 1))
        const members = Object.entries(at)
        return members.length <= MAX_MEMBERS && members.every(([, each]) => walk(each, depth + 1))
      }
      default:
        return false
    }
  }
  return walk(value, 0) && Buffer.byteLength(JSON.stringify(value) ?? "") <= MAX_BYTES
}

const patch = method("sessions.patch", Params.SessionsPatch, function* (params, caller) {
  const notifier = yield* Notifier
  const patching = yield* Patching
  const given = yield* requireKey(params.key)
  yield* webchatGuard(caller, "patch")
  const key = yield* SessionCommands.canonical(given)
  yield* SessionCommands.find(caller.organizationId, given)
  const { key: _key, ...change } = params
  const record = yield* patching.upsert(caller.organizationId, key, change)
  const config = yield* currentConfig
  const model = Rows.modelOf(config, record, record.entry, rowOf(record))
  return answer(
    {
      ok: true,
      path: Rows.storeLocator(record.agentId ?? config.defaultAgentId),
      key,
      entry: Rows.toEntry(record),
      resolved: Rows.compact({
        modelProvider: model.provider,
        model: model.model,
        agentRuntime: AgentRuntime.of(config, record)
      })
    },
    notifier.changed(caller.organizationId, key, { reason: "patch" })
  )
})

const pluginPatch = method("sessions.pluginPatch", Params.SessionsPluginPatch, function* (params, caller) {
  const sessions = yield* Sessions
  const notifier = yield* Notifier
  const patching = yield* Patching
  yield* webchatGuard(caller, "patch")
  if (!holds(caller.connection.info.scopes, "operator.admin")) {
    return yield* invalid("sessions.pluginPatch requires gateway scope: operator.admin")
  }
  const given = yield* requireKey(params.key)
  const plugin = params.pluginId.trim()
  const namespace = params.namespace.trim()
  if (plugin === "" || namespace === "") return yield* invalid("pluginId and namespace are required")
  const hasValue = params.value !== undefined
  if (params.unset === true && hasValue) {
    return yield* invalid("sessions.pluginPatch cannot specify both unset and value")
  }
  if (hasValue && !isBoundedJson(params.value)) {
    return yield* invalid("sessions.pluginPatch value must be JSON-compatible")
  }
  if (params.unset !== true && !hasValue) {
    return yield* invalid("plugin session extension value is required unless unset is true")
  }
  const config = yield* currentConfig
  if (!config.extensions.some((each) => each.pluginId === plugin && each.namespace === namespace)) {
    return yield* invalid(`unknown plugin session extension: ${plugin}/${namespace}`)
  }
  const key = yield* SessionCommands.canonical(given)
  yield* patching.exclusively(
    Effect.gen(function* () {
      const record = yield* sessions.find({ organizationId: caller.organizationId, keys: [key] })
      if (record === undefined) return yield* invalid(`unknown session key: ${given}`)
      const all: { [name: string]: unknown } = { ...object(record.entry["pluginExtensions"]) }
      const own: { [name: string]: unknown } = { ...object(all[plugin]) }
      if (params.unset === true) delete own[namespace]
      else own[namespace] = params.value
      if (Object.keys(own).length === 0) delete all[plugin]
      else all[plugin] = own
      const pluginExtensions = Object.keys(all).length === 0 ? null : all
      yield* sessions.change(record, { entry: { pluginExtensions } })
    })
  )
  return answer(
    { ok: true, key, ...(params.unset === true ? {} : { value: params.value }) },
    notifier.changed(caller.organizationId, key, { reason: "plugin-patch" })
  )
})

export const methods = [patch, pluginPatch]
