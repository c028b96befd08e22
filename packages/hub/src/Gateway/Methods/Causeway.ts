/**
 * Methods of Causeway's own, on top of the published protocol: replay, delivery states, approvals, environments, search,
 * export; and the agents and models that clients ask for.
 */
import { randomUUID } from "node:crypto"
import * as EnvironmentFiles from "@causeway/protocol/EnvironmentFiles"
import * as Params from "@causeway/protocol/Gateway/Params"
import { EnvironmentId, sessionBody } from "@causeway/protocol/Ids"
import * as Offers from "@causeway/protocol/Offers"
import * as Environments from "@causeway/store/Environments"
import { Log } from "@causeway/store/Log"
import { Overview } from "@causeway/store/Overview"
import { Search } from "@causeway/store/Search"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
import * as Approvals from "@causeway/transcript/Approvals"
import { object } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { GatewayConfiguration } from "../Config.ts"
import { invalid, Refused } from "../Failure.ts"
import { health as healthOf } from "../Health.ts"
import * as Keys from "../Keys.ts"
import { payloadOf } from "../Messages.ts"
import { answer, type Method, method, requireKey } from "../Method.ts"
import { Operations } from "../Operations.ts"
import * as Rows from "../Rows.ts"
import { GatewayRuns } from "../Runs.ts"

const REPLAY_LIMIT = 200
const EXPORT_LIMIT = 1000

