/**
 * A session's row: what lists and headers show of a session, computed from its log event by event.
 *
 * `step` is pure, never throws, and keeps the row bounded however long the log is, so the store runs it in the
 * transaction that stores an event and keeps the row beside the log. Source: spec 3 (preface, §1, §2), spec 4 §1.
 */
import * as AgentSettings from "@causeway/protocol/AgentSettings"
import type { SessionStatus } from "@causeway/protocol/http/Sessions"
import * as SessionAttributes from "@causeway/protocol/SessionAttributes"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import * as Approvals from "./Approvals.ts"
import * as Author from "./Author.ts"
import {
  amount,
  array,
  isSubagent,
  type JsonObject,
  name,
  object,
  preview,
  type ReadableEvent,
  string,
  textOf,
  timeOf
} from "./Read.ts"
import { ERROR_MAX, errorText, isFailure, wasStopped } from "./Result.ts"
import { type Activity, initial, type SessionRow, type TitleOrigin } from "./SessionRow/Row.ts"
import * as Title from "./Title.ts"
import { promptOf, promptsOf } from "./Turns.ts"
import * as Usage from "./Usage.ts"

export { fromJson, ofSession, pendingApprovals, toJson, toSession } from "./SessionRow/Faces.ts"
export { initial, type SessionRow } from "./SessionRow/Row.ts"

/** Longest texts that a row keeps, in UTF-16 units. */
export const LAST_MESSAGE_MAX = 240
export const FIRST_PROMPT_MAX = 240
/** Open prompts that a row remembers. */
const OPEN_MAX = 128
/** Requests to set something whose answer is awaited. */
const SETTINGS_MAX = 8

/** A stronger origin of a title is not replaced by a weaker one. */
const strength: { readonly [O in TitleOrigin]: number } = { none: 0, derived: 1, suggested: 2, given: 3 }

type Draft = { -readonly [K in keyof SessionRow]: SessionRow[K] }

// --- Parts of a step ---

const setTitle = (row: Draft, title: string | null, origin: TitleOrigin): void => {
  if (title === null || strength[origin] < strength[row.titleOrigin]) return
  row.title = title
  row.titleOrigin = origin
}

/** Takes away a given title; what the first message says takes its place. */
const dropTitle = (row: Draft): void => {
  row.title = row.firstPrompt === null ? null : Title.derive(row.firstPrompt)
  row.titleOrigin = row.title === null ? "none" : "derived"
}

/** `agentSessionId` where the id is the agent's own rather than one of the hub's spellings put in by a worker. */
const agentSession = (value: unknown): string | null => {
  const id = name(value)
  return id === null || id.startsWith("cse_") || id.startsWith("session_") ? null : id
}

const onSessionUpdate = (row: Draft, json: JsonObject, event: ReadableEvent, at: number): void => {
  if (event.source === "client") {
    const change = SessionAttributes.of(json)
    row.attributes = SessionAttributes.merge(row.attributes, change)
    // A label is the title too.
    if (!("title" in json)) setTitle(row, Title.given(change.label), "given")
  }
  if ("title" in json) {
    const title = Title.given(json["title"])
    if (title === null) dropTitle(row)
    else setTitle(row, title, "given")
  }
  if (json["archived"] === true) row.archivedAt = row.archivedAt ?? at
  else if (json["archived"] === false) row.archivedAt = null
  choose(row, AgentSettings.of(json))
}

const choose = (row: Draft, change: AgentSettings.AgentSettings): void => {
  if (AgentSettings.isEmpty(change)) return
  row.chosen = AgentSettings.merge(row.chosen, change)
  row.model = change.model ?? row.model
  row.permissionMode = change.permission_mode ?? row.permissionMode
}

const onUser = (row: Draft, json: JsonObject, event: ReadableEvent, at: number): void => {
  if (json["isReplay"] === true || isSubagent(json)) return
  if (json["isMeta"] === true || json["isSynthetic"] === true || json["isCompactSummary"] === true) return
  const text = Author.wordsOf(object(json["message"])["content"], event.source)
  if (text === null) {
    // An image alone, say: a prompt without words, unless it only carries tool results.
    if (event.source === "client") onPrompt(row, json)
    return
  }
  if (event.source === "client") onPrompt(row, json)
  else row.counts = { ...row.counts, prompts: row.counts.prompts + 1 }
  row.lastMessage = { role: "user", text: preview(text, LAST_MESSAGE_MAX), at }
  if (row.firstPrompt === null) {
    row.firstPrompt = preview(text, FIRST_PROMPT_MAX)
    setTitle(row, Title.derive(text), "derived")
  }
}

