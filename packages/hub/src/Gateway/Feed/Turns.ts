/** Runs as their sessions' logs tell them: begun, what the agent has said so far, ended. Source: spec 2 §6. */
import type { Ephemeral } from "@causeway/store/Bus"
import { Log, type StoredEvent } from "@causeway/store/Log"
import { type Session, Sessions } from "@causeway/store/Session"
import { type JsonObject, object, string } from "@causeway/transcript/Read"
import * as Result from "@causeway/transcript/Result"
import * as Effect from "effect/Effect"
import { payloadOf } from "../Messages.ts"
import { Notifier } from "../Notifier.ts"
import { GatewayRuns, type Run } from "../Runs.ts"
import { endRun } from "../SessionCommands.ts"

type Chats = Pick<Notifier["Type"], "agent" | "chat">

/** Cumulative deltas are at least this far apart. */
const DELTA_MILLIS = 150

const flush = (notifier: Chats, run: Run, at: number) => {
  if (!run.pendingDelta) return
  run.pendingDelta = false
  run.lastDeltaAt = at
  notifier.chat(run, run.seq, {
    state: "delta",
    message: { role: "assistant", content: [{ type: "text", text: run.text }], timestamp: at }
  })
}

/** The answer so far; clients are told of it at most every 150 ms. */
export const said = (notifier: Chats, run: Run, text: string, added: string, at: number) => {
  run.text = text
  notifier.agent(run, "assistant", { text, delta: added }, at)
  run.pendingDelta = true
  if (at - run.lastDeltaAt >= DELTA_MILLIS) flush(notifier, run, at)
}

/** The agent's turn has begun. */
export const start = Effect.fnUntraced(function* (record: Session, at: number) {
  const notifier = yield* Notifier
  const runs = yield* GatewayRuns
  const run = runs.current(record.session)
  if (run === undefined || run.startedAt !== undefined) return
  run.startedAt = at
  notifier.agent(run, "lifecycle", { phase: "start", startedAt: at }, at)
  yield* notifier.phase(record, { phase: "start", runId: run.id }, { status: "running", startedAt: at })
})

const end = Effect.fnUntraced(function* (record: Session, run: Run, json: JsonObject, at: number) {
  const notifier = yield* Notifier
  const sessions = yield* Sessions
  const stopped = Result.wasStopped(json)
  const failed = !stopped && Result.isFailure(json)
  const summary = failed ? Result.errorText(json) : undefined
  const text = failed ? run.text : (string(json["result"]) ?? run.text)
  flush(notifier, run, at)
  notifier.agent(
    run,
    "lifecycle",
    failed ? { phase: "error", error: summary, endedAt: at } : { phase: "end", endedAt: at },
    at
  )
  if (failed) notifier.chat(run, run.seq, { state: "error", errorMessage: summary })
  else if (stopped) notifier.chat(run, run.seq, { state: "aborted", stopReason: "aborted" })
  else {
    notifier.chat(run, run.seq, {
      state: "final",
      ...(text === ""
        ? {}
        : { message: { role: "assistant", content: [{ type: "text", text }], timestamp: at } })
    })
  }
  yield* endRun(
    run,
    at,
    failed
      ? {
          ok: false,
          payload: { runId: run.id, status: "error", summary },
          error: { code: "UNAVAILABLE", message: summary ?? "failed" }
        }
      : { ok: true, payload: { runId: run.id, status: "ok" } }
  )
  const after = (yield* sessions.find({ sessions: [record.session] })) ?? record
  yield* notifier.phase(after, { phase: failed ? "error" : "end", runId: run.id })
})

/** A result ends the run whose turn it was, and those whose messages the agent has taken with it. */
export const onResult = Effect.fnUntraced(function* (record: Session, json: JsonObject, event: StoredEvent) {
  const runs = yield* GatewayRuns
  const log = yield* Log
  if (string(json["parent_tool_use_id"]) !== null) return
  const current = runs.current(record.session)
  if (current === undefined) return
  for (const run of runs.ofSession(record.session)) {
    if (run !== current) {
      const prompt =
        run.promptSeq === undefined ? undefined : (yield* log.events(record.sid, { uuid: run.promptUuid }))[0]
      const taken =
        prompt !== undefined && (prompt.delivery === "processing" || prompt.delivery === "processed")
      if (!taken) continue
    }
    yield* end(record, run, json, event.createdAt)
  }
})

/** Text that is on its way. */
export const onEphemeral = Effect.fnUntraced(function* (record: Session, message: Ephemeral) {
  if (message.type !== "stream_event") return
  const json = payloadOf(message)
  if (string(json["parent_tool_use_id"]) !== null) return
  const run = (yield* GatewayRuns).current(record.session)
  if (run === undefined) return
  const event = object(json["event"])
  if (event["type"] === "message_start") {
    run.text = ""
    return
  }
  const part = object(event["delta"])
  const text = part["type"] === "text_delta" ? string(part["text"]) : null
  if (text !== null && text !== "") said(yield* Notifier, run, run.text + text, text, message.createdAt)
})
