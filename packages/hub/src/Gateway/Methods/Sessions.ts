/** Sessions listed, described, found and made. Source: spec 2 §2. */

import { randomUUID } from "node:crypto"
import * as Params from "@causeway/protocol/Gateway/Params"
import { type OrganizationId, sessionUuid } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import { type Session, Sessions } from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { currentConfig, type GatewayConfig } from "../Config.ts"
import { invalid, toShape } from "../Failure.ts"
import * as Keys from "../Keys.ts"
import { answer, method, requireKey } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import { Patching } from "../Patching.ts"
import * as Rows from "../Rows.ts"
import * as SessionCommands from "../SessionCommands.ts"

/** Conditions that all listings share. */
const filterOf = (
  organizationId: OrganizationId,
  config: GatewayConfig,
  params: Pick<Params.SessionsList, "agentId" | "spawnedBy" | "includeGlobal" | "includeUnknown">
) => {
  const agentId = params.agentId === undefined ? undefined : Keys.normalizeAgentId(params.agentId)
  return {
    organizationId,
    withoutKeys: Keys.unlisted({
      global: params.includeGlobal === true && agentId === undefined,
      unknown: params.includeUnknown === true && agentId === undefined
    }),
    ...(agentId === undefined ? {} : { agentId }),
    ...(params.spawnedBy === undefined ? {} : { linkedTo: [Keys.canonical(params.spawnedBy, config)] })
  }
}

const list = method("sessions.list", Params.SessionsList, function* (params, { organizationId }) {
  const sessions = yield* Sessions
  const notifier = yield* Notifier
  const config = yield* currentConfig
  const now = yield* Clock.currentTimeMillis
  const filter = filterOf(organizationId, config, params)
  const { agentId } = filter
  const records = yield* sessions.list({
    ...filter,
    ...(params.label === undefined ? {} : { label: params.label }),
    ...(params.search === undefined ? {} : { search: params.search.trim().toLowerCase() }),
    ...(params.activeMinutes === undefined ? {} : { updatedAfter: now - params.activeMinutes * 60_000 }),
    ...(params.limit === undefined ? {} : { limit: params.limit })
  })
  const rows = yield* notifier.rows(records, {
    includeDerivedTitles: params.includeDerivedTitles,
    includeLastMessage: params.includeLastMessage,
    withActiveRun: true
  })
  const only = config.agentIds.length === 1 ? config.agentIds[0] : undefined
  return answer({
    ts: now,
    path: Rows.storeLocator(
      agentId !== undefined && config.agentIds.includes(agentId)
        ? agentId
        : agentId === undefined
          ? only
          : undefined
    ),
    count: rows.length,
    defaults: Rows.defaultsOf(config),
    sessions: rows
  })
})

const describe = method("sessions.describe", Params.SessionsDescribe, function* (params, { organizationId }) {
  const notifier = yield* Notifier
  const key = yield* requireKey(params.key)
  const record = yield* SessionCommands.find(organizationId, key)
  return answer({
    session:
      record === undefined
        ? null
        : yield* notifier.row(record, {
            includeDerivedTitles: params.includeDerivedTitles,
            includeLastMessage: params.includeLastMessage
          })
  })
})

