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

export interface Delivery {
  /** A client payload; `again` when an earlier process had it. One that was given here before changes nothing. */
  readonly give: (payload: Payload.Payload, again?: boolean) => Step
  /** A process is ready: what it must be given (again), oldest first. */
  readonly connected: () => Step
  /** A payload is about to be written to the process; false where it was taken back meanwhile. */
  readonly writing: (payload: Payload.Payload) => boolean
  /** A payload was written to the process. */
  readonly written: (payload: Payload.Payload) => Step
  /** A line of the process. */
  readonly line: (payload: Payload.Payload) => Step
  /** The process is gone. */
  readonly disconnected: () => Step
  /** Prompts given to this process again of which it shows no sign; empty while it works on anything. */
  readonly silent: () => ReadonlyArray<EventUuid>
  /** Settles prompts without the agent: a result that says `reason` and why. */
  readonly giveUp: (uuids: ReadonlyArray<EventUuid>, reason: string, detail: string) => Step
  /**
   * Settles the turn that an interrupt could not end in order, and the interrupt itself. `before`: `turns` when the
   * interrupt was given; a turn that has ended since is settled, and the prompts that wait are not part of it.
   */
  readonly abandonTurn: (detail: string, before?: number) => Step
  /** Prompts whose turns have ended the process too often. */
  readonly exceededAttempts: () => ReadonlyArray<EventUuid>
  /** A prompt waits or is worked on. */
  readonly isBusy: () => boolean
  /** Something would be lost if the process ended now: {@link isBusy}, or what the agent reports as running. */
  readonly isAtWork: () => boolean
  /** A request that was given under this uuid is not settled yet. */
  readonly isOpen: (uuid: EventUuid) => boolean
  /** Turns ended so far. */
  readonly turns: () => number
  readonly turnRuns: () => boolean
  readonly status: () => Extract<AgentStatus, "idle" | "running" | "requires_action">
}

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

const status = (books: Books.Books): ReturnType<Delivery["status"]> => {
  if (books.asks.size > 0 || books.stated === "requires_action") return "requires_action"
  return Books.isBusy(books) || books.stated === "running" ? "running" : "idle"
}

/** `agentSessionId` is the namespace of the uuids that are given to lines without one. */
export const make = (agentSessionId: string, runId: () => string): Delivery => {
  const books = Books.make(agentSessionId, runId)
  return {
    give: (payload, again = false) => give(books, payload, again),
    connected: () => ({
      outputs: [],
      writes: Array.from(books.open.values())
        .filter(({ kind }) => kind !== "answer")
        .map(({ payload }) => payload)
    }),
    writing: (payload) => writing(books, payload),
    written: (payload) => written(books, payload),
    line: (payload) => Lines.line(books, payload),
    disconnected: () => disconnected(books),
    silent: () => silent(books),
    giveUp: (uuids, reason, detail) => ({ outputs: Turns.giveUp(books, uuids, reason, detail), writes: [] }),
    abandonTurn: (detail, before) => ({ outputs: Turns.abandonTurn(books, detail, before), writes: [] }),
    exceededAttempts: () =>
      Books.prompts(books)
        .filter(({ attempts }) => attempts >= MAX_ATTEMPTS)
        .map(({ uuid }) => uuid),
    isBusy: () => Books.isBusy(books),
    isAtWork: () => books.open.size > 0 || books.tasks.run() || status(books) !== "idle",
    isOpen: (uuid) => books.open.has(uuid),
    turns: () => books.turns,
    turnRuns: () => books.turnRuns,
    status: () => status(books)
  }
}
