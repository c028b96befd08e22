/** The books of an agent session: what it was given, what it said, what it is doing. */
import type { Report } from "@causeway/protocol/Delivery"
import { EventUuid } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { uuid5 } from "@causeway/protocol/Uuid5"
import type { AgentOutput } from "../Agent.ts"
import * as Tasks from "../Tasks.ts"

/** How many uuids of the past are remembered, each way. */
const REMEMBERED = 10_000

export const isObject = (value: unknown): value is Payload.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const member = (value: unknown, name: string): unknown => (isObject(value) ? value[name] : undefined)

export const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** A set that forgets its oldest members. */
const memory = () => {
  const known = new Set<string>()
  return {
    has: (key: string): boolean => known.has(key),
    add: (key: string): void => {
      known.add(key)
      if (known.size > REMEMBERED) for (const oldest of known.values()) return void known.delete(oldest)
    }
  }
}

export interface Entry {
  readonly payload: Payload.Payload
  readonly uuid: EventUuid
  readonly kind: "prompt" | "request" | "answer" | "note"
  state: Report
  /** How many processes have ended while this prompt's turn ran in them. */
  attempts: number
  /** Given to an earlier process already. */
  again: boolean
  /** Prompts: written to the running process. */
  sent: boolean
  /** A person has taken it back; it is with the agent, which has not said yet whether it had begun it. */
  withdrawn: boolean
}

/** What follows from an event: what to tell the reader, and what to write to the agent. */
export interface Step {
  readonly outputs: ReadonlyArray<AgentOutput>
  readonly writes: ReadonlyArray<Payload.Payload>
}

export const nothing: Step = { outputs: [], writes: [] }

/** `agentSessionId` is the namespace of the uuids that are given to lines without one. */
export const make = (agentSessionId: string, runId: () => string) => ({
  agentSessionId,
  runId,
  given: memory(),
  said: memory(),
  open: new Map<EventUuid, Entry>(),
  /** Questions of the running process that wait for an answer: their tool use, where they have one. */
  asks: new Map<string, string | undefined>(),
  /** Questions of processes that are gone, by request id: asked again by the next one, or withdrawn. */
  orphans: new Map<string, string | undefined>(),
  /** Requests of agents that were answered: an agent may echo the answer. */
  replied: memory(),
  /** Answers by request id and by tool use, until their effect was seen. */
  answers: new Map<string, EventUuid>(),
  /** Requests of our own that take back one prompt each, by request id: their answers are not for the log. */
  recalls: new Map<string, EventUuid>(),
  tasks: Tasks.make(),
  /** The agent has named a prompt in a result, or told of one how far it has come: it always does. */
  names: false,
  /** The agent tells when it begins a prompt. */
  tellsBeginning: false,
  turnRuns: false,
  /** State that the agent has told of itself. */
  stated: undefined as string | undefined,
  /** Turns ended so far. */
  turns: 0,
  /** Lines without a uuid so far. */
  position: 0
})

export type Books = ReturnType<typeof make>

export const prompts = ({ open }: Books): ReadonlyArray<Entry> =>
  Array.from(open.values()).filter(({ kind }) => kind === "prompt")

/** A prompt waits or is worked on. */
export const isBusy = (books: Books): boolean =>
  books.turnRuns || books.asks.size > 0 || prompts(books).length > 0

/** Moves an entry on; it leaves when it is processed. */
export const deliver = ({ open }: Books, entry: Entry, state: Report): ReadonlyArray<AgentOutput> => {
  if (entry.state === state || entry.state === "processed") return []
  entry.state = state
  if (state === "processed") open.delete(entry.uuid)
  return [{ _tag: "Delivery", uuid: entry.uuid, state }]
}

export const finish = (books: Books, entry: Entry): ReadonlyArray<AgentOutput> => {
  for (const [key, uuid] of books.answers) if (uuid === entry.uuid) books.answers.delete(key)
  return deliver(books, entry, "processed")
}

/** Adds what a line lacks: a durable line has a uuid. */
export const identified = (books: Books, payload: Payload.Payload): Payload.Payload => {
  if (payload.uuid !== undefined || Payload.isEphemeral(payload)) return payload
  const requestId = text(payload.json["request_id"]) ?? text(member(payload.json["response"], "request_id"))
  const uuid = uuid5(
    books.agentSessionId,
    requestId === undefined
      ? `${books.runId()} ${books.position++} ${payload.text}`
      : `${payload.type} ${requestId}`
  )
  return {
    ...payload,
    text: payload.text.replace("{", `{"uuid":${JSON.stringify(uuid)},`),
    json: { uuid, ...payload.json },
    uuid: EventUuid.make(uuid)
  }
}

/** The line of an agent, once. */
export const speak = (books: Books, payload: Payload.Payload): ReadonlyArray<AgentOutput> => {
  const line = identified(books, payload)
  if (line.uuid !== undefined && !Payload.isEphemeral(line)) {
    if (books.said.has(line.uuid)) return []
    books.said.add(line.uuid)
  }
  return [{ _tag: "Line", payload: line }]
}
