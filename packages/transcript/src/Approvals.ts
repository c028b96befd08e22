/**
 * Approvals: what an agent asked and nobody has answered yet, and what became of those that are settled.
 *
 * A `control_request` of the worker opens one; the first `control_response` in the log settles it; a
 * `control_cancel_request`, the tool's own result, the end of the turn (or the start of another one) or of the worker
 * cancels it. An approval is
 * keyed by its `tool_use_id`; an agent that asks again (after a crash) under a new `request_id` opens it anew. Source:
 * spec 3 (preface and §7), spec 4 §1 (Permissions).
 */
import * as FileChange from "./FileChange.ts"
import {
  amount,
  array,
  bounded,
  digest,
  isSubagent,
  type JsonObject,
  name,
  object,
  type ReadableEvent,
  timeOf
} from "./Read.ts"

export { allow, DENIED, deny, type Question, questionsOf, withAnswers } from "./Answers.ts"

/** Open approvals that are kept; the oldest give way. */
export const PENDING_MAX = 256
/** Settled approvals that are remembered within a turn, and after its end. */
export const SETTLED_MAX = 256
export const SETTLED_KEPT_AFTER_TURN = 64
/** Characters of a tool's input that an open approval keeps; the whole of it stands in the log. */
export const INPUT_MAX = 4096

/** An approval that waits for an answer. */
export interface Approval {
  /** The agent's `tool_use_id`; the `request_id` where a request has none (dialogs). */
  readonly toolUseId: string
  readonly requestId: string
  /** `tool` asks for permission to use a tool; `dialog` asks a question of the agent's own program. */
  readonly kind: "tool" | "dialog"
  readonly toolName: string
  readonly displayName: string | null
  readonly description: string | null
  /** The tool's input, cut to about {@link INPUT_MAX} characters; `inputTruncated` tells whether it was. */
  readonly input: unknown
  readonly inputTruncated: boolean
  /** Tells the whole input from another one. */
  readonly inputDigest: string
  /** Whether the agent suggests rules that "always allow" would add. */
  readonly hasSuggestions: boolean
  readonly requiresUserInteraction: boolean
  /** The subagent that asks, where one does. */
  readonly agentId: string | null
  /** What the request does to the file that it names, where the agent's side has told. */
  readonly change?: Pick<FileChange.Told, "path" | "state" | "counts">
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Position of the request in the log. */
  readonly seq: number
}

export type Outcome = "allowed" | "denied" | "answered" | "cancelled"

/** What an approval has come to, in words; `pending` while it waits. */
export const stateWords: { readonly [S in Outcome | "pending"]: string } = {
  pending: "asks for permission",
  allowed: "allowed",
  denied: "denied",
  answered: "answered",
  cancelled: "question withdrawn"
}

