/**
 * How far a person's message has come on its way to the agent and back. The one place for its states, their order and their
 * spelling; pure, so that the page can take it along. Source: spec 5 §1 (delivery), ARCHITECTURE.md ("Down").
 */
import type { EventUuid } from "./Ids.ts"

/** States that a worker reports, in order: on the host, taken by the agent, answered. */
export const reports = ["received", "processing", "processed"] as const
export type Report = (typeof reports)[number]

/** A worker's report of one event. */
export interface Update {
  readonly eventId: EventUuid
  readonly status: Report
}

/** States that the log keeps: a report, or taken back before the agent began it. */
export const states = [...reports, "withdrawn"] as const
export type State = (typeof states)[number]

/**
 * States as a person sees them. `sending`: the hub has not answered; `unknown`: it has not for so long that nobody tries any
 * more, and it may have the message or not; `refused`: it will never take it; `accepted`: it is in the log.
 */
export type Stage = "sending" | "unknown" | "refused" | "accepted" | State

const rank: { readonly [S in Stage]: number } = {
  sending: 0,
  unknown: 0,
  refused: 0,
  accepted: 1,
  received: 2,
  withdrawn: 3,
  processing: 4,
  processed: 5
}

/** `to` is no step back from `from`. */
export const isForward = (from: Stage, to: Stage): boolean => rank[to] >= rank[from]

/** The stage after news of `to`: a message only ever comes further; late news change nothing. */
export const advance = (from: Stage, to: Stage): Stage =>
  rank[to] > rank[from] || (rank[to] === 0 && rank[from] === 0) ? to : from

/**
 * States from which a report leads on. What was taken back stays so, whatever is reported as done with, unless the agent had
 * begun it.
 */
export const before = (report: Report): ReadonlyArray<State> =>
  states.filter((state) => rank[state] < rank[report] && (state !== "withdrawn" || report === "processing"))

/** The same state as viewers are told. */
export type Wire = `DELIVERY_STATUS_${Uppercase<State>}`

/** `received` → `DELIVERY_STATUS_RECEIVED`, and so on. */
export const toWire = (state: State): Wire => `DELIVERY_STATUS_${state.toUpperCase() as Uppercase<State>}`

const told: ReadonlyMap<unknown, State> = new Map(states.map((state) => [toWire(state), state]))

/** The state of this name; undefined for a name unknown here. */
export const fromWire = (name: unknown): State | undefined => told.get(name)

export const words: { readonly [S in Stage]: string } = {
  sending: "sending",
  unknown: "unknown whether the hub has it",
  refused: "refused",
  accepted: "accepted",
  received: "on the host",
  withdrawn: "withdrawn",
  processing: "taken by the agent",
  processed: "answered"
}
