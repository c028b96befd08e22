/** Prompts that people take back. What the agent had begun by then was not taken back; it says so itself. */
import type { EventUuid } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import type { AgentOutput } from "../Agent.ts"
import { type Books, deliver, finish, prompts } from "./Books.ts"

/** Prompts that were taken back, and that the agent has not begun as far as is known. */
export const waiting = (books: Books) =>
  prompts(books).filter(({ state, withdrawn }) => withdrawn && state === "received")

/** What no process has is done with; of what the agent has, it says itself whether it had begun it. */
export const takeBack = (books: Books, withdrawal: Withdrawal.Withdrawal): ReadonlyArray<AgentOutput> =>
  prompts(books)
    .filter(({ state, uuid }) => state === "received" && Withdrawal.covers(withdrawal, uuid))
    .flatMap((entry) => {
      entry.withdrawn = true
      return entry.sent ? [] : finish(books, entry)
    })

/** The agent has taken these out of its queue; its own line says so. */
const cancelled = (books: Books, uuids: ReadonlyArray<unknown>): ReadonlyArray<AgentOutput> =>
  prompts(books)
    .filter(({ uuid }) => uuids.includes(uuid))
    .flatMap((entry) => finish(books, entry))

/** The agent's word on a prompt that it was to give back. One that it had begun is on its way to a result. */
export const decided = (books: Books, uuid: EventUuid, wasCancelled: unknown): ReadonlyArray<AgentOutput> => {
  const entry = books.open.get(uuid)
  if (entry === undefined) return []
  if (wasCancelled === true) return finish(books, entry)
  entry.withdrawn = false
  return deliver(books, entry, "processing")
}

/** The prompts in the queue, as the answer to a person's request tells of them. */
export const settled = (
  books: Books,
  request: Payload.Payload,
  dropped: unknown
): ReadonlyArray<AgentOutput> => {
  const withdrawal = Withdrawal.of(request)
  if (withdrawal?._tag === "One") return dropped === undefined ? [] : decided(books, withdrawal.uuid, dropped)
  return Array.isArray(dropped) ? cancelled(books, dropped) : []
}

/** Asks for each prompt that an interrupt should have taken out of the queue and did not: older agents leave it there. */
export const recall = (books: Books, request: Payload.Payload): ReadonlyArray<Payload.Payload> =>
  Withdrawal.of(request)?._tag !== "All"
    ? []
    : waiting(books).map(({ uuid }) => {
        const requestId = `recall_${uuid}`
        books.recalls.set(requestId, uuid)
        return Payload.make({
          ...Withdrawal.one(requestId, uuid),
          uuid: uuid5(books.agentSessionId, `${books.runId()} ${requestId}`)
        })
      })
