/**
 * What people do to sessions: find, make, send, stop. Methods of both vocabularies (`sessions.*`, `chat.*`) stand on it.
 *
 * Everything a person does to a running agent is an event of the log (a user message, an interrupt); the bridge that holds
 * the session takes it from there. Source: spec 2 (preface, §2, §6).
 */
import { randomUUID } from "node:crypto"
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import { EventUuid, type OrganizationId } from "@causeway/protocol/Ids"
import * as MessageContent from "@causeway/protocol/MessageContent"
import * as Payload from "@causeway/protocol/Payload"
import * as Environments from "@causeway/store/Environments"
import type { StoreUnavailable } from "@causeway/store/Errors"
import { type GatewayRecord, GatewaySessions } from "@causeway/store/GatewaySessions"
import { Log } from "@causeway/store/Log"
import { Sessions } from "@causeway/store/Sessions"
import { type JsonObject, string } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as AgentRuntime from "./AgentRuntime.ts"
import { isUuid, uuidOf } from "./Checkpoints.ts"
import { type GatewayConfig, GatewayConfiguration } from "./Config.ts"
import type { Connection } from "./Connections.ts"
import { invalid, type Refused, unavailable } from "./Failure.ts"
import { Idempotency, type Outcome } from "./Idempotency.ts"
import * as Keys from "./Keys.ts"
import type { Failure } from "./Method.ts"
import { Notifier } from "./Notifier.ts"
import * as Prompt from "./Prompt.ts"
import * as Rows from "./Rows.ts"
import { expiry, GatewayRuns, type Run, unowned } from "./Runs.ts"
import { holds } from "./Scopes.ts"
import * as Thinking from "./Thinking.ts"

/** How long an interrupted run may take to end: looked at every 100 ms for 15 s. */
export const interruptWait = Schedule.spaced("100 millis").pipe(Schedule.upTo("15 seconds"))

/** Words that stop a run instead of being sent. */
const stopWords = new Set([
  "stop",
  "/stop",
  "abort",
  "/abort",
  "esc",
  "interrupt",
  "please stop",
  "stop please"
])

export const isStop = (message: string): boolean =>
  stopWords.has(
    message
      .trim()
      .toLowerCase()
      .replace(/[.!?…]+$/u, "")
      .trim()
  )

export interface SendRequest {
  readonly message: string
  readonly thinking?: string | undefined
  readonly attachments?: ReadonlyArray<unknown> | undefined
  readonly timeoutMs?: number | undefined
  readonly runId: string
}

export interface Sent {
  readonly payload: JsonObject
  /** It was answered from memory or from the log; nothing was sent. */
  readonly cached: boolean
  /** Releases the events of the message; to be run once the sender was answered. */
  readonly release: Effect.Effect<void>
}

export interface Aborted {
  readonly aborted: boolean
  readonly runIds: ReadonlyArray<string>
}

