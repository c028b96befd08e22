/** One event of a session's log, as the gateway's clients are told of it. Source: spec 2 §2 (`session.message`) and §6. */

import * as SessionAttributes from "@causeway/protocol/SessionAttributes"
import type { StoredEvent } from "@causeway/store/Log"
import { rowOf, type Session } from "@causeway/store/Session"
import { array, type JsonObject, object, string } from "@causeway/transcript/Read"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { payloadOf, textOf, toMessage } from "../Messages.ts"
import { Notifier } from "../Notifier.ts"
import { GatewayRuns, unowned } from "../Runs.ts"
import * as Turns from "./Turns.ts"

/** How long a message's events wait for its sender's answer. */
const ANSWER_WAIT = "1 second"

/** Messages and compactions are what readers of the conversation see and count. */
export const isVisible = (event: StoredEvent): boolean =>
  event.transcript && (event.type === "user" || event.type === "assistant" || event.compaction)

/** The run of a person's message. */
const runOf = Effect.fnUntraced(function* (record: Session, prompt: StoredEvent) {
  const runs = yield* GatewayRuns
  const known = runs.ofPrompt(record.session, prompt.uuid)
  if (known !== undefined) return known
  const run = unowned(record, prompt, { now: yield* Clock.currentTimeMillis, startedAt: undefined })
  runs.add(run)
  return run
})

const tools = Effect.fnUntraced(function* (record: Session, json: JsonObject, event: StoredEvent) {
  const notifier = yield* Notifier
  const run = (yield* GatewayRuns).current(record.session)
  for (const block of array(object(json["message"])["content"]).map(object)) {
    const isCall = block["type"] === "tool_use"
    if (!isCall && block["type"] !== "tool_result") continue
    const data = isCall
      ? { phase: "start", name: block["name"], toolCallId: block["id"], args: block["input"] }
      : {
          phase: "result",
          toolCallId: block["tool_use_id"],
          isError: block["is_error"] === true,
          result: block["content"]
        }
    notifier.toSubscribers(
      record,
      "session.tool",
      {
        sessionKey: record.key,
        ...(run === undefined ? {} : { runId: run.id }),
        stream: "tool",
        ts: event.createdAt,
        logSeq: event.seq,
        data
      },
      event.seq
    )
    const verbose = record.entry["verboseLevel"]
    if (run !== undefined) {
      const { result: _result, ...withoutResult } = data as JsonObject
      notifier.agent(run, "tool", verbose === "full" ? data : withoutResult, event.createdAt)
    }
  }
})

/** `messageSeq`: how many messages and compactions the log has up to this one. */
const onMessage = Effect.fnUntraced(function* (record: Session, event: StoredEvent, messageSeq: number) {
  const notifier = yield* Notifier
  const json = payloadOf(event)
  const message = toMessage(event, messageSeq)
  if (event.source === "client" && event.type === "user") {
    const run = yield* runOf(record, event)
    if (run.answered !== undefined) yield* Effect.timeoutOption(Deferred.await(run.answered), ANSWER_WAIT)
    run.promptSeq = event.seq
  }
  if (
    event.source === "worker" &&
    event.type === "assistant" &&
    string(json["parent_tool_use_id"]) === null
  ) {
    yield* Turns.start(record, event.createdAt)
    const run = (yield* GatewayRuns).current(record.session)
    const text = textOf(message)
    if (run !== undefined && text !== "" && text !== run.text)
      Turns.said(notifier, run, text, text, event.createdAt)
  }
  yield* notifier.message(record, message, { messageId: event.uuid, messageSeq, logSeq: event.seq })
  if (event.source === "worker") yield* tools(record, json, event)
})

const onApproval = (record: Session, event: StoredEvent, fields: JsonObject) =>
  Effect.map(Notifier, (notifier) =>
    notifier.toWatchers(
      record,
      "session.approval",
      { sessionKey: record.key, ...fields, ts: event.createdAt, logSeq: event.seq },
      event.seq
    )
  )

const onAnswer = (record: Session, event: StoredEvent, json: JsonObject) => {
  const requestId = json["request_id"] ?? object(json["response"])["request_id"]
  // Interrupts and settings are answered by the same kind of line.
  const { pending, settled } = rowOf(record).approvals
  return [...pending, ...settled].some((approval) => approval.requestId === requestId)
    ? onApproval(record, event, {
        phase: event.type === "control_response" ? "resolved" : "cancelled",
        requestId,
        by: event.source
      })
    : Effect.void
}

/** `messageSeq`: how many messages and compactions the log has up to this event. */
export const onEvent = Effect.fnUntraced(function* (record: Session, event: StoredEvent, messageSeq: number) {
  if (isVisible(event)) return yield* onMessage(record, event, messageSeq)
  const json = payloadOf(event)
  const fromWorker = event.source === "worker"
  switch (event.type) {
    case "system":
      if (fromWorker && json["subtype"] === "init") yield* Turns.start(record, event.createdAt)
      return
    case "result":
      if (fromWorker) yield* Turns.onResult(record, json, event)
      return
    case "control_request": {
      const request = object(json["request"])
      if (!fromWorker || request["subtype"] !== "can_use_tool") return
      return yield* onApproval(record, event, {
        phase: "requested",
        requestId: json["request_id"],
        toolUseId: request["tool_use_id"],
        toolName: request["tool_name"],
        input: request["input"]
      })
    }
    case "control_response":
    case "control_cancel_request":
      return yield* onAnswer(record, event, json)
    case "session_update":
      // Who changes attributes by the gateway tells of it; a label is a new title too.
      if (SessionAttributes.isAlone(json) && !("label" in object(json["attributes"]))) return
      return yield* (yield* Notifier).phase(record, { phase: "update", logSeq: event.seq })
  }
})
