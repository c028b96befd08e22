/** Lines of an agent: what each says of the prompts and requests that it was given. */
import type * as Payload from "@causeway/protocol/Payload"
import type { AgentOutput } from "../Agent.ts"
import { type Books, deliver, finish, member, nothing, prompts, type Step, speak, text } from "./Books.ts"
import * as Questions from "./Questions.ts"
import * as Turns from "./Turns.ts"
import * as Withdrawals from "./Withdrawals.ts"

const told = (outputs: ReadonlyArray<AgentOutput>): Step => ({ outputs, writes: [] })

const user = (books: Books, payload: Payload.Payload): Step => {
  if (payload.json["isReplay"] !== true) {
    return told([...speak(books, payload), ...Questions.toolResults(books, payload)])
  }
  // An echo of what was given: the log has it already.
  const entry = payload.uuid === undefined ? undefined : books.open.get(payload.uuid)
  if (entry !== undefined) return told(deliver(books, entry, "processing"))
  if (payload.uuid !== undefined && books.given.has(payload.uuid)) return nothing
  return told(speak(books, payload))
}

const assistant = (books: Books, payload: Payload.Payload): Step => {
  const named = text(payload.json["user_message_uuid"])
  const all = prompts(books)
  const entry =
    named === undefined
      ? books.names || all.some(({ state }) => state === "processing")
        ? undefined
        : all[0]
      : all.find(({ uuid }) => uuid === named)
  // A line that names an answered prompt is late: it begins no turn.
  if (named === undefined || entry !== undefined) books.turnRuns = true
  return told([...(entry === undefined ? [] : deliver(books, entry, "processing")), ...speak(books, payload)])
}

const lifecycle = (books: Books, payload: Payload.Payload): Step => {
  const { command_uuid, state } = payload.json
  const entry = prompts(books).find(({ uuid }) => uuid === command_uuid)
  books.names = true
  books.tellsBeginning = true
  return told([
    ...(entry !== undefined && state === "started" ? deliver(books, entry, "processing") : []),
    ...speak(books, payload),
    ...(entry !== undefined && state === "cancelled" ? finish(books, entry) : [])
  ])
}

const response = (books: Books, payload: Payload.Payload): Step => {
  const requestId = text(member(payload.json["response"], "request_id"))
  if (requestId !== undefined && books.replied.has(requestId)) return nothing
  const dropped = member(member(payload.json["response"], "response"), "cancelled")
  const recalled = requestId === undefined ? undefined : books.recalls.get(requestId)
  if (requestId !== undefined && recalled !== undefined) {
    books.recalls.delete(requestId)
    return told(Withdrawals.decided(books, recalled, dropped))
  }
  const entry = Array.from(books.open.values()).find(
    ({ kind, payload }) => kind === "request" && payload.json["request_id"] === requestId
  )
  if (entry === undefined) return told(speak(books, payload))
  return {
    outputs: [
      ...speak(books, payload),
      ...finish(books, entry),
      ...Withdrawals.settled(books, entry.payload, dropped)
    ],
    writes: Withdrawals.recall(books, entry.payload)
  }
}

/** What follows from a line of the process. */
export const line = (books: Books, payload: Payload.Payload): Step => {
  const { json } = payload
  switch (payload.type) {
    case "user":
      return user(books, payload)
    case "assistant":
      return assistant(books, payload)
    case "result":
      return told(Turns.result(books, payload))
    case "system":
      if (json["subtype"] === "init") books.turnRuns = true
      if (json["subtype"] === "session_state_changed") books.stated = text(json["state"])
      books.tasks.line(json)
      return told(speak(books, payload))
    case "control_request":
      return Questions.ask(books, payload)
    case "control_cancel_request": {
      const requestId = text(json["request_id"])
      if (requestId !== undefined) books.asks.delete(requestId)
      return told(speak(books, payload))
    }
    case "command_lifecycle":
      return lifecycle(books, payload)
    case "control_response":
      return response(books, payload)
    default:
      return told(speak(books, payload))
  }
}