export class Operations extends Context.Tag("@causeway/hub/GatewayOperations")<
  Operations,
  {
    readonly idempotency: Idempotency
    /** Uuid of the event of a run's message in a session. */
    readonly promptUuid: (session: string, runId: string) => string
    readonly canonical: (key: string) => Effect.Effect<string>
    /** The living session of a key as somebody gave it. */
    readonly find: (
      organizationId: OrganizationId,
      key: string
    ) => Effect.Effect<GatewayRecord | undefined, StoreUnavailable>
    /** `Agent "X" no longer exists in configuration`, where the key's agent is not configured. */
    readonly requireAgent: (key: string) => Effect.Effect<void, Refused>
    /** Makes a session with this key. */
    readonly make: (
      organizationId: OrganizationId,
      session: {
        readonly key: string
        readonly label?: string | undefined
        readonly parentKey?: string | undefined
        readonly spawnedBy?: string | undefined
        readonly entry?: JsonObject
        /** Its log is to be a copy of another: `begin` is called once that is there. */
        readonly copied?: boolean
      }
    ) => Effect.Effect<GatewayRecord, StoreUnavailable>
    /** Asks the agent of a new session for what its entry and its agent's configuration say. */
    readonly begin: (record: GatewayRecord) => Effect.Effect<void, StoreUnavailable>
    readonly send: (
      record: GatewayRecord,
      request: SendRequest,
      connection: Connection
    ) => Effect.Effect<Sent, Failure>
    /** Stops one run of a session, or all of them that the caller may stop. */
    readonly abort: (
      record: GatewayRecord,
      options: {
        readonly runId?: string | undefined
        /** Undefined: the hub itself. */
        readonly by: Connection | undefined
        readonly stopReason: string
      }
    ) => Effect.Effect<Aborted, Failure>
    /** Stops whatever runs and waits for it to end. Answers whether anything did. */
    readonly interrupt: (record: GatewayRecord, by: Connection) => Effect.Effect<boolean, Failure>
    /** Writes a person's event to the log. */
    readonly append: (
      record: GatewayRecord,
      json: JsonObject & { readonly type: string }
    ) => Effect.Effect<{ readonly uuid: string; readonly duplicate: boolean }, Failure>
    /** Archives a session's log; its key is free again. Answers with its locator. */
    readonly archive: (
      record: GatewayRecord,
      why: "reset" | "deleted" | "bak" | "restored"
    ) => Effect.Effect<string, StoreUnavailable>
    /** Where a session of this agent runs; undefined with a reason where it has to wait. */
    readonly chooseEnvironment: (
      organizationId: OrganizationId,
      agentId: string | undefined
    ) => Effect.Effect<string | undefined, StoreUnavailable>
    /** Records how a run ended, tells everyone, and forgets it. */
    readonly endRun: (
      run: Run,
      end: {
        readonly status: "done" | "failed" | "killed" | "timeout"
        readonly at: number
        readonly outcome: Outcome
      }
    ) => Effect.Effect<void, StoreUnavailable>
  }
>() {}

/** What a new session asks of its agent from the start: its entry's settings, else its agent's configuration. */
const startingWith = (
  config: GatewayConfig,
  agentId: string | undefined,
  entry: JsonObject
): ReadonlyArray<JsonObject> => {
  const configured = config.agents.find((agent) => agent.id === agentId)?.thinkingDefault
  const level = string(entry["thinkingLevel"]) ?? configured
  const tokens = Thinking.tokensOf(level === undefined ? undefined : Thinking.normalize(level))
  return AgentSettings.requests({
    ...(tokens === undefined ? {} : { max_thinking_tokens: tokens }),
    ...(entry["fastMode"] === true ? { flag_settings: { fastMode: true } } : {})
  })
}

const policyAllows = (config: GatewayConfig, record: GatewayRecord): boolean => {
  const own = Rows.entryOf(record)["sendPolicy"]
  if (own === "allow" || own === "deny") return own === "allow"
  const matching = config.sendPolicy.rules.filter(
    (rule) => rule.keyPrefix === undefined || record.key.startsWith(rule.keyPrefix.toLowerCase())
  )
  if (matching.some((rule) => rule.action === "deny")) return false
  return matching.length > 0 || config.sendPolicy.default === "allow"
}

/** A key that is a uuid is the event's, as pages send it; of any other the session is part. */
const promptUuid = (session: string, runId: string): string =>
  isUuid(runId) ? uuidOf(runId) : uuidOf(`${session}\n${runId}`)

const outcomeKey = (session: string, runId: string): string => `chat:${session}:${runId}`