const resolve = method("sessions.resolve", Params.SessionsResolve, function* (params, { organizationId }) {
  const sessions = yield* Sessions
  const config = yield* currentConfig
  const key = params.key?.trim() ?? ""
  const sessionId = params.sessionId?.trim() ?? ""
  const label = params.label?.trim() ?? ""
  const given = [key, sessionId, label].filter((selector) => selector !== "").length
  if (given === 0) return yield* invalid("Either key, sessionId, or label is required")
  if (given > 1) return yield* invalid("Provide either key, sessionId, or label (not multiple)")
  const spawner = params.spawnedBy === undefined ? undefined : Keys.canonical(params.spawnedBy, config)
  const found = (record: Session) =>
    Effect.as(SessionCommands.requireAgent(record.key), answer({ ok: true, key: record.key }))

  if (key !== "") {
    const record = yield* SessionCommands.find(organizationId, key)
    const linked = spawner === undefined || record?.parentKey === spawner || record?.spawnedBy === spawner
    return record === undefined || !linked ? yield* invalid(`No session found: ${key}`) : yield* found(record)
  }

  const candidates = yield* sessions.list({
    ...filterOf(organizationId, config, params),
    ...(label === "" ? { search: sessionId.toLowerCase() } : { label })
  })
  if (label !== "") {
    const [first, ...others] = candidates
    if (first === undefined) return yield* invalid(`No session found with label: ${label}`)
    if (others.length > 0) {
      const keys = candidates.map((record) => record.key).join(", ")
      return yield* invalid(`Multiple sessions found with label: ${label} (${keys})`)
    }
    return yield* found(first)
  }
  const match = Rows.resolveSessionId(candidates, sessionId)
  if (match._tag === "None") return yield* invalid(`No session found: ${sessionId}`)
  if (match._tag === "Several") {
    return yield* invalid(`Multiple sessions found for sessionId: ${sessionId} (${match.keys.join(", ")})`)
  }
  return yield* found(match.record)
})

const create = method(
  "sessions.create",
  Params.SessionsCreate,
  function* (params, { connection, organizationId }) {
    const log = yield* Log
    const notifier = yield* Notifier
    const patching = yield* Patching
    const config = yield* currentConfig
    const given = Keys.isBlank(params.key ?? "") ? "" : (params.key ?? "").trim()
    const wanted = params.agentId === undefined ? undefined : Keys.normalizeAgentId(params.agentId)
    const named = given === "" ? undefined : Keys.agentOf(given.toLowerCase())
    if (wanted !== undefined && named !== undefined && named !== wanted) {
      return yield* invalid(`sessions.create key agent (${named}) does not match agentId (${wanted})`)
    }
    const agentId = wanted ?? named ?? config.defaultAgentId
    let parentKey: string | undefined
    const parent = params.parentSessionKey?.trim() ?? ""
    if (parent !== "") {
      const found = yield* SessionCommands.find(organizationId, parent)
      if (found === undefined) return yield* invalid(`unknown parent session: ${parent}`)
      parentKey = found.key
    }
    const key =
      given === "" ? `agent:${agentId}:dashboard:${randomUUID()}` : Keys.canonicalFor(given, agentId, config)
    const label = params.label?.trim() === "" ? undefined : params.label
    const record = yield* patching.upsert(organizationId, key, {
      ...(label === undefined ? {} : { label }),
      ...(params.model === undefined || params.model.trim() === "" ? {} : { model: params.model }),
      ...(parentKey === undefined ? {} : { parentKey })
    })
    const text = params.task !== undefined && params.task.trim() !== "" ? params.task : params.message
    const base = {
      ok: true,
      key: record.key,
      sessionId: sessionUuid(record.session),
      entry: Rows.toEntry(record)
    }
    const created = notifier.changed(organizationId, record.key, { reason: "create" })
    if (text === undefined || text.trim() === "") {
      return answer({ ...base, runStarted: false }, created)
    }
    const seq = (yield* log.count(record.sid, { select: "visible" })) + 1
    const sent = yield* Effect.either(
      SessionCommands.send(record, { message: text, runId: randomUUID() }, connection)
    )
    if (sent._tag === "Left") {
      return answer({ ...base, runStarted: false, runError: toShape(sent.left) }, created)
    }
    const started = SessionCommands.isStarted(sent.right)
    return answer(
      {
        ...base,
        runStarted: started,
        ...sent.right.payload,
        ...(started ? { messageSeq: seq } : {})
      },
      Effect.ensuring(
        Effect.zipRight(
          created,
          started ? notifier.changed(organizationId, record.key, { reason: "send" }) : Effect.void
        ),
        sent.right.release
      )
    )
  }
)

export const methods = [list, describe, resolve, create]
