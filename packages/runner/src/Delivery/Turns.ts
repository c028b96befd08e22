/** Ends of turns: the agent's results, and those that are said in its place. */
import type { EventUuid } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import type { AgentOutput } from "../Agent.ts"
import { type Books, type Entry, finish, member, prompts, speak } from "./Books.ts"
import { withdraw } from "./Questions.ts"

/** The turn was begun by something else than a person's prompt. */
const isForeign = (result: Payload.Payload): boolean => {
  const kind = member(result.json["origin"], "kind")
  return kind !== undefined && kind !== "human"
}

const namedBy = (result: Payload.Payload): ReadonlyArray<string> => {
  const many = result.json["user_message_uuids"]
  const one = result.json["user_message_uuid"]
  return [...(Array.isArray(many) ? many : []), one].filter((uuid) => typeof uuid === "string")
}

/** The prompts that a result answers. */
const answeredBy = (books: Books, result: Payload.Payload): ReadonlyArray<Entry> => {
  const named = namedBy(result)
  const all = prompts(books)
  if (named.length > 0) books.names = true
  const matching = all.filter(({ uuid }) => named.some((name) => name === uuid))
  if (matching.length > 0) return matching
  if (isForeign(result)) return []
  const taken = all.filter(({ state }) => state === "processing")
  if (named.length === 0) return books.names ? [] : taken.slice(0, 1)
  // A resumed agent may go on with an interrupted turn under a prompt of its own; what it acknowledged and did not
  // begin anew is answered by that.
  return named.some((uuid) => books.given.has(uuid)) ? [] : taken.filter(({ again }) => again)
}

export const result = (books: Books, payload: Payload.Payload): ReadonlyArray<AgentOutput> => {
  books.turnRuns = false
  books.stated = undefined
  books.turns++
  books.asks.clear()
  const answered = answeredBy(books, payload)
  const named = namedBy(payload)
  const adopted = answered.map(({ uuid }) => uuid).filter((uuid) => !named.includes(uuid))
  const line =
    named.length > 0 && adopted.length > 0
      ? Payload.make({
          ...payload.json,
          type: payload.type,
          ...(payload.uuid === undefined ? {} : { uuid: payload.uuid }),
          user_message_uuids: [...new Set([...named, ...adopted])]
        })
      : payload
  // Answers belong to the turn: what it has not used by its end it will not use.
  const used = Array.from(books.open.values()).filter(({ kind }) => kind === "answer")
  return [
    ...withdraw(books),
    ...speak(books, line),
    ...[...answered, ...used].flatMap((entry) => finish(books, entry))
  ]
}

/** Settles prompts without the agent: a result that says `reason` and why. */
export const giveUp = (
  books: Books,
  uuids: ReadonlyArray<EventUuid>,
  reason: string,
  detail: string
): ReadonlyArray<AgentOutput> =>
  uuids.flatMap((uuid) => {
    const entry = books.open.get(uuid)
    if (entry === undefined) return []
    return [
      ...speak(
        books,
        Payload.make({
          type: "result",
          subtype: "error_during_execution",
          is_error: true,
          terminal_reason: reason,
          errors: [detail],
          user_message_uuid: uuid,
          user_message_uuids: [uuid],
          session_id: books.agentSessionId,
          uuid: uuid5(uuid, reason)
        })
      ),
      ...finish(books, entry)
    ]
  })

/**
 * Settles the turn that an interrupt could not end in order, and the interrupt itself. `before`: `turns` when the
 * interrupt was given; a turn that has ended since is settled, and the prompts that wait are not part of it.
 */
export const abandonTurn = (
  books: Books,
  detail: string,
  before = books.turns
): ReadonlyArray<AgentOutput> => {
  const isOver = books.turns > before
  books.turnRuns = false
  books.turns++
  const all = prompts(books)
  const begun = all.filter(({ state }) => state === "processing")
  const taken = isOver ? [] : begun.length > 0 || books.tellsBeginning ? begun : all.slice(0, 1)
  const requests = Array.from(books.open.values()).filter(({ kind }) => kind === "request")
  return [
    ...withdraw(books),
    ...requests.flatMap((entry) => [
      ...speak(
        books,
        Payload.make({
          type: "control_response",
          response: {
            subtype: "success",
            request_id: entry.payload.json["request_id"],
            response: { forced: true }
          }
        })
      ),
      ...finish(books, entry)
    ]),
    ...giveUp(
      books,
      taken.map(({ uuid }) => uuid),
      "aborted_by_signal",
      detail
    )
  ]
}