const onPrompt = (row: Draft, json: JsonObject): void => {
  row.counts = { ...row.counts, prompts: row.counts.prompts + 1 }
  // A message that only adds to the context begins no turn.
  if (json["shouldQuery"] === false) return
  if (row.activity === "pending") row.prompted = true
  else row.activity = "running"
}

const onInterrupt = (row: Draft, json: JsonObject): void => {
  if (object(json["request"])["subtype"] !== "interrupt" || row.turn?.endedAt !== null) return
  row.turn = { ...row.turn, interrupting: true }
}

/** Messages that were taken back before the agent began a turn leave it with nothing to do. */
const onWithdrawal = (row: Draft, json: JsonObject): void => {
  const withdrawal = Withdrawal.of({ type: "control_request", json })
  if (withdrawal === undefined) return
  row.open = row.open.filter((uuid) => !Withdrawal.covers(withdrawal, uuid))
  if (row.begun || row.open.length > 0 || row.approvals.pending.length > 0) return
  row.prompted = false
  if (row.activity === "running") row.activity = "idle"
}

const begin = (row: Draft, at: number): void => {
  if (row.turn?.endedAt !== null) row.turn = { startedAt: at, endedAt: null, stopped: false }
  row.begun = true
}

const onAssistant = (row: Draft, json: JsonObject, at: number): void => {
  const message = object(json["message"])
  let toolCalls = 0
  for (const block of array(message["content"])) if (object(block)["type"] === "tool_use") toolCalls++
  const main = !isSubagent(json)
  const id = name(message["id"])
  const isNew = main && (id === null || id !== row.answerId)
  if (toolCalls > 0 || isNew) {
    row.counts = {
      ...row.counts,
      toolCalls: row.counts.toolCalls + toolCalls,
      answers: row.counts.answers + (isNew ? 1 : 0)
    }
  }
  if (!main) return
  begin(row, at)
  row.answerId = id
  const text = textOf(message["content"])
  if (text !== null) row.lastMessage = { role: "assistant", text: preview(text, LAST_MESSAGE_MAX), at }
  const model = name(message["model"])
  if (model !== null && model !== "<synthetic>") row.model = model
  const usage = Usage.ofLine(json)
  if (usage !== null) {
    row.usage = usage
    row.contextTokens = Usage.contextTokens(usage)
  }
}

/** A message that somebody put there in the agent's place: it is shown, and counts for nothing that the agent did. */
const onInjected = (row: Draft, json: JsonObject, at: number): void => {
  const text = textOf(object(json["message"])["content"])
  if (text !== null) row.lastMessage = { role: "assistant", text: preview(text, LAST_MESSAGE_MAX), at }
}

const onResult = (row: Draft, json: JsonObject, at: number): void => {
  if (isSubagent(json)) return
  const cost = amount(json["total_cost_usd"])
  // A worker that only closes a turn posts a result of zeros (spec 5 §1); a running total never returns to 0.
  if (cost !== null && !(cost === 0 && (amount(json["num_turns"]) ?? 0) === 0)) row.totalCostUsd = cost
  row.numTurns += 1
  row.lastError = isFailure(json) && !wasStopped(json) ? { text: errorText(json), at } : null
  row.turn = {
    startedAt: row.turn?.endedAt === null ? row.turn.startedAt : (row.lastMessage?.at ?? at),
    endedAt: at,
    stopped: wasStopped(json)
  }
  row.activity = (amount(json["queued_turn_count"]) ?? 0) > 0 ? "running" : "idle"
  row.begun = false
  const answered = promptsOf(json)
  row.names = row.names || answered.length > 0
  // Of an agent that names its prompts, a result without a name is of a turn that it began by itself.
  row.open = row.names ? row.open.filter((uuid) => !answered.includes(uuid)) : row.open.slice(1)
}

const onSystem = (row: Draft, json: JsonObject, at: number): void => {
  switch (json["subtype"]) {
    case "init":
      // Told at the start of every turn.
      row.activity = "running"
      begin(row, at)
      row.model = name(json["model"]) ?? row.model
      row.permissionMode = name(json["permissionMode"]) ?? row.permissionMode
      row.agentSessionId = agentSession(json["session_id"]) ?? row.agentSessionId
      row.workingDirectory = name(json["cwd"], 4096) ?? row.workingDirectory
      return
    case "status":
      row.permissionMode = name(json["permissionMode"]) ?? row.permissionMode
      return
    case "session_state_changed": {
      const state = json["state"]
      if (state === "idle" || state === "running" || state === "requires_action") {
        row.activity = state
        row.begun = state !== "idle"
      }
      return
    }
    case "compact_boundary": {
      row.counts = { ...row.counts, compactions: row.counts.compactions + 1 }
      const metadata = object(json["compact_metadata"] ?? json["compactMetadata"])
      const after = amount(metadata["post_tokens"] ?? metadata["postTokens"])
      if (after !== null) row.contextTokens = after
      return
    }
  }
}