export const make = Effect.gen(function* () {
  const sessions = yield* GatewaySessions
  const store = yield* Sessions
  const log = yield* Log
  const environments = yield* Environments.Environments
  const configuration = yield* GatewayConfiguration
  const runs = yield* GatewayRuns
  const notifier = yield* Notifier
  const idempotency = new Idempotency()

  const canonical = (key: string) =>
    Effect.map(configuration.current, (config) => Keys.canonical(key, config))

  const find = (organizationId: OrganizationId, key: string) =>
    Effect.gen(function* () {
      const config = yield* configuration.current
      const at = Keys.canonical(key, config)
      const [record] = yield* sessions.byKeys(organizationId, [at])
      if (record !== undefined) return record
      // A session that stands under an older name gets its present one; of several the freshest.
      const older = yield* sessions.byKeys(organizationId, Keys.legacy(key, config))
      const [freshest] = [...older].sort((a, b) => b.updatedAt - a.updatedAt)
      if (freshest === undefined) return undefined
      return yield* sessions.change(freshest.sid, {
        key: at,
        agentId: Keys.agentOf(at),
        updatedAt: freshest.updatedAt
      })
    })

  const requireAgent = (key: string) =>
    Effect.flatMap(configuration.current, (config) => {
      const agentId = Keys.agentOf(key)
      return agentId === undefined || config.agentIds.includes(agentId)
        ? Effect.void
        : Effect.fail(invalid(`Agent "${agentId}" no longer exists in configuration`))
    })

  const chooseEnvironment = (organizationId: OrganizationId, agentId: string | undefined) =>
    Effect.gen(function* () {
      const config = yield* configuration.current
      const now = yield* Clock.currentTimeMillis
      const page = yield* environments
        .list({ organizationId, limit: 1000, archived: "false" })
        .pipe(Effect.catchTag("CursorInvalid", () => Effect.succeed({ environments: [], next: undefined })))
      const named = config.agents.find((agent) => agent.id === agentId)?.environment
      if (named !== undefined) {
        return page.environments.find((each) => each.id === named || each.name === named)?.id
      }
      const online = page.environments.filter((each) => Environments.isOnline(each, now))
      return online.length === 1 ? online[0]?.id : undefined
    })

  const contextOf = (config: GatewayConfig, agentId: string | undefined, entry: JsonObject): JsonObject => {
    const agent = config.agents.find((each) => each.id === agentId)
    const model = string(entry["modelOverride"]) ?? Rows.defaultModel(config, agentId).model
    return Rows.compact({
      agent: agent?.driver,
      model,
      cwd: entry["spawnedWorkspaceDir"]
    })
  }

  const makeSession: Operations["Type"]["make"] = (organizationId, session) =>
    Effect.gen(function* () {
      const config = yield* configuration.current
      const agentId = Keys.agentOf(session.key)
      const entry = session.entry ?? {}
      const created = yield* store
        .create({
          organizationId,
          environmentId: undefined,
          source: "gateway",
          context: JSON.stringify(contextOf(config, agentId, entry)),
          permissionMode: config.agents.find((each) => each.id === agentId)?.permissionMode,
          tags: undefined,
          payloads: []
        })
        .pipe(
          // None was asked for.
          Effect.catchTag("EnvironmentUnknown", Effect.die)
        )
      runs.tells(created.session)
      const record = yield* sessions.change(created.sid, {
        key: session.key,
        agentId,
        label: session.label,
        parentKey: session.parentKey,
        spawnedBy: session.spawnedBy,
        entry: JSON.stringify(entry)
      })
      if (record === undefined) return yield* Effect.dieMessage("a session that was just made is gone")
      // A copy of another log goes on from that one's end.
      if (session.copied !== true) yield* begin(record)
      return record
    })

  const begin: Operations["Type"]["begin"] = (record) =>
    Effect.gen(function* () {
      const config = yield* configuration.current
      for (const request of startingWith(config, record.agentId, Rows.entryOf(record))) {
        yield* append(record, { type: "control_request", request_id: randomUUID(), request })
      }
    }).pipe(
      // It was made a moment ago, and its agent starts all the same.
      Effect.catchTag("GatewayRefused", (error) =>
        Effect.logWarning("a new session's settings were not asked for").pipe(
          Effect.annotateLogs({ module: "Gateway", session: record.session, detail: error.message })
        )
      )
    )

  const append: Operations["Type"]["append"] = (record, json) =>
    Effect.gen(function* () {
      const payload = Payload.make({ uuid: randomUUID(), ...json })
      const problem = MessageContent.problemOf(payload)
      if (problem !== undefined) return yield* invalid(problem)
      return yield* log.append({
        session: record.session,
        organizationId: record.organizationId,
        source: "client",
        payloads: [payload]
      })
    }).pipe(
      Effect.map(([appended]) => ({
        uuid: appended?.uuid ?? "",
        duplicate: appended?.duplicate ?? false
      })),
      Effect.catchTags({
        SessionUnknown: () => invalid(`session not found: ${record.key}`),
        SessionArchived: () => invalid(`session not found: ${record.key}`),
        AlreadyAnswered: (error) => invalid(error.message),
        // People's events carry no guard, and no token's epoch.
        HeadMoved: Effect.die,
        WorkerSuperseded: Effect.die,
        TokenSuperseded: Effect.die,
        LogBusy: () => unavailable("too much is being written at once; try again in a moment")
      })
    )

  const rememberRun = (record: GatewayRecord, run: JsonObject, more: JsonObject = {}) =>
    Effect.gen(function* () {
      const [now] = yield* sessions.byKeys(record.organizationId, [record.key])
      if (now === undefined || now.sid !== record.sid) return
      const entry = Rows.compact({ ...Rows.entryOf(now), ...more, lastRun: run })
      yield* sessions.change(now.sid, {
        entry: JSON.stringify(entry),
        updatedAt: Math.max(now.updatedAt, yield* Clock.currentTimeMillis)
      })
    })

  const endRun: Operations["Type"]["endRun"] = (run, end) =>
    Effect.gen(function* () {
      runs.remove(run)
      idempotency.set(outcomeKey(run.session, run.id), end.outcome, end.at)
      const record = yield* sessions.bySession(run.session)
      if (record === undefined) return
      const startedAt = run.startedAt ?? run.createdAt
      const row = Rows.projectionOf(record)
      yield* rememberRun(
        record,
        {
          runId: run.id,
          status: end.status,
          startedAt,
          endedAt: end.at,
          runtimeMs: Math.max(0, end.at - startedAt),
          prompts: row.counts.prompts
        },
        { abortedLastRun: end.status === "killed" || end.status === "timeout", systemSent: true }
      )
    })

  // --- Send ---

  /**
   * Gives a session that has none an environment, and with it an agent. Settings that were kept until then and do nothing for
   * this agent are dropped; answers with them.
   */
  const settle = (record: GatewayRecord) =>
    Effect.gen(function* () {
      if (record.environmentId !== undefined) return []
      const environment = yield* chooseEnvironment(record.organizationId, record.agentId)
      if (environment === undefined) return []
      yield* sessions.assignEnvironment(record.sid, environment, false)
      const settled = yield* sessions.bySession(record.session)
      if (settled === undefined) return []
      const entry = Rows.entryOf(settled)
      const dropped = AgentRuntime.unsupportedIn(
        AgentRuntime.of(yield* configuration.current, settled),
        entry
      )
      if (dropped.length > 0) {
        const names = new Set(dropped.map(({ field }) => field))
        const kept = Object.fromEntries(Object.entries(entry).filter(([name]) => !names.has(name)))
        yield* sessions.change(settled.sid, { entry: JSON.stringify(kept), updatedAt: settled.updatedAt })
      }
      return dropped
    })

  const send: Operations["Type"]["send"] = (record, request, connection) =>
    Effect.gen(function* () {
      const config = yield* configuration.current
      const { content, text } = yield* Either.mapLeft(
        Prompt.of(request.message, request.attachments ?? []),
        (problem) => invalid(problem)
      )
      yield* requireAgent(record.key)
      const level = request.thinking === undefined ? undefined : Thinking.normalize(request.thinking)
      if (request.thinking !== undefined && level === undefined) {
        return yield* invalid(
          `invalid thinking (use ${Rows.thinkingLevels(config, Rows.defaultModel(config, record.agentId)).join("|")})`
        )
      }
      const runtime = AgentRuntime.of(config, record)
      const useless = level === undefined ? undefined : AgentRuntime.unsupported(runtime, "thinkingLevel")
      if (useless !== undefined) return yield* invalid(useless)
      const thinking = Thinking.tokensOf(level)
      if (!policyAllows(config, record)) return yield* invalid("send blocked by session policy")
      const nothing = Effect.void
      if (isStop(text)) {
        const aborted = yield* abort(record, { by: connection, stopReason: "stop" })
        return { payload: { ok: true, ...aborted }, cached: true, release: nothing }
      }
      const now = yield* Clock.currentTimeMillis
      const { runId } = request
      const cached = idempotency.get(outcomeKey(record.session, runId), now)
      if (cached !== undefined) return { payload: cached.payload, cached: true, release: nothing }
      const underWay = runs.get(record.session, runId)
      // Whether the other one is stored decides whether this one is: an answer is given for what is in the log alone.
      if (
        underWay !== undefined &&
        (underWay.stored === undefined || (yield* Deferred.await(underWay.stored)))
      ) {
        return { payload: { runId, status: "in_flight" }, cached: true, release: nothing }
      }
      const named = promptUuid(record.session, runId)
      const known = yield* sessions.byUuid(record.sid, named)
      const isCopy = known !== undefined && (yield* sessions.isCopy(record.sid, named))
      if (known !== undefined && !isCopy) {
        // Sent before this process began: the log knows what became of it.
        const status = known.delivery === "processed" ? "ok" : "in_flight"
        return { payload: { runId, status }, cached: true, release: nothing }
      }
      const uuid = EventUuid.make(isCopy ? uuidOf(`${record.session}\n${named}`) : named)
      const dropped = yield* settle(record)
      const answered = yield* Deferred.make<void>()
      const release = Effect.asVoid(Deferred.succeed(answered, undefined))
      const stored = yield* Deferred.make<boolean>()
      const run: Run = {
        id: runId,
        organizationId: record.organizationId,
        key: record.key,
        session: record.session,
        sid: record.sid,
        promptUuid: uuid,
        ownerConnectionId: connection.info.id,
        ownerDeviceId: connection.info.deviceId,
        createdAt: now,
        expiresAt: expiry(now, request.timeoutMs),
        answered,
        stored,
        promptSeq: undefined,
        startedAt: undefined,
        text: "",
        lastDeltaAt: 0,
        pendingDelta: false,
        seq: 0
      }
      runs.add(run)
      return yield* Effect.gen(function* () {
        if (thinking !== undefined) {
          yield* append(record, {
            type: "control_request",
            request_id: randomUUID(),
            request: { subtype: "set_max_thinking_tokens", max_thinking_tokens: thinking }
          })
        }
        const appended = yield* append(record, {
          type: "user",
          uuid,
          message: { role: "user", content },
          parent_tool_use_id: null,
          timestamp: new Date(now).toISOString()
        })
        yield* Deferred.succeed(stored, true)
        const told = dropped.length === 0 ? {} : { settingsDropped: dropped }
        if (appended.duplicate) {
          runs.remove(run)
          return { payload: { runId, status: "in_flight" }, cached: true, release }
        }
        return { payload: { runId, status: "started", ...told }, cached: false, release }
      }).pipe(
        Effect.onError(() =>
          Effect.all([Effect.sync(() => runs.remove(run)), Deferred.succeed(stored, false), release], {
            discard: true
          })
        )
      )
    })

  // --- Stop ---

  const mayStop = (run: Run, by: Connection | undefined): boolean => {
    if (by === undefined || holds(by.info.scopes, "operator.admin")) return true
    if (run.ownerConnectionId === undefined && run.ownerDeviceId === undefined) return true
    return (
      run.ownerConnectionId === by.info.id ||
      (run.ownerDeviceId !== undefined && run.ownerDeviceId === by.info.deviceId)
    )
  }

  /** Runs of a session; one that only the log knows (from before a restart) included. */
  const runsOf = (record: GatewayRecord): Effect.Effect<ReadonlyArray<Run>, StoreUnavailable> =>
    Effect.gen(function* () {
      const tracked = runs.ofSession(record.session)
      if (tracked.length > 0 || !Rows.hasRunInLog(record)) return tracked
      const prompt = yield* sessions.lastPrompt(record.sid)
      if (prompt === undefined) return []
      const run = unowned(record, prompt, {
        now: yield* Clock.currentTimeMillis,
        startedAt: prompt.createdAt
      })
      runs.add(run)
      return [run]
    })

  const abort: Operations["Type"]["abort"] = (record, options) =>
    Effect.gen(function* () {
      const all = yield* runsOf(record)
      let stopping = all
      if (options.runId !== undefined) {
        const run = runs.get(record.session, options.runId)
        if (run === undefined) {
          return runs.named(record.organizationId, options.runId).length === 0
            ? { aborted: false, runIds: [] }
            : yield* invalid("runId does not match sessionKey")
        }
        if (!mayStop(run, options.by)) return yield* invalid("unauthorized")
        stopping = [run]
      } else {
        stopping = all.filter((run) => mayStop(run, options.by))
        if (stopping.length === 0 && all.length > 0) return yield* invalid("unauthorized")
      }
      if (stopping.length === 0) return { aborted: false, runIds: [] }
      yield* append(record, {
        type: "control_request",
        request_id: randomUUID(),
        request: { subtype: "interrupt" }
      })
      const now = yield* Clock.currentTimeMillis
      for (const run of stopping) {
        const timedOut = options.stopReason === "timeout"
        notifier.chat(run, run.seq + 1, {
          state: "aborted",
          stopReason: options.stopReason,
          ...(run.text === ""
            ? {}
            : {
                message: {
                  role: "assistant",
                  content: [{ type: "text", text: run.text }],
                  timestamp: now
                }
              })
        })
        notifier.agent(
          run,
          "lifecycle",
          {
            phase: "end",
            status: "cancelled",
            aborted: true,
            stopReason: options.stopReason,
            startedAt: run.startedAt ?? run.createdAt,
            endedAt: now
          },
          now
        )
        yield* endRun(run, {
          status: timedOut ? "timeout" : "killed",
          at: now,
          outcome: {
            ok: true,
            payload: { status: "timeout", runId: run.id, stopReason: options.stopReason, endedAt: now }
          }
        })
        const after = yield* sessions.bySession(record.session)
        if (after !== undefined) yield* notifier.phase(after, { phase: "end", runId: run.id })
      }
      return { aborted: true, runIds: stopping.map((run) => run.id) }
    })

  const isRunning = (record: GatewayRecord): boolean => {
    const { status } = Rows.projectionOf(record)
    return status === "running" || status === "requires_action"
  }

  const interrupt: Operations["Type"]["interrupt"] = (record, by) =>
    Effect.gen(function* () {
      const fresh = (yield* sessions.bySession(record.session)) ?? record
      if (runs.ofSession(record.session).length === 0 && !isRunning(fresh)) return false
      const { aborted } = yield* abort(fresh, { by, stopReason: "rpc" })
      const stopped = Effect.map(
        sessions.bySession(record.session),
        (now) => now === undefined || !isRunning(now)
      )
      // The schedule gives up with what it saw last.
      const ended = yield* Effect.repeat(stopped, {
        schedule: interruptWait,
        until: (done) => done
      }).pipe(Effect.flatMap(() => stopped))
      if (!ended) {
        return yield* unavailable(`Session ${record.key} is still active; try again in a moment.`)
      }
      return aborted
    })

  const archive: Operations["Type"]["archive"] = (record, why) =>
    Effect.gen(function* () {
      runs.tells(record.session)
      yield* sessions.change(record.sid, {
        label: undefined,
        entry: JSON.stringify({ ...Rows.entryOf(record), archivedBy: why, archivedLabel: record.label }),
        updatedAt: record.updatedAt
      })
      const archived = yield* store
        .archive({ session: record.session, organizationId: record.organizationId })
        .pipe(
          Effect.map((row) => row.archivedAt),
          Effect.catchTags({
            SessionArchived: () => Effect.succeed(record.archivedAt),
            SessionUnknown: () => Effect.succeed(undefined)
          })
        )
      return Rows.locator(record.session, archived ?? (yield* Clock.currentTimeMillis))
    })

  return Operations.of({
    idempotency,
    promptUuid,
    canonical,
    find,
    requireAgent,
    make: makeSession,
    begin,
    send,
    abort,
    interrupt,
    append,
    archive,
    chooseEnvironment,
    endRun
  })
})

export const layer: Layer.Layer<
  Operations,
  never,
  GatewaySessions | Sessions | Log | Environments.Environments | GatewayConfiguration | GatewayRuns | Notifier
> = Layer.effect(Operations, make)
