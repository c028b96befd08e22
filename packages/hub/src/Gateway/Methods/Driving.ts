/**
 * Methods that make sessions and drive their agents. Source: spec 2 §2 (create, send, steer, abort) and §6 (`chat.*`).
 */
import { randomUUID } from "node:crypto"
import * as Params from "@causeway/protocol/Gateway/Params"
import { Log } from "@causeway/store/Log"
import type { Session } from "@causeway/store/Session"
import type { JsonObject } from "@causeway/transcript/Read"
import { string } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { GatewayConfiguration } from "../Config.ts"
import type { Connection } from "../Connections.ts"
import { invalid, toShape } from "../Failure.ts"
import * as Keys from "../Keys.ts"
import { type Message, toMessages } from "../Messages.ts"
import { type Answer, answer, type Failure, type Method, method, requireKey } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import { Operations, type Sent } from "../Operations.ts"
import { Patching } from "../Patching.ts"
import * as Prompt from "../Prompt.ts"
import * as Rows from "../Rows.ts"
import { GatewayRuns } from "../Runs.ts"

/** Largest message of `chat.history`, and all of them together, in bytes of JSON. */
const HISTORY_MESSAGE_BYTES = 128 * 1024
const HISTORY_TOTAL_BYTES = 6 * 1024 * 1024
const HISTORY_LIMIT = 200
const HISTORY_CHARS = 8000

const PLACEHOLDER = "[message left out: too large]"

/** Texts cut to `maxChars`; a message that is still too large is replaced. */
const forHistory = (message: Message, maxChars: number): Message => {
  const content = Array.isArray(message.content)
    ? message.content.map((block: unknown) => {
        if (typeof block !== "object" || block === null || !("text" in block)) return block
        const { text } = block
        return typeof text === "string" && text.length > maxChars
          ? { ...block, text: `${text.slice(0, maxChars)}\n...(truncated)...` }
          : block
      })
    : message.content
  const shown = { ...message, content }
  return Buffer.byteLength(JSON.stringify(shown)) > HISTORY_MESSAGE_BYTES
    ? { ...message, content: [{ type: "text", text: PLACEHOLDER }] }
    : shown
}