/** What people ask to set holds once the worker has said so. */
const onSettingRequested = (row: Draft, json: JsonObject): void => {
  const requestId = name(json["request_id"])
  const change = AgentSettings.asked(json["request"])
  if (requestId === null || AgentSettings.isEmpty(change)) return
  row.settings = [...row.settings, { requestId, change }].slice(-SETTINGS_MAX)
}

const onSettingAnswered = (row: Draft, json: JsonObject): void => {
  if (row.settings.length === 0) return
  const response = object(json["response"])
  const requestId = name(response["request_id"])
  const setting = row.settings.find((s) => s.requestId === requestId)
  if (setting === undefined) return
  row.settings = row.settings.filter((s) => s !== setting)
  if (response["subtype"] !== "error") choose(row, setting.change)
}

export const statusOf = (activity: Activity, { pending }: Approvals.Approvals): SessionStatus =>
  pending.length > 0 ? "requires_action" : activity

// --- The step ---

/** The row after an event. */
export const step = (row: SessionRow, event: ReadableEvent): SessionRow => {
  const json = object(event.payload.json)
  const at = timeOf(event)
  const next: Draft = { ...row, lastSeq: Math.max(row.lastSeq, amount(event.seq) ?? 0) }
  // At position 0 stands what the session was made with: nothing has happened in it yet.
  if (event.seq !== 0) {
    next.createdAt = row.counts.events === 0 ? at : row.createdAt
    next.updatedAt = Math.max(row.updatedAt, at)
    next.counts = { ...row.counts, events: row.counts.events + 1 }
  }
  const fromWorker = event.source === "worker"
  if (fromWorker && row.activity === "pending") next.activity = row.prompted ? "running" : "idle"
  next.approvals = Approvals.step(row.approvals, event)
  if (next.activity === "requires_action" && next.approvals.pending.length < row.approvals.pending.length) {
    next.activity = "running"
  }
  if (fromWorker && Approvals.tellsOfEnd(json)) {
    next.activity = "idle"
    next.begun = false
  }
  switch (json["type"]) {
    case "session_update":
      onSessionUpdate(next, json, event, at)
      break
    case "custom-title":
      setTitle(next, Title.given(json["customTitle"] ?? json["title"]), "given")
      break
    case "ai-title":
      setTitle(next, Title.suggested(json["aiTitle"] ?? json["title"]), "suggested")
      break
    case "summary":
      setTitle(next, Title.suggested(json["summary"]), "suggested")
      break
    case "user":
      if (promptOf(event) !== null && !row.open.includes(event.uuid)) {
        next.open = [...row.open, event.uuid].slice(-OPEN_MAX)
      }
      onUser(next, json, event, at)
      break
    case "assistant":
      if (fromWorker) onAssistant(next, json, at)
      else onInjected(next, json, at)
      break
    case "result":
      if (fromWorker) onResult(next, json, at)
      break
    case "system":
      if (fromWorker) onSystem(next, json, at)
      break
    case "bridge_error":
      next.lastError = {
        text: preview(string(json["message"]) ?? string(json["error"]) ?? "bridge error", ERROR_MAX),
        at
      }
      break
    case "control_request":
      if (!fromWorker) {
        onSettingRequested(next, json)
        onInterrupt(next, json)
        onWithdrawal(next, json)
      }
      break
    case "control_response":
      if (fromWorker) onSettingAnswered(next, json)
      break
  }
  const { label } = next.attributes
  // A label that the title has left is given up, unless the event brings it.
  if (label !== undefined && label === row.attributes.label && next.title !== row.title) {
    if (Title.given(label) !== next.title)
      next.attributes = SessionAttributes.merge(next.attributes, { label: null })
  }
  next.status = statusOf(next.activity, next.approvals)
  return next
}

/** The row of a whole log, or of `events` after `row`. */
export const replay = (events: Iterable<ReadableEvent>, row: SessionRow = initial): SessionRow => {
  let at = row
  for (const event of events) at = step(at, event)
  return at
}
