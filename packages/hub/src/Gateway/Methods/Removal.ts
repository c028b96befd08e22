/** Sessions reset, deleted and cleaned up. Source: spec 2 §2 and §5. */
import * as Params from "@causeway/protocol/Gateway/Params"
import { compatSessionId, type OrganizationId } from "@causeway/protocol/Ids"
import { Audit } from "@causeway/store/Audit"
import { Log } from "@causeway/store/Log"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
import * as Effect from "effect/Effect"
import * as Checkpoints from "../Checkpoints.ts"
import { currentConfig } from "../Config.ts"
import { invalid } from "../Failure.ts"
import * as Keys from "../Keys.ts"
import { Maintenance } from "../Maintenance.ts"
import { answer, method, requireKey, webchatGuard } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import { Patching } from "../Patching.ts"
import * as Rows from "../Rows.ts"
import * as SessionCommands from "../SessionCommands.ts"

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

/** A new log under an old key. */
const renew = (organizationId: OrganizationId, key: string, existing: Session | undefined) =>
  Effect.gen(function* () {
    const log = yield* Log
    const before = existing === undefined ? {} : existing.entry
    const checkpoints = existing === undefined ? [] : yield* Checkpoints.list(log, existing)
    const entry: { [name: string]: unknown } = {}
    for (const name of keptByReset) if (before[name] !== undefined) entry[name] = before[name]
    if (checkpoints.length > 0) entry["compactionCheckpoints"] = checkpoints
    if (existing !== undefined) {
      yield* SessionCommands.archive(existing, "reset")
      yield* (yield* Audit).record({
        organizationId,
        action: "session.reset",
        subject: compatSessionId(existing.session),
        details: { key }
      })
    }
    return yield* SessionCommands.create(organizationId, {
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

const reset = method(
  "sessions.reset",
  Params.SessionsReset,
  function* (params, { connection, organizationId }) {
    const sessions = yield* Sessions
    const notifier = yield* Notifier
    const patching = yield* Patching
    const given = yield* requireKey(params.key)
    const key = yield* SessionCommands.canonical(given)
    const running = yield* SessionCommands.find(organizationId, given)
    if (running !== undefined) yield* SessionCommands.interrupt(running, connection)
    const record = yield* patching.exclusively(
      Effect.flatMap(sessions.find({ organizationId, keys: [key] }), (existing) =>
        renew(organizationId, key, existing)
      )
    )
    const config = yield* currentConfig
    const model = Rows.modelOf(config, record, record.entry, rowOf(record))
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
  }
)

const remove = method("sessions.delete", Params.SessionsDelete, function* (params, caller) {
  const notifier = yield* Notifier
  const patching = yield* Patching
  const given = yield* requireKey(params.key)
  yield* webchatGuard(caller, "delete")
  const config = yield* currentConfig
  const key = Keys.canonical(given, config)
  if (key === Keys.mainSessionKey(config)) {
    return yield* invalid(`Cannot delete the main session (${key}).`)
  }
  const existing = yield* SessionCommands.find(caller.organizationId, given)
  if (existing === undefined) return answer({ ok: true, key, deleted: false, archived: [] })
  yield* SessionCommands.interrupt(existing, caller.connection)
  const archived = yield* patching.exclusively(SessionCommands.archive(existing, "deleted"))
  yield* (yield* Audit).record({
    organizationId: caller.organizationId,
    action: "session.deleted",
    subject: compatSessionId(existing.session),
    details: { key }
  })
  return answer(
    { ok: true, key, deleted: true, archived: params.deleteTranscript === false ? [] : [archived] },
    notifier.changed(caller.organizationId, key, { reason: "delete" })
  )
})

const cleanup = method("sessions.cleanup", Params.SessionsCleanup, function* (params, { organizationId }) {
  const notifier = yield* Notifier
  const maintenance = yield* Maintenance
  const config = yield* currentConfig
  if (params.agent !== undefined && params.allAgents === true) {
    return yield* invalid("--agent and --all-agents cannot be used together")
  }
  const agentId = params.agent === undefined ? config.defaultAgentId : Keys.normalizeAgentId(params.agent)
  if (!config.agentIds.includes(agentId)) {
    return yield* invalid(
      `Unknown agent id "${params.agent ?? agentId}". Use "openclaw agents list" to see configured agents.`
    )
  }
  const activeKey = params.activeKey === undefined ? undefined : Keys.canonical(params.activeKey, config)
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
    Effect.forEach(summaries, () => notifier.changed(organizationId, undefined, { reason: "cleanup" }), {
      discard: true
    })
  )
})

export const methods = [reset, remove, cleanup]
