/** How far a message has come. It only ever comes further. */
import type { DeliveryStatus } from "@causeway/protocol/Event"

/**
 * `sending`: the hub has not answered; `unknown`: it has not for so long that nobody tries any more, and it may have the
 * message or not; `refused`: it will never take it; `accepted`: it is in the log; then on the host, taken by the agent,
 * answered. `withdrawn`: taken back before its turn, unless the agent had begun it and says so later.
 */
export type Stage =
  | "sending"
  | "unknown"
  | "refused"
  | "accepted"
  | "received"
  | "withdrawn"
  | "processing"
  | "processed"

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

/** The stage after news of `to`: news that are late change nothing. */
export const advance = (from: Stage | undefined, to: Stage): Stage =>
  from === undefined || rank[to] > rank[from] || (rank[to] === 0 && rank[from] === 0) ? to : from

/** Whether `to` is no step back from `from`. */
export const isForward = (from: Stage, to: Stage): boolean => rank[to] >= rank[from]

export const ofStatus = (status: DeliveryStatus): Stage => {
  switch (status) {
    case "DELIVERY_STATUS_RECEIVED":
      return "received"
    case "DELIVERY_STATUS_PROCESSING":
      return "processing"
    case "DELIVERY_STATUS_PROCESSED":
      return "processed"
    case "DELIVERY_STATUS_WITHDRAWN":
      return "withdrawn"
  }
}

export const words: { readonly [S in Stage]: string } = {
  sending: "sending",
  unknown: "unknown whether the hub has it: Ctrl-R sends it again",
  refused: "refused",
  accepted: "accepted",
  received: "on the host",
  withdrawn: "withdrawn",
  processing: "taken by the agent",
  processed: "answered"
}

/** Whether the hub has it for certain. */
export const isConfirmed = (stage: Stage): boolean => rank[stage] > 0
