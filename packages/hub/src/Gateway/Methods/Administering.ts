/**
 * Methods that change, reset, delete and clean up sessions. Source: spec 2 §2 and §5.
 */
import * as Params from "@causeway/protocol/Gateway/Params"
import type { OrganizationId } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
import { object } from "@causeway/transcript/Read"
import * as Effect from "effect/Effect"
import * as AgentRuntime from "../AgentRuntime.ts"
import * as Checkpoints from "../Checkpoints.ts"
import { GatewayConfiguration } from "../Config.ts"
import { invalid } from "../Failure.ts"
import * as Keys from "../Keys.ts"
import { Maintenance } from "../Maintenance.ts"
import { answer, type Method, method, requireKey, webchatGuard } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import { Operations } from "../Operations.ts"
import { Patching } from "../Patching.ts"
import * as Rows from "../Rows.ts"
import { holds } from "../Scopes.ts"

/** Bounds of a plugin's value. */
const MAX_DEPTH = 32
const MAX_NODES = 4096
const MAX_MEMBERS = 512
const MAX_STRING = 65_536
const MAX_BYTES = 256 * 1024

/** Whether a value is JSON within the bounds. */
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

/** Entry fields that a reset keeps. */
const keptByReset = [
  "thinkingLevel",
  "fastMode",
  "verboseLevel",
  "traceLevel",
  "reasoningLevel",
  "elevatedLevel",
  "ttsAuto",
  "execHost",
  "execSecurity",
  "execAsk",
  "execNode",
  "responseUsage",
  "providerOverride",
  "modelOverride",
  "modelOverrideSource",
  "authProfileOverride",
  "authProfileOverrideSource",
  "sendPolicy",
  "groupActivation",
  "queueMode",
  "queueDebounceMs",
  "queueCap",
  "queueDrop",
  "displayName",
  "channel",
  "groupId",
  "subject",
  "groupChannel",
  "space",
  "chatType",
  "origin",
  "deliveryContext",
  "lastChannel",
  "lastTo",
  "lastAccountId",
  "lastThreadId",
  "spawnedWorkspaceDir",
  "forkedFromParent",
  "spawnDepth",
  "subagentRole",
  "subagentControlScope",
  "skillsSnapshot",
  "compactionCount",
  "pluginExtensions"
] as const