export const make = Effect.gen(function* () {
  const log = yield* Log
  const configuration = yield* GatewayConfiguration
  const operations = yield* Operations
  const notifier = yield* Notifier
  const patching = yield* Patching
  const runs = yield* GatewayRuns

  const isStarted = (sent: Sent): boolean => !sent.cached && sent.payload["status"] === "started"

  // --- Make ---

  const create = method("sessions.create", {
    scope: "operator.write",
    params: Params.SessionsCreate,
    handle: (params, { connection, organizationId }) =>
      Effect.gen(function* () {
        const config = yield* configuration.current
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
          const found = yield* operations.find(organizationId, parent)
          if (found === undefined) return yield* invalid(`unknown parent session: ${parent}`)
          parentKey = found.key
        }
        const key =
          given === ""
            ? `agent:${agentId}:dashboard:${randomUUID()}`
            : Keys.canonicalFor(given, agentId, config)
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
          sessionId: Rows.sessionIdOf(record.session),
          entry: Rows.toEntry(record)
        }
        const created = notifier.changed(organizationId, record.key, { reason: "create" })
        if (text === undefined || text.trim() === "") {
          return answer({ ...base, runStarted: false }, created)
        }
        const seq = (yield* log.count(record.sid, { select: "visible" })) + 1
        const sent = yield* Effect.either(
          operations.send(record, { message: text, runId: randomUUID() }, connection)
        )
        if (sent._tag === "Left") {
          return answer({ ...base, runStarted: false, runError: toShape(sent.left) }, created)
        }
        const started = isStarted(sent.right)
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
      })
  })

  // --- Send and steer ---

  const sendTo = (
    key: string,
    organizationId: Session["organizationId"],
    connection: Connection,
    params: typeof Params.SessionsSend.Type,
    steer: boolean
  ): Effect.Effect<Answer, Failure> =>
    Effect.gen(function* () {
      const canonical = yield* operations.canonical(key)
      yield* operations.requireAgent(canonical)
      const record = yield* operations.find(organizationId, key)
      if (record === undefined) return yield* invalid(`session not found: ${key}`)
      const interrupted = steer ? yield* operations.interrupt(record, connection) : false
      const seq = (yield* log.count(record.sid, { select: "visible" })) + 1
      const runId = params.idempotencyKey?.trim() || randomUUID()
      const sent = yield* operations.send(
        record,
        {
          message: params.message,
          thinking: params.thinking,
          attachments: params.attachments,
          timeoutMs: params.timeoutMs,
          runId
        },
        connection
      )
      return answer(
        {
          ...sent.payload,
          ...(isStarted(sent) ? { messageSeq: seq } : {}),
          ...(interrupted ? { interruptedActiveRun: true } : {})
        },
        Effect.ensuring(
          notifier.changed(organizationId, record.key, { reason: interrupted ? "steer" : "send" }),
          sent.release
        )
      )
    })

  const send = method("sessions.send", {
    scope: "operator.write",
    params: Params.SessionsSend,
    handle: (params, { connection, organizationId }) =>
      Effect.flatMap(requireKey(params.key), (key) => sendTo(key, organizationId, connection, params, false))
  })

  const steer = method("sessions.steer", {
    scope: "operator.write",
    params: Params.SessionsSend,
    handle: (params, { connection, organizationId }) =>
      Effect.flatMap(requireKey(params.key), (key) => sendTo(key, organizationId, connection, params, true))
  })

  // --- Stop ---

  const abort = method("sessions.abort", {
    scope: "operator.write",
    params: Params.SessionsAbort,
    handle: (params, { connection, organizationId }) =>
      Effect.gen(function* () {
        const none = answer({ ok: true, abortedRunId: null, status: "no-active-run" })
        const runId = params.runId?.trim() || undefined
        const named = runId === undefined ? [] : runs.named(organizationId, runId)
        const given = params.key?.trim() || undefined
        if (given === undefined && named.length > 1) {
          return yield* invalid("several sessions have a run of this runId: name the key too")
        }
        const key = given ?? named[0]?.key
        if (key === undefined) return runId === undefined ? yield* invalid("key required") : none
        const record = yield* operations.find(organizationId, key)
        if (record === undefined) return none
        const { aborted, runIds } = yield* operations.abort(record, {
          runId,
          by: connection,
          stopReason: "rpc"
        })
        if (!aborted) return none
        return answer(
          { ok: true, abortedRunId: runIds[0] ?? null, status: "aborted" },
          notifier.changed(organizationId, record.key, { reason: "abort" })
        )
      })
  })

  // --- chat.* ---

  const chatSend = method("chat.send", {
    scope: "operator.write",
    params: Params.ChatSend,
    handle: (params, { connection, organizationId }) =>
      Effect.gen(function* () {
        const key = yield* operations.canonical(yield* requireKey(params.sessionKey))
        const known = yield* operations.find(organizationId, key)
        if (known === undefined) {
          yield* operations.requireAgent(key)
          // Before a session is made for it.
          yield* Either.mapLeft(Prompt.of(params.message, params.attachments ?? []), (problem) =>
            invalid(problem)
          )
        }
        const record = known ?? (yield* patching.upsert(organizationId, key, {}))
        const sent = yield* operations.send(
          record,
          {
            message: params.message,
            thinking: params.thinking,
            attachments: params.attachments,
            timeoutMs: params.timeoutMs,
            runId: params.idempotencyKey
          },
          connection
        )
        return answer(sent.payload, sent.release)
      })
  })

  const chatAbort = method("chat.abort", {
    scope: "operator.write",
    params: Params.ChatAbort,
    handle: (params, { connection, organizationId }) =>
      Effect.gen(function* () {
        const record = yield* operations.find(organizationId, params.sessionKey)
        if (record === undefined) return answer({ ok: true, aborted: false, runIds: [] })
        const done = yield* operations.abort(record, {
          runId: params.runId,
          by: connection,
          stopReason: "rpc"
        })
        return answer({ ok: true, ...done })
      })
  })

  const chatHistory = method("chat.history", {
    scope: "operator.read",
    params: Params.ChatHistory,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const record = yield* operations.find(organizationId, params.sessionKey)
        const config = yield* configuration.current
        const base = (entry: JsonObject) =>
          Rows.compact({
            thinkingLevel:
              string(entry["thinkingLevel"]) ??
              config.agents.find((agent) => agent.id === record?.agentId)?.thinkingDefault ??
              "off",
            fastMode: entry["fastMode"],
            verboseLevel: entry["verboseLevel"]
          })
        if (record === undefined) {
          return answer({ sessionKey: params.sessionKey, messages: [], ...base({}) })
        }
        const limit = params.limit ?? HISTORY_LIMIT
        const events = yield* log.events(record.sid, { select: "visible", last: limit })
        const total = yield* log.count(record.sid, { select: "visible" })
        const messages = toMessages(events, total).map((message) =>
          forHistory(message, params.maxChars ?? HISTORY_CHARS)
        )
        // The newest are kept.
        let bytes = 0
        let from = messages.length
        while (from > 0) {
          bytes += Buffer.byteLength(JSON.stringify(messages[from - 1]))
          if (bytes > HISTORY_TOTAL_BYTES) break
          from -= 1
        }
        return answer({
          sessionKey: params.sessionKey,
          sessionId: Rows.sessionIdOf(record.session),
          messages: messages.slice(from),
          ...base(Rows.entryOf(record))
        })
      })
  })

  const chatInject = method("chat.inject", {
    scope: "operator.admin",
    params: Params.ChatInject,
    handle: (params, { organizationId }) =>
      Effect.gen(function* () {
        const record = yield* operations.find(organizationId, params.sessionKey)
        if (record === undefined) return yield* invalid("session not found")
        const label = params.label?.trim() ?? ""
        const text = label === "" ? params.message : `[${label}]\n\n${params.message}`
        const messageId = randomUUID()
        const now = yield* Clock.currentTimeMillis
        const usage = {
          input_tokens: 0,
          output_tokens: 0,
          cache_read_input_tokens: 0,
          cache_creation_input_tokens: 0
        }
        yield* operations.append(record, {
          type: "assistant",
          uuid: messageId,
          provider: "causeway",
          message: {
            id: `msg_${messageId}`,
            role: "assistant",
            model: "gateway-injected",
            content: [{ type: "text", text }],
            usage,
            stop_reason: "end_turn"
          },
          parent_tool_use_id: null
        })
        return answer(
          { ok: true, messageId },
          Effect.sync(() =>
            notifier.chat({ id: `inject-${messageId}`, key: record.key, organizationId }, 0, {
              state: "final",
              message: {
                role: "assistant",
                content: [{ type: "text", text }],
                timestamp: now,
                stopReason: "stop",
                model: "gateway-injected"
              }
            })
          )
        )
      })
  })

  return [
    create,
    send,
    steer,
    abort,
    chatHistory,
    chatSend,
    chatAbort,
    chatInject
  ] satisfies ReadonlyArray<Method>
})
