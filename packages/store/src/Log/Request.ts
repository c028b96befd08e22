/** Requests to append, and what becomes of them. */
import type { Source } from "@causeway/protocol/Event"
import type { OrganizationId, SessionBody } from "@causeway/protocol/Ids"
import type { Payload } from "@causeway/protocol/Payload"
import type {
  AlreadyAnswered,
  HeadMoved,
  LogBusy,
  SessionArchived,
  SessionUnknown,
  StoreUnavailable,
  TokenSuperseded,
  WorkerSuperseded
} from "../Errors.ts"

/** What a writer claims to know. Checked in the transaction that stores, before anything else. */
export type Guard =
  /** The ingress chain. `lastUuid`: value of `Last-Uuid`. */
  | { readonly kind: "lastUuid"; readonly lastUuid: string | undefined }
  /** The worker routes. Refused where a newer epoch has been given out. */
  | { readonly kind: "epoch"; readonly workerEpoch: number }

export interface AppendRequest {
  /** Session body, see `Ids.sessionBody`. */
  readonly session: SessionBody
  readonly organizationId: OrganizationId
  readonly source: Source
  /** At least one; stored in this order, whole or not at all. One without a uuid is given one. */
  readonly payloads: ReadonlyArray<Payload>
  readonly guard?: Guard
  /** Who sends it, see `Author.column`; an agent's side has none. */
  readonly author?: string | null
  /** Epoch of the token that the request came with; refused where a newer one was issued. */
  readonly tokenEpoch?: number
}

/** What became of one payload. */
export interface Appended {
  readonly seq: number
  readonly uuid: string
  /** Milliseconds since the epoch, of the event that is stored. */
  readonly createdAt: number
  /** Its uuid was in the log already: nothing was stored. */
  readonly duplicate: boolean
  /** The messages that it took back, see `Withdrawal`. */
  readonly withdrawn?: ReadonlyArray<string>
}

export type AppendError =
  | SessionUnknown
  | SessionArchived
  | HeadMoved
  | WorkerSuperseded
  | TokenSuperseded
  | AlreadyAnswered
  | LogBusy
  | StoreUnavailable

/** Which session, and whose. */
export interface SessionKey {
  readonly session: SessionBody
  readonly organizationId: OrganizationId
}