/** An approval that needs no answer any more. */
export interface Settled {
  readonly toolUseId: string
  readonly requestId: string
  readonly outcome: Outcome
  /** Tells the answer that won from another one; empty where it was cancelled. */
  readonly answer: string
  /** The tool's whole input, see `Approval.inputDigest`. */
  readonly inputDigest: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** All approvals of a session, oldest first. */
export interface Approvals {
  readonly pending: ReadonlyArray<Approval>
  readonly settled: ReadonlyArray<Settled>
  /** Told of files whose requests follow. */
  readonly told?: ReadonlyArray<FileChange.Told>
}

/** Files that are told of before their requests, at most. */
const TOLD_MAX = 8

export const empty: Approvals = { pending: [], settled: [] }

// --- Reading requests and answers ---

const dialogs: ReadonlySet<string> = new Set(["elicitation", "request_user_dialog"])

/** The approval that an event opens, or null. */
export const requestOf = (event: ReadableEvent): Approval | null => {
  if (event.source !== "worker") return null
  const json = object(event.payload.json)
  if (json["type"] !== "control_request") return null
  const requestId = name(json["request_id"])
  if (requestId === null) return null
  const request = object(json["request"])
  const subtype = request["subtype"]
  const isTool = subtype === "can_use_tool"
  if (!isTool && !(typeof subtype === "string" && dialogs.has(subtype))) return null
  const whole = isTool ? (request["input"] ?? null) : request
  const input = bounded(whole, INPUT_MAX)
  return {
    toolUseId: name(request["tool_use_id"]) ?? requestId,
    requestId,
    kind: isTool ? "tool" : "dialog",
    toolName: name(request["tool_name"]) ?? (isTool ? "unknown" : String(subtype)),
    displayName: name(request["display_name"]) ?? name(request["title"]),
    description: name(request["description"], 1024) ?? name(request["message"], 1024),
    input: input.value,
    inputTruncated: input.truncated,
    inputDigest: digest(whole),
    hasSuggestions: array(request["permission_suggestions"]).length > 0,
    requiresUserInteraction: !isTool || request["requires_user_interaction"] === true,
    agentId: name(request["agent_id"]),
    createdAt: timeOf(event),
    seq: amount(event.seq) ?? 0
  }
}

/** An answer as it stands in a `control_response`. */
export interface Answer {
  readonly requestId: string | null
  readonly toolUseId: string | null
  readonly outcome: Exclude<Outcome, "cancelled">
  /** The answer of a permission or dialog, or the error text of an error reply. */
  readonly body: JsonObject
}

/** The answer that a payload is, or null where it is none. */
export const answerOf = (payload: JsonObject): Answer | null => {
  const json = object(payload)
  if (json["type"] !== "control_response") return null
  const response = object(json["response"])
  const body = object(response["response"])
  const requestId = name(response["request_id"]) ?? name(json["request_id"])
  const toolUseId = name(body["toolUseID"]) ?? name(body["tool_use_id"])
  if (requestId === null && toolUseId === null) return null
  const isError = response["subtype"] === "error"
  return {
    requestId,
    toolUseId,
    outcome:
      isError || body["behavior"] === "deny"
        ? "denied"
        : body["behavior"] === "allow"
          ? "allowed"
          : "answered",
    body: isError ? { error: response["error"] } : body
  }
}

/**
 * What tells one answer from another. Two answers are the same when they decide the same, with the same input, words
 * and rules; an allow that repeats the asked input is the same as one that leaves it out.
 */
const answerDigest = (answer: Answer, inputDigest: string): string => {
  if (answer.outcome === "answered" || "error" in answer.body) return digest(answer.body)
  const { behavior, updatedInput, updatedPermissions, message, interrupt } = answer.body
  const input = behavior === "allow" && updatedInput != null ? digest(updatedInput) : inputDigest
  return digest(
    behavior === "allow"
      ? ["allow", input, array(updatedPermissions)]
      : ["deny", typeof message === "string" ? message : "", interrupt === true]
  )
}

const matches =
  (answer: Answer) =>
  (approval: { readonly toolUseId: string; readonly requestId: string }): boolean =>
    answer.requestId === null
      ? approval.toolUseId === answer.toolUseId
      : approval.requestId === answer.requestId

const findPending = (approvals: Approvals, answer: Answer): Approval | undefined =>
  approvals.pending.find(matches(answer))

const findSettled = (approvals: Approvals, answer: Answer): Settled | undefined =>
  approvals.settled.findLast(matches(answer))

/**
 * What an answer is worth at this moment:
 * - `accept`: it is the first one;
 * - `duplicate`: the same answer has won already; accept it and store nothing;
 * - `conflict`: a different answer has won;
 * - `unknown`: nothing open goes by its id: it was cancelled (`settled` says so), is too old, or never was an approval.
 */
export type Verdict =
  | { readonly verdict: "accept"; readonly approval: Approval }
  | { readonly verdict: "duplicate"; readonly settled: Settled }
  | { readonly verdict: "conflict"; readonly settled: Settled }
  | { readonly verdict: "unknown"; readonly settled: Settled | null }

/**
 * Judges an answer against the approvals of a session as its log stands, before the answer is stored. Null for a
 * payload that is no `control_response`.
 */
export const judge = (approvals: Approvals, payload: JsonObject): Verdict | null => {
  const answer = answerOf(payload)
  if (answer === null) {
    return object(payload)["type"] === "control_response" ? { verdict: "unknown", settled: null } : null
  }
  const approval = findPending(approvals, answer)
  if (approval !== undefined) return { verdict: "accept", approval }
  const settled = findSettled(approvals, answer)
  if (settled === undefined) return { verdict: "unknown", settled: null }
  if (settled.outcome === "cancelled") return { verdict: "unknown", settled }
  return answerDigest(answer, settled.inputDigest) === settled.answer
    ? { verdict: "duplicate", settled }
    : { verdict: "conflict", settled }
}

// --- Transitions ---

const open = (approvals: Approvals, approval: Approval): Approvals => {
  const again = approvals.pending.find((p) => p.toolUseId === approval.toolUseId)
  const before = approvals.settled.find((s) => s.requestId === approval.requestId)
  // The same request told twice changes nothing, unless it was cancelled meanwhile: then it is open again.
  if (again?.requestId === approval.requestId) return approvals
  if (before !== undefined && before.outcome !== "cancelled") return approvals
  const others = again === undefined ? approvals.pending : approvals.pending.filter((p) => p !== again)
  const change = approvals.told?.findLast((told) => told.toolUseId === approval.toolUseId) ?? again?.change
  const kept = {
    ...approval,
    ...(again === undefined ? {} : { createdAt: again.createdAt }),
    ...(change === undefined
      ? {}
      : { change: { path: change.path, state: change.state, counts: change.counts } })
  }
  return {
    pending: [...others, kept].slice(-PENDING_MAX),
    settled: before === undefined ? approvals.settled : approvals.settled.filter((s) => s !== before)
  }
}

const settle = (
  approvals: Approvals,
  ended: ReadonlyArray<Approval>,
  outcome: Outcome,
  answer: string,
  at: number
): Approvals => ({
  pending: approvals.pending.filter((p) => !ended.includes(p)),
  settled: [
    ...approvals.settled,
    ...ended.map((p) => ({
      toolUseId: p.toolUseId,
      requestId: p.requestId,
      outcome,
      answer,
      inputDigest: p.inputDigest,
      at
    }))
  ].slice(-SETTLED_MAX)
})

const cancel = (approvals: Approvals, which: (approval: Approval) => boolean, at: number): Approvals => {
  const ended = approvals.pending.filter(which)
  return ended.length === 0 ? approvals : settle(approvals, ended, "cancelled", "", at)
}

/**
 * The tools have run or were refused, so their questions are over. One that was asked again after a crash, and answered
 * again by the bridge with the answer it had, keeps that outcome.
 */
const overtake = (approvals: Approvals, toolUseIds: ReadonlySet<string>, at: number): Approvals => {
  let after = approvals
  for (const approval of approvals.pending) {
    if (!toolUseIds.has(approval.toolUseId)) continue
    const first = after.settled.find((s) => s.toolUseId === approval.toolUseId && s.outcome !== "cancelled")
    after = settle(after, [approval], first?.outcome ?? "cancelled", first?.answer ?? "", at)
  }
  return after
}

/** A subagent in the background outlives the turn that started it; the end of its questions is told by the worker. */
const ofMainContext = (approval: Approval): boolean => approval.agentId === null

/** Whether a worker's line says that its agent is gone for good, and every question of it with it. */
export const tellsOfEnd = (json: JsonObject): boolean =>
  json["type"] === "bridge_error"
    ? json["reason"] === "agent_unavailable"
    : json["type"] === "system" && json["subtype"] === "worker_shutting_down"

/** The approvals after an event. Returns the same object where nothing changed. */
export const step = (approvals: Approvals, event: ReadableEvent): Approvals => {
  const json = object(event.payload.json)
  const at = timeOf(event)
  switch (json["type"]) {
    case "control_request": {
      const approval = requestOf(event)
      return approval === null ? approvals : open(approvals, approval)
    }
    case "session_update": {
      const told = FileChange.told(event)
      if (told === null) return approvals
      // The row keeps what it comes to; the text stands in the log.
      return { ...approvals, told: [...(approvals.told ?? []), { ...told, text: null }].slice(-TOLD_MAX) }
    }
    case "control_response": {
      // From the worker it tells of a decision on the agent's side (auto-accept, a local terminal).
      const answer = answerOf(json)
      const approval = answer === null ? undefined : findPending(approvals, answer)
      if (answer === null || approval === undefined) return approvals
      return settle(approvals, [approval], answer.outcome, answerDigest(answer, approval.inputDigest), at)
    }
    case "control_cancel_request": {
      const requestId = name(json["request_id"])
      return event.source === "worker" && requestId !== null
        ? cancel(approvals, (p) => p.requestId === requestId, at)
        : approvals
    }
    case "user": {
      if (event.source !== "worker" || approvals.pending.length === 0) return approvals
      const done = new Set<string>()
      for (const block of array(object(json["message"])["content"])) {
        const { type, tool_use_id } = object(block)
        const id = type === "tool_result" ? name(tool_use_id) : null
        if (id !== null) done.add(id)
      }
      return done.size === 0 ? approvals : overtake(approvals, done, at)
    }
    case "result": {
      if (event.source !== "worker" || isSubagent(json)) return approvals
      const after = cancel(approvals, ofMainContext, at)
      return after.settled.length > SETTLED_KEPT_AFTER_TURN
        ? { ...after, settled: after.settled.slice(-SETTLED_KEPT_AFTER_TURN) }
        : after
    }
    case "system": {
      const subtype = json["subtype"]
      if (event.source !== "worker") return approvals
      if (tellsOfEnd(json)) return cancel(approvals, () => true, at)
      // A turn that begins, or an agent that has nothing to do, has no question of an earlier turn open.
      return subtype === "init" || (subtype === "session_state_changed" && json["state"] === "idle")
        ? cancel(approvals, ofMainContext, at)
        : approvals
    }
    case "bridge_error":
      return event.source === "worker" && tellsOfEnd(json) ? cancel(approvals, () => true, at) : approvals
    default:
      return approvals
  }
}
