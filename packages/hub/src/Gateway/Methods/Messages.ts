/** Messages to agents, and their end. Source: spec 2 §2 (send, steer, abort) and §6 (`chat.*`). */
import { randomUUID } from "node:crypto"
import * as Params from "@causeway/protocol/Gateway/Params"
import { Log } from "@causeway/store/Log"
import type { Session } from "@causeway/store/Session"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Connection } from "../Connections.ts"
import { invalid } from "../Failure.ts"
import { answer, method, requireKey } from "../Method.ts"
import { Notifier } from "../Notifier.ts"
import { Patching } from "../Patching.ts"
import * as Prompt from "../Prompt.ts"
import { GatewayRuns } from "../Runs.ts"
import * as SessionCommands from "../SessionCommands.ts"

/** Sends to a session that is there; with `steer` stops first what runs. */
const sendTo = (
  key: string,
  organizationId: Session["organizationId"],
  connection: Connection,
  params: typeof Params.SessionsSend.Type,
  steer: boolean
) =>
  Effect.gen(function* () {
    const log = yield* Log
    const notifier = yield* Notifier
    yield* SessionCommands.requireAgent(yield* SessionCommands.canonical(key))
    const record = yield* SessionCommands.existing(organizationId, key)
    const interrupted = steer ? yield* SessionCommands.interrupt(record, connection) : false
    const seq = (yield* log.count(record.sid, { select: "visible" })) + 1
    const runId = params.idempotencyKey?.trim() || randomUUID()
    const sent = yield* SessionCommands.send(record, { ...params, runId }, connection)
    return answer(
      {
        ...sent.payload,
        ...(SessionCommands.isStarted(sent) ? { messageSeq: seq } : {}),
        ...(interrupted ? { interruptedActiveRun: true } : {})
      },
      Effect.ensuring(
        notifier.changed(organizationId, record.key, { reason: interrupted ? "steer" : "send" }),
        sent.release
      )
    )
  })

const send = method("sessions.send", Params.SessionsSend, (params, { connection, organizationId }) =>
  Effect.flatMap(requireKey(params.key), (key) => sendTo(key, organizationId, connection, params, false))
)

const steer = method("sessions.steer", Params.SessionsSend, (params, { connection, organizationId }) =>
  Effect.flatMap(requireKey(params.key), (key) => sendTo(key, organizationId, connection, params, true))
)

const abort = method(
  "sessions.abort",
  Params.SessionsAbort,
  function* (params, { connection, organizationId }) {
    const notifier = yield* Notifier
    const runs = yield* GatewayRuns
    const none = answer({ ok: true, abortedRunId: null, status: "no-active-run" })
    const runId = params.runId?.trim() || undefined
    const named = runId === undefined ? [] : runs.named(organizationId, runId)
    const given = params.key?.trim() || undefined
    if (given === undefined && named.length > 1) {
      return yield* invalid("several sessions have a run of this runId: name the key too")
    }
    const key = given ?? named[0]?.key
    if (key === undefined) return runId === undefined ? yield* invalid("key required") : none
    const record = yield* SessionCommands.find(organizationId, key)
    if (record === undefined) return none
    const { aborted, runIds } = yield* SessionCommands.abort(record, {
      runId,
      by: connection,
      stopReason: "rpc"
    })
    if (!aborted) return none
    return answer(
      { ok: true, abortedRunId: runIds[0] ?? null, status: "aborted" },
      notifier.changed(organizationId, record.key, { reason: "abort" })
    )
  }
)

const chatSend = method("chat.send", Params.ChatSend, function* (params, { connection, organizationId }) {
  const patching = yield* Patching
  const key = yield* SessionCommands.canonical(yield* requireKey(params.sessionKey))
  const known = yield* SessionCommands.find(organizationId, key)
  if (known === undefined) {
    yield* SessionCommands.requireAgent(key)
    // Before a session is made for it.
    yield* Either.mapLeft(Prompt.of(params.message, params.attachments ?? []), (problem) => invalid(problem))
  }
  const record = known ?? (yield* patching.upsert(organizationId, key, {}))
  const sent = yield* SessionCommands.send(record, { ...params, runId: params.idempotencyKey }, connection)
  return answer(sent.payload, sent.release)
})

const chatAbort = method("chat.abort", Params.ChatAbort, function* (params, { connection, organizationId }) {
  const record = yield* SessionCommands.find(organizationId, params.sessionKey)
  if (record === undefined) return answer({ ok: true, aborted: false, runIds: [] })
  const done = yield* SessionCommands.abort(record, {
    runId: params.runId,
    by: connection,
    stopReason: "rpc"
  })
  return answer({ ok: true, ...done })
})

const chatInject = method("chat.inject", Params.ChatInject, function* (params, { organizationId }) {
  const notifier = yield* Notifier
  const record = yield* SessionCommands.find(organizationId, params.sessionKey)
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
  yield* SessionCommands.append(record, {
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

export const methods = [send, steer, abort, chatSend, chatAbort, chatInject]