export const make = Effect.gen(function* () {
  const sessions = yield* Sessions
  const log = yield* Log
  const configuration = yield* GatewayConfiguration
  const operations = yield* Operations
  const notifier = yield* Notifier
  const patching = yield* Patching
  const maintenance = yield* Maintenance

  const patch = method("sessions.patch", {
    scope: "operator.admin",
    params: Params.SessionsPatch,
    handle: (params, caller) =>
      Effect.gen(function* () {
        const given = yield* requireKey(params.key)
        yield* webchatGuard(caller, "patch")
        const key = yield* operations.canonical(given)
        yield* operations.find(caller.organizationId, given)
        const { key: _key, ...change } = params
        const record = yield* patching.upsert(caller.organizationId, key, change)
        const config = yield* configuration.current
        const model = Rows.modelOf(config, record, Rows.entryOf(record), rowOf(record))
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
  })

  const pluginPatch = method("sessions.pluginPatch", {
    scope: "operator.admin",
    params: Params.SessionsPluginPatch,
    handle: (params, caller) =>
      Effect.gen(function* () {
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
        const config = yield* configuration.current
        if (!config.extensions.some((each) => each.pluginId === plugin && each.namespace === namespace)) {
          return yield* invalid(`unknown plugin session extension: ${plugin}/${namespace}`)
        }
        const key = yield* operations.canonical(given)
        yield* patching.exclusively(
          Effect.gen(function* () {
            const record = yield* sessions.find({ organizationId: caller.organizationId, keys: [key] })
            if (record === undefined) return yield* invalid(`unknown session key: ${given}`)
            const entry: { [name: string]: unknown } = { ...Rows.entryOf(record) }
            const all: { [name: string]: unknown } = { ...object(entry["pluginExtensions"]) }
            const own: { [name: string]: unknown } = { ...object(all[plugin]) }
            if (params.unset === true) delete own[namespace]
            else own[namespace] = params.value
            if (Object.keys(own).length === 0) delete all[plugin]
            else all[plugin] = own
            if (Object.keys(all).length === 0) delete entry["pluginExtensions"]
            else entry["pluginExtensions"] = all
            yield* sessions.change(record.sid, { entry: JSON.stringify(entry) })
          })
        )
        return answer(
          { ok: true, key, ...(params.unset === true ? {} : { value: params.value }) },
          notifier.changed(caller.organizationId, key, { reason: "plugin-patch" })
        )
      })
  })

  /** A new log under an old key. */
  const renew = (organizationId: OrganizationId, key: string, existing: Session | undefined) =>
    Effect.gen(function* () {
      const before = existing === undefined ? {} : Rows.entryOf(existing)
      const checkpoints = existing === undefined ? [] : yield* Checkpoints.list(log, existing)
      const entry: { [name: string]: unknown } = {}
      for (const name of keptByReset) if (before[name] !== undefined) entry[name] = before[name]
      if (checkpoints.length > 0) entry["compactionCheckpoints"] = checkpoints
      if (existing !== undefined) yield* operations.archive(existing, "reset")
      return yield* operations.make(organizationId, {
        key,
        label: existing?.label,
        parentKey: existing?.parentKey,
        spawnedBy: existing?.spawnedBy,
        entry: {
          ...entry,
          systemSent: false,
          abortedLastRun: false,
          inputTokens: 0,
          outputTokens: 0,
          totalTokens: 0,
          totalTokensFresh: true
        }
      })
    })

  const reset = method("sessions.reset", {
    scope: "operator.admin",
    params: Params.SessionsReset,
    handle: (params, { connection, organizationId }) =>
      Effect.gen(function* () {
        const given = yield* requireKey(params.key)
        const key = yield* operations.canonical(given)
        const running = yield* operations.find(organizationId, given)
        if (running !== undefined) yield* operations.interrupt(running, connection)
        const record = yield* patching.exclusively(
          Effect.flatMap(sessions.find({ organizationId, keys: [key] }), (existing) =>
            renew(organizationId, key, existing)
          )
        )
        const config = yield* configuration.current
        const model = Rows.modelOf(config, record, Rows.entryOf(record), rowOf(record))
        return answer(
          {
            ok: true,
            key,
            entry: Rows.compact({
              ...Rows.toEntry(record),
              modelProvider: model.provider,
              model: model.model
            })
          },
          notifier.changed(organizationId, key, { reason: params.reason ?? "reset" })
        )
      })
  })

  const remove = method("sessions.delete", {
    scope: "operator.admin",
    params: Params.SessionsDelete,
    handle: (params, caller) =>
      Effect.gen(function* () {
        const given = yield* requireKey(params.key)
        yield* webchatGuard(caller, "delete")
        const config = yield* configuration.current
        const key = Keys.canonical(given, config)
        if (key === Keys.mainSessionKey(config)) {
          return yield* invalid(`Cannot delete the main session (${key}).`)
        }
        const existing = yield* operations.find(caller.organizationId, given)
        if (existing === undefined) return answer({ ok: true, key, deleted: false, archived: [] })
        yield* operations.interrupt(existing, caller.connection)
        const archived = yield* patching.exclusively(operations.archive(existing, "deleted"))
        return answer(
          { ok: true, key, deleted: true, archived: params.deleteTranscript === false ? [] : [archived] },
          notifier.changed(caller.organizationId, key, { reason: "delete" })
        )
      })
  })

  const cleanup = method("sessions.cleanup", {
    scope: "operator.admin",
    params: Params.SessionsCleanup,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const config = yield* configuration.current
        if (params.agent !== undefined && params.allAgents === true) {
          return yield* invalid("--agent and --all-agents cannot be used together")
        }
        const agentId =
          params.agent === undefined ? config.defaultAgentId : Keys.normalizeAgentId(params.agent)
        if (!config.agentIds.includes(agentId)) {
          return yield* invalid(
            `Unknown agent id "${params.agent ?? agentId}". Use "openclaw agents list" to see configured agents.`
          )
        }
        const activeKey =
          params.activeKey === undefined ? undefined : Keys.canonical(params.activeKey, config)
        const targets = params.allAgents === true ? config.agentIds : [agentId]
        const summaries = yield* Effect.forEach(targets, (target) =>
          maintenance.clean(organizationId, target, {
            enforce: params.enforce === true,
            activeKey,
            forceCap: true
          })
        )
        const [only] = summaries
        const mode = params.enforce === true ? "enforce" : config.maintenance.mode
        const payload: unknown =
          summaries.length === 1 && only !== undefined
            ? only
            : { allAgents: true, mode, dryRun: false, stores: summaries }
        return answer(
          payload,
          Effect.forEach(
            summaries,
            () => notifier.changed(organizationId, undefined, { reason: "cleanup" }),
            { discard: true }
          )
        )
      })
  })

  return [patch, pluginPatch, reset, remove, cleanup] satisfies ReadonlyArray<Method>
})
