/**
 * Methods that read sessions and subscribe to them. None of them parses a transcript to answer a list.
 * Source: spec 2 §2 and §3.
 */
import * as Params from "@causeway/protocol/Gateway/Params"
import { Log } from "@causeway/store/Log"
import { type Session, Sessions } from "@causeway/store/Session"
import { object } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { GatewayConfiguration } from "../Config.ts"
import { invalid } from "../Failure.ts"
import * as Keys from "../Keys.ts"
import { PREVIEW_CHARS_MAX, PREVIEW_ITEMS_MAX, previewItem, toMessages } from "../Messages.ts"
import { answer, type Method, method, requireKey } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import { Operations } from "../Operations.ts"
import * as Rows from "../Rows.ts"

/** Keys of one preview; more are not answered. */
const PREVIEW_KEYS_MAX = 64
const PREVIEW_LIMIT = 12
const PREVIEW_CHARS = 240
/** Messages of one `sessions.get` where no limit is given, and at most. */
const GET_LIMIT = 200
const GET_LIMIT_MAX = 10_000

export const make = Effect.gen(function* () {
  const sessions = yield* Sessions
  const log = yield* Log
  const configuration = yield* GatewayConfiguration
  const operations = yield* Operations
  const notifier = yield* Notifier

  const list = method("sessions.list", {
    scope: "operator.read",
    params: Params.SessionsList,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const config = yield* configuration.current
        const now = yield* Clock.currentTimeMillis
        const agentId = params.agentId === undefined ? undefined : Keys.normalizeAgentId(params.agentId)
        const spawner = params.spawnedBy === undefined ? undefined : Keys.canonical(params.spawnedBy, config)
        const records = yield* sessions.list({
          organizationId,
          withoutKeys: Keys.unlisted({
            global: params.includeGlobal === true && agentId === undefined,
            unknown: params.includeUnknown === true && agentId === undefined
          }),
          ...(agentId === undefined ? {} : { agentId }),
          ...(params.label === undefined ? {} : { label: params.label }),
          ...(spawner === undefined ? {} : { linkedTo: [spawner] }),
          ...(params.search === undefined ? {} : { search: params.search.trim().toLowerCase() }),
          ...(params.activeMinutes === undefined
            ? {}
            : { updatedAfter: now - params.activeMinutes * 60_000 }),
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
  })

  const get = method("sessions.get", {
    scope: "operator.read",
    params: Params.Anything,
    handle: (given, { organizationId }) =>
      Effect.gen(function* () {
        const params = object(given)
        const key = yield* requireKey(params["key"] ?? params["sessionKey"])
        const wanted = params["limit"]
        const limit =
          typeof wanted === "number" && Number.isFinite(wanted)
            ? Math.min(GET_LIMIT_MAX, Math.max(1, Math.floor(wanted)))
            : GET_LIMIT
        const record = yield* operations.find(organizationId, key)
        if (record === undefined) return answer({ messages: [] })
        const events = yield* log.events(record.sid, { select: "visible", last: limit })
        const total = yield* log.count(record.sid, { select: "visible" })
        return answer({ messages: toMessages(events, total) })
      })
  })

  const previewOf = (record: Session | undefined, limit: number, maxChars: number) =>
    Effect.gen(function* () {
      if (record === undefined) return { status: "missing", items: [] }
      // Some events have nothing to show.
      const events = yield* log.events(record.sid, { select: "visible", last: limit * 4 })
      const items = toMessages(events, events.length)
        .flatMap((message) => previewItem(message, maxChars) ?? [])
        .slice(-limit)
      return { status: items.length === 0 ? "empty" : "ok", items }
    })

  const preview = method("sessions.preview", {
    scope: "operator.read",
    params: Params.SessionsPreview,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const config = yield* configuration.current
        const ts = yield* Clock.currentTimeMillis
        const keys = params.keys
          .map((key) => key.trim())
          .filter((key) => key !== "")
          .slice(0, PREVIEW_KEYS_MAX)
        const limit = Math.min(params.limit ?? PREVIEW_LIMIT, PREVIEW_ITEMS_MAX)
        const maxChars = Math.min(params.maxChars ?? PREVIEW_CHARS, PREVIEW_CHARS_MAX)
        const records = yield* sessions.list({
          organizationId,
          keys: [...new Set(keys.map((key) => Keys.canonical(key, config)))]
        })
        const byKey = new Map(records.map((record) => [record.key, record]))
        const previews = yield* Effect.forEach(keys, (key) =>
          Effect.map(
            // One key that fails does not fail the others.
            Effect.catchAll(previewOf(byKey.get(Keys.canonical(key, config)), limit, maxChars), () =>
              Effect.succeed({ status: "error", items: [] })
            ),
            (found) => ({ key, ...found })
          )
        )
        return answer({ ts, previews })
      })
  })

  const describe = method("sessions.describe", {
    scope: "operator.read",
    params: Params.SessionsDescribe,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const key = yield* requireKey(params.key)
        const record = yield* operations.find(organizationId, key)
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
  })

  const resolve = method("sessions.resolve", {
    scope: "operator.read",
    params: Params.SessionsResolve,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const config = yield* configuration.current
        const key = params.key?.trim() ?? ""
        const sessionId = params.sessionId?.trim() ?? ""
        const label = params.label?.trim() ?? ""
        const given = [key, sessionId, label].filter((selector) => selector !== "").length
        if (given === 0) return yield* invalid("Either key, sessionId, or label is required")
        if (given > 1) return yield* invalid("Provide either key, sessionId, or label (not multiple)")
        const spawner = params.spawnedBy === undefined ? undefined : Keys.canonical(params.spawnedBy, config)
        const found = (record: Session) =>
          Effect.as(operations.requireAgent(record.key), answer({ ok: true, key: record.key }))

        if (key !== "") {
          const record = yield* operations.find(organizationId, key)
          const linked =
            spawner === undefined || record?.parentKey === spawner || record?.spawnedBy === spawner
          return record === undefined || !linked
            ? yield* invalid(`No session found: ${key}`)
            : yield* found(record)
        }

        const agentId = params.agentId === undefined ? undefined : Keys.normalizeAgentId(params.agentId)
        const candidates = yield* sessions.list({
          organizationId,
          withoutKeys: Keys.unlisted({
            global: params.includeGlobal === true && agentId === undefined,
            unknown: params.includeUnknown === true && agentId === undefined
          }),
          ...(agentId === undefined ? {} : { agentId }),
          ...(spawner === undefined ? {} : { linkedTo: [spawner] }),
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
          return yield* invalid(
            `Multiple sessions found for sessionId: ${sessionId} (${match.keys.join(", ")})`
          )
        }
        return yield* found(match.record)
      })
  })

  // --- Subscriptions ---

  const subscribe = method("sessions.subscribe", {
    scope: "operator.read",
    params: Params.Anything,
    handle: (_, { connection }) =>
      Effect.sync(() => {
        connection.allSessions = true
        return answer({ subscribed: true })
      })
  })

  const unsubscribe = method("sessions.unsubscribe", {
    scope: "operator.read",
    params: Params.Anything,
    handle: (_, { connection }) =>
      Effect.sync(() => {
        connection.allSessions = false
        return answer({ subscribed: false })
      })
  })

  const messagesSubscribe = method("sessions.messages.subscribe", {
    scope: "operator.read",
    params: Params.SessionsKey,
    handle: (params, { connection }) =>
      Effect.gen(function* () {
        const key = yield* operations.canonical(yield* requireKey(params.key))
        connection.messageKeys.add(key)
        return answer({ subscribed: true, key })
      })
  })

  const messagesUnsubscribe = method("sessions.messages.unsubscribe", {
    scope: "operator.read",
    params: Params.SessionsKey,
    handle: (params, { connection }) =>
      Effect.gen(function* () {
        const key = yield* operations.canonical(yield* requireKey(params.key))
        connection.messageKeys.delete(key)
        return answer({ subscribed: false, key })
      })
  })

  return [
    list,
    subscribe,
    unsubscribe,
    messagesSubscribe,
    messagesUnsubscribe,
    preview,
    describe,
    resolve,
    get
  ] satisfies ReadonlyArray<Method>
})