export const make = Effect.gen(function* () {
  const sessions = yield* Sessions
  const log = yield* Log
  const overview = yield* Overview
  const transcripts = yield* Search
  const environments = yield* Environments.Environments
  const configuration = yield* GatewayConfiguration
  const operations = yield* Operations
  const runs = yield* GatewayRuns

  const existing = (organizationId: Session["organizationId"], given: string) =>
    Effect.gen(function* () {
      const key = yield* requireKey(given)
      const record = yield* operations.find(organizationId, key)
      return record ?? (yield* invalid(`session not found: ${key}`))
    })

  const health = method("health", {
    scope: "any",
    params: Params.Anything,
    handle: (_, { organizationId }) =>
      Effect.flatMap(configuration.current, (config) =>
        Effect.map(healthOf(sessions, config, organizationId), (payload) => answer(payload))
      )
  })

  const agents = method("agents.list", {
    scope: "operator.read",
    params: Params.Empty,
    handle: () =>
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
  })

  const models = method("models.list", {
    scope: "operator.read",
    params: Params.Empty,
    handle: () =>
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
  })

  // --- Replay ---

  const replay = method("sessions.events.replay", {
    scope: "operator.read",
    params: Params.EventsReplay,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const record = yield* existing(organizationId, params.key)
        const [oldest] = yield* log.events(record.sid, { limit: 1 })
        const limit = params.limit ?? REPLAY_LIMIT
        const sessionId = Rows.sessionIdOf(record.session)
        const reason =
          params.sessionId !== undefined && Rows.bodyOf(params.sessionId) !== record.session
            ? "session-replaced"
            : params.afterSeq > record.lastSeq
              ? "ahead-of-log"
              : oldest !== undefined && params.afterSeq + 1 < oldest.seq
                ? "truncated"
                : undefined
        const after = reason === undefined || reason === "truncated" ? params.afterSeq : 0
        const events = yield* log.events(record.sid, { after, limit })
        const last = events.at(-1)?.seq ?? after
        return answer({
          key: record.key,
          sessionId,
          verdict: reason === undefined ? "synced" : "gap",
          ...(reason === undefined ? {} : { reason }),
          oldestSeq: oldest?.seq ?? null,
          lastSeq: record.lastSeq,
          /** Whether these reach the end of the log as it stood. */
          complete: last >= record.lastSeq || events.length < limit,
          events: events.map((event) => ({
            seq: event.seq,
            uuid: event.uuid,
            source: event.source,
            createdAt: event.createdAt,
            delivery: event.delivery ?? null,
            payload: payloadOf(event)
          }))
        })
      })
  })

  // --- Delivery ---

  const deliveries = method("sessions.deliveries.list", {
    scope: "operator.read",
    params: Params.DeliveriesList,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const record = yield* existing(organizationId, params.key)
        const prompts = yield* log.events(record.sid, { select: "prompts", last: params.limit ?? 20 })
        const wanted = params.runIds
        const shown = yield* wanted === undefined
          ? Effect.succeed(prompts.toReversed())
          : Effect.map(
              Effect.forEach(wanted, (runId) =>
                log.events(record.sid, {
                  uuid:
                    runs.get(record.session, runId)?.promptUuid ??
                    operations.promptUuid(record.session, runId)
                })
              ),
              (found) => found.flat()
            )
        return answer({
          key: record.key,
          sessionId: Rows.sessionIdOf(record.session),
          waitingFor: (yield* sessions.waitingFor([record.sid])).get(record.sid) ?? null,
          deliveries: shown.map((event) => ({
            messageId: event.uuid,
            seq: event.seq,
            // Stored here and not yet reported by any worker.
            status: event.delivery ?? "accepted",
            sentAt: event.createdAt,
            deliveredAt: event.deliveredAt ?? null
          }))
        })
      })
  })

  const withdraw = method("causeway.messages.withdraw", {
    scope: "operator.write",
    params: Params.MessagesWithdraw,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const id = yield* sessions.find({ sessions: [Rows.bodyOf(sessionBody(params.key))] })
        const record =
          id?.organizationId === organizationId ? id : yield* existing(organizationId, params.key)
        const withdrawn = yield* operations.withdraw(record, params.uuid)
        const [message] = yield* log.events(record.sid, { uuid: params.uuid })
        return answer({
          ok: true,
          key: record.key,
          uuid: params.uuid,
          withdrawn,
          status: message?.delivery ?? "accepted"
        })
      })
  })

  // --- Approvals ---

  const approvalsOf = (record: Session) =>
    rowOf(record).approvals.pending.map((approval) => ({
      sessionKey: record.key,
      sessionId: Rows.sessionIdOf(record.session),
      toolUseId: approval.toolUseId,
      requestId: approval.requestId,
      kind: approval.kind,
      toolName: approval.toolName,
      displayName: approval.displayName,
      description: approval.description,
      input: approval.input,
      inputTruncated: approval.inputTruncated,
      hasSuggestions: approval.hasSuggestions,
      createdAt: approval.createdAt,
      seq: approval.seq
    }))

  const approvals = method("sessions.approvals.list", {
    scope: "operator.read",
    params: Params.ApprovalsList,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const records =
          params.key === undefined
            ? yield* sessions.list({
                organizationId,
                withoutKeys: Keys.unlisted({ global: true, unknown: true }),
                status: "requires_action"
              })
            : [yield* existing(organizationId, params.key)]
        return answer({
          approvals: records.flatMap(approvalsOf).sort((a, b) => a.createdAt - b.createdAt)
        })
      })
  })

  const approvalsAnswer = method("sessions.approvals.answer", {
    scope: "operator.write",
    params: Params.ApprovalsAnswer,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const record = yield* existing(organizationId, params.key)
        const all = rowOf(record).approvals
        const fits = (each: { readonly toolUseId: string; readonly requestId: string }) =>
          (params.toolUseId === undefined || each.toolUseId === params.toolUseId) &&
          (params.requestId === undefined || each.requestId === params.requestId)
        const named = params.toolUseId !== undefined || params.requestId !== undefined
        const pending = all.pending.find(fits)
        const settled = named && pending === undefined ? all.settled.findLast(fits) : undefined
        const approval = pending ?? settled
        if (approval === undefined) {
          return yield* new Refused({
            code: "APPROVAL_NOT_FOUND",
            message: named ? "no such approval" : `no approval is open in ${record.key}`
          })
        }
        if (settled?.outcome === "cancelled") {
          return yield* new Refused({ code: "APPROVAL_NOT_FOUND", message: "this approval was cancelled" })
        }
        // The projection's copy of the input may be cut; the log's is whole.
        const request =
          pending === undefined
            ? undefined
            : (yield* log.events(record.sid, { after: pending.seq - 1, limit: 1 }))[0]
        const input =
          request === undefined ? undefined : object(object(payloadOf(request)["request"])["input"])
        const response =
          params.decision === "allow"
            ? {
                behavior: "allow",
                updatedInput: params.updatedInput ?? input ?? {},
                ...(params.updatedPermissions === undefined
                  ? {}
                  : { updatedPermissions: params.updatedPermissions }),
                toolUseID: approval.toolUseId
              }
            : {
                behavior: "deny",
                message: params.message ?? Approvals.DENIED,
                toolUseID: approval.toolUseId
              }
        const appended = yield* operations.append(record, {
          type: "control_response",
          uuid: randomUUID(),
          response: { subtype: "success", request_id: approval.requestId, response }
        })
        return answer({
          ok: true,
          key: record.key,
          toolUseId: approval.toolUseId,
          requestId: approval.requestId,
          decision: params.decision,
          duplicate: appended.duplicate || pending === undefined
        })
      })
  })

  // --- Environments ---

  const environmentFiles = method("causeway.environments.files", {
    scope: "operator.read",
    params: Params.EnvironmentFiles,
    handle: ({ environmentId }, { organizationId }) =>
      environments.get({ organizationId, environmentId: EnvironmentId.make(environmentId) }).pipe(
        Effect.map(({ metadata }) =>
          // The store keeps the JSON text of an object.
          answer({ files: EnvironmentFiles.fromMetadata(object(JSON.parse(metadata))) })
        ),
        Effect.catchTag("EnvironmentUnknown", () => invalid(`environment not found: ${environmentId}`))
      )
  })

  const environmentsList = method("environments.list", {
    scope: "operator.read",
    params: Params.EnvironmentsList,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const page = yield* environments
          .list({ organizationId, limit: 1000, archived: params.includeArchived === true ? "all" : "false" })
          .pipe(Effect.catchTag("CursorInvalid", () => Effect.succeed({ environments: [], next: undefined })))
        const held = yield* overview.heldWork(organizationId, now)
        return answer({
          environments: page.environments.map((each) => ({
            id: each.id,
            name: each.name,
            machineName: each.machineName,
            directory: each.directory,
            branch: each.branch ?? null,
            online: Environments.isOnline(each, now),
            lastSeenAt: each.lastSeenAt ?? null,
            capacity: { max: each.maxSessions, used: held.get(each.id)?.held ?? 0 },
            queued: held.get(each.id)?.queued ?? 0,
            // The store keeps the JSON text of an object.
            offers: Offers.fromMetadata(object(JSON.parse(each.metadata))),
            archived: each.archivedAt !== undefined
          }))
        })
      })
  })

  // --- Search and export ---

  const search = method("sessions.search", {
    scope: "operator.read",
    params: Params.TranscriptSearch,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const record = params.key === undefined ? undefined : yield* existing(organizationId, params.key)
        const hits = yield* transcripts.search({
          organizationId,
          query: params.query,
          ...(record === undefined ? {} : { sid: record.sid }),
          limit: params.limit ?? 20
        })
        return answer({
          hits: hits.map(({ session, ...hit }) => ({ ...hit, sessionId: Rows.sessionIdOf(session) }))
        })
      })
  })

  const exported = method("sessions.export", {
    scope: "operator.read",
    params: Params.SessionsExport,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const named = params.locator === undefined ? null : /^causeway:log\/([^?]+)/.exec(params.locator)
        const record =
          params.locator === undefined
            ? yield* existing(organizationId, params.key)
            : yield* sessions.find({
                organizationId,
                sessions: [Rows.bodyOf(named?.[1] ?? "")],
                archived: "all"
              })
        if (record === undefined) return yield* invalid(`log not found: ${params.locator ?? params.key}`)
        const limit = params.limit ?? EXPORT_LIMIT
        const after = params.afterSeq ?? 0
        const events = yield* log.events(record.sid, { after, limit, select: "transcript" })
        const context = object(
          ((): unknown => {
            try {
              return JSON.parse(record.context)
            } catch {
              return {}
            }
          })()
        )
        const header = JSON.stringify({
          type: "session",
          version: 3,
          id: Rows.sessionIdOf(record.session),
          timestamp: new Date(record.createdAt).toISOString(),
          cwd: rowOf(record).workingDirectory ?? context["cwd"] ?? ""
        })
        const lines: Array<string> = after === 0 ? [header] : []
        let parentId =
          after === 0
            ? null
            : ((yield* log.events(record.sid, { select: "entries", through: after, last: 1 }))[0]?.uuid ??
              null)
        for (const event of events) {
          const json = payloadOf(event)
          const timestamp = new Date(event.createdAt).toISOString()
          const common = { id: event.uuid, parentId, timestamp }
          const line =
            json["message"] !== undefined
              ? { type: "message", ...common, message: json["message"] }
              : event.compaction
                ? { type: "compaction", ...common, summary: json["summary"] ?? "", details: json }
                : { type: "custom", ...common, customType: event.type, data: json }
          lines.push(JSON.stringify(line))
          parentId = event.uuid
        }
        const last = events.at(-1)?.seq ?? after
        return answer({
          key: record.key,
          sessionId: Rows.sessionIdOf(record.session),
          locator: Rows.locator(record.session, record.archivedAt),
          lines,
          nextAfterSeq: events.length < limit ? null : last
        })
      })
  })

  return [
    health,
    agents,
    models,
    replay,
    deliveries,
    withdraw,
    approvals,
    approvalsAnswer,
    environmentFiles,
    environmentsList,
    search,
    exported
  ] satisfies ReadonlyArray<Method>
})
