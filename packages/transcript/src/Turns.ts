/**
 * Which result answers which prompt.
 *
 * A result that names its prompts (`user_message_uuid`, `user_message_uuids`) answers those; one that names none answers
 * the oldest prompt that is open. A prompt also ends when a person takes it back before its turn, when it is dropped from
 * the queue, or when the bridge reports that the agent swallowed it. Source: spec 4 §1 (Interrupt, queue, duplicates; Result and usage) and §3.3.
 */
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import {
  array,
  isSubagent,
  type JsonObject,
  name,
  object,
  type ReadableEvent,
  string,
  textOf
} from "./Read.ts"
import { errorText, isFailure, wasStopped } from "./Result.ts"

/** Open prompts that are remembered. */
const OPEN_MAX = 1024

/** What became of a prompt. */
export type Answer =
  | { readonly _tag: "pending" }
  /** `text`: what the agent said last; `result`: the whole result line; `seq`: its position. */
  | {
      readonly _tag: "answered"
      readonly text: string
      readonly result: JsonObject
      readonly seq: number
    }
  | {
      readonly _tag: "failed"
      /**
       * `failed`: the turn failed, and `text` says why; `stopped`: a person stopped it, and `text` is what the agent had
       * said; `withdrawn`: a person took it back before its turn; `dropped`: the agent never took it.
       */
      readonly reason: "failed" | "stopped" | "withdrawn" | "dropped"
      readonly text: string
      readonly result: JsonObject | null
      readonly seq: number
    }

/** The state of following one prompt. */
export interface Following {
  readonly prompt: string
  /** Prompts that no result has answered, oldest first. */
  readonly open: ReadonlyArray<string>
  /** Whether the agent has begun a turn. */
  readonly begun: boolean
  /** What the agent said last in this turn. */
  readonly said: string | null
  readonly answer: Answer
}

/** Follows the prompt of this uuid, from any event before its result on. */
export const follow = (prompt: string): Following => ({
  prompt,
  open: [],
  begun: false,
  said: null,
  answer: { _tag: "pending" }
})

/** The prompts that a line of the agent says it is about. */
export const promptsOf = (json: JsonObject): ReadonlyArray<string> => {
  const many = array(json["user_message_uuids"]).flatMap((uuid) => name(uuid) ?? [])
  const one = name(json["user_message_uuid"])
  return one === null || many.includes(one) ? many : [one, ...many]
}

/** The prompt that an event is, by its uuid, or null: a message of a person that the agent is to answer. */
export const promptOf = (event: ReadableEvent): string | null => {
  const json = object(event.payload.json)
  if (json["type"] !== "user" || event.source !== "client" || json["isReplay"] === true) return null
  return json["shouldQuery"] === false ? null : event.uuid
}

/** Prompts that an event says were dropped before the agent took them. */
const droppedBy = (event: ReadableEvent, json: JsonObject): ReadonlyArray<string> => {
  if (event.source !== "worker") return []
  if (json["type"] === "command_lifecycle" && json["state"] === "cancelled") {
    const uuid = name(json["command_uuid"])
    return uuid === null ? [] : [uuid]
  }
  if (json["type"] === "control_response") {
    return array(object(object(json["response"])["response"])["cancelled"]).flatMap((entry) => {
      const uuid = name(entry) ?? name(object(entry)["uuid"])
      return uuid === null ? [] : [uuid]
    })
  }
  return []
}

const onResult = (state: Following, event: ReadableEvent, json: JsonObject): Following => {
  const named = promptsOf(json)
  const answered = named.length > 0 ? named : state.open.slice(0, 1)
  const open = state.open.filter((uuid) => !answered.includes(uuid))
  if (!answered.includes(state.prompt)) return { ...state, open, begun: false, said: null }
  const { seq } = event
  const answer: Answer = isFailure(json)
    ? {
        _tag: "failed",
        reason: wasStopped(json) ? "stopped" : "failed",
        text: wasStopped(json) ? (state.said ?? "") : errorText(json),
        result: json,
        seq
      }
    : { _tag: "answered", text: string(json["result"]) ?? state.said ?? "", result: json, seq }
  return { ...state, open, begun: false, said: null, answer }
}

/** The state once the prompt is known to be taken back. */
export const withdrawn = (state: Following, seq = 0): Following =>
  state.answer._tag !== "pending"
    ? state
    : {
        ...state,
        answer: { _tag: "failed", reason: "withdrawn", text: "withdrawn before its turn", result: null, seq }
      }

/** The prompt whose turn runs, the oldest, is not taken back: it is stopped. */
const onWithdrawal = (state: Following, withdrawal: Withdrawal.Withdrawal, seq: number): Following => {
  const isTaken = (uuid: string, at: number) =>
    !(state.begun && at === 0) && Withdrawal.covers(withdrawal, uuid)
  const open = state.open.filter((uuid, at) => !isTaken(uuid, at))
  const at = state.open.indexOf(state.prompt)
  return at < 0 || !isTaken(state.prompt, at) ? { ...state, open } : withdrawn({ ...state, open }, seq)
}

/** The state after an event. Once the prompt is answered or failed nothing changes it. */
export const step = (state: Following, event: ReadableEvent): Following => {
  if (state.answer._tag !== "pending") return state
  const json = object(event.payload.json)
  const prompt = promptOf(event)
  if (prompt !== null) {
    return state.open.includes(prompt) ? state : { ...state, open: [...state.open, prompt].slice(-OPEN_MAX) }
  }
  if (event.source !== "worker") {
    const withdrawal = Withdrawal.of({ type: string(json["type"]) ?? "", json })
    return withdrawal === undefined ? state : onWithdrawal(state, withdrawal, event.seq)
  }
  if (json["type"] === "system" && json["subtype"] === "init") return { ...state, begun: true }
  if (json["type"] === "assistant" && !isSubagent(json)) {
    const text = textOf(object(json["message"])["content"])
    return { ...state, begun: true, said: text ?? state.said }
  }
  if (json["type"] === "result" && !isSubagent(json)) return onResult(state, event, json)
  const reported = json["type"] === "bridge_error" ? promptsOf(json) : droppedBy(event, json)
  if (reported.length === 0) return state
  const open = state.open.filter((uuid) => !reported.includes(uuid))
  if (!reported.includes(state.prompt)) return { ...state, open }
  const text =
    json["type"] === "bridge_error"
      ? (string(json["message"]) ?? string(json["error"]) ?? "the agent gave no answer")
      : "dropped from the queue before the agent took it"
  return {
    ...state,
    open,
    answer: { _tag: "failed", reason: "dropped", text, result: null, seq: event.seq }
  }
}

/** What became of the prompt of this uuid, by these events in the order of the log. */
export const answerOf = (events: Iterable<ReadableEvent>, prompt: string): Answer => {
  let state = follow(prompt)
  for (const event of events) state = step(state, event)
  return state.answer
}
