/**
 * What was given to an agent and how far it has come; what the agent is doing. Pure bookkeeping: no process, no clock.
 *
 * Invariants: a uuid is taken once; an entry moves only forward (`received`, `processing`, `processed`) and leaves when
 * it is processed; a prompt is processed by the result that names it, by being taken back before its turn, or by being
 * given up in words. One that was taken back is written to no process that has not got it yet. An agent begins turns by
 * itself (a background task has ended): of one that names its prompts, a result without a name answers none.
 */
import type { EventUuid } from "@causeway/protocol/Ids"
import type * as Payload from "@causeway/protocol/Payload"
import * as Withdrawal from "@causeway/protocol/Withdrawal"
import type { AgentStatus } from "./Agent.ts"
import * as Books from "./Delivery/Books.ts"
import * as Lines from "./Delivery/Lines.ts"
import * as Questions from "./Delivery/Questions.ts"
import * as Turns from "./Delivery/Turns.ts"
import * as Withdrawals from "./Delivery/Withdrawals.ts"

export type Step = Books.Step

/** A prompt whose turn ended the agent this often is not given to it again. */
export const MAX_ATTEMPTS = 3

const kinds: { readonly [type: string]: Books.Entry["kind"] } = {
  user: "prompt",
  control_request: "request",
  control_response: "answer"
}

const give = (books: Books.Books, raw: Payload.Payload, again: boolean): Step => {
  // A payload without a uuid is like no other.
  const payload = Books.identified(books, raw)
  const { uuid } = payload
  if (uuid === undefined || books.given.has(uuid)) return Books.nothing
  books.given.add(uuid)
  const kind = kinds[payload.type] ?? "note"
  const withdrawal = kind === "request" ? Withdrawal.of(payload) : undefined
  const outputs = withdrawal === undefined ? [] : Withdrawals.takeBack(books, withdrawal)
  const entry: Books.Entry = {
    payload,
    uuid,
    kind,
    state: "received",
    attempts: 0,
    again,
    sent: false,
    withdrawn: false
  }
  books.open.set(uuid, entry)
  return kind === "answer" ? Questions.answer(books, entry) : { outputs, writes: [payload] }
}

const writing = ({ open }: Books.Books, payload: Payload.Payload): boolean => {
  if (payload.type !== "user" || payload.uuid === undefined) return true
  const entry = open.get(payload.uuid)
  if (entry === undefined) return false
  entry.sent = true
  return true
}

const written = (books: Books.Books, payload: Payload.Payload): Step => {
  const entry = payload.uuid === undefined ? undefined : books.open.get(payload.uuid)
  if (entry === undefined || entry.kind === "prompt") return Books.nothing
  if (entry.kind === "answer") return { outputs: Questions.answered(books, payload, entry), writes: [] }
  return {
    outputs: Books.deliver(books, entry, entry.kind === "note" ? "processed" : "processing"),
    writes: []
  }
}

const disconnected = (books: Books.Books): Step => {
  const all = Books.prompts(books)
  const taken = all.filter(({ state }) => state === "processing")
  const worked = taken.length > 0 || !books.turnRuns || books.tellsBeginning ? taken : all.slice(0, 1)
  for (const entry of worked) entry.attempts++
  for (const entry of all) {
    entry.again = true
    entry.sent = false
  }
  for (const [requestId, toolUseId] of books.asks) books.orphans.set(requestId, toolUseId)
  books.asks.clear()
  books.tasks.clear()
  books.turnRuns = false
  books.stated = undefined
  books.recalls.clear()
  // The process that might have begun them is gone, and no other gets them.
  const dropped = Withdrawals.waiting(books)
  return { outputs: dropped.flatMap((entry) => Books.finish(books, entry)), writes: [] }
}

const silent = (books: Books.Books): ReadonlyArray<EventUuid> =>
  books.turnRuns || books.asks.size > 0 || books.stated === "running" || books.stated === "requires_action"
    ? []
    : Books.prompts(books)
        .filter(({ again }) => again)
        .map(({ uuid }) => uuid)

const status = (books: Books.Books): Extract<AgentStatus, "idle" | "running" | "requires_action"> => {
  if (books.asks.size > 0 || books.stated === "requires_action") return "requires_action"
  return Books.isBusy(books) || books.stated === "running" ? "running" : "idle"
}

/** `agentSessionId` is the namespace of the uuids that are given to lines without one. */
export const make = (agentSessionId: string, runId: () => string) => {
  const books = Books.make(agentSessionId, runId)
  const told = (outputs: Step["outputs"]): Step => ({ outputs, writes: [] })
  return {
    /** A client payload; `again` when an earlier process had it. One that was given here before changes nothing. */
    give: (payload: Payload.Payload, again = false): Step => give(books, payload, again),
    /** A process is ready: what it must be given (again), oldest first. */
    connected: (): Step => ({
      outputs: [],
      writes: Array.from(books.open.values())
        .filter(({ kind }) => kind !== "answer")
        .map(({ payload }) => payload)
    }),
    /** A payload is about to be written to the process; false where it was taken back meanwhile. */
    writing: (payload: Payload.Payload): boolean => writing(books, payload),
    /** A payload was written to the process. */
    written: (payload: Payload.Payload): Step => written(books, payload),
    /** A line of the process. */
    line: (payload: Payload.Payload): Step => Lines.line(books, payload),
    /** The process is gone. */
    disconnected: (): Step => disconnected(books),
    /** Prompts given to this process again of which it shows no sign; empty while it works on anything. */
    silent: (): ReadonlyArray<EventUuid> => silent(books),
    giveUp: (uuids: ReadonlyArray<EventUuid>, reason: string, detail: string): Step =>
      told(Turns.giveUp(books, uuids, reason, detail)),
    abandonTurn: (detail: string, before?: number): Step => told(Turns.abandonTurn(books, detail, before)),
    /** Prompts whose turns have ended the process too often. */
    exceededAttempts: (): ReadonlyArray<EventUuid> =>
      Books.prompts(books)
        .filter(({ attempts }) => attempts >= MAX_ATTEMPTS)
        .map(({ uuid }) => uuid),
    isBusy: (): boolean => Books.isBusy(books),
    /** Something would be lost if the process ended now: it is busy, or reports that something runs. */
    isAtWork: (): boolean => books.open.size > 0 || books.tasks.run() || status(books) !== "idle",
    /** A request that was given under this uuid is not settled yet. */
    isOpen: (uuid: EventUuid): boolean => books.open.has(uuid),
    /** Turns ended so far. */
    turns: (): number => books.turns,
    turnRuns: (): boolean => books.turnRuns,
    status: () => status(books)
  }
}

export type Delivery = ReturnType<typeof make>
