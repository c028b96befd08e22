/** A person's message. Source: spec 2 §6 (`chat.send`). */
import { randomUUID } from "node:crypto"
import { EventUuid } from "@causeway/protocol/Ids"
import { Log } from "@causeway/store/Log"
import type { Session } from "@causeway/store/Session"
import type { JsonObject } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as AgentRuntime from "../AgentRuntime.ts"
import { isUuid, uuidOf } from "../Checkpoints.ts"
import { currentConfig, type GatewayConfig } from "../Config.ts"
import type { Connection } from "../Connections.ts"
import { invalid } from "../Failure.ts"
import { GatewayOutcomes } from "../Idempotency.ts"
import * as Prompt from "../Prompt.ts"
import * as Rows from "../Rows.ts"
import { expiry, GatewayRuns, newRun } from "../Runs.ts"
import * as Thinking from "../Thinking.ts"
import { appendAll } from "./Append.ts"
import { settle } from "./Create.ts"
import { outcomeKey } from "./Ended.ts"
import { requireAgent } from "./Find.ts"
import { abort } from "./Stop.ts"

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

/** It was sent now, and its run begins. */
export const isStarted = (sent: Sent): boolean => !sent.cached && sent.payload["status"] === "started"

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

const policyAllows = (config: GatewayConfig, record: Session): boolean => {
  const own = record.entry["sendPolicy"]
  if (own === "allow" || own === "deny") return own === "allow"
  const matching = config.sendPolicy.rules.filter(
    (rule) => rule.keyPrefix === undefined || record.key.startsWith(rule.keyPrefix.toLowerCase())
  )
  if (matching.some((rule) => rule.action === "deny")) return false
  return matching.length > 0 || config.sendPolicy.default === "allow"
}

/** Uuid of the event of a run's message. A run's id that is a uuid is the event's; of any other the session is part. */
export const promptUuid = (session: string, runId: string): string =>
  isUuid(runId) ? uuidOf(runId) : uuidOf(`${session}\n${runId}`)

/** The message and settings of a request; fails where it cannot be sent. */
const checked = Effect.fnUntraced(function* (record: Session, request: SendRequest) {
  const config = yield* currentConfig
  const prompt = yield* Either.mapLeft(Prompt.of(request.message, request.attachments ?? []), (problem) =>
    invalid(problem)
  )
  yield* requireAgent(record.key)
  const level = request.thinking === undefined ? undefined : Thinking.normalize(request.thinking)
  if (request.thinking !== undefined && level === undefined) {
    const levels = Rows.thinkingLevels(config, Rows.defaultModel(config, record.agentId))
    return yield* invalid(`invalid thinking (use ${levels.join("|")})`)
  }
  const runtime = AgentRuntime.of(config, record)
  const useless = level === undefined ? undefined : AgentRuntime.unsupported(runtime, "thinkingLevel")
  if (useless !== undefined) return yield* invalid(useless)
  if (!policyAllows(config, record)) return yield* invalid("send blocked by session policy")
  return { ...prompt, thinkingTokens: Thinking.tokensOf(level) }
})

/** The answer to a message that was sent before, or the uuid under which it is sent. */
const before = Effect.fnUntraced(function* (record: Session, runId: string) {
  const log = yield* Log
  const now = yield* Clock.currentTimeMillis
  const cached = (yield* GatewayOutcomes).get(outcomeKey(record.session, runId), now)
  if (cached !== undefined) return Either.left<JsonObject>(cached.payload)
  const underWay = (yield* GatewayRuns).get(record.session, runId)
  // Whether the other one is stored decides whether this one is: an answer is given for what is in the log alone.
  if (underWay !== undefined && (underWay.stored === undefined || (yield* Deferred.await(underWay.stored)))) {
    return Either.left<JsonObject>({ runId, status: "in_flight" })
  }
  const uuid = promptUuid(record.session, runId)
  const [known] = yield* log.events(record.sid, { uuid })
  if (known === undefined) return Either.right(EventUuid.make(uuid))
  if ((yield* log.count(record.sid, { uuid, select: "copied" })) > 0) {
    return Either.right(EventUuid.make(uuidOf(`${record.session}\n${uuid}`)))
  }
  // Sent before this process began: the log knows what became of it.
  const status = known.delivery === "processed" ? "ok" : "in_flight"
  return Either.left<JsonObject>({ runId, status })
})

export const send = Effect.fn("SessionCommands.send")(function* (
  record: Session,
  request: SendRequest,
  connection: Connection
) {
  const runs = yield* GatewayRuns
  const { runId } = request
  const { content, text, thinkingTokens } = yield* checked(record, request)
  const cached = (payload: JsonObject, release: Effect.Effect<void> = Effect.void): Sent => ({
    payload,
    cached: true,
    release
  })
  if (isStop(text)) {
    return cached({ ok: true, ...(yield* abort(record, { by: connection, stopReason: "stop" })) })
  }
  const earlier = yield* before(record, runId)
  if (Either.isLeft(earlier)) return cached(earlier.left)
  const uuid = earlier.right
  const dropped = yield* settle(record)
  const now = yield* Clock.currentTimeMillis
  const answered = yield* Deferred.make<void>()
  const stored = yield* Deferred.make<boolean>()
  const release = Effect.asVoid(Deferred.succeed(answered, undefined))
  const run = newRun(record, {
    id: runId,
    promptUuid: uuid,
    ownerConnectionId: connection.info.id,
    ownerDeviceId: connection.info.deviceId,
    createdAt: now,
    expiresAt: expiry(now, request.timeoutMs),
    answered,
    stored
  })
  runs.add(run)
  return yield* Effect.gen(function* () {
    const setting = {
      type: "control_request",
      request_id: randomUUID(),
      request: { subtype: "set_max_thinking_tokens", max_thinking_tokens: thinkingTokens }
    }
    const written = yield* appendAll(record, [
      ...(thinkingTokens === undefined ? [] : [setting]),
      {
        type: "user",
        uuid,
        message: { role: "user", content },
        parent_tool_use_id: null,
        timestamp: new Date(now).toISOString()
      }
    ])
    yield* Deferred.succeed(stored, true)
    if (written.at(-1)?.duplicate === true) {
      runs.remove(run)
      return cached({ runId, status: "in_flight" }, release)
    }
    const told = dropped.length === 0 ? {} : { settingsDropped: dropped }
    return { payload: { runId, status: "started", ...told }, cached: false, release } satisfies Sent
  }).pipe(
    Effect.onError(() =>
      Effect.all([Effect.sync(() => runs.remove(run)), Deferred.succeed(stored, false), release], {
        discard: true
      })
    )
  )
})
