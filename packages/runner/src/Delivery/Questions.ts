/** Questions of an agent and people's answers to them. An answer is held until its question is there. */
import * as Payload from "@causeway/protocol/Payload"
import type { AgentOutput } from "../Agent.ts"
import {
  type Books,
  deliver,
  type Entry,
  finish,
  isBusy,
  isObject,
  member,
  type Step,
  speak,
  text
} from "./Books.ts"

/** The answer that was given to a question of this request or tool use, for this request. */
const answerTo = (
  { answers, open }: Books,
  requestId: string,
  toolUseId: string | undefined
): Payload.Payload | undefined => {
  const uuid = answers.get(requestId) ?? (toolUseId === undefined ? undefined : answers.get(toolUseId))
  const entry = uuid === undefined ? undefined : open.get(uuid)
  if (entry === undefined) return undefined
  const { payload } = entry
  const response = payload.json["response"]
  return member(response, "request_id") === requestId
    ? payload
    : Payload.make({
        ...payload.json,
        type: payload.type,
        uuid: entry.uuid,
        response: { ...(isObject(response) ? response : {}), request_id: requestId }
      })
}

/** An answer was given. After a restart the agent asks again, so it is held until its question is there. */
export const answer = (books: Books, entry: Entry): Step => {
  const { answers, asks } = books
  const response = entry.payload.json["response"]
  const requestId = text(member(response, "request_id"))
  const body = member(response, "response")
  const toolUseId =
    (requestId === undefined ? undefined : asks.get(requestId)) ??
    text(member(body, "toolUseID")) ??
    text(member(body, "tool_use_id"))
  const keys = [requestId, toolUseId].filter((key) => key !== undefined)
  // The question may have been asked again under another request since the person saw it.
  const asking =
    requestId !== undefined && asks.has(requestId)
      ? requestId
      : toolUseId === undefined
        ? undefined
        : Array.from(asks).find(([, about]) => about === toolUseId)?.[0]
  // The first answer to a question stands; and where nobody asks and nothing runs that could, it is too late.
  if (keys.some((key) => answers.has(key)) || (asking === undefined && !isBusy(books))) {
    return { outputs: deliver(books, entry, "processed"), writes: [] }
  }
  for (const key of keys) answers.set(key, entry.uuid)
  const write = asking === undefined ? undefined : answerTo(books, asking, toolUseId)
  return { outputs: [], writes: write === undefined ? [] : [write] }
}

/** An answer was written to the process. */
export const answered = (
  books: Books,
  payload: Payload.Payload,
  entry: Entry
): ReadonlyArray<AgentOutput> => {
  const requestId = text(member(payload.json["response"], "request_id"))
  const toolUseId = requestId === undefined ? undefined : books.asks.get(requestId)
  if (requestId !== undefined) {
    books.asks.delete(requestId)
    books.replied.add(requestId)
  }
  // Of an answer about no tool use there is no effect to wait for.
  return toolUseId === undefined ? finish(books, entry) : deliver(books, entry, "processing")
}

/** Withdraws questions that were asked by processes before this one and not again. */
export const withdraw = (books: Books): ReadonlyArray<AgentOutput> => {
  const requests = Array.from(books.orphans.keys())
  books.orphans.clear()
  return requests.flatMap((requestId) =>
    speak(books, Payload.make({ type: "control_cancel_request", request_id: requestId }))
  )
}

/** The agent asks. */
export const ask = (books: Books, payload: Payload.Payload): Step => {
  const requestId = text(payload.json["request_id"])
  if (requestId === undefined) return { outputs: speak(books, payload), writes: [] }
  const toolUseId = text(member(payload.json["request"], "tool_use_id"))
  books.asks.set(requestId, toolUseId)
  let known = false
  for (const [orphan, asked] of books.orphans) {
    if (orphan !== requestId && (toolUseId === undefined || asked !== toolUseId)) continue
    known = true
    books.orphans.delete(orphan)
  }
  const write = answerTo(books, requestId, toolUseId)
  return {
    // A question that is new means that the turn was begun anew: the old ones will not be asked again.
    outputs: [...(known ? [] : withdraw(books)), ...speak(books, payload)],
    writes: write === undefined ? [] : [write]
  }
}

/** Results of tools: an answer about one of them has had its effect. */
export const toolResults = (books: Books, payload: Payload.Payload): ReadonlyArray<AgentOutput> => {
  const content = member(payload.json["message"], "content")
  if (!Array.isArray(content)) return []
  return content.flatMap((block) => {
    const toolUseId = text(member(block, "tool_use_id"))
    const uuid = toolUseId === undefined ? undefined : books.answers.get(toolUseId)
    const entry = uuid === undefined ? undefined : books.open.get(uuid)
    return entry === undefined ? [] : finish(books, entry)
  })
}
