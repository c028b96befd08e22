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
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import * as Environments from "@causeway/store/Environments"
import type { StoreUnavailable } from "@causeway/store/Errors"
import { Log, type StoredEvent } from "@causeway/store/Log"
import { rowOf, type Session, Sessions } from "@causeway/store/Session"
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

/** How long an agent may take to say whether it had begun a message that is taken back: looked at every 50 ms for 3 s. */
export const withdrawWait = Schedule.spaced("50 millis").pipe(Schedule.upTo("3 seconds"))

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

/** What became of a person's event. */
export interface Written {
  readonly uuid: string
  readonly duplicate: boolean
  /** The messages that it took back. */
  readonly withdrawn: ReadonlyArray<string>
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
    ) => Effect.Effect<Session | undefined, StoreUnavailable>
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
    ) => Effect.Effect<Session, StoreUnavailable>
    /** Asks the agent of a new session for what its entry and its agent's configuration say. */
    readonly begin: (record: Session) => Effect.Effect<void, StoreUnavailable>
    readonly send: (
      record: Session,
      request: SendRequest,
      connection: Connection
    ) => Effect.Effect<Sent, Failure>
    /**
     * Stops one run of a session, or all of them that the caller may stop. A run whose turn has begun is interrupted; a
     * message that waits is withdrawn, and never runs. All that is stopped is stopped by one write to the log.
     */
    readonly abort: (
      record: Session,
      options: {
        readonly runId?: string | undefined
        /** Undefined: the hub itself. */
        readonly by: Connection | undefined
        readonly stopReason: string
      }
    ) => Effect.Effect<Aborted, Failure>
    /** Stops whatever runs, withdraws whatever waits, and waits for the end of the turn. Answers whether anything did. */
    readonly interrupt: (record: Session, by: Connection) => Effect.Effect<boolean, Failure>
    /**
     * Takes one message back before its turn. Fails where it is not there; false where it is too late, or where the agent
     * has not answered in time (3 s) and may have begun it.
     */
    readonly withdraw: (record: Session, uuid: string) => Effect.Effect<boolean, Failure>
    /** Writes a person's event to the log. */
    readonly append: (
      record: Session,
      json: JsonObject & { readonly type: string }
    ) => Effect.Effect<Written, Failure>
    /** Archives a session's log; its key is free again. Answers with its locator. */
    readonly archive: (
      record: Session,
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

const policyAllows = (config: GatewayConfig, record: Session): boolean => {
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
  const sessions = yield* Sessions
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
      const record = yield* sessions.find({ organizationId, keys: [at] })
      if (record !== undefined) return record
      // A session that stands under an older name gets its present one; of several the freshest.
      const older = yield* sessions.list({ organizationId, keys: Keys.legacy(key, config) })
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
      const created = yield* sessions
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

  /** Stored as one, or not at all. */
  const appendAll = (
    record: Session,
    all: ReadonlyArray<JsonObject & { readonly type: string }>
  ): Effect.Effect<ReadonlyArray<Written>, Failure> =>
    Effect.gen(function* () {
      const payloads = all.map((json) => Payload.make({ uuid: randomUUID(), ...json }))
      for (const payload of payloads) {
        const problem = MessageContent.problemOf(payload)
        if (problem !== undefined) return yield* invalid(problem)
      }
      return yield* log.append({
        session: record.session,
        organizationId: record.organizationId,
        source: "client",
        payloads
      })
    }).pipe(
      Effect.map((appended) =>
        appended.map(({ duplicate, uuid, withdrawn }) => ({ uuid, duplicate, withdrawn: withdrawn ?? [] }))
      ),
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

  const append: Operations["Type"]["append"] = (record, json) =>
    Effect.flatMap(appendAll(record, [json]), ([written]) =>
      written === undefined ? Effect.dieMessage("an append without an answer") : Effect.succeed(written)
    )

  const rememberRun = (record: Session, run: JsonObject, more: JsonObject = {}) =>
    Effect.gen(function* () {
      const now = yield* sessions.find({ organizationId: record.organizationId, keys: [record.key] })
      if (now === undefined || now.sid !== record.sid) return
      const entry = Rows.compact({ ...Rows.entryOf(now), ...more, lastRun: run })
      yield* sessions.change(now.sid, {
        entry: JSON.stringify(entry),
        updatedAt: Math.max(now.updatedAt, yield* Clock.currentTimeMillis)
      })
    })

  const endRun: Operations["Type"]["endRun"] = (run, end) =>
    Effect.gen(function* () {
      runs.end(run)
      idempotency.set(outcomeKey(run.session, run.id), end.outcome, end.at)
      const record = yield* sessions.find({ sessions: [run.session] })
      if (record === undefined) return
      const startedAt = run.startedAt ?? run.createdAt
      const row = rowOf(record)
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
  const settle = (record: Session) =>
    Effect.gen(function* () {
      if (record.environmentId !== undefined) return []
      const environment = yield* chooseEnvironment(record.organizationId, record.agentId)
      if (environment === undefined) return []
      yield* sessions.assignEnvironment(record.sid, environment, false)
      const settled = yield* sessions.find({ sessions: [record.session] })
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
      const [known] = yield* log.events(record.sid, { uuid: named })
      const isCopy = (yield* log.count(record.sid, { uuid: named, select: "copied" })) > 0
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
        const setting = {
          type: "control_request",
          request_id: randomUUID(),
          request: { subtype: "set_max_thinking_tokens", max_thinking_tokens: thinking }
        }
        const written = yield* appendAll(record, [
          ...(thinking === undefined ? [] : [setting]),
          {
            type: "user",
            uuid,
            message: { role: "user", content },
            parent_tool_use_id: null,
            timestamp: new Date(now).toISOString()
          }
        ])
        yield* Deferred.succeed(stored, true)
        const told = dropped.length === 0 ? {} : { settingsDropped: dropped }
        if (written.at(-1)?.duplicate === true) {
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

  /** Runs of a session; those that only the log knows (of other APIs, or from before a restart) included. */
  const runsOf = (record: Session): Effect.Effect<ReadonlyArray<Run>, StoreUnavailable> =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const track = (prompt: StoredEvent, startedAt: number | undefined) => {
        const known = runs.ofPrompt(record.session, prompt.uuid) !== undefined
        if (!known && !runs.hasEnded(record.session, prompt.uuid)) {
          runs.add(unowned(record, prompt, { now, startedAt }))
        }
      }
      const row = rowOf(record)
      // What somebody stopped before is on its way out.
      const isStopped = Rows.isStopped(Rows.entryOf(record), row)
      for (const prompt of yield* log.events(record.sid, { select: "openPrompts", limit: 1000 })) {
        const begun = prompt.delivery === "processing" || (row.begun && row.open[0] === prompt.uuid)
        const isOver = !row.open.includes(prompt.uuid) || (begun && isStopped)
        if (!isOver) track(prompt, begun ? prompt.createdAt : undefined)
      }
      if (runs.ofSession(record.session).length === 0 && Rows.hasRunInLog(record)) {
        const [last] = yield* log.events(record.sid, { select: "prompts", last: 1 })
        if (last !== undefined) track(last, last.createdAt)
      }
      return runs.ofSession(record.session)
    })

  /**
   * What stops these runs of all that a session has: all of them by one interrupt, which takes back what waits; some of
   * them by taking each back, and by an interrupt where one may have begun.
   */
  const stopping = (record: Session, some: ReadonlyArray<Run>, all: ReadonlyArray<Run>) =>
    Effect.gen(function* () {
      if (some.length === all.length) return [Withdrawal.all(randomUUID())]
      const open = yield* log.events(record.sid, { select: "openPrompts", limit: 1000 })
      const begun = open.filter(({ delivery }) => delivery === "processing")
      const waiting = new Set(open.filter((prompt) => !begun.includes(prompt)).map(({ uuid }) => uuid))
      const turn = begun.length > 0 ? begun : open.slice(0, 1)
      const interrupts = some.some(
        ({ promptUuid }) =>
          turn.some(({ uuid }) => uuid === promptUuid) || !open.some(({ uuid }) => uuid === promptUuid)
      )
      return [
        ...some.flatMap(({ promptUuid }) =>
          waiting.has(promptUuid) ? [Withdrawal.one(randomUUID(), promptUuid)] : []
        ),
        ...(interrupts
          ? [{ type: "control_request", request_id: randomUUID(), request: { subtype: "interrupt" } }]
          : [])
      ]
    })

  /** Tells everyone that a run was stopped, and forgets it. */
  const stop = (record: Session, run: Run, stopReason: string) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const timedOut = stopReason === "timeout"
      notifier.chat(run, run.seq + 1, {
        state: "aborted",
        stopReason,
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
          stopReason,
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
          payload: { status: "timeout", runId: run.id, stopReason, endedAt: now }
        }
      })
      const after = yield* sessions.find({ sessions: [record.session] })
      if (after !== undefined) yield* notifier.phase(after, { phase: "end", runId: run.id })
    })

  const abort: Operations["Type"]["abort"] = (record, options) =>
    Effect.gen(function* () {
      const all = yield* runsOf(record)
      let stopped = all
      if (options.runId !== undefined) {
        const run = runs.get(record.session, options.runId)
        if (run === undefined) {
          return runs.named(record.organizationId, options.runId).length === 0
            ? { aborted: false, runIds: [] }
            : yield* invalid("runId does not match sessionKey")
        }
        if (!mayStop(run, options.by)) return yield* invalid("unauthorized")
        stopped = [run]
      } else {
        stopped = all.filter((run) => mayStop(run, options.by))
        if (stopped.length === 0 && all.length > 0) return yield* invalid("unauthorized")
      }
      if (stopped.length === 0) return { aborted: false, runIds: [] }
      yield* appendAll(record, yield* stopping(record, stopped, all))
      yield* Effect.forEach(stopped, (run) => stop(record, run, options.stopReason), { discard: true })
      return { aborted: true, runIds: stopped.map((run) => run.id) }
    })

  const withdraw: Operations["Type"]["withdraw"] = (record, uuid) =>
    Effect.gen(function* () {
      const look = Effect.map(log.events(record.sid, { uuid }), ([event]) => event)
      const before = yield* look
      if (before === undefined || before.source !== "client" || before.type !== "user") {
        return yield* invalid(`no such message in ${record.key}: ${uuid}`)
      }
      if (before.delivery === "withdrawn") return true
      if (before.delivery === "processing" || before.delivery === "processed") return false
      const requestId = randomUUID()
      const { withdrawn } = yield* append(record, Withdrawal.one(requestId, uuid))
      if (!withdrawn.includes(uuid)) return false
      if (before.delivery === "received") {
        // It is with a worker, whose agent may have begun it at this moment: it says so, or that it has let go of it.
        const decided = Effect.gen(function* () {
          if ((yield* look)?.delivery !== "withdrawn") return true
          return (yield* log.count(record.sid, { after: before.seq, answersTo: requestId })) > 0
        })
        const isDecided = yield* Effect.repeat(decided, {
          schedule: withdrawWait,
          until: (done) => done
        }).pipe(Effect.flatMap(() => decided))
        if (!isDecided || (yield* look)?.delivery !== "withdrawn") return false
      }
      const run = runs.ofPrompt(record.session, uuid)
      if (run !== undefined) yield* stop(record, run, "withdrawn")
      return true
    })

  const isRunning = (record: Session): boolean => {
    const { status } = rowOf(record)
    return status === "running" || status === "requires_action"
  }

  const interrupt: Operations["Type"]["interrupt"] = (record, by) =>
    Effect.gen(function* () {
      const fresh = (yield* sessions.find({ sessions: [record.session] })) ?? record
      if ((yield* runsOf(fresh)).length === 0 && !isRunning(fresh)) return false
      const { aborted } = yield* abort(fresh, { by, stopReason: "rpc" })
      const stopped = Effect.map(
        sessions.find({ sessions: [record.session] }),
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
      yield* sessions.change(record.sid, {
        label: undefined,
        entry: JSON.stringify({ ...Rows.entryOf(record), archivedBy: why, archivedLabel: record.label }),
        updatedAt: record.updatedAt
      })
      const archived = yield* sessions
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
    withdraw,
    append,
    archive,
    chooseEnvironment,
    endRun
  })
})

export const layer: Layer.Layer<
  Operations,
  never,
  Sessions | Log | Environments.Environments | GatewayConfiguration | GatewayRuns | Notifier
> = Layer.effect(Operations, make)
